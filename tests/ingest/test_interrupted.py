"""An index that is killed and started again ends as if nothing had happened."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from segsearch.masks.rle import to_coco
from segsearch.storage.catalog.sql_catalog import Catalog
from tests.conftest import DEMO

PICTURES = 10


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    for path in sorted((DEMO / "pictures").glob("scene-*.jpg"))[:PICTURES]:
        shutil.copy(path, folder)
    return folder


def index(pictures: Path, library: Path) -> subprocess.Popen[str]:
    command: list[str | Path] = [sys.executable, "-m", "segsearch", "--library", library]
    command += ["index", pictures, "--json"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def content(library: Path) -> dict[str, list[tuple[str, str, float]]]:
    """Everything a library holds, free of ids and order: file name -> masks with their vectors."""
    catalog = Catalog(library / "catalog.sqlite")
    active = catalog.active_recipe()
    assert active is not None
    rows = list(catalog.vectors(active[0]))
    ids = np.concatenate([part.ids for part in rows]).tolist()
    context = np.concatenate([part.context for part in rows])
    vectors = {one: row.tobytes().hex() for one, row in zip(ids, context, strict=True)}
    found = {
        Path(image.paths[0]).name: sorted(
            (to_coco(segment.mask)["counts"], vectors[segment.id], segment.predicted_iou)
            for segment in catalog.segments_of(image.id)
        )
        for image in catalog.images()
    }
    catalog.close()
    return found


def done_so_far(library: Path) -> int:
    """How many pictures are committed by now; 0 before the catalog is there."""
    if not (library / "catalog.sqlite").exists():
        return 0
    catalog = Catalog(library / "catalog.sqlite")
    try:
        return sum(image.state.value == "done" for image in catalog.images())
    finally:
        catalog.close()


def stop_when_some_are_done(process: subprocess.Popen[str], library: Path, number: int) -> None:
    before = done_so_far(library)
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        if before < done_so_far(library) < PICTURES:
            process.send_signal(number)
            break
        time.sleep(0.02)
    process.communicate(timeout=60)


def test_a_killed_run_goes_on_to_the_same_end(pictures: Path, tmp_path: Path) -> None:
    with index(pictures, tmp_path / "calm") as calm:
        calm.communicate(timeout=240)
    assert calm.returncode == 0
    rough = tmp_path / "rough"
    for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGKILL):
        stop_when_some_are_done(index(pictures, rough), rough, number)
    assert 0 < done_so_far(rough) < PICTURES
    last = index(pictures, rough)
    out, _ = last.communicate(timeout=240)
    assert last.returncode == 0
    assert json.loads(out)["indexed"] < PICTURES - 1
    assert content(rough) == content(tmp_path / "calm")
    command: list[str | Path] = [sys.executable, "-m", "segsearch", "--library", rough, "verify"]
    assert subprocess.run(command, check=False).returncode == 0


STOPPED = """
import os, signal, sys
from segsearch.__main__ import main

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it

class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == "rich.console":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupting())
main()
"""


def test_a_command_stopped_while_its_parts_load_says_nothing() -> None:
    done = subprocess.run(
        [sys.executable, "-c", STOPPED], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", "")
