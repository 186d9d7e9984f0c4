"""Opens animated WebP through Pillow, since FFmpeg does not read it, and everything else as
`footage` does."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
from av.video.frame import VideoFrame
from PIL import Image, ImageSequence

from segsearch.media.bounded import RefusedError
from segsearch.media.footage import Bounds, Footage, check_bytes, check_pixels, too_long

MILLISECONDS = Fraction(1, 1000)
HEAD_BYTES = 12


def opened(path: Path, bounds: Bounds) -> Footage:
    """The footage of a file; RefusedError where it is none, or is beyond the bounds."""
    check_bytes(path, bounds)
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    is_webp = head[:4] == b"RIFF" and head[8:12] == b"WEBP"
    return Animation(path, bounds) if is_webp else Footage(path, bounds)


class Animation(Footage):
    """An open WebP, the frames of which last so many milliseconds each."""

    aspect = None
    codec = kind = "webp"
    tags: dict[str, str] = {}  # noqa: RUF012  none
    has_sound = False
    header_seconds = 0.0

    def __init__(self, path: Path, bounds: Bounds) -> None:
        try:
            self._picture = Image.open(path, formats=["WEBP"])
        except (OSError, ValueError, Image.DecompressionBombError) as problem:
            raise RefusedError("The animation is damaged: it cannot be opened.") from problem
        self.width, self.height = self._picture.size
        try:
            check_pixels(self.width, self.height, bounds)
        except RefusedError:
            self.close()
            raise
        self._bounds = bounds
        self.time_base = MILLISECONDS
        self.usual_seconds = 0.1
        self.damaged = self.decoded = 0

    def close(self) -> None:
        """Close the file."""
        self._picture.close()

    def frames(self) -> Iterator[VideoFrame]:
        """The frames, in the order in which they are shown."""
        at = 0
        try:
            for picture in ImageSequence.Iterator(self._picture):
                frame = VideoFrame.from_ndarray(np.asarray(picture.convert("RGBA")), "rgba")
                frame.pts, frame.time_base = at, MILLISECONDS
                frame.duration = max(1, int(picture.info.get("duration", 0)))
                at += frame.duration
                if at > self._bounds.max_seconds * 1000:
                    raise too_long(at / 1000, self._bounds)
                self.decoded += 1
                yield frame
        except (OSError, ValueError, EOFError):
            self.damaged += 1

    def can_seek(self, *_: object) -> bool:
        """Never: a frame is drawn over the one before it."""
        return False

    def keyframe_before(self, stamp: int) -> int | None:  # noqa: ARG002  as of all footage
        """The first frame: all others need it."""
        return 0
