"""Opens a video with FFmpeg and gives its frames in order, wherever it is damaged; refuses files
that are none, are too large, or name other files.

Runs in the process of `video_child` alone: FFmpeg is C over hostile bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import TypeGuard

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Discard, Disposition, Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from segsearch.media.bounded import RefusedError
from segsearch.media.video_clock import Clock, is_steady, usual_seconds

# Playlists and lists of files (HLS, DASH, concat, image2) are not among them: they name others.
DEMUXERS = "mov,matroska,mpegts,avi,gif,mpeg,mpegvideo,apng"
# Animations are short and have no index; few packets of MPEG program streams have times.
NEVER_SOUGHT = ("gif", "apng", "mpeg", "mpegvideo")
MOST_STREAMS = 64
PROBED_PIXELS = 4  # times as many as are taken may a header say, to be refused by its own numbers
MOST_ERRORS = 100  # of the container, one after another
LOCKED = ("encv", "encr", "drmi")  # codec tags of ISO 23001-7 and its like


@dataclass(frozen=True, slots=True)
class Bounds:
    """What is taken: bytes and seconds of a file, pixels of a coded frame."""

    max_bytes: int
    max_seconds: float
    max_pixels: int


class Footage:
    """An open video: its stream, its clock, and its frames. RefusedError where it is none."""

    def __init__(self, path: Path, bounds: Bounds) -> None:
        self.container = _opened(path, bounds)
        try:
            self.stream = _stream(self.container)
            self.time_base = self.stream.time_base or Fraction(1, 1000)
            self._check(bounds)
        except BaseException:
            self.container.close()
            raise
        context = self.stream.codec_context
        context.thread_count = 1  # each further one holds frames
        context.options = {"max_pixels": str(bounds.max_pixels)}
        self.width, self.height = context.width, context.height
        self.usual_seconds = usual_seconds(self.stream.average_rate or self.stream.guessed_rate)
        self.damaged = self.decoded = 0

    def close(self) -> None:
        """Close the file."""
        self.container.close()

    @property
    def header_seconds(self) -> float:
        """How long the file says that it lasts; 0 where it does not say."""
        if self.stream.duration and self.stream.duration > 0:
            return float(self.stream.duration * self.time_base)
        return max(0, self.container.duration or 0) / av.time_base

    @property
    def aspect(self) -> Fraction | None:
        """How wide a coded pixel is, of its height."""
        return self.stream.sample_aspect_ratio

    @property
    def codec(self) -> str:
        """The codec of the pictures, as FFmpeg calls it."""
        return self.stream.codec_context.codec.canonical_name

    @property
    def kind(self) -> str:
        """The first of the names that FFmpeg has for the container."""
        return self.container.format.name.split(",")[0]

    @property
    def tags(self) -> dict[str, str]:
        """What the file says of itself."""
        return {**self.stream.metadata, **self.container.metadata}

    @property
    def has_sound(self) -> bool:
        """Whether there is any."""
        return any(one.type == "audio" for one in self.container.streams)

    def clock(self, origin: int | None = None) -> Clock:
        """A clock that begins with the next frame, or at a stamp."""
        return Clock(self.time_base, self.usual_seconds, origin)

    def frames(self) -> Iterator[VideoFrame]:
        """The frames from here on, in the order in which they are shown; what cannot be decoded is
        left out and counted in `damaged`."""
        for packet in self._packets():
            try:
                decoded = self.stream.codec_context.decode(packet if packet.size else None)
            except av.EOFError:
                return
            except av.FFmpegError:
                self.damaged += 1
                continue
            self.decoded += len(decoded)
            yield from decoded

    def _packets(self) -> Iterator[Packet[VideoStream]]:
        """The packets from here on, in the order in which they are decoded, and an empty one."""
        packets = self.container.demux(self.stream)
        errors = 0
        while errors <= MOST_ERRORS:
            try:
                yield next(packets)
                errors = 0
                continue
            except (StopIteration, av.EOFError):
                return
            except IndexError:  # of a stream that PyAV does not know: it began later
                pass
            except av.FFmpegError:
                errors += 1
                self.damaged += 1
            packets = self.container.demux(self.stream)

    def stamp(self, frame: VideoFrame) -> int | None:
        """The time stamp of a frame; None where it has none. AVI knows the order of decoding alone,
        which is that of showing but for a delay that stays the same."""
        if self.kind == "avi":
            return frame.dts
        return frame.pts if frame.pts is not None else frame.dts

    def seek(self, stamp: int) -> bool:
        """Go to the keyframe at a time stamp, or before it; whether that was done."""
        try:
            self.container.seek(stamp, stream=self.stream)
        except av.FFmpegError:
            return False
        return True

    def keyframe_before(self, stamp: int) -> int | None:
        """The time stamp of the keyframe at a stamp, or before it, as far as the index of the file
        says; None where it does not."""
        entries = self.stream.index_entries
        number = entries.search_timestamp(stamp)
        return entries[number].timestamp if number >= 0 else None

    def can_seek(self, path: Path, bounds: Bounds, going_on: Callable[[], None]) -> bool:
        """Whether a time stamp finds its frame. Reads all packets where the file has no index of
        them."""
        if self.kind in NEVER_SOUGHT:
            return False
        if self.kind == "mov":
            stamps: Iterator[int | None] = (entry.timestamp for entry in self.stream.index_entries)
            return is_steady(stamps, self.time_base)
        other = Footage(path, bounds)  # the demuxer of this one stays where it is
        try:
            return is_steady(other.stamps(going_on), self.time_base)
        finally:
            other.close()

    def stamps(self, going_on: Callable[[], None]) -> Iterator[int | None]:
        """The time stamps of all packets, in the order in which they are decoded."""
        for packet in self._packets():
            going_on()
            if packet.size:
                yield packet.dts

    def _check(self, bounds: Bounds) -> None:
        check_pixels(self.stream.codec_context.width, self.stream.codec_context.height, bounds)
        if self.header_seconds > bounds.max_seconds:
            raise too_long(self.header_seconds, bounds)


def too_long(seconds: float, bounds: Bounds) -> RefusedError:
    """Why a video of so many seconds is not taken."""
    return RefusedError(
        f"The video lasts {seconds:,.0f} seconds, more than the {bounds.max_seconds:,.0f} that are "
        "taken: split it, or raise SEGSEARCH_MAX_VIDEO_SECONDS."
    )


def check_pixels(width: int, height: int, bounds: Bounds) -> None:
    """RefusedError where a coded frame has too many pixels."""
    if width * height > bounds.max_pixels:
        raise RefusedError(
            f"The frames of the video have {width:,} × {height:,} pixels, more than the "
            f"{bounds.max_pixels:,} that are taken: raise SEGSEARCH_MAX_PIXELS."
        )


def check_bytes(path: Path, bounds: Bounds) -> None:
    """RefusedError where a file cannot be read, or has too many bytes."""
    try:
        size = path.stat().st_size
    except OSError as problem:
        raise RefusedError(f"The video cannot be read: {problem.strerror}.") from problem
    if not path.is_file():
        raise RefusedError("The video cannot be read: it is no file.")
    if size > bounds.max_bytes:
        raise RefusedError(
            f"The video has {size:,} bytes, more than the {bounds.max_bytes:,} that are taken: "
            "raise SEGSEARCH_MAX_VIDEO_BYTES."
        )


def _opened(path: Path, bounds: Bounds) -> InputContainer:
    options = {
        "format_whitelist": DEMUXERS,
        "protocol_whitelist": "file",
        "max_streams": str(MOST_STREAMS),
        "max_pixels": str(bounds.max_pixels * PROBED_PIXELS),
        "threads": "1",
    }
    try:
        return _of_name(path, options)
    except av.FFmpegError as problem:
        raise RefusedError("The video is damaged, or none: it cannot be opened.") from problem


def _of_name(path: Path, options: dict[str, str]) -> InputContainer:
    try:
        return av.open(f"file:{path}", options=options, metadata_errors="replace")
    except UnicodeEncodeError:  # a name of other bytes than UTF-8
        with path.open("rb") as file:
            name = f"file:/proc/self/fd/{file.fileno()}"
            return av.open(name, options=options, metadata_errors="replace")


def _stream(container: InputContainer) -> VideoStream:
    """The stream of moving pictures; the others are passed over."""
    found = [one for one in islice(container.streams, MOST_STREAMS) if _is_moving(one)]
    if not found:
        has_sound = any(one.type == "audio" for one in container.streams)
        what = "only sound" if has_sound else "no moving pictures"
        raise RefusedError(f"The file holds {what}: there is nothing to index.")
    # An AVIF that moves has a still first; both are defaults.
    stream = max(found, key=lambda one: (bool(one.disposition & Disposition.default), one.frames))
    if stream.codec_context is None:
        raise RefusedError(
            "The video is encrypted, or has a codec that FFmpeg does not know: save it in another."
        )
    if str(stream.codec_context.codec_tag).lower() in LOCKED:
        raise RefusedError("The video is encrypted: save it without protection to have it indexed.")
    for other in container.streams:
        other.discard = Discard.default if other is stream else Discard.all
    return stream


def _is_moving(stream: Stream) -> TypeGuard[VideoStream]:
    return isinstance(stream, VideoStream) and not stream.disposition & Disposition.attached_pic
