"""A command of its own for tests: starts workers of one library by forking, so that many cost
little. `python -m tests.support.fleet_workers FOLDER PICTURES ADDRESS SECONDS` reads numbers from
its standard input, and answers each with that of the process it has started.

A worker looks at a picture for so many seconds, in its own process, and goes on until SIGTERM.
"""

from __future__ import annotations

import importlib
import logging
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

from segsearch.core.arrays import Pixels
from segsearch.core.errors import BusyError, EngineError
from segsearch.core.types import Proposal
from segsearch.ingest.run import IndexOptions, RunMode
from segsearch.models.pipeline import Pipeline
from tests.support.small_models import (
    ColourEmbedder,
    ColourSegmenter,
    SmallModels,
    open_small_service,
)

LEASE_SECONDS = 2.0
AGAIN = "The server was out of reach"
PASS_SECONDS = 0.5
# What a worker would load by itself, here once for all of them.
LOADED = (
    "segsearch.library", "segsearch.storage.catalog.postgres.backend", "psycopg", "faiss",
    "tests.support.exact_index", "alembic.command", "alembic.script",
)  # fmt: skip
# As of a pass of `worker`, but for the process of its own that the models have there.
PASS = RunMode("worker", quiet=True, waits_for_others=False)
SETTINGS: dict[str, Any] = {
    "lease_seconds": LEASE_SECONDS, "retry_seconds": 0.2, "lanes": 1, "drain_seconds": 5.0,
}  # fmt: skip


class PatientSegmenter(ColourSegmenter):
    """Cuts like `ColourSegmenter`, after a while that costs no processor anything."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def propose(self, pixels: Pixels) -> list[Proposal]:
        time.sleep(self._seconds)
        return super().propose(pixels)


class PatientModels(SmallModels):
    """Small models of the same recipe whose cost is fixed."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def pipeline(self) -> Pipeline:
        return Pipeline(PatientSegmenter(self._seconds), ColourEmbedder(), self.crop)


def work(folder: Path, pictures: Path, address: str, seconds: float) -> None:
    """Keep a folder indexed until SIGTERM."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    folder.mkdir(parents=True, exist_ok=True)
    logging.basicConfig(
        filename=folder / "log", level=logging.INFO, force=True, format="%(asctime)s %(message)s"
    )
    models = PatientModels(seconds)
    while not stop.is_set():
        try:
            with open_small_service(folder, models=models, address=address, **SETTINGS) as service:
                while not stop.is_set():
                    service.ingest.run([pictures], IndexOptions(stop=stop, mode=PASS))
                    stop.wait(PASS_SECONDS)
        except (EngineError, BusyError) as problem:
            logging.getLogger(__name__).info("%s: %s", AGAIN, problem)
            stop.wait(PASS_SECONDS)


def main(folder: Path, pictures: Path, address: str, seconds: float) -> None:
    """Fork a worker for each number that is read."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # whoever ends is gone at once
    for name in LOADED:
        importlib.import_module(name)
    for line in sys.stdin:
        process = os.fork()
        if process == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            status = 1
            try:
                work(folder / f"worker-{int(line)}", pictures, address, seconds)
                status = 0
            finally:
                os._exit(status)
        print(process, flush=True)  # noqa: T201  what is asked for


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], float(sys.argv[4]))
