"""Starts `tests.support.ingest_driver` as a process; looks into libraries and compares them."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from segsearch.masks.rle import to_coco
from segsearch.storage.catalog.backend import Server
from segsearch.storage.catalog.sql_catalog import Catalog
from tests.support.small_models import Shape, paint

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 60
Content = dict[str, list[tuple[str, str, float]]]


def paint_many(folder: Path, count: int) -> Path:
    """So many different pictures of two things each; beyond 150 they grow wider."""
    colours = ("red", "green", "blue", "yellow")
    for number in range(count):
        x, y = number % 10 * 4, number // 10 % 15 * 4
        first = Shape(colours[number % 4], (x, y, x + 30, y + 30))
        second = Shape(colours[(number + 1) % 4], (80, y, 110, y + 40), "disc")
        paint(folder / f"{number:03}.png", [first, second], size=(120 + number // 150, 90))
    return folder


def start(
    mode: str, library: Path, pictures: Path, *further: str,
    run_before: Callable[[], None] | None = None, **options: Any,
) -> subprocess.Popen[str]:  # fmt: skip
    """The driver as a process; `run_before` runs in it first."""
    command = [sys.executable, "-m", "tests.support.ingest_driver", mode, str(library)]
    command += [str(pictures), *further]
    return subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=run_before, **options,
    )  # fmt: skip


def finish(process: subprocess.Popen[str]) -> dict[str, int]:
    """What a run that ends well says it did."""
    out, err = process.communicate(timeout=180)
    assert process.returncode == 0, err
    counts: dict[str, int] = json.loads(out)
    return counts


def ask(library: Path, query: str) -> list[tuple[Any, ...]]:
    """Rows from a library's catalog; none before it is there."""
    file = library / "catalog.sqlite"
    if not file.exists():
        return []
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=30)) as db:
        try:
            return db.execute(query).fetchall()
        except sqlite3.OperationalError:
            return []


def done(library: Path) -> int:
    """How many pictures are done."""
    rows = ask(library, "SELECT count(*) FROM ingest WHERE state = 'done'")
    return int(rows[0][0]) if rows else 0


def children(process: int, command_part: str = "spawn_main") -> list[int]:
    """Processes that a process has started with this in their command; else its model processes:
    they were spawned, and hold no resource tracker."""
    numbers: list[int] = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            command = (folder / "cmdline").read_text()
        except OSError:
            continue
        if parent == process and command_part in command:
            numbers.append(int(folder.name))
    return numbers


def until(holds: Callable[[], bool]) -> None:
    """Wait for something that comes true by itself."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def content(library: Path | Server) -> Content:
    """Everything a library holds, free of ids and order: file name -> masks with their vectors."""
    catalog = Catalog(library / "catalog.sqlite" if isinstance(library, Path) else library)
    active = catalog.active_recipe()
    assert active is not None
    rows = list(catalog.vectors(active[0]))
    ids = np.concatenate([part.ids for part in rows]).tolist()
    both = np.concatenate([np.hstack([part.context, part.masked, part.picture]) for part in rows])
    vectors = {number: row.tobytes().hex() for number, row in zip(ids, both, strict=True)}
    regions = {
        Path(image.paths[0]).name: sorted(
            (to_coco(segment.mask)["counts"], vectors[segment.id], segment.predicted_iou)
            for segment in catalog.segments_of(image.id)
        )
        for image in catalog.images(limit=10_000)
    }
    catalog.close()
    return regions
