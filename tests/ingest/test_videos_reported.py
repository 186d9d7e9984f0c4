"""What a run says of videos: shots, minutes, and what of which file was lost; of pictures only it
says nothing of them."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

from rich.console import Console

from segsearch.cli.output import progress_bar, report_table
from segsearch.core.types import IngestReport
from segsearch.export.documents import report_document
from tests.support.clips import Take, write
from tests.support.shelf import Shelf
from tests.support.small_models import Shape, paint

RED = Shape("red", (10, 10, 50, 40))


def truncated(path: Path) -> Path:
    """A Matroska of eight seconds, as it says, of which a third is there."""
    data = write(path, [Take("red", 200)]).read_bytes()
    path.write_bytes(data[: len(data) // 3])
    return path


def indexed(place: Shelf) -> tuple[IngestReport, str, str]:
    """A run over the folder, what it said on its way and at its end."""
    drawn, told = io.StringIO(), io.StringIO()
    console = Console(file=drawn, force_terminal=True, width=200)
    with progress_bar(console) as report:
        done = place.service.index([place.folder], report=report)
    report_table(Console(file=told, width=200), done)
    return done, re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", drawn.getvalue()), told.getvalue()


def summary(place: Shelf) -> dict[str, object]:
    (path,) = (place.service.settings.library / "reports").iterdir()
    said: dict[str, object] = json.loads(path.read_text().splitlines()[-1])
    return said


def test_a_run_says_how_much_of_videos_it_indexed_and_what_was_lost(place: Shelf) -> None:
    write(place.folder / "clip.mp4")
    broken = truncated(place.folder / "broken.mkv")
    paint(place.folder / "a.png", [RED])
    done, drawn, told = indexed(place)
    (video,) = (one for one in place.service.catalog.videos() if one.lost)
    seconds = round(4 + video.seconds, 3)
    assert (done.indexed, done.shots, done.video_seconds) == (5, 4, seconds)
    assert [(file.path, file.reason) for file in done.lost] == [(str(broken), video.lost)]
    assert f"4 shots, {seconds / 60:.1f} minutes of video" in drawn
    lines = told.splitlines()
    assert lines[1:] == [
        f"Of them 4 shots, {seconds / 60:.1f} minutes of video.",
        "1 video has lost a part; the rest is indexed.",
        f"  lost of {broken}: {video.lost}",
    ]
    assert report_document(done)["lost"] == ({"path": str(broken), "reason": video.lost},)
    said = summary(place)
    assert (said["shots"], said["video_seconds"]) == (4, seconds)
    assert said["lost"] == [{"path": str(broken), "lost": video.lost}]


def test_of_pictures_only_nothing_is_said_of_videos(place: Shelf) -> None:
    paint(place.folder / "a.png", [RED])
    done, drawn, told = indexed(place)
    assert (done.shots, done.video_seconds, done.lost) == (0, 0.0, ())
    assert re.fullmatch(
        r"1 pictures indexed with \d+ segments, 0 unchanged, 0 skipped, in \d+\.\d s\.\n", told
    )
    assert "masks, " in drawn
    assert "shot" not in drawn
    assert summary(place).keys() == {
        "state", "error", "total", "done", "segments", "skipped"
    }  # fmt: skip
