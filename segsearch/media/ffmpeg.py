"""Turns videos into shots, frames and clips, through FFmpeg in a process of its own; refuses what
is none.

A shot is known by its file's bytes, from when to when it lasts, and the rule by which it was found:
its sha256 is that of the same shot wherever the file lies, and no other when FFmpeg is.
"""

from __future__ import annotations

import atexit
import hashlib
import io
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from segsearch.core.arrays import Pixels, ShotFrame
from segsearch.core.errors import PictureError
from segsearch.core.video import RULE, ShotTimes, VideoInfo
from segsearch.media.bounded import BoundedProcess, Sentences, started
from segsearch.media.exif import moment_of

if TYPE_CHECKING:
    from segsearch.core.settings import Settings

NO_VIDEO = 'Videos need an extra package: `pip install "segsearch[video]"`.'
PACKAGES = ("av", "scenedetect")
FIRST_YEAR = 1990  # clocks that were never set show the year of their epoch, 1904 or 1970
BETWEEN_SIDE_PX = 480  # of frames in which things are only followed
CLIP_WORK_SECONDS = 900.0  # of a processor: 60 s of 8K take it, and files without an index
WALL_A_PROCESSOR = 4  # seconds of waiting for one of work: discs, and others at work
TS_BYTES, M2TS_BYTES = 188, 192  # of a packet
GIF_HEAD_BYTES, GIF_PICTURE, GIF_MORE = 13, 0x2C, 0x21  # and what its blocks begin with
STILLS = (b"avif", b"heic", b"heim", b"heis", b"heix", b"mif1", b"crx ", b"jp2 ", b"jxl ")
BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")
SENTENCES = Sentences(
    "FFmpeg",
    "the video",
    "The video takes FFmpeg too long: it is not read.",
    "The look at the video was stopped.",
)


@dataclass(frozen=True, slots=True)
class VideoLimits:
    """What is read of videos: bytes and seconds of a file, pixels of a coded frame; the longer
    side of frames as they are indexed; and the seconds of a processor that a question may take,
    which for a look is each piece of it."""

    max_bytes: int = 20 << 30
    max_seconds: float = 6 * 3600.0
    max_pixels: int = 200_000_000
    side_px: int = 1280
    deadline_seconds: float = 60.0

    @classmethod
    def of(cls, settings: Settings) -> VideoLimits:
        """The limits that the settings name."""
        return cls(
            max_bytes=settings.max_video_bytes,
            max_seconds=settings.max_video_seconds,
            max_pixels=settings.max_pixels,
        )


DEFAULT_LIMITS = VideoLimits()


def is_video(data: bytes) -> bool:
    """Whether bytes begin as a container does that may hold moving pictures. The first kilobyte is
    enough."""
    if data[4:8] == b"ftyp":
        return data[8:12] not in STILLS or b"avis" in data[8:64]
    if data[4:8] in BOXES:
        return True
    if data[:4] == b"RIFF":
        is_moving_webp = data[8:16] == b"WEBPVP8X" and bool(data[20:21]) and bool(data[20] & 2)
        return data[8:12] == b"AVI " or is_moving_webp
    starts = (b"\x1aE\xdf\xa3", b"GIF87a", b"GIF89a", b"\0\0\1\xba", b"\0\0\1\xb3")
    return data.startswith(starts) or _is_transport(data)


def moves(start: bytes) -> bool:
    """Whether a GIF, WebP or AVIF moves, by its first bytes, which may be all of it: no frame is
    decoded. True where a GIF does not end with them."""
    if not start.startswith(b"GIF8"):
        return is_video(start)
    at, pictures = GIF_HEAD_BYTES + _table_bytes(start, GIF_HEAD_BYTES - 3), 0
    while at < len(start) and pictures < 2:
        kind = start[at]
        if kind == GIF_PICTURE:
            pictures += 1
            at += 11 + _table_bytes(start, at + 9)
        elif kind == GIF_MORE:
            at += 2
        else:  # its end, or what is no block
            return False
        while at < len(start) and start[at]:
            at += start[at] + 1
        at += 1
    return True


def _table_bytes(start: bytes, at: int) -> int:
    """How many bytes the colours of a GIF, or of one of its pictures, take by the flags there."""
    flags = start[at] if at < len(start) else 0
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _is_transport(data: bytes) -> bool:
    """Whether bytes are packets of MPEG-TS, each of which begins with the same byte."""
    for first, size in ((0, TS_BYTES), (4, M2TS_BYTES)):
        signs = data[first : first + 4 * size : size]
        if len(signs) > 1 and set(signs) == {0x47}:
            return True
    return False


def shot_sha256(file_sha256: str, t_start: float, t_end: float) -> str:
    """sha256 as hex of a shot, from that of its file and from when to when it lasts, in seconds."""
    said = f"{file_sha256} shot={t_start:.3f},{t_end:.3f} rule={RULE}\n"
    return hashlib.sha256(said.encode()).hexdigest()


def look(
    path: Path,
    limits: VideoLimits = DEFAULT_LIMITS,
    *,
    stopped: Callable[[], bool] = lambda: False,
) -> VideoInfo:
    """What there is to know of a video after one pass through it, which decodes every frame once,
    for its shots; `stopped` is asked several times a second. PictureError with a sentence for what
    is no video, holds none that can be decoded, is beyond the limits, or was stopped."""
    check_packages()
    process = VideoProcess()  # of its own: a look takes minutes, and frames are wanted meanwhile
    try:
        head, _ = process.ask(
            {"ask": "look", **_question(path, limits, limits.side_px)},
            stopped=stopped,
            silent_seconds=limits.deadline_seconds * WALL_A_PROCESSOR,
        )
    finally:
        process.close()
    made = moment_of(head["made"])
    return VideoInfo(
        width=head["width"],
        height=head["height"],
        seconds=head["seconds"],
        frame_rate=head["frame_rate"],
        codec=head["codec"],
        container=head["container"],
        shots=tuple((start, end) for start, end in head["shots"]),
        made_at=made if made and made.year >= FIRST_YEAR else None,
        has_sound=head["has_sound"],
        lost=head["lost"],
    )


def frames_at(
    path: Path,
    times: Sequence[float],
    limits: VideoLimits = DEFAULT_LIMITS,
    *,
    side_px: int = 0,
) -> Iterator[tuple[float, Pixels]]:
    """For each time, in ascending order, the frame that is shown then: when it begins to be shown,
    in seconds from the video's first frame, and its pixels, (H, W, 3) u8, upright sRGB. The longer
    side has `limits.side_px` at most, and `side_px` where that is less and not 0. Frames that are
    damaged are left out; PictureError where none is left, or FFmpeg ends over one."""
    side = min(side_px or limits.side_px, limits.side_px)
    for _, seconds, pixels in _shown(path, [(at, side) for at in sorted(times)], limits):
        yield seconds, pixels


def shot_frames(
    path: Path, times: ShotTimes, limits: VideoLimits = DEFAULT_LIMITS
) -> Iterator[ShotFrame]:
    """The keyframes of a shot and what lies between them, as `frames_at` gives them, in order of
    time; the latter's longer side has `BETWEEN_SIDE_PX` at most."""
    keys = set(times.keyframes)
    between = min(BETWEEN_SIDE_PX, limits.side_px)
    asked = [(at, limits.side_px if at in keys else between) for at in times.all]
    for at, seconds, pixels in _shown(path, asked, limits):
        yield ShotFrame(seconds, pixels, at in keys)


def _shown(
    path: Path, asked: Sequence[tuple[float, int]], limits: VideoLimits
) -> Iterator[tuple[float, float, Pixels]]:
    """For each moment, with the longer side that is wanted then: the moment, and the frame."""
    check_packages()
    problem: str | None = None
    count = 0
    with _borrowed() as process:
        for at, side in asked:
            head, data = process.ask(
                {"ask": "frame", **_question(path, limits, side), "at": at},
                silent_seconds=limits.deadline_seconds * WALL_A_PROCESSOR,
            )
            if "damaged" in head:
                problem = problem or head["damaged"]
                continue
            count += 1
            shape = (head["height"], head["width"], 3)
            yield at, head["seconds"], np.frombuffer(data, np.uint8).reshape(shape)
    if asked and not count:
        raise PictureError(problem or "None of the frames of the video can be decoded.")


def write_clip(  # noqa: PLR0913  a part, its place and its size
    path: Path,
    t_start: float,
    t_end: float,
    into: Path,
    limits: VideoLimits = DEFAULT_LIMITS,
    *,
    side_px: int,
) -> None:
    """Write a part of a video over a file, as an MP4 (H.264, AAC) from 0 to `t_end - t_start`
    seconds, upright, with a longer side of `side_px` at most. It begins with the frame that is
    shown at `t_start`; damaged frames are left out, and sound that cannot be decoded. PictureError
    where no frame can be decoded, it takes too long, or the file cannot be written."""
    check_packages()
    process = VideoProcess()  # of its own: a clip takes seconds, and frames are wanted meanwhile
    try:
        process.ask(
            {
                "ask": "clip",
                **_question(path, limits, side_px),
                **{"from": round(t_start, 3), "to": round(t_end, 3), "into": str(into.resolve())},
                "most_seconds": CLIP_WORK_SECONDS,
            },
            silent_seconds=limits.deadline_seconds * WALL_A_PROCESSOR,
        )
    finally:
        process.close()


def frame_png(pixels: Pixels) -> bytes:
    """A frame (H, W, 3) u8 as a PNG file, packed for speed rather than size."""
    packed = io.BytesIO()
    Image.fromarray(pixels).save(packed, "PNG", compress_level=1)
    return packed.getvalue()


def reads_videos() -> bool:
    """Whether what decodes videos is installed."""
    return all(find_spec(name) is not None for name in PACKAGES)


def check_packages() -> None:
    """PictureError where what decodes videos is not installed."""
    if not reads_videos():
        raise PictureError(NO_VIDEO)


def _question(path: Path, limits: VideoLimits, side_px: int) -> dict[str, Any]:
    return {
        "path": str(path.resolve()),
        "side_px": side_px,
        "max_bytes": limits.max_bytes,
        "max_seconds": limits.max_seconds,
        "max_pixels": limits.max_pixels,
        "seconds": limits.deadline_seconds,
        "most_seconds": limits.max_seconds + limits.deadline_seconds,
    }


class VideoProcess(BoundedProcess):
    """The process that holds FFmpeg (`video_child`)."""

    def __init__(self) -> None:
        super().__init__(lambda: _started(), SENTENCES)


def _started() -> subprocess.Popen[bytes]:
    return started("segsearch.media.video_child")


_IDLE: list[VideoProcess] = []  # the one that was used last is the last one


@contextmanager
def _borrowed() -> Iterator[VideoProcess]:
    """A process that decodes frames for nobody else meanwhile: in order of time it decodes no part
    twice, and two who went through one video side by side would send it back and forth."""
    try:
        process = _IDLE.pop()
    except IndexError:
        process = VideoProcess()
        atexit.register(process.close)
    try:
        yield process
    finally:
        _IDLE.append(process)
