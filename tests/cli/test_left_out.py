"""What globs and systems' names leave out is explained, told of where it is known, and forgotten
when that is asked for."""

from __future__ import annotations

import io
import json
from pathlib import Path

from rich.console import Console
from typer.testing import CliRunner

from segsearch.cli.app import app
from segsearch.cli.output import report_table
from tests.support.small_models import Shape, open_small_service, paint

RED = Shape("red", (9, 9, 50, 40))


def run(*arguments: str | Path) -> str:
    told = CliRunner().invoke(app, list(map(str, arguments)))
    assert told.exit_code == 0, told.output
    return told.stdout


def test_index_explains_what_it_would_leave_out_and_indexes_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "nas"
    for name in ("one.png", "@eaDir/one.png", ".hidden.png", "small/two.png"):
        paint(folder / name, [RED])
    (folder / "notes.txt").write_text("no picture")
    (folder / "link").symlink_to(tmp_path)
    asked = ("--library", tmp_path / "library", "index", "--explain", "--exclude", "small/")
    told = json.loads(run(*asked, folder, "--json"))
    assert told["taken"] == [str(folder / "one.png")]
    assert list(told["skipped"]) == [str(folder / "notes.txt")]
    names = {Path(name).name for name in told["left_out"]}
    assert names == {"@eaDir", ".hidden.png", "two.png", "link"}
    lines = run(*asked, folder).splitlines()
    assert lines[0] == f"taken: {folder / 'one.png'}"
    assert f"left out: {folder / '@eaDir'}: '@eaDir' belongs to the system" in "\n".join(lines)
    assert not (tmp_path / "library").exists()
    named = run(*asked, folder / "@eaDir" / "one.png").splitlines()
    assert named[0] == f"taken: {folder / '@eaDir' / 'one.png'}"
    assert named[1].endswith("It is taken because it is named itself.")


def test_what_an_exclude_hits_later_is_told_of_and_forgotten_by_prune(tmp_path: Path) -> None:
    folder, library = tmp_path / "pictures", tmp_path / "library"
    paint(folder / "keep.png", [RED])
    paint(folder / "thumbs" / "a.png", [Shape("blue", (9, 9, 50, 40))])
    (folder / "thumbs" / "copy.png").write_bytes((folder / "keep.png").read_bytes())
    with open_small_service(library) as service:
        assert service.index([folder]).excluded == 0
    with open_small_service(library, exclude=("Thumbs/",)) as service:
        report = service.index([folder])
        assert (report.excluded, service.status().excluded, service.status().images) == (2, 2, 2)
        shown = io.StringIO()
        report_table(Console(file=shown), report)
        assert "`segsearch prune --excluded`" in shown.getvalue()
    with open_small_service(library) as service:  # without the glob they are taken again
        assert service.index([folder]).excluded == 0
        assert service.status().excluded == 0
    with open_small_service(library, include=("keep*",)) as service:
        assert service.index([folder]).excluded == 2
    looked = run("--library", library, "prune", "--excluded", "--dry-run").splitlines()
    assert looked == [
        f"left out: {folder / 'thumbs' / 'a.png'}",
        f"left out: {folder / 'thumbs' / 'copy.png'}",
        "2 paths, 1 images would be removed.",
    ]
    assert run("--library", library, "prune").startswith("0 paths")
    assert run("--library", library, "prune", "--excluded").endswith("1 images removed.\n")
    with open_small_service(library) as service:
        assert [image.paths for image in service.catalog.images()] == [(str(folder / "keep.png"),)]
        assert (service.status().excluded, service.maintenance.verify()) == (0, [])
    assert (folder / "thumbs" / "a.png").exists()


def test_what_systems_keep_and_was_indexed_before_is_told_of_and_forgotten(
    tmp_path: Path,
) -> None:
    """Under a version that did not pass it by."""
    folder, library = tmp_path / "pictures", tmp_path / "library"
    paint(folder / "keep.png", [RED])
    thumbnail = paint(folder / "@eaDir" / "a.png", [Shape("blue", (9, 9, 50, 40))])
    with open_small_service(library) as service:
        service.index([folder, thumbnail])  # named outright, so it is taken
        assert (service.status().images, service.status().excluded) == (2, 0)
        report = service.index([folder])
        assert (report.excluded, service.status().excluded, service.status().images) == (1, 1, 2)
        assert service.index([thumbnail]).excluded == 0
        assert service.status().excluded == 0, "named again, it is meant"
        service.index([folder])
        service.maintenance.prune(excluded=True)
        assert service.status().images == 1
