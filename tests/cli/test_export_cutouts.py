"""`segsearch export --format cutouts` writes a zip that any program opens."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segsearch.core.errors import NotFoundError, PathError
from segsearch.library import SegSearch
from segsearch.masks.rle import decode
from tests.cli.test_export import export, service

__all__ = ["service"]  # the fixture: two regions in one picture, one in another


def held(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as pack:
        assert pack.testzip() is None
        return {name: pack.read(name) for name in pack.namelist()}


def test_each_region_is_a_picture_of_its_own(service: SegSearch, tmp_path: Path) -> None:
    for name in ("one.zip", "two.zip"):
        told = export(service, "--format", "cutouts", "--into", tmp_path / "new" / name)
        assert told.output.startswith("3 regions written"), told.output
    data = (tmp_path / "new" / "one.zip").read_bytes()
    assert data == (tmp_path / "new" / "two.zip").read_bytes()
    hits = list(service.select())
    files = held(data)
    names = [f"{Path(hit.image.paths[0]).stem}-{hit.segment.id}.png" for hit in hits]
    assert [*files] == [*names, "regions.jsonl"]
    rows = [json.loads(line) for line in files["regions.jsonl"].splitlines()]
    assert [row["file"] for row in rows] == names
    assert [len(row["captions"]) for row in rows] == [2, 0, 0]
    for hit, name in zip(hits, names, strict=True):
        with Image.open(io.BytesIO(files[name])) as cutout:
            alpha = np.asarray(cutout)[..., 3] > 0
        box = hit.segment.mask.box
        assert np.array_equal(alpha, decode(hit.segment.mask)[box.y0 : box.y1, box.x0 : box.x1])


def test_pictures_that_are_gone_are_named(service: SegSearch, tmp_path: Path) -> None:
    target = tmp_path / "cut.zip"
    (tmp_path / "pictures" / "b" / "red.png").unlink()
    told = export(service, "--format", "cutouts", "--into", target)
    assert "2 regions written" in told.output
    assert "1 regions skipped" in told.output
    (last,) = [hit for hit in service.select() if "red" in hit.image.paths[0]]
    said = held(target.read_bytes())["skipped.txt"].decode()
    assert said.startswith(f"Segment {last.segment.id}: ")
    (tmp_path / "pictures" / "a" / "both.png").unlink()
    assert export(service, "--format", "cutouts", "--into", target).exit_code == (
        NotFoundError.exit_code
    )
    refused = export(service, "--format", "cutouts", "--into", tmp_path)
    assert isinstance(refused.exception, PathError)


@pytest.mark.process
def test_a_zip_goes_to_standard_output(service: SegSearch) -> None:
    command = [sys.executable, "-m", "segsearch", "--library", str(service.settings.library)]
    run = subprocess.run(
        [*command, "export", "--format", "cutouts", "--limit", "2", "--into", "-"],
        capture_output=True,
        check=True,
    )
    assert len(held(run.stdout)) == 3
    assert b"2 regions written to standard output" in run.stderr
