"""`segsearch export` writes things of videos frame by frame, and the frames where they are asked
for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

from segsearch.cli.app import app
from segsearch.core.errors import InputError, PathError
from segsearch.library import SegSearch
from tests.support.moving_film import library_of_film


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("film")


@pytest.fixture(scope="module")
def service(folder: Path) -> Iterator[SegSearch]:
    with library_of_film(folder) as made:
        yield made


def export(service: SegSearch, *arguments: str | Path) -> Result:
    library = str(service.settings.library)
    return CliRunner().invoke(app, ["--library", library, "export", *map(str, arguments)])


def test_youtube_vis_is_written_with_its_frames_and_pictures_are_left_out(
    service: SegSearch, folder: Path, tmp_path: Path
) -> None:
    file, frames = tmp_path / "instances.json", tmp_path / "JPEGImages"
    told = export(service, "--format", "ytvis", "--into", file, "--frames", frames,
                  "--relative-to", folder)  # fmt: skip
    assert told.stdout == f"4 regions written to {file}\n"
    assert told.stderr == "1 regions of pictures left out: YouTube-VIS holds videos alone\n"
    document = json.loads(file.read_text())
    names = [name for video in document["videos"] for name in video["file_names"]]
    assert sorted(names) == sorted(str(one.relative_to(frames)) for one in frames.rglob("*.jpg"))
    assert [video["name"] for video in document["videos"]] == [
        "films/clip.mp4#t=0,10", "films/clip.mp4#t=10,12",
    ]  # fmt: skip
    piped = export(service, "--format", "ytvis", "--relative-to", folder, "--into", "-")
    assert json.loads(piped.stdout) == document


def test_lines_and_parquet_say_when_a_thing_is_there_and_in_which_video(
    service: SegSearch, tmp_path: Path
) -> None:
    for kind in ("jsonl", "parquet"):
        assert export(service, "--format", kind, "--into", tmp_path / kind).exit_code == 0
    lines = [json.loads(line) for line in (tmp_path / "jsonl").read_text().splitlines()]
    assert pq.read_table(tmp_path / "parquet").to_pylist() == lines
    still, *filmed = lines
    assert (still["life"], still["shot"]) == (None, None)
    for line in filmed:
        segment = service.catalog.segment(line["segment_id"])
        assert segment.life
        assert line["life"] == asdict(segment.life)
        shot = service.catalog.image(line["image_id"]).shot
        assert shot
        assert line["shot"] == asdict(shot)


def test_coco_counts_things_and_not_their_masks(service: SegSearch, tmp_path: Path) -> None:
    file = tmp_path / "coco.json"
    assert export(service, "--into", file).stdout == f"5 regions written to {file}\n"
    document = json.loads(file.read_text())
    assert (len(document["images"]), len(document["annotations"])) == (7, 11)


@pytest.mark.parametrize(
    ("wanted", "kind"),
    [
        pytest.param(["--frames", "a"], InputError, id="frames of COCO"),
        pytest.param(["--format", "ytvis", "--polygons"], InputError, id="polygons"),
        pytest.param(["--format", "jsonl", "--relative-to", "/"], InputError, id="names of lines"),
        pytest.param(["--format", "ytvis", "--relative-to", "/no"], PathError, id="elsewhere"),
        pytest.param(["--format", "ytvis", "--frames", "library/f"], PathError, id="our folder"),
        pytest.param(["--format", "ytvis", "--into", "."], PathError, id="a folder"),
    ],
)
def test_what_a_format_has_not_is_said(
    service: SegSearch,
    folder: Path,
    wanted: list[str],
    kind: type[Exception],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(folder)
    before = set(folder.iterdir())
    assert isinstance(export(service, *wanted).exception, kind)
    assert set(folder.iterdir()) == before
