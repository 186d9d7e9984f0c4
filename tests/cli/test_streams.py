"""What commands write arrives whatever the terminal or pipe takes; `-` is standard output."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from segsearch.core.errors import NotFoundError, PathError
from tests.support.small_models import Shape, open_small_service, paint

pytestmark = pytest.mark.process
NAME = "für 🌴.png"
Run = subprocess.CompletedProcess[bytes]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A library of one picture of two regions, whose name no old encoding holds."""
    folder = tmp_path_factory.mktemp("streams")
    shapes = [Shape("red", (9, 9, 50, 40)), Shape("blue", (60, 20, 100, 60))]
    picture = paint(folder / "pictures" / NAME, shapes)
    with open_small_service(folder / "möbius") as service:
        service.index([picture])
        service.tag(paths=[picture], add=["žluťoučký"])
    yield folder
    (folder / "pictures" / NAME).unlink()


def run(place: Path, *arguments: str | Path, encoding: str = "utf-8") -> Run:
    command = [sys.executable, "-m", "segsearch", "--library", place / "möbius", *arguments]
    changed = {"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    return subprocess.run(
        command, capture_output=True, check=False, timeout=120, env=os.environ | changed, cwd=place
    )


@pytest.mark.parametrize("encoding", ["ascii", "cp1250", "utf-16"])
def test_what_a_terminal_cannot_show_is_written_in_another_way(encoding: str, place: Path) -> None:
    for arguments in (["status"], ["tag", "pictures"]):
        done = run(place, *arguments, encoding=encoding)
        assert (done.returncode, done.stderr) == (0, b"")
    shown = done.stdout.decode(encoding)
    assert "für" in shown.replace("\\xfc", "ü")
    assert encoding != "utf-16" or f"{NAME}: žluťoučký" in shown


def test_errors_are_written_in_another_way_too(place: Path) -> None:
    done = run(place, "tag", "pictures/🌴", encoding="ascii")
    assert done.returncode == NotFoundError.exit_code
    assert b"\\U0001f334" in done.stderr
    assert b"Traceback" not in done.stderr


def test_names_that_are_no_text_are_written_too(place: Path) -> None:
    odd = Path(os.fsdecode(os.fsencode(place) + b"/\xff"))
    odd.mkdir()
    paint(odd / "a.png", [Shape("red", (9, 9, 50, 40))])
    done = run(place, "index", "--explain", odd)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"\\udcff" in done.stdout


def exported(place: Path, kind: str, *arguments: str) -> bytes:
    done = run(place, "export", "--format", kind, "--into", "-", *arguments)
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith(b"2 regions written to standard output")
    return done.stdout


def test_a_dash_is_standard_output_in_every_format(place: Path) -> None:
    before = set(place.iterdir())
    assert len(json.loads(exported(place, "coco"))["annotations"]) == 2
    assert len([json.loads(line) for line in exported(place, "jsonl").splitlines()]) == 2
    assert pq.read_table(io.BytesIO(exported(place, "parquet"))).num_rows == 2
    with tarfile.open(fileobj=io.BytesIO(exported(place, "caption-pack"))) as pack:
        assert len({name.partition(".")[0] for name in pack.getnames() if "." in name}) >= 2
    assert set(place.iterdir()) == before


def test_a_file_of_that_name_is_named_by_its_folder(place: Path) -> None:
    done = run(place, "export", "--format", "jsonl", "--into", "./-")
    assert done.returncode == 0, done.stderr
    assert len((place / "-").read_text().splitlines()) == 2
    (place / "-").unlink()


def test_other_outputs_take_no_dash_for_a_files_name(place: Path) -> None:
    done = run(place, "backup", "-")
    assert done.returncode == PathError.exit_code
    assert not (place / "-").exists()
