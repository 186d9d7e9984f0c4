"""What runs in the process that holds FFmpeg: looks through videos for their shots, decodes the
frames that it is asked for, and writes parts of videos as clips.

FFmpeg is C over hostile bytes: here it may crash, hang or ask for any amount of memory, and costs
one video. It opens the one file that it is asked about, never others that this names, and no
connection; it writes the one file that a clip goes into. It ends with its parent, and after a
while without a question.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from itertools import chain
from pathlib import Path
from typing import Any

import av
from av.video.frame import VideoFrame

from segsearch.core.video import LONGEST_SHOT_SECONDS
from segsearch.media.animation import opened
from segsearch.media.bounded import Answer, RefusedError, bounds, serve
from segsearch.media.footage import Bounds, Footage, too_long
from segsearch.media.video_clip import ClipSpan, write_clip
from segsearch.media.video_clock import LONGEST_FRAME_SECONDS
from segsearch.media.video_frames import FrameDrawer, stored_size, turn_of
from segsearch.media.video_sound import Samples, sound_of, stream_of

QUESTION_SECONDS = 60  # of a processor, for a frame, or a piece of a look
MEMORY_BYTES = 6 << 30  # of addresses: 16 frames of 8K and 10 bits are 1.6 GB
LOOK_PX = 256  # longer side of frames in which cuts are looked for
MISSING_SECONDS, MISSING_SHARE = 1.0, 0.05  # what an end may lack of what the file says
SOUGHT_SECONDS = (0.0, 2.0, 10.0)  # before a moment: where keyframes are not where they should be
NEAR_SECONDS = 10.0  # decoded on rather than sought, where no index names keyframes
OPEN_FILES = 2
NAMES = {"mpegvideo": "mpeg"}
BRANDS = {"qt": "mov", "avis": "avif", "avif": "avif"}
MADE = ("com.apple.quicktime.creationdate", "creation_time", "DATE", "date")


Going = Callable[[], None]  # is called all the while, so that the parent knows


def look(question: dict[str, Any], going_on: Going) -> Answer:
    """What there is to know of a video after a pass through it."""
    path, limits = Path(question["path"]), _bounds(question)
    with closing(opened(path, limits)) as footage:
        return _looked(footage, path, question, going_on), b""


def _looked(
    footage: Footage, path: Path, question: dict[str, Any], going_on: Going
) -> dict[str, Any]:
    from segsearch.media.video_shots import ShotFinder  # a second, which frames do not need

    finder, clock = ShotFinder(), footage.clock()
    drawer: FrameDrawer | None = None
    head: dict[str, Any] = {}
    frames, corrupt, end = 0, 0, 0.0
    for frame in footage.frames():
        going_on()
        seconds = clock.seconds(footage.stamp(frame))
        if drawer is None:
            drawer = FrameDrawer(
                stored_size(
                    footage.width or frame.width, footage.height or frame.height, None, LOOK_PX
                )
            )
            head = _size(footage, frame, question["side_px"])
        finder.add(seconds, drawer.bgr(frame))
        end = seconds + _lasts(footage, frame)
        frames += 1
        corrupt += frame.is_corrupt
        if end > question["max_seconds"]:
            raise too_long(end, _bounds(question))
    if not frames:
        raise RefusedError("None of the video's frames can be decoded: it is damaged or encrypted.")
    shots = finder.shots(end, LONGEST_SHOT_SECONDS)
    return head | {
        "seconds": round(end, 3),
        "frame_rate": round(frames / end, 3) if end > 0 else 0.0,
        "codec": footage.codec,
        "container": _container(footage, path),
        "shots": shots,
        "made": _made(footage),
        "has_sound": footage.has_sound,
        "lost": _lost(footage, corrupt, end),
    }


def _size(footage: Footage, frame: VideoFrame, side_px: int) -> dict[str, Any]:
    size = _stored(footage, frame, side_px)
    width, height = size[::-1] if turn_of(frame).is_transposed else size
    return {"width": width, "height": height}


def _stored(footage: Footage, frame: VideoFrame, side_px: int) -> tuple[int, int]:
    """Columns and rows of all frames of a video, also of those that have another size."""
    width, height = footage.width or frame.width, footage.height or frame.height
    return stored_size(width, height, footage.aspect, side_px)


def _lasts(footage: Footage, frame: VideoFrame) -> float:
    """How long a frame is shown."""
    seconds = float((frame.duration or 0) * footage.time_base)
    return seconds if 0 < seconds <= LONGEST_FRAME_SECONDS else footage.usual_seconds


def _container(footage: Footage, path: Path) -> str:
    if footage.kind == "mov":
        return BRANDS.get(footage.tags.get("major_brand", "").strip(), "mp4")
    if footage.kind == "matroska":
        with path.open("rb") as file:
            return "webm" if b"webm" in file.read(64) else "matroska"
    return NAMES.get(footage.kind, footage.kind)


def _made(footage: Footage) -> str:
    """When the video was recorded, as a camera's clock showed it where it says so."""
    return next((footage.tags[key] for key in MADE if footage.tags.get(key)), "")


def _lost(footage: Footage, corrupt: int, end: float) -> str | None:
    said = []
    expected = footage.header_seconds
    if expected - end > max(MISSING_SECONDS, MISSING_SHARE * expected):
        said.append(
            f"the file says that it lasts {expected:,.1f} s, and its frames end at {end:,.1f} s"
        )
    if damaged := footage.damaged + corrupt:
        said.append(f"{damaged:,} of its frames or parts are damaged")
    if not said:
        return None
    sentence = "; ".join(said)
    return f"{sentence[0].upper()}{sentence[1:]}: the rest was taken."


class Reel:
    """An open video that is asked for frames in order of time, and decodes no part twice."""

    def __init__(self, path: Path, limits: Bounds, going_on: Going) -> None:
        self._path, self._limits, self.going_on = path, limits, going_on
        self._footage = opened(path, limits)
        self._is_sought: bool | None = None
        self._origin: int | None = None
        self._start()

    @property
    def decoded(self) -> int:
        """How many frames were decoded since the file was opened."""
        return self._footage.decoded

    def close(self) -> None:
        """Close the file."""
        self._footage.close()

    def _start(self) -> None:
        """Go to the first frame."""
        self._frames = self._footage.frames()
        self._clock = self._footage.clock()
        self._shown: tuple[float, VideoFrame] | None = None
        self._ahead = self._next()
        if self._ahead is None:
            raise RefusedError(
                "None of the video's frames can be decoded: it is damaged or encrypted."
            )
        self._origin = self._footage.stamp(self._ahead[1])

    def _next(self) -> tuple[float, VideoFrame] | None:
        self.going_on()
        frame = next(self._frames, None)
        return None if frame is None else (self._clock.seconds(self._footage.stamp(frame)), frame)

    def frame(self, seconds: float) -> tuple[float, VideoFrame]:
        """The frame that is shown at a moment, and its own one; the first or the last where the
        moment is before or after all of them."""
        seconds = round(seconds, 3)
        if self._shown is not None and seconds < self._shown[0]:
            self._go_back(seconds)
        elif self._ahead is not None and seconds > self._ahead[0]:
            self._go_on(seconds)
        while self._ahead is not None and (self._shown is None or self._ahead[0] <= seconds):
            self._shown, self._ahead = self._ahead, self._next()
        if self._shown is None:
            raise RefusedError("None of the video's frames can be decoded from there on.")
        return self._shown

    def part(self, part: ClipSpan) -> Iterator[tuple[float, VideoFrame]]:
        """The frame that is shown at the start of a part, and those that follow it to its end."""
        yield self.frame(part.t_start)
        while self._ahead is not None and self._ahead[0] < part.t_end:
            self._shown, self._ahead = self._ahead, self._next()
            yield self._shown

    def sound(self, part: ClipSpan, stack: ExitStack) -> Iterator[Samples]:
        """The sound of a part, from the file opened once more. None where the clock of the pictures
        is not that of their time stamps."""
        if not self._footage.has_sound or self._clock.is_broken:
            return
        other = stack.enter_context(closing(opened(self._path, self._limits)))
        stream = stream_of(other)
        if stream is not None:
            zero = float((self._origin or 0) * self._footage.time_base)
            yield from sound_of(other, stream, zero, (part.t_start, part.t_end), self.going_on)

    def clip(self, part: ClipSpan, side_px: int, into: Path) -> Answer:
        """Write a part as an MP4 whose longer side has so many pixels at most; what was written."""
        frames = self.part(part)
        first = next(frames)
        size = _stored(self._footage, first[1], side_px)
        with ExitStack() as stack:
            sound = self.sound(part, stack)
            return write_clip(into, chain([first], frames), part, size, sound), b""

    def _stamp(self, seconds: float) -> int:
        return (self._origin or 0) + round(seconds / self._footage.time_base)

    def _can_seek(self) -> bool:
        if self._is_sought is None:
            self._is_sought = self._origin is not None and self._footage.can_seek(
                self._path, self._limits, self.going_on
            )
        return self._is_sought

    def _go_on(self, seconds: float) -> None:
        """Seek forward where that saves decoding."""
        if self._ahead is None or seconds - self._ahead[0] < self._footage.usual_seconds * 8:
            return
        keyframe = self._footage.keyframe_before(self._stamp(seconds))
        if keyframe is None:
            is_near = seconds - self._ahead[0] < NEAR_SECONDS
        else:
            is_near = keyframe <= self._stamp(self._ahead[0])
        if not is_near and self._can_seek():
            self._seek(seconds)

    def _go_back(self, seconds: float) -> None:
        if self._can_seek():
            self._seek(seconds)
        else:
            self._reopen()

    def _seek(self, seconds: float) -> None:
        for before in SOUGHT_SECONDS:
            if before > seconds or not self._footage.seek(self._stamp(seconds - before)):
                break
            self._frames = self._footage.frames()
            self._clock = self._footage.clock(self._origin)
            self._shown = None
            self._ahead = self._next()
            while self._ahead is not None and self._ahead[1].is_corrupt:
                self._ahead = self._next()
            if self._ahead is not None and self._ahead[0] <= seconds:
                return
        self._reopen()

    def _reopen(self) -> None:
        self._footage.close()
        self._footage = opened(self._path, self._limits)
        self._start()

    def answer(self, seconds: float, side_px: int) -> Answer:
        """The frame that is shown at a moment: its own one, its size, and its pixels, (H, W, 3) u8;
        `damaged` instead where it could not be decoded whole."""
        seconds, frame = self.frame(seconds)
        if frame.is_corrupt:
            return {"damaged": f"The frame at {seconds:,.2f} s of the video is damaged."}, b""
        pixels = FrameDrawer(_stored(self._footage, frame, side_px)).draw(frame)
        height, width, _ = pixels.shape
        return {"seconds": seconds, "width": width, "height": height}, pixels.tobytes()


class Reels:
    """The videos that were asked for last; one that has changed is opened again."""

    def __init__(self) -> None:
        self._open: dict[tuple[Any, ...], Reel] = {}

    def frame(self, question: dict[str, Any], going_on: Going) -> Answer:
        """The frame of a video that is shown at a moment."""
        try:
            return self._reel(question, going_on).answer(question["at"], question["side_px"])
        except BaseException:
            self.close()  # one that broke off does not know where it is
            raise

    def clip(self, question: dict[str, Any], going_on: Going) -> Answer:
        """A part of a video, written into a file."""
        part = ClipSpan(question["from"], question["to"])
        try:
            reel = self._reel(question, going_on)
            return reel.clip(part, question["side_px"], Path(question["into"]))
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close all of them."""
        while self._open:
            self._open.popitem()[1].close()

    def _reel(self, question: dict[str, Any], going_on: Going) -> Reel:
        path, limits = Path(question["path"]), _bounds(question)
        try:
            status = path.stat()
        except OSError as problem:
            raise RefusedError(f"The video cannot be read: {problem.strerror}.") from problem
        key = (path, status.st_ino, status.st_size, status.st_mtime_ns, limits)
        reel = self._open.pop(key, None) or Reel(path, limits, going_on)
        reel.going_on = going_on
        self._open[key] = reel
        while len(self._open) > OPEN_FILES:
            self._open.pop(next(iter(self._open))).close()
        return reel


def _bounds(question: dict[str, Any]) -> Bounds:
    return Bounds(question["max_bytes"], question["max_seconds"], question["max_pixels"])


def _sentence(problem: Exception) -> str | None:
    if isinstance(problem, MemoryError | av.MemoryError):
        return "FFmpeg cannot decode the video: it needs more memory."
    if isinstance(problem, av.FFmpegError | ValueError | OSError):
        return f"FFmpeg cannot decode the video: {str(problem).rstrip('.')}."
    return None


def main() -> None:
    """Bound what the process may take, and serve."""
    questions, answers = bounds(MEMORY_BYTES)
    reels = Reels()

    def answer(question: dict[str, Any], _: bytes, going_on: Going) -> Answer:
        asked = {"look": look, "frame": reels.frame, "clip": reels.clip}[question["ask"]]
        return asked(question, going_on)

    serve(questions, answers, answer, seconds=QUESTION_SECONDS, foreign=_sentence)


if __name__ == "__main__":
    main()
    sys.exit(0)
