"""The zoo: every odd file is either indexed, with its mask where the thing is, or refused with a
sentence; none stops the run, none is lost."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from segsearch.core.types import Image, IngestReport
from segsearch.library import SegSearch
from segsearch.masks.rle import encode, iou
from segsearch.media.sources.base import BAD_NAME
from tests.support import zoo
from tests.support.small_models import open_small_service
from tests.support.zoo import HEIGHT, PLAIN, REFUSED, SHOWING, THING, WIDTH

pytestmark = pytest.mark.slow

LEAST_IOU = 0.9


@dataclass(frozen=True)
class Visit:
    """What one run over the whole zoo left behind."""

    service: SegSearch
    report: IngestReport
    images: dict[str, list[Image]]  # by file name

    @property
    def reasons(self) -> dict[str, str]:
        return {Path(file.path).name: file.reason for file in self.report.skipped}


@pytest.fixture(scope="module")
def visit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visit]:
    folder = tmp_path_factory.mktemp("zoo") / "animals"
    folder.mkdir()
    for name, make in {**SHOWING, **PLAIN}.items():
        (folder / name).write_bytes(make())
    for name, (make, _) in REFUSED.items():
        (folder / name).write_bytes(make())
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff.png")).write_bytes(
        zoo.saved(zoo.painted(), "PNG")
    )
    with open_small_service(folder.parent / "library", max_pixels=zoo.MAX_PIXELS) as service:
        report = service.index([folder])
        images: dict[str, list[Image]] = {}
        for image in service.catalog.images(limit=1000):
            for path in image.paths:
                images.setdefault(Path(path).name, []).append(image)
        yield Visit(service, report, images)


def test_there_are_more_than_forty_and_none_is_lost(visit: Visit) -> None:
    everything = {*SHOWING, *PLAIN, *REFUSED}
    assert len(everything) > 90
    done = {name for name, images in visit.images.items() if images[0].state == "done"}
    assert done | (set(visit.reasons) & everything) == everything
    assert not done & set(visit.reasons)
    assert visit.service.maintenance.verify() == []


@pytest.mark.parametrize("name", SHOWING)
def test_the_mask_lies_on_the_thing(name: str, visit: Visit) -> None:
    assert name in visit.images, visit.reasons.get(name)
    (image,) = visit.images[name]
    assert image.state == "done", image.reason
    truth = encode(THING.mask(WIDTH, HEIGHT))
    assert truth is not None
    segments = visit.service.catalog.segments_of(image.id)
    scale = image.width // WIDTH
    assert (image.width, image.height) == (WIDTH * scale, HEIGHT * scale)
    if scale != 1:
        large = THING.mask(WIDTH, HEIGHT).repeat(scale, 0).repeat(scale, 1)
        truth = encode(large)
        assert truth is not None
    assert max(iou(segment.mask, truth) for segment in segments) >= LEAST_IOU
    assert visit.service.pictures.pixels(image.id).shape == (image.height, image.width, 3)


@pytest.mark.parametrize("name", PLAIN)
def test_pictures_of_any_shape_are_indexed(name: str, visit: Visit) -> None:
    (image,) = visit.images[name]
    assert image.state == "done", image.reason
    assert visit.service.catalog.segments_of(image.id)


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_says_why(name: str, visit: Visit) -> None:
    reason = visit.reasons[name]
    assert re.search(REFUSED[name][1], reason), reason
    assert reason.endswith(".")
    assert "\n" not in reason


def test_a_name_that_is_no_text_is_said(visit: Visit) -> None:
    assert visit.reasons["\\udcff.png"] == BAD_NAME


def test_nothing_is_a_near_duplicate_but_the_same_scene(visit: Visit) -> None:
    for name in ("one.png", "tall.png", "wide.jpg"):
        assert visit.images[name][0].near_duplicates == ()


CHILD = """
import json, os, sys
from pathlib import Path
from segsearch.storage.catalog.sql_catalog import Catalog
from tests.support.small_models import open_small_service
with open_small_service(Path(sys.argv[2])) as service:  # loads everything while it may
    service.index([Path(sys.argv[3])])
    if os.geteuid() == 0:
        os.setgroups([]); os.setgid(65534); os.setuid(65534)
    report = service.index([Path(sys.argv[1])])
print(json.dumps([report.indexed, {Path(file.path).name: file.reason for file in report.skipped}]))
"""


def test_permissions_are_respected_and_said() -> None:
    """Root may read everything, so a child of another user looks."""
    base = Path(tempfile.mkdtemp(prefix="segsearch-zoo-"))
    try:
        folder, library = base / "pictures", base / "library"
        for path in (folder, folder / "closed", library):
            path.mkdir()
        shapes = {"open.png": 0o444, "mine.png": 0o400, "nobodys.png": 0o000}
        first = base / "first.png"
        first.write_bytes(zoo.saved(zoo.painted(), "PNG"))
        for number, (name, mode) in enumerate(shapes.items()):
            (folder / name).write_bytes(zoo.noise("PNG") + bytes([number]))
            (folder / name).chmod(mode)
        if os.geteuid() == 0:
            os.chown(folder / "mine.png", 65534, 65534)
            os.chown(library, 65534, 65534)
            base.chmod(0o755)
        library.chmod(0o777)
        (folder / "closed").chmod(0)
        command: list[str | Path] = [sys.executable, "-c", CHILD, folder, library, first]
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=120, umask=0
        )
        assert done.returncode == 0, done.stderr
        indexed, reasons = json.loads(done.stdout.splitlines()[-1])
        assert indexed == 2
        assert reasons == {
            "nobodys.png": "The file cannot be read: Permission denied.",
            "closed": "The folder cannot be read: Permission denied.",
        }
    finally:
        (base / "pictures" / "closed").chmod(0o700)
        shutil.rmtree(base)
