"""What is wrong with videos costs a sentence, or what is lost of them, and nothing else."""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from segsearch.core.errors import PictureError
from segsearch.core.settings import Settings
from segsearch.media import bounded, ffmpeg
from segsearch.media.bounded import RefusedError
from segsearch.media.ffmpeg import VideoLimits, VideoProcess, frames_at, look
from segsearch.media.video_clock import Clock, usual_seconds
from tests.support.clips import (
    RATE,
    THREE,
    Coding,
    Take,
    animation,
    restamped,
    sound_only,
    write,
)
from tests.support.footage_calls import looked, shown

FIRST = Coding(container_options=(("movflags", "faststart"),))  # its index, then its frames
PLAYLIST = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\n{}\n#EXT-X-ENDLIST\n"
CONCAT = "ffconcat version 1.0\nfile '{}'\n"


def patched(path: Path, old: bytes, new: bytes) -> Path:
    """The file with some of its bytes changed."""
    data = path.read_bytes()
    assert old in data
    path.write_bytes(data.replace(old, new))
    return path


def halved(path: Path) -> None:
    """Keep the first half of a file."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def headed(path: Path) -> bytes:
    """What of a file lies before its frames."""
    data = path.read_bytes()
    return data[: data.index(b"mdat") + 4]


def reason(path: Path, limits: VideoLimits | None = None) -> str:
    """Why a look refuses a file."""
    with pytest.raises(RefusedError) as refused:
        looked(path, limits or VideoLimits())
    return str(refused.value)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts", "a.avi", "a.gif", "a.webm"])
def test_a_file_cut_at_any_tenth_gives_what_is_there(name: str, tmp_path: Path) -> None:
    codings = {"avi": Coding("mjpeg", "yuvj420p", options=()), "webm": Coding("libvpx-vp9")}
    suffix = name.split(".")[1]
    if suffix == "gif":
        whole = animation(tmp_path / name)
    else:
        whole = write(
            tmp_path / name, THREE, codings.get(suffix, FIRST if suffix == "mp4" else Coding())
        )
    data = whole.read_bytes()
    ends: list[float] = []
    for tenth in range(10):
        path = tmp_path / f"{tenth}.{suffix}"
        path.write_bytes(data[: len(data) * tenth // 10])
        try:
            info = looked(path)
        except RefusedError:
            assert not ends, "once there is a frame, more bytes give more"
            continue
        ends.append(info["seconds"])
        shots = info["shots"]
        assert (shots[0][0], shots[-1][1]) == (0, info["seconds"])
        assert all(before[1] == after[0] for before, after in pairwise(shots))
        if suffix == "mp4" and info["seconds"] < 3:
            assert "The file says that it lasts 4.0 s" in info["lost"]
        middles = [(start + end) / 2 for start, end in shots]
        assert len(shown(path, middles)) >= len(middles) - 1
    assert len(ends) >= 3
    assert ends == sorted(ends)


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda path: path.write_bytes(b""), "damaged, or none"),
        (lambda path: path.write_bytes(b"no video\n" * 100), "damaged, or none"),
        (lambda path: path.write_bytes(b"\0\0\0\x20ftypisom" + bytes(500)), "damaged, or none"),
        (lambda path: path.write_text(PLAYLIST.format("whole.mp4")), "damaged, or none"),
        (lambda path: path.write_text(CONCAT.format("whole.mp4")), "damaged, or none"),
        (lambda path: path.mkdir(), "video"),
        (lambda _: None, "cannot be read: No such file"),
        (sound_only, "only sound"),
        (lambda path: patched(write(path, coding=FIRST), b"avc1", b"encv"), "encrypted"),
        (lambda path: patched(write(path, coding=FIRST), b"avc1", b"zzzz"), "codec"),
        (lambda path: path.write_bytes(headed(write(path, coding=FIRST))), "None of"),
        (lambda path: halved(animation(path.with_suffix(".webp")).rename(path)), "damaged"),
    ],
    ids=[
        "empty", "text", "zeros", "hls", "concat", "folder", "missing", "sound", "encrypted",
        "codec", "header", "half-webp",
    ],
)  # fmt: skip
def test_what_gives_no_frames_is_refused_with_a_sentence(
    make: Callable[[Path], object], expected: str, tmp_path: Path
) -> None:
    write(tmp_path / "whole.mp4")
    make(tmp_path / "a.mp4")
    said = reason(tmp_path / "a.mp4")
    assert expected in said
    assert said.endswith(".")


@pytest.mark.parametrize(
    ("limits", "setting"),
    [
        (VideoLimits(max_bytes=1000), "SEGSEARCH_MAX_VIDEO_BYTES"),
        (VideoLimits(max_seconds=3.9), "SEGSEARCH_MAX_VIDEO_SECONDS"),
        (VideoLimits(max_pixels=160 * 96 - 1), "SEGSEARCH_MAX_PIXELS"),
    ],
    ids=["bytes", "seconds", "pixels"],
)
@pytest.mark.parametrize("name", ["a.mp4", "a.gif", "a.webp"])
def test_what_is_too_large_names_the_setting(
    name: str, limits: VideoLimits, setting: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    (write if name == "a.mp4" else animation)(path)
    assert setting in reason(path, limits)


def test_limits_are_those_of_the_settings(tmp_path: Path) -> None:
    settings = Settings(library=tmp_path, max_video_bytes=5, max_video_seconds=6, max_pixels=7)
    limits = VideoLimits.of(settings)
    assert (limits.max_bytes, limits.max_seconds, limits.max_pixels) == (5, 6, 7)
    assert VideoLimits.of(Settings(library=tmp_path)) == VideoLimits()


@pytest.mark.parametrize("factor", [0, 10, 0xFFFFFFFF], ids=["none", "longer", "endless"])
def test_a_wrong_duration_is_not_believed(factor: int, tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4")
    data = bytearray(path.read_bytes())
    for box, offset in ((b"mvhd", 20), (b"mdhd", 20), (b"tkhd", 24)):
        at = data.index(box) + offset
        size = min(factor * int.from_bytes(data[at : at + 4]), 0xFFFFFFFF)
        data[at : at + 4] = size.to_bytes(4)
    path.write_bytes(data)
    info = looked(path, VideoLimits(max_seconds=1e9))
    assert (info["seconds"], info["shots"][0]) == (4.0, (0, 1.6))
    assert info["lost"] is None


STAMPS: dict[str, tuple[Callable[[int], int | None], float]] = {
    "jump": (lambda n: 40 * n if n < 50 else 40 * n + 9_000_000, 4.0),
    "far": (lambda n: 40 * n + 5_000_000, 4.0),
    "gap": (lambda n: 40 * n if n < 50 else 40 * n + 10_000, 14.0),
    "same": (lambda n: 40 * (n // 2 * 2), 4.0),
}


@pytest.mark.parametrize("kind", STAMPS)
def test_time_always_goes_on(kind: str, tmp_path: Path) -> None:
    stamp, seconds = STAMPS[kind]
    source = write(tmp_path / "a.mkv", THREE, Coding("mjpeg", "yuvj420p", options=()))
    path = restamped(source, tmp_path / "b.mkv", stamp)
    info = looked(path)
    assert info["seconds"] == pytest.approx(seconds, abs=0.1)
    assert len(info["shots"]) == 3
    middles = [(start + end) / 2 for start, end in info["shots"]]
    there = [pixels[-3, 3].argmax() for _, pixels in shown(path, middles)]
    assert there == [0, 2, 1], "red, blue, green"
    back = [pixels[-3, 3].argmax() for _, pixels in shown(path, middles[::-1])]
    assert back == there[::-1]


def test_time_goes_on_where_a_recording_begins_anew(tmp_path: Path) -> None:
    parts = [write(tmp_path / f"{scene.ground}.ts", [scene]).read_bytes() for scene in THREE]
    path = tmp_path / "a.ts"
    path.write_bytes(b"".join(parts))
    info = looked(path)
    assert info["seconds"] == pytest.approx(4.0, abs=0.2)
    assert len(info["shots"]) == 3
    middles = [(start + end) / 2 for start, end in info["shots"]]
    for order in (1, -1):
        there = [int(pixels[-3, 3].argmax()) for _, pixels in shown(path, middles[::order])]
        assert there[::order] == [0, 2, 1], "red, blue, green"


def test_a_clock_counts_missing_stamps_and_steps_back() -> None:
    clock = Clock(Fraction(1, 1000), 0.04)
    stamps = [100, 140, None, 220, 210, 260, 9_000_000, 9_000_040, 0, 40]
    assert [clock.seconds(stamp) for stamp in stamps] == [
        0, 0.04, 0.08, 0.12, 0.121, 0.16, 0.2, 0.24, 0.28, 0.32,
    ]  # fmt: skip
    assert clock.is_broken
    assert [usual_seconds(rate) for rate in (None, Fraction(0), Fraction(25))] == [0.04, 0.04, 0.04]
    assert usual_seconds(Fraction(90_000)) == 0.001


def test_damage_in_the_middle_costs_what_it_hits(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4", THREE, FIRST)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 400] = random.Random(7).randbytes(400)
    path.write_bytes(data)
    info = looked(path)
    assert info["seconds"] == 4.0
    assert "damaged" in info["lost"]
    assert shown(path, [0.1])[0][0] == 0.08
    assert shown(path, [3.9])[0][0] == 3.88
    assert len(shown(path, [n / RATE for n in range(100)])) < 100


def test_rubbish_ends_in_a_sentence_or_in_shots(tmp_path: Path) -> None:
    seed = random.Random(11)
    wholes = [
        write(tmp_path / "a.mp4", THREE, FIRST).read_bytes(),
        write(tmp_path / "a.webm", THREE, Coding("libvpx-vp9")).read_bytes(),
        write(tmp_path / "a.ts").read_bytes(),
        animation(tmp_path / "a.gif").read_bytes(),
    ]
    for number in range(100):
        data = bytearray(wholes[number % 4])
        for _ in range(seed.choice((1, 10, 100))):
            data[seed.randrange(len(data))] = seed.randrange(256)
        path = tmp_path / "b.bin"
        path.write_bytes(data)
        with contextlib.suppress(RefusedError):
            assert looked(path)["shots"]


def test_ffmpeg_dies_and_is_asked_again(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4")
    assert [seconds for seconds, _ in frames_at(path, [1])] == [1.0]
    frames = frames_at(path, [0, 1, 2])
    assert next(frames)[0] == 0
    child = ffmpeg._IDLE[-1].pid
    assert child is not None
    os.kill(child, signal.SIGKILL)
    assert [seconds for seconds, _ in frames] == [1.0, 2.0]
    assert ffmpeg._IDLE[-1].pid != child


def test_a_look_is_asked_again_when_it_is_killed_in_the_middle(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mkv", [Take("red", 500)], Coding("mpeg4"))
    killed: list[int] = []

    def kill_once() -> bool:
        if not killed:
            children = Path(f"/proc/self/task/{threading.get_native_id()}/children").read_text()
            killed.append(int(children.split()[-1]))
            os.kill(killed[0], signal.SIGKILL)
        return False

    assert look(path, stopped=kill_once).seconds == 20
    assert killed


def test_a_look_that_is_not_wanted_any_more_ends(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mkv", [Take("red", 500)], Coding("mpeg4"))
    with pytest.raises(PictureError, match="stopped"):
        look(path, stopped=lambda: True)


def test_a_question_has_its_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    coding = Coding(size=(640, 480), options=(("g", "1000"), ("preset", "ultrafast")))
    path = write(tmp_path / "a.mp4", [Take("red", 400)], coding)
    with pytest.raises(PictureError, match="takes FFmpeg too long"):
        next(frames_at(path, [15], VideoLimits(deadline_seconds=0.02)))
    assert next(frames_at(path, [15]))[0] == 15

    def start() -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", "import time; time.sleep(600)"]
        return subprocess.Popen(command, stdin=-1, stdout=-1, bufsize=0)

    monkeypatch.setattr(ffmpeg, "_started", start)
    process = VideoProcess()
    with pytest.raises(PictureError, match="takes FFmpeg too long"):
        process.ask({}, silent_seconds=0.1)
    process.close()


def test_all_pieces_of_a_question_together_have_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded, "PROGRESS_SECONDS", 0)
    said = io.BytesIO()
    bounded.Pulse(said, 60, 600)()
    signal.setitimer(signal.ITIMER_PROF, 0)
    assert json.loads(said.getvalue()) == {"goes_on": True, "size": 0}
    with pytest.raises(RefusedError, match="longer to read"):
        bounded.Pulse(said, 60, -1)()


def test_what_ends_ffmpeg_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def start() -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", "import os; os.abort()"]
        return subprocess.Popen(command, stdin=-1, stdout=-1, bufsize=0)

    monkeypatch.setattr(ffmpeg, "_started", start)
    with pytest.raises(PictureError, match="FFmpeg ended over the video 2 times: SIGABRT"):
        VideoProcess().ask({}, silent_seconds=60)


def test_without_the_packages_a_sentence_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ffmpeg, "PACKAGES", ("av", "no_such_package"))
    with pytest.raises(PictureError, match=r"segsearch\[video\]"):
        look(Path("a.mp4"))
    with pytest.raises(PictureError, match=r"segsearch\[video\]"):
        next(frames_at(Path("a.mp4"), [0]))


def test_refusals_cross_the_pipe(tmp_path: Path) -> None:
    with pytest.raises(PictureError, match="only sound"):
        look(sound_only(tmp_path / "a.mp4"))
    with pytest.raises(PictureError, match="only sound"):
        list(frames_at(tmp_path / "a.mp4", [0]))


def test_memory_stays_flat_over_a_long_video(tmp_path: Path) -> None:
    """A child that looks through ten times the frames holds no more."""
    peaks = []
    for frames in (300, 3000):
        path = write(
            tmp_path / f"{frames}.mkv",
            [Take("red", frames)],
            Coding("mpeg4", options=()),
        )
        code = (
            "import resource; from pathlib import Path; "
            "from tests.support.footage_calls import looked; "
            f"looked(Path({str(path)!r})); "
            "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
        )
        run = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        peaks.append(int(run.stdout))
    assert peaks[1] < 1.2 * peaks[0]


def test_frames_are_the_same_from_every_thread(tmp_path: Path) -> None:
    paths = [write(tmp_path / f"{number}.mp4") for number in range(3)]
    found: list[list[float]] = []

    def read(path: Path) -> None:
        found.append([seconds for seconds, _ in frames_at(path, np.arange(0.02, 4, 0.4).tolist())])

    threads = [threading.Thread(target=read, args=[path]) for path in paths]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [[round(0.4 * number, 3) for number in range(10)]] * 3
