"""Clips of videos: decoded again, they show the frames of their part at their own times."""

from __future__ import annotations

import resource
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.video.reformatter import ColorRange, Colorspace, ColorTrc

from segsearch.core.arrays import Pixels
from segsearch.core.errors import PictureError
from segsearch.media import video_clip
from segsearch.media.ffmpeg import VideoLimits, frames_at, write_clip
from segsearch.media.video_child import Reels
from tests.support.clips import (
    COLOURS,
    SIZE,
    THREE,
    Coding,
    Take,
    animation,
    pictures,
    restamped,
    sound_only,
    write,
)
from tests.support.footage_calls import going_on

LEVELS = 6  # of 255, that encoding twice changes a frame on average
TONE_HERTZ = 500


@dataclass(frozen=True)
class DecodedClip:
    """What a clip holds: times of its frames, these, and its sound as (channels, samples)."""

    seconds: float
    size: tuple[int, int]
    times: list[float]
    frames: list[Pixels]
    sound: Any
    codec: str
    colours: tuple[int, int, int]


def decoded(path: Path) -> DecodedClip:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.duration
        assert stream.time_base
        frames = list(container.decode(stream))
        context = stream.codec_context
        colours = (context.colorspace, context.color_range, context.color_trc)
        size, codec = (context.width, context.height), context.name
        seconds = float(stream.duration * stream.time_base)
    with av.open(str(path)) as container:
        sound = (
            [one.to_ndarray() for one in container.decode(audio=0)]
            if (container.streams.audio)
            else []
        )
    return DecodedClip(
        seconds,
        size,
        [float(frame.time or 0) for frame in frames],
        [frame.to_ndarray(format="rgb24").astype(np.uint8) for frame in frames],
        np.concatenate(sound, axis=1) if sound else None,
        codec,
        (int(colours[0]), int(colours[1]), int(colours[2])),
    )


def clipped(
    path: Path, t_start: float, t_end: float, side_px: int = 1280, **options: Any
) -> DecodedClip:
    into = path.parent / "clip-of-it.mp4"
    write_clip(path, t_start, t_end, into, side_px=side_px, **options)
    return decoded(into)


def away(first: Pixels, second: Pixels) -> float:
    return float(np.abs(first.astype(int) - second).mean())


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("films") / "a.mp4")


def test_a_clip_holds_the_frames_of_its_part_at_their_times(film: Path) -> None:
    clip = clipped(film, 1.0, 2.5)
    assert (clip.seconds, clip.size, clip.codec) == (1.5, SIZE, "h264")
    assert clip.times == pytest.approx([number / 25 for number in range(38)], abs=0.0011)
    expected = list(pictures(THREE))
    for number, frame in enumerate(clip.frames):
        assert away(frame, expected[25 + number]) <= LEVELS
    assert clip.sound is None
    assert clip.colours == (Colorspace.ITU709, ColorRange.MPEG, ColorTrc.BT709)


def test_the_first_frame_is_the_one_that_is_shown_then(film: Path) -> None:
    clip = clipped(film, 1.23, 1.31)
    _, shown = next(frames_at(film, [1.23]))
    assert away(clip.frames[0], shown) <= LEVELS
    assert clip.times == pytest.approx([0, 0.01, 0.05])  # those of 1.20, 1.24 and 1.28 s
    assert clip.seconds == pytest.approx(0.08)


def test_the_index_is_at_the_front(film: Path) -> None:
    into = film.parent / "front.mp4"
    write_clip(film, 0, 1, into, side_px=64)
    data = into.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    write_clip(film, 0, 1, into.with_suffix(".again"), side_px=64)
    assert into.with_suffix(".again").read_bytes() == data


@pytest.mark.parametrize(
    ("size", "side_px", "expected"),
    [
        ((160, 96), 100, (100, 60)),
        ((161, 97), 1280, (160, 96)),
        ((97, 161), 64, (38, 64)),
        ((1, 1), 64, (2, 2)),
    ],
    ids=["smaller", "odd", "upright", "dot"],
)
def test_sides_are_even_and_no_longer_than_asked(
    size: tuple[int, int], side_px: int, expected: tuple[int, int], tmp_path: Path
) -> None:
    coding = Coding("ffv1", "yuv444p", options=(), size=size)
    film = write(tmp_path / "a.mkv", [Take("red", 10)], coding)
    assert clipped(film, 0, 0.4, side_px).size == expected


def test_a_turned_video_is_upright(tmp_path: Path) -> None:
    film = write(tmp_path / "a.mp4", [Take("red", 25)], Coding(rotation=90))
    clip = clipped(film, 0.4, 0.8)
    _, shown = next(frames_at(film, [0.4]))
    assert clip.size == (SIZE[1], SIZE[0]) == (shown.shape[1], shown.shape[0])
    assert away(clip.frames[0], shown) <= LEVELS


def test_frames_of_uneven_length_keep_their_times(tmp_path: Path) -> None:
    stamps = [0, 3, 4, 11, 12, 30, 31, 32, 50, 60]  # 25ths of a second
    film = write(tmp_path / "a.mp4", [Take("red", 10)], stamps=lambda number: stamps[number])
    clip = clipped(film, 0.16, 2.0)
    shown = [(stamp - 4) / 25 for stamp in stamps[2:8]]
    assert clip.times == pytest.approx(shown, abs=0.0011)
    assert clip.seconds == pytest.approx(1.84)


def test_fast_frames_are_thinned_to_thirty_a_second(tmp_path: Path) -> None:
    film = write(tmp_path / "a.mp4", [Take("red", 120)], Coding(rate=60))
    clip = clipped(film, 0.5, 1.5)
    assert len(clip.frames) == video_clip.MOST_RATE
    assert np.diff(clip.times) == pytest.approx(1 / 30, abs=0.0021)


@pytest.mark.parametrize("name", ["a.gif", "a.webp"])
def test_an_animation_gives_clips(name: str, tmp_path: Path) -> None:
    film = animation(tmp_path / name)
    clip = clipped(film, 2.0, 3.0)
    assert (clip.seconds, len(clip.frames)) == (1.0, 25)
    assert away(clip.frames[0], list(pictures(THREE))[50]) <= LEVELS


def with_tone(path: Path, at: float, seconds: float = 4.0) -> Path:
    """A film with a second's tone at a moment, silence else."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height = SIZE
        sound: Any = container.add_stream("aac", rate=44_100, layout="mono")
        for pixels in pictures([Take("red", round(25 * seconds))]):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, "rgb24")))
        times = np.arange(round(seconds * 44_100), dtype=np.float32) / 44_100
        wave = np.sin(2 * np.pi * TONE_HERTZ * times) * ((times >= at) & (times < at + 1)) / 2
        frame = av.AudioFrame.from_ndarray(wave.astype(np.float32)[None], "fltp", "mono")
        frame.sample_rate = 44_100
        container.mux(sound.encode(frame))
        container.mux(stream.encode(None))
        container.mux(sound.encode(None))
    return path


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts"])
def test_sound_keeps_to_the_pictures(name: str, tmp_path: Path) -> None:
    film = with_tone(tmp_path / name, 2.0)
    clip = clipped(film, 1.5, 3.5)
    assert clip.sound is not None
    assert clip.sound.shape == (2, pytest.approx(2 * 48_000, abs=2048))
    loud = np.abs(clip.sound).max(axis=0) > 0.1
    begins, ends = np.flatnonzero(loud)[[0, -1]] / 48_000
    assert (begins, ends) == (pytest.approx(0.5, abs=0.06), pytest.approx(1.5, abs=0.06))


def test_sound_that_has_ended_is_left_out(tmp_path: Path) -> None:
    film = write(tmp_path / "a.mp4", THREE, Coding(has_sound=True))  # of one second
    assert clipped(film, 0.0, 0.5).sound is not None
    assert clipped(film, 2.0, 3.0).sound is None


def test_times_of_a_video_whose_stamps_jump_are_those_of_its_clock(tmp_path: Path) -> None:
    source = write(tmp_path / "a.mkv", [Take("red", 100)], Coding("mpeg4", options=(("bf", "0"),)))
    film = restamped(
        source, tmp_path / "b.mkv", lambda number: 40 * number + (3_600_000 if number >= 50 else 0)
    )
    clip = clipped(film, 1.0, 3.0)
    assert (clip.seconds, len(clip.frames)) == (2.0, 50)
    assert clip.times == pytest.approx([number / 25 for number in range(50)], abs=0.0011)


def damaged(film: Path, into: Path) -> Path:
    """The film with noise in the middle of its pictures."""
    data = bytearray(film.read_bytes())
    middle = len(data) // 2
    data[middle : middle + len(data) // 8] = np.random.default_rng(5).bytes(len(data) // 8)
    into.write_bytes(data)
    return into


@pytest.fixture
def noisy(tmp_path: Path) -> Path:
    coding = Coding("ffv1", "yuv444p", options=(("slicecrc", "1"), ("level", "3")))
    return damaged(write(tmp_path / "a.mkv", THREE, coding), tmp_path / "b.mkv")


def test_damaged_frames_are_left_out(noisy: Path) -> None:
    clip = clipped(noisy, 0.0, 4.0)
    assert clip.seconds == pytest.approx(4.0)
    assert 10 < len(clip.frames) < 96
    expected = list(pictures(THREE))
    for seconds, frame in zip(clip.times, clip.frames, strict=True):
        assert away(frame, expected[round(seconds * 25)]) <= 4 * LEVELS


def test_a_cut_off_file_ends_with_its_last_frame(tmp_path: Path) -> None:
    coding = Coding(container_options=(("movflags", "frag_keyframe"),), options=(("g", "5"),))
    film = write(tmp_path / "a.mp4", THREE, coding)
    film.write_bytes(film.read_bytes()[: film.stat().st_size // 2])
    clip = clipped(film, 0.0, 4.0)
    assert clip.seconds == pytest.approx(4.0)
    assert 10 < len(clip.frames) < 90


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda path: path.write_bytes(b"no film"), "damaged"),
        (sound_only, "only sound"),
        (lambda path: path.with_name("none").exists(), "cannot be read"),
    ],
    ids=["rubbish", "sound", "gone"],
)
def test_what_is_no_video_gives_a_sentence(make: Any, says: str, tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    make(path)
    with pytest.raises(PictureError, match=says):
        write_clip(path, 0, 1, tmp_path / "b.mp4", side_px=64)


def test_a_place_that_cannot_be_written_gives_a_sentence(film: Path, tmp_path: Path) -> None:
    with pytest.raises(PictureError, match="The clip cannot be written"):
        write_clip(film, 0, 1, tmp_path / "none" / "b.mp4", side_px=64)


def test_a_clip_that_takes_too_long_is_ended(film: Path, tmp_path: Path) -> None:
    limits = VideoLimits(deadline_seconds=0.001)
    with pytest.raises(PictureError, match="takes FFmpeg too long"):
        write_clip(film, 0, 4, tmp_path / "b.mp4", limits, side_px=64)


def question(path: Path, into: Path, t_start: float, t_end: float) -> dict[str, Any]:
    limits = VideoLimits()
    return {
        "path": str(path), "into": str(into), "from": t_start, "to": t_end, "side_px": 64,
        "max_bytes": limits.max_bytes, "max_seconds": limits.max_seconds,
        "max_pixels": limits.max_pixels,
    }  # fmt: skip


def test_without_x264_clips_are_mpeg4(
    film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(video_clip, "H264_NAME", "an-encoder-that-is-not-there")
    into = tmp_path / "b.mp4"
    reels = Reels()
    head, _ = reels.clip(question(film, into, 1.0, 2.0), going_on)
    reels.close()
    clip = decoded(into)
    assert head == {"frames": 25, "has_sound": False}
    assert (clip.codec, clip.seconds) == ("mpeg4", 1.0)
    assert np.abs(clip.frames[0][-3, 3].astype(int) - COLOURS["red"]).max() <= 4 * LEVELS


def test_memory_does_not_grow_with_length(tmp_path: Path) -> None:
    film = write(tmp_path / "a.mp4", [Take("red", 1500)], Coding(size=(640, 384)))
    reels = Reels()
    reels.clip(question(film, tmp_path / "b.mp4", 0.0, 5.0), going_on)
    most = []
    for t_end in (20.0, 60.0):
        reels.clip(question(film, tmp_path / "b.mp4", 0.0, t_end), going_on)
        most.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    reels.close()
    assert most[1] - most[0] < 40_000  # KB; 1,000 more frames would be 700 MB
