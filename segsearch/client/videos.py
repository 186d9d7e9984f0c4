"""The calls of `Client` about videos: what they are, their frames, and what is seen in them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from segsearch.client.transport import Connection, Document
from segsearch.core.atomic import whole


class VideoCalls:
    """A part of `Client`."""

    _server: Connection

    def videos(self, *, page: int = 100) -> Iterator[Document]:
        """Every video by ascending id, fetched a page at a time."""
        after: int | None = 0
        while after is not None:
            position = {"after": after, "limit": page}
            answer = self._server.document("GET", "/v1/videos", params=position)
            yield from answer["videos"]
            after = answer["next_after"]

    def video(self, video_id: int) -> Document:
        """One video with its shots."""
        return self._server.document("GET", f"/v1/videos/{video_id}")

    def video_segments(self, video_id: int, seconds: float) -> list[Document]:
        """The regions that are there at a moment, each with its mask then (`at`)."""
        return self._server.documents(f"/v1/videos/{video_id}/segments", "segments", t=seconds)

    def frame(self, video_id: int, seconds: float, side: int = 1280) -> bytes:
        """The frame that is shown at a moment, as JPEG."""
        return self._server.bytes_of(f"/v1/videos/{video_id}/frame.jpg", t=seconds, side=side)

    def clip(self, video_id: int, t_start: float, t_end: float, side: int = 1280) -> bytes:
        """A part of a video, at most a minute, as an MP4 that every browser plays."""
        times = {"from": t_start, "to": t_end}
        return self._server.bytes_of(f"/v1/videos/{video_id}/clip.mp4", **times, side=side)

    def video_file(self, video_id: int, into: Path) -> Path:
        """Write a video's file as it was indexed. An earlier file stays as it was when the answer
        is cut short."""
        with (
            self._server.streamed("GET", f"/v1/videos/{video_id}/file") as answer,
            whole(into) as partial,
            partial.open("wb") as file,
        ):
            for piece in answer.iter_bytes():
                file.write(piece)
        return into

    def track(self, segment_id: int) -> Document:
        """Of a region of a video, when it is there, and its masks at keyframes."""
        return self._server.document("GET", f"/v1/segments/{segment_id}/track")
