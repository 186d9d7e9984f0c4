"""Makes small videos: coloured rectangles that move over plain ground, cut, faded, turned, broken.

A clip is a few `Take`s one after another: `write` encodes them, `pictures` says what was drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from segsearch.core.arrays import Pixels

SIZE = (160, 96)  # columns, rows
RATE = 25
COLOURS = {
    "red": (200, 40, 40),
    "green": (40, 180, 60),
    "blue": (40, 60, 200),
    "grey": (128, 128, 128),
    "black": (0, 0, 0),
    "white": (255, 255, 255),
    "yellow": (230, 220, 40),
}


@dataclass(frozen=True, slots=True)
class Take:
    """So many frames of one ground, with a rectangle that crosses it unless `thing` is None. It
    comes out of black over the first `fade_in` frames, and ends in it over the last `fade_out`."""

    ground: str = "grey"
    frames: int = 25
    thing: str | None = "yellow"
    fade_in: int = 0
    fade_out: int = 0

    def frame(self, number: int, size: tuple[int, int] = SIZE) -> Pixels:
        """Frame `number`, (H, W, 3)."""
        width, height = size
        pixels = np.empty((height, width, 3), np.uint8)
        pixels[:] = COLOURS[self.ground]
        if self.thing is not None:
            left = (width * 3 // 4) * number // max(1, self.frames)
            pixels[height // 4 : height // 2, left : left + max(1, width // 4)] = COLOURS[
                self.thing
            ]
        light = 1.0
        if self.fade_in:
            light = min(light, number / self.fade_in)
        if self.fade_out:
            light = min(light, (self.frames - 1 - number) / self.fade_out)
        return (pixels * max(0.0, light)).astype(np.uint8)


THREE = (Take("red", 40), Take("blue", 30), Take("green", 30))


@dataclass(frozen=True, slots=True)
class Coding:
    """How a clip is written: `options` of the encoder, `tags` of its context (`color_range` and
    its like), `metadata` of the file."""

    codec: str = "libx264"
    layout: str = "yuv420p"
    size: tuple[int, int] = SIZE
    rate: int = RATE
    options: tuple[tuple[str, str], ...] = (("g", "12"),)
    container_options: tuple[tuple[str, str], ...] = ()
    tags: tuple[tuple[str, Any], ...] = ()
    metadata: tuple[tuple[str, str], ...] = ()
    rotation: float | None = None
    matrix: tuple[int, ...] = ()  # of display, nine numbers
    has_sound: bool = False


DEFAULT = Coding()


def pictures(scenes: Sequence[Take], size: tuple[int, int] = SIZE) -> Iterator[Pixels]:
    """All frames of scenes, (H, W, 3)."""
    for scene in scenes:
        for number in range(scene.frames):
            yield scene.frame(number, size)


def write(
    path: Path,
    scenes: Sequence[Take] = THREE,
    coding: Coding = DEFAULT,
    *,
    stamps: Callable[[int], int] = int,
) -> Path:
    """A clip of scenes, one after another; frame n is shown `stamps(n)` frames' times after the
    start."""
    frames = (VideoFrame.from_ndarray(one, "rgb24") for one in pictures(scenes, coding.size))
    return write_frames(path, frames, coding, stamps=stamps)


def write_frames(
    path: Path,
    frames: Iterator[VideoFrame],
    coding: Coding = DEFAULT,
    *,
    stamps: Callable[[int], int] = int,
) -> Path:
    """A clip of frames, in whatever layout they are; one of the codec's own is stored as it is."""
    with av.open(str(path), "w", container_options=dict(coding.container_options)) as container:
        container.metadata.update(dict(coding.metadata))
        stream = _stream(container, coding)
        sound = container.add_stream("aac", rate=8000) if coding.has_sound else None
        for number, frame in enumerate(frames):
            frame.pts, frame.time_base = stamps(number), Fraction(1, coding.rate)
            for packet in stream.encode(frame):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
        if sound is not None:
            silence = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.float32), "fltp", "mono")
            silence.sample_rate = 8000
            for packet in [*sound.encode(silence), *sound.encode()]:
                container.mux(packet)
    return path


def _stream(container: Any, coding: Coding) -> VideoStream:
    stream: VideoStream = container.add_stream(
        coding.codec, rate=coding.rate, options=dict(coding.options)
    )
    stream.width, stream.height = coding.size
    stream.pix_fmt = coding.layout
    stream.codec_context.time_base = Fraction(1, coding.rate)
    for name, value in coding.tags:
        setattr(stream.codec_context, name, value)
    if coding.rotation is not None:
        stream.set_display_rotation(coding.rotation)
    if coding.matrix:
        stream.set_display_matrix(coding.matrix)
    return stream


def restamped(source: Path, path: Path, stamp: Callable[[int], int | None]) -> Path:
    """The same packets with other time stamps: packet n, in the order of decoding, gets `stamp(n)`
    as both of them, in thousandths of a second. No order of B-frames survives that."""
    with av.open(str(source)) as before, av.open(str(path), "w") as after:
        stream = after.add_stream_from_template(before.streams.video[0])
        for number, packet in enumerate(before.demux(video=0)):
            if not packet.size:
                continue
            packet.time_base = Fraction(1, 1000)
            packet.pts = packet.dts = stamp(number)
            packet.duration = 0
            packet.stream = stream
            after.mux(packet)
    return path


def sound_only(path: Path) -> Path:
    """A file of a second's silence."""
    with av.open(str(path), "w") as container:
        sound = container.add_stream("aac", rate=8000)
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.float32), "fltp", "mono")
        silence.sample_rate = 8000
        for packet in [*sound.encode(silence), *sound.encode()]:
            container.mux(packet)
    return path


def animation(path: Path, scenes: Sequence[Take] = THREE, *, milliseconds: int = 40) -> Path:
    """A GIF, WebP or AVIF that moves, by the name's suffix."""
    from PIL import Image

    first, *rest = (Image.fromarray(one) for one in pictures(scenes))
    first.save(path, save_all=True, append_images=rest, duration=milliseconds, loop=0)
    return path
