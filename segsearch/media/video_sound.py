"""Reads the sound of a part of a video as stereo at 48,000 samples a second.

Gaps become silence, and what overlaps is left out, so that sound keeps to the pictures. What cannot
be decoded is left out; it never costs the pictures. Runs in the process of `video_child` alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress

import av
import numpy as np
import numpy.typing as npt
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.stream import Discard

from segsearch.media.footage import MOST_ERRORS, NEVER_SOUGHT, Footage

RATE = 48_000  # samples a second
LAYOUT = "stereo"
CHANNELS = 2
DRIFT_SAMPLES = RATE // 25  # that sound may lie beside its time: resampling delays it a little
BEFORE_SECONDS = 1.0  # from where sound is decoded, for codecs that need a start
PIECE_SAMPLES = RATE  # of silence, at most at once

Samples = npt.NDArray[np.float32]


def stream_of(footage: Footage) -> AudioStream | None:
    """The sound of an open video, whose pictures are passed over from now on; None where there is
    none, or FFmpeg does not know its codec."""
    found = [one for one in footage.container.streams.audio if one.codec_context is not None]
    if not found:
        return None
    for other in footage.container.streams:
        other.discard = Discard.default if other is found[0] else Discard.all
    found[0].codec_context.thread_count = 1
    return found[0]


def sound_of(
    footage: Footage,
    stream: AudioStream,
    zero_seconds: float,
    part: tuple[float, float],
    going_on: Callable[[], None],
) -> Iterator[Samples]:
    """The sound of a part, from and to which seconds, in pieces of (channels, samples) float32 in
    -1..1 that follow each other without a gap, the first one at the part's start. `zero_seconds` is
    the time stamp of the video's first frame."""
    t_start, t_end = part
    most = round((t_end - t_start) * RATE)
    count = 0
    for first, samples in _decoded(footage, stream, zero_seconds + t_start, going_on):
        if first >= most:
            return
        piece = samples[:, max(0, -first) :]
        ahead = max(0, first) - count
        if ahead > DRIFT_SAMPLES:
            for silence in _silence(min(ahead, most - count)):
                count += silence.shape[1]
                yield silence
        elif ahead < -DRIFT_SAMPLES:
            piece = piece[:, -ahead:]
        piece = piece[:, : most - count]
        if piece.shape[1]:
            count += piece.shape[1]
            yield piece


def _decoded(
    footage: Footage, stream: AudioStream, start: float, going_on: Callable[[], None]
) -> Iterator[tuple[int, Samples]]:
    """All sound from about a stamp in seconds on, each piece with its first sample's number, from
    that stamp."""
    _seek(footage, stream, start - BEFORE_SECONDS)
    resampler = AudioResampler("fltp", LAYOUT, RATE)
    for frame in _frames(footage, stream, going_on):
        if frame.pts is None or frame.time_base is None:
            continue
        first = round((float(frame.pts * frame.time_base) - start) * RATE)
        if first + frame.samples * RATE / max(1, frame.sample_rate) <= 0:
            continue
        frame.pts = None  # the resampler would fill what was passed over
        pieces: list[AudioFrame] = []
        try:
            pieces = resampler.resample(frame)
        except (ValueError, av.FFmpegError):  # it has another rate or layout from here on
            resampler = AudioResampler("fltp", LAYOUT, RATE)
            with suppress(ValueError, av.FFmpegError):
                pieces = resampler.resample(frame)
        for piece in pieces:
            samples = piece.to_ndarray().astype(np.float32, copy=False)
            yield first, samples
            first += samples.shape[1]


def _seek(footage: Footage, stream: AudioStream, seconds: float) -> None:
    """Go to a stamp in seconds where that can be done: the clock of `sound_of` finds out what is
    there. Else all is read from the start."""
    if footage.kind in NEVER_SOUGHT or seconds <= 0 or stream.time_base is None:
        return
    with suppress(av.FFmpegError):
        footage.container.seek(round(seconds / stream.time_base), stream=stream)


def _frames(
    footage: Footage, stream: AudioStream, going_on: Callable[[], None]
) -> Iterator[AudioFrame]:
    errors = 0
    packets = footage.container.demux(stream)
    while errors <= MOST_ERRORS:
        try:
            packet = next(packets)
        except (StopIteration, av.EOFError):
            return
        except (IndexError, av.FFmpegError):  # an index of a stream that began later
            errors += 1
            packets = footage.container.demux(stream)
            continue
        going_on()
        try:
            yield from stream.codec_context.decode(packet if packet.size else None)
            errors = 0
        except av.EOFError:
            return
        except av.FFmpegError:
            errors += 1


def _silence(count: int) -> Iterator[Samples]:
    while count > 0:
        size = min(count, PIECE_SAMPLES)
        yield np.zeros((CHANNELS, size), np.float32)
        count -= size
