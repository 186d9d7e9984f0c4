"""Writes a part of a video as an MP4 that every browser plays: H.264 with 8 bits and 4:2:0, upright
in BT.709, at most 30 frames a second at their own times, sound as AAC, its index at the front.

Frames are drawn, encoded and written one at a time, so that memory does not grow with length.
Damaged ones are left out. Runs in the process of `video_child` alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.codec import Codec
from av.codec.codec import UnknownCodecError
from av.video.frame import VideoFrame
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc, VideoReformatter
from av.video.stream import VideoStream

from segsearch.core.arrays import Pixels
from segsearch.media.bounded import RefusedError
from segsearch.media.video_frames import EXACT, FrameDrawer, turn_of
from segsearch.media.video_sound import LAYOUT, RATE, Samples

MOST_RATE = 30  # frames a second
CLOCK_SECONDS = 0.0015  # by which times in thousandths may lie nearer to each other
TICKS = 1000  # a second: times of frames in thousandths, as the clock gives them
VIDEO_BITS = 8_000_000  # a second at most, so that a minute is 60 MB
SOUND_BITS = 128_000
H264_NAME = "libx264"  # which PyAV's wheel brings
THREADS = 2  # of the encoder; each holds frames
# No B-frames: packets come in the order of their times. A keyframe every two seconds, for seeking.
H264 = {
    "preset": "veryfast", "crf": "23", "bf": "0", "g": str(2 * MOST_RATE),
    "maxrate": str(VIDEO_BITS), "bufsize": str(2 * VIDEO_BITS),
}  # fmt: skip
MPEG4 = {"g": str(2 * MOST_RATE), "bf": "0"}


@dataclass(frozen=True, slots=True)
class ClipSpan:
    """From and to which seconds of a video."""

    t_start: float
    t_end: float

    @property
    def ticks(self) -> int:
        """How long it lasts, in thousandths of a second; at least one."""
        return max(1, round((self.t_end - self.t_start) * TICKS))


def even_size(size: tuple[int, int]) -> tuple[int, int]:
    """Columns and rows as 4:2:0 wants them, at least two."""
    columns, rows = (max(2, side - side % 2) for side in size)
    return columns, rows


def write_clip(
    into: Path,
    frames: Iterator[tuple[float, VideoFrame]],
    part: ClipSpan,
    size: tuple[int, int],
    sound: Iterator[Samples],
) -> dict[str, Any]:
    """Write the frames of a part, each with its seconds, at a size in columns and rows before they
    are turned; what was written. RefusedError where all are damaged, or the disk refuses."""
    drawer = FrameDrawer(even_size(size))
    paced = _paced(_whole(frames), part)
    _, first = next(paced, (0, None))
    if first is None:
        raise RefusedError("None of the frames of this part of the video can be decoded.")
    # All are turned as the first one is: asking a frame makes a cycle of it and what it says,
    # which holds its memory until the next collection.
    turn = turn_of(first)
    pixels = drawer.draw(first, turn)
    count, tick = 1, 0  # it is shown from the start on
    writer = ClipWriter(into, pixels.shape[:2], sound)
    try:
        for following, frame in paced:
            writer.add(tick, following - tick, pixels)
            count, tick, pixels = count + 1, following, drawer.draw(frame, turn)
        writer.add(tick, max(1, part.ticks - tick), pixels)
        writer.end()
    finally:
        writer.close()
    return {"frames": count, "has_sound": writer.has_sound}


def _whole(frames: Iterator[tuple[float, VideoFrame]]) -> Iterator[tuple[float, VideoFrame]]:
    return ((seconds, frame) for seconds, frame in frames if not frame.is_corrupt)


def _paced(
    frames: Iterator[tuple[float, VideoFrame]], part: ClipSpan
) -> Iterator[tuple[int, VideoFrame]]:
    """Frames with their ticks from the part's start on, of those that come too fast only some."""
    last: float | None = None
    for seconds, frame in frames:
        if last is None or seconds - last >= 1 / MOST_RATE - CLOCK_SECONDS:
            last = seconds
            yield round((seconds - part.t_start) * TICKS), frame


class ClipWriter:
    """A new MP4 of frames of one size, (H, W); its sound is written beside the pictures."""

    def __init__(self, into: Path, shape: tuple[int, ...], sound: Iterator[Samples]) -> None:
        self._shape = shape
        self._sound = sound
        self._next_sound = next(sound, None)
        self._samples = 0  # that were written
        self._durations: dict[int, int] = {}
        self._scaler = VideoReformatter()
        with _writing():
            self._container = av.open(
                f"file:{into}", "w", format="mp4", container_options={"movflags": "faststart"}
            )
        self._pictures = self._video_stream()
        self._audio = self._audio_stream() if self._next_sound is not None else None

    @property
    def has_sound(self) -> bool:
        """Whether there is any in the file."""
        return self._audio is not None

    def add(self, tick: int, ticks: int, pixels: Pixels) -> None:
        """Show a picture (H, W, 3) u8 from a tick on, for so many."""
        self._write_sound(until=tick)
        frame = self._scaler.reformat(
            VideoFrame.from_ndarray(pixels, "rgb24"),
            self._shape[1],
            self._shape[0],
            "yuv420p",
            dst_colorspace=Colorspace.ITU709,
            dst_color_range=ColorRange.MPEG,
            interpolation=EXACT,
            threads=1,
        )
        frame.pts, frame.time_base, frame.duration = tick, Fraction(1, TICKS), ticks
        self._durations[tick] = ticks
        self._put(frame)

    def end(self) -> None:
        """Write what is still held."""
        self._write_sound(until=None)
        self._put(None)
        if self._audio is not None:
            with _writing():
                self._container.mux(self._audio.encode(None))

    def close(self) -> None:
        """Close the file, whole or not."""
        with _writing():
            self._container.close()

    def _put(self, frame: VideoFrame | None) -> None:
        with _writing():
            for packet in self._pictures.encode(frame):
                # The last one's is not known to the container otherwise.
                packet.duration = self._durations.pop(packet.pts or 0, 1)
                self._container.mux(packet)

    def _write_sound(self, until: int | None) -> None:
        """Up to a tick; all of it for None."""
        while self._audio is not None and self._next_sound is not None:
            if until is not None and self._samples * TICKS > until * RATE:
                return
            frame = AudioFrame.from_ndarray(np.ascontiguousarray(self._next_sound), "fltp", LAYOUT)
            frame.sample_rate, frame.time_base = RATE, Fraction(1, RATE)
            frame.pts = self._samples
            self._samples += frame.samples
            with _writing():
                self._container.mux(self._audio.encode(frame))
            self._next_sound = next(self._sound, None)

    def _video_stream(self) -> VideoStream:
        name, options = _encoder()
        stream = cast(
            VideoStream, self._container.add_stream(name, rate=MOST_RATE, options=options)
        )
        context = stream.codec_context
        context.height, context.width = self._shape
        context.pix_fmt = "yuv420p"
        context.time_base = Fraction(1, TICKS)
        context.thread_count = THREADS
        context.color_primaries = ColorPrimaries.BT709
        context.color_trc = ColorTrc.BT709
        context.colorspace = Colorspace.ITU709
        context.color_range = ColorRange.MPEG
        if not options.get("crf"):
            context.bit_rate = VIDEO_BITS // 2
        return stream

    def _audio_stream(self) -> AudioStream:
        stream: AudioStream = self._container.add_stream("aac", rate=RATE, layout=LAYOUT)
        stream.codec_context.bit_rate = SOUND_BITS
        return stream


@contextmanager
def _writing() -> Iterator[None]:
    """FFmpeg's refusals as those of the clip, not of the video."""
    try:
        yield
    except av.FFmpegError as problem:
        why = problem.strerror or str(problem)
        raise RefusedError(f"The clip cannot be written: {why.rstrip('.')}.") from problem


def _encoder() -> tuple[str, dict[str, str]]:
    """H.264 where this FFmpeg has x264, else MPEG-4."""
    try:
        return Codec(H264_NAME, "w").name, H264
    except UnknownCodecError:
        return "mpeg4", MPEG4
