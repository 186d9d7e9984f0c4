"""Videos as shots and frames: cuts and moments to the frame, upright, in true colours."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from datetime import datetime
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.frame import VideoFrame
from numpy.typing import ArrayLike, NDArray

from segsearch.core.arrays import Pixels
from segsearch.core.video import LONGEST_SHOT_SECONDS, VideoInfo
from segsearch.media import tone_mapping
from segsearch.media.ffmpeg import VideoLimits, frames_at, is_video, look, shot_sha256
from segsearch.media.footage import Bounds
from segsearch.media.video_child import Reel
from segsearch.media.video_shots import ShotFinder
from tests.support.clips import (
    COLOURS,
    SIZE,
    THREE,
    Coding,
    Take,
    animation,
    pictures,
    sound_only,
    write,
    write_frames,
)
from tests.support.footage_calls import going_on, looked, shown

LEVELS = 4  # of 255, that a lossy codec may change plain ground
CUTS = [(0.0, 1.6), (1.6, 2.8), (2.8, 4.0)]
PLAIN = Coding(options=())
FFV1 = Coding("ffv1", "yuv444p", options=())
CODINGS = {
    "h264.mp4": Coding(),
    "h265-10.mp4": Coding("libx265", "yuv420p10le", options=(("x265-params", "log-level=none"),)),
    "av1.mp4": Coding("libsvtav1", options=(("preset", "12"),)),
    "vp9.webm": Coding("libvpx-vp9", options=(("deadline", "realtime"), ("cpu-used", "8"))),
    "mjpeg.avi": Coding("mjpeg", "yuvj420p", options=()),
    "mpeg4.avi": Coding("mpeg4", options=()),
    "h264.avi": Coding(),
    "prores.mov": Coding("prores_ks", "yuv422p10le", options=()),
    "ffv1.mkv": FFV1,
    "h264.ts": Coding(),
    "mpeg2.mpg": Coding("mpeg2video", options=()),
    "a.gif": None,
    "a.webp": None,
    "a.avif": None,
}


def clip(folder: Path, name: str) -> Path:
    coding = CODINGS[name]
    return animation(folder / name) if coding is None else write(folder / name, THREE, coding)


def ground(pixels: Pixels) -> list[int]:
    """The colour beside and below the thing of a scene."""
    return [int(value) for value in pixels[-3, 3]]


@pytest.mark.parametrize("name", CODINGS)
def test_cuts_and_frames_are_exact_whatever_the_container(name: str, tmp_path: Path) -> None:
    path = clip(tmp_path, name)
    assert is_video(path.read_bytes()[:1024])
    info = looked(path)
    assert info["shots"] == CUTS
    assert (info["width"], info["height"], info["frame_rate"]) == (*SIZE, 25.0)
    assert (info["seconds"], info["lost"]) == (4.0, None)
    numbers = [0, 1, 17, 39, 40, 41, 69, 70, 99]
    expected = list(pictures(THREE))
    shuffled = [70, 1, 99, 0, 41, 40, 69, 39, 17]
    again = shown(path, [number / 25 + 0.02 for number in shuffled])
    assert [seconds for seconds, _ in again] == [number / 25 for number in shuffled]
    frames = shown(path, [number / 25 + 0.02 for number in numbers])
    assert [seconds for seconds, _ in frames] == [number / 25 for number in numbers]
    for number, (_, pixels) in zip(numbers, frames, strict=True):
        assert np.abs(np.subtract(ground(pixels), ground(expected[number]))).max() <= LEVELS
        assert np.abs(pixels.astype(int) - expected[number]).mean() <= LEVELS


@pytest.mark.parametrize(
    ("scenes", "cuts"),
    [
        ([Take("red", 40, fade_out=15), Take("blue", 40, fade_in=15)], [1.6]),
        ([Take("red", 40), Take("black", 40, None), Take("blue", 40)], [1.6, 3.2]),
        ([Take("grey", 60)], []),  # only something moves
        ([Take("red", 30), Take("blue", 6), Take("green", 30)], [1.2]),  # 0.24 s is no shot
        ([Take("red", 8), Take("blue", 40)], []),
        ([Take("red", 40), Take("blue", 8)], []),
        ([Take("red", 3)], []),
    ],
    ids=["fade", "black", "still", "flash", "early", "late", "short"],
)
def test_shots_begin_at_cuts_and_in_the_dark_of_fades(
    scenes: list[Take], cuts: list[float], tmp_path: Path
) -> None:
    info = looked(write(tmp_path / "a.mp4", scenes))
    edges = [0.0, *cuts, sum(scene.frames for scene in scenes) / 25]
    starts = [start for start, _ in info["shots"]]
    assert starts == pytest.approx(edges[:-1], abs=0.08 if scenes[0].fade_out else 0)
    assert [end for _, end in info["shots"]] == [*starts[1:], edges[-1]]


def test_a_long_shot_is_cut_into_equal_parts() -> None:
    finder = ShotFinder()
    red, blue = (np.full((8, 8, 3), COLOURS[name], np.uint8) for name in ("red", "blue"))
    for second in range(500):
        finder.add(second, red if second < 400 else blue)
    shots = finder.shots(500, LONGEST_SHOT_SECONDS)
    assert shots == [(0, 100), (100, 200), (200, 300), (300, 400), (400, 500)]


def test_what_is_known_of_a_video(tmp_path: Path) -> None:
    coding = Coding(has_sound=True, metadata=(("creation_time", "2024-07-14T12:31:05Z"),))
    path = write(tmp_path / "a.mp4", THREE, coding)
    expected = VideoInfo(
        width=160,
        height=96,
        seconds=4.0,
        frame_rate=25.0,
        codec="h264",
        container="mp4",
        shots=tuple(CUTS),
        made_at=datetime(2024, 7, 14, 12, 31, 5),
        has_sound=True,
    )
    assert look(path) == expected
    assert look(path, VideoLimits(side_px=80)).width == 80
    frames = list(frames_at(path, [3.0, 0.1, 9, -1], side_px=80))
    assert [seconds for seconds, _ in frames] == [0, 0.08, 3.0, 3.96]
    assert all(pixels.shape == (48, 80, 3) for _, pixels in frames)
    assert list(frames_at(path, [])) == []


def test_frames_come_at_the_times_that_the_file_gives(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mkv", THREE, stamps=lambda number: number + 3 * (number // 10))
    starts = [(number + 3 * (number // 10)) / 25 for number in range(100)]
    assert looked(path)["shots"][0] == (0, starts[40])
    times = [start + 0.01 for start in starts]
    assert [seconds for seconds, _ in shown(path, times)] == starts
    assert [seconds for seconds, _ in shown(path, times[::-7])] == starts[::-7]


@pytest.mark.parametrize("name", ["h264.mp4", "vp9.webm", "h264.ts", "mpeg4.avi"])
def test_no_part_is_decoded_twice_on_the_way(name: str, tmp_path: Path) -> None:
    limits = VideoLimits()
    bounds = Bounds(limits.max_bytes, limits.max_seconds, limits.max_pixels)
    reel = Reel(clip(tmp_path, name), bounds, going_on)
    for number in range(0, 100, 5):
        assert reel.frame(number / 25 + 0.001)[0] == number / 25
    assert reel.decoded <= 100
    reel.close()


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_frames_are_upright(degrees: int, tmp_path: Path) -> None:
    stored = np.zeros((96, 160, 3), np.uint8)
    stored[:48, :80], stored[48:, 80:] = COLOURS["red"], COLOURS["blue"]
    frames = (VideoFrame.from_ndarray(stored, "rgb24") for _ in range(3))
    path = write_frames(tmp_path / "a.mp4", frames, Coding(options=(), rotation=degrees))
    with av.open(str(path)) as container:
        counterclockwise = next(container.decode(video=0)).rotation // 90
    expected = np.rot90(stored, counterclockwise)
    pixels = shown(path, [0])[0][1]
    assert pixels.shape == expected.shape
    assert np.abs(pixels.astype(int) - expected).mean() <= LEVELS
    info = looked(path)
    assert (info["height"], info["width"]) == expected.shape[:2]


@pytest.mark.parametrize(
    ("matrix", "turned"),
    [
        ((-1, 0, 0, 1), lambda stored: stored[:, ::-1]),
        ((1, 0, 0, -1), lambda stored: stored[::-1]),
        ((0, 1, 1, 0), lambda stored: stored.transpose(1, 0, 2)),
        ((0, -1, -1, 0), lambda stored: stored.transpose(1, 0, 2)[::-1, ::-1]),
    ],
    ids=["across", "down", "diagonal", "other-diagonal"],
)
def test_frames_are_mirrored_as_the_file_says(
    matrix: tuple[int, ...], turned: Callable[[Pixels], Pixels], tmp_path: Path
) -> None:
    """The matrix is that of the QuickTime file format: x' = a x + c y, y' = b x + d y."""
    stored = np.zeros((96, 160, 3), np.uint8)
    stored[:24, :40], stored[:24, 120:] = COLOURS["red"], COLOURS["blue"]
    a, b, c, d = (value << 16 for value in matrix)
    coding = Coding(options=(), matrix=(a, b, 0, c, d, 0, 0, 0, 1 << 30))
    frames = (VideoFrame.from_ndarray(stored, "rgb24") for _ in range(3))
    pixels = shown(write_frames(tmp_path / "a.mp4", frames, coding), [0])[0][1]
    expected = turned(stored)
    assert pixels.shape == expected.shape
    assert np.abs(pixels.astype(int) - expected).mean() <= LEVELS


def test_pixels_become_square_and_frames_no_larger_than_they_are_indexed(tmp_path: Path) -> None:
    coding = Coding(tags=(("sample_aspect_ratio", Fraction(2, 1)),))
    path = write(tmp_path / "a.mp4", THREE, coding)
    assert shown(path, [0])[0][1].shape == (96, 320, 3)
    small = VideoLimits(side_px=100)
    assert shown(path, [0], small)[0][1].shape == (30, 100, 3)
    assert (looked(path, small)["width"], looked(path, small)["height"]) == (100, 30)


@pytest.mark.parametrize("full", [False, True], ids=["limited", "full"])
@pytest.mark.parametrize("matrix", [1, 5, 9], ids=["bt709", "bt601", "bt2020"])
@pytest.mark.parametrize("layout", ["yuv444p", "yuv420p10le"])
def test_colours_are_those_that_were_meant(
    layout: str, matrix: int, *, full: bool, tmp_path: Path
) -> None:
    span = 2 if full else 1

    def frames() -> Iterator[VideoFrame]:
        for name in ("red", "green", "blue", "yellow"):
            plain = np.full((96, 160, 3), COLOURS[name], np.uint8)
            drawn = VideoFrame.from_ndarray(plain, "rgb24").reformat(
                format=layout, dst_colorspace=matrix, dst_color_range=span
            )
            drawn.colorspace, drawn.color_range = matrix, span
            yield drawn

    tags = (("colorspace", matrix), ("color_range", span))
    coding = Coding("ffv1", layout, options=(), tags=tags)
    path = write_frames(tmp_path / "a.mkv", frames(), coding)
    found = [ground(pixels) for _, pixels in shown(path, [0, 0.04, 0.08, 0.12])]
    expected = [COLOURS[name] for name in ("red", "green", "blue", "yellow")]
    assert np.abs(np.subtract(found, expected)).max() <= LEVELS


def pq(light: ArrayLike) -> NDArray[np.float64]:
    """Signals of light in units of diffuse white (SMPTE ST 2084, the inverse)."""
    power = (np.asarray(light, float) * 203 / 10_000) ** tone_mapping.M1
    upper = tone_mapping.C1 + tone_mapping.C2 * power
    signal: NDArray[np.float64] = (upper / (1 + tone_mapping.C3 * power)) ** tone_mapping.M2
    return signal


def high_range(path: Path, signal: list[float], transfer: int) -> Path:
    """A clip of one colour of BT.2020, 10 bits, by its signals."""
    tags = (("color_trc", transfer), ("color_primaries", 9), ("colorspace", 9), ("color_range", 1))

    def frames() -> Iterator[VideoFrame]:
        for _ in range(3):
            plain = np.empty((96, 160, 3), np.uint16)
            plain[:] = np.rint(np.asarray(signal) * 65535)
            drawn = VideoFrame.from_ndarray(plain, "rgb48le").reformat(
                format="yuv444p10le", dst_colorspace=9, dst_color_range=1
            )
            for name, value in tags:
                setattr(drawn, name, value)
            yield drawn

    return write_frames(path, frames(), Coding("ffv1", "yuv444p10le", options=(), tags=tags))


@pytest.mark.parametrize("name", ["red", "green", "blue", "grey"])
def test_high_dynamic_range_keeps_what_is_no_brighter_than_paper(name: str, tmp_path: Path) -> None:
    colour = [value // 2 for value in COLOURS[name]]
    light = tone_mapping.from_srgb(np.array(colour) / 255)
    wide = np.linalg.inv(tone_mapping.FROM_BT2020) @ light
    path = high_range(tmp_path / "a.mkv", list(pq(wide)), 16)
    assert np.abs(np.subtract(ground(shown(path, [0])[0][1]), colour)).max() <= LEVELS


def test_brightness_beyond_white_is_compressed_in_order(tmp_path: Path) -> None:
    lights = [0.25, 1.0, 2.0, 4.9, 20.0]
    found = [
        ground(shown(high_range(tmp_path / f"{light}.mkv", [float(pq(light))] * 3, 16), [0])[0][1])
        for light in lights
    ]
    brightness = [one[0] for one in found]
    assert brightness == sorted(brightness)
    assert brightness[0] == pytest.approx(137, abs=LEVELS), "a quarter of white's light"
    assert 215 <= brightness[1] <= 235, "paper"
    assert brightness[3] >= 253
    hlg = high_range(tmp_path / "hlg.mkv", [0.75] * 3, 18)
    assert ground(shown(hlg, [0])[0][1])[0] == pytest.approx(brightness[1], abs=LEVELS)


def test_interlaced_fields_are_not_shown_as_combs(tmp_path: Path) -> None:
    woven = np.zeros((96, 160, 3), np.uint8)
    woven[::2, 40:80], woven[1::2, 80:120] = 255, 255
    frames = (VideoFrame.from_ndarray(woven, "rgb24") for _ in range(5))
    coding = Coding("mpeg2video", options=(("flags", "+ildct+ilme"), ("b", "8M")))
    path = write_frames(tmp_path / "a.mkv", frames, coding)
    pixels = shown(path, [0.1])[0][1][8:-8].astype(int)
    assert np.abs(np.diff(pixels[:, 50:70], axis=0)).mean() < 16
    assert np.abs(np.diff(pixels[:, 90:110], axis=0)).mean() < 16
    assert abs(pixels[:, 50:70].mean() - pixels[:, 90:110].mean()) > 200


def test_what_is_transparent_lies_on_white(tmp_path: Path) -> None:
    drawn = np.zeros((96, 160, 4), np.uint8)
    drawn[..., 0], drawn[:, :80, 3], drawn[:, 80:, 3] = 200, 255, 128
    frames = (VideoFrame.from_ndarray(drawn, "rgba").reformat(format="bgra") for _ in range(3))
    path = write_frames(tmp_path / "a.mkv", frames, Coding("ffv1", "bgra", options=()))
    pixels = shown(path, [0])[0][1]
    assert pixels[5, 5].tolist() == [200, 0, 0]
    assert pixels[5, -5].tolist() == [227, 127, 127]


def test_a_frame_of_one_pixel_is_a_frame(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.mkv", [Take("blue", 1)], Coding("ffv1", "yuv444p", (1, 1), options=())
    )
    assert looked(path)["shots"] == [(0, 0.04)]
    assert shown(path, [0])[0][1].shape == (1, 1, 3)


def test_a_shot_is_known_by_its_file_its_times_and_nothing_else() -> None:
    file = hashlib.sha256(b"").hexdigest()
    digests = {shot_sha256(file, *times) for times in ((0, 1.5), (0, 1.501), (0.001, 1.5))}
    assert len(digests) == 3
    assert shot_sha256(file, 0, 1.5) == shot_sha256(file, 0.0001, 1.50001)
    assert shot_sha256(file[::-1], 0, 1.5) not in digests
    assert all(len(digest) == 64 for digest in digests)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"\0\0\0\x20ftypisom", True),
        (b"\0\0\0\x14ftypqt  ", True),
        (b"\0\0\0\x20ftypavis\0\0\0\0avis", True),
        (b"\0\0\0\x20ftypavif\0\0\0\0mif1miaf", False),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1", False),
        (b"\0\0\1\xba" + bytes(20), True),
        (b"RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0\x02", True),
        (b"RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0\x10", False),
        (b"RIFF\0\0\0\0WEBPVP8 ", False),
        (b"RIFF\0\0\0\0WAVEfmt ", False),
        (b"\xff\xd8\xff\xe0", False),
        (b"\x89PNG\r\n\x1a\n", False),
        (b"%PDF-1.7", False),
        (b"#EXTM3U\n", False),
        (b"G" * 20, False),
        (b"", False),
    ],
    ids=lambda value: value[:28].hex() or "empty" if isinstance(value, bytes) else str(value),
)
def test_videos_are_known_by_their_first_bytes(data: bytes, *, expected: bool) -> None:
    assert is_video(data) is expected


def test_sound_alone_lies_in_a_container_of_videos(tmp_path: Path) -> None:
    assert is_video(sound_only(tmp_path / "a.mp4").read_bytes())
