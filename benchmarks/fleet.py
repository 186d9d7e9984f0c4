"""Whether the queue on PostgreSQL scales: `python -m benchmarks.fleet` fills a library by 1, 2 and
4 workers, and says how many pictures a minute that are beside one, and where the time goes.

The models are a stand-in that sleeps for a fixed time, so that neither processor nor disk is the
bound: what is measured is claims, commits, and waiting for each other. Each worker is a process
with one lane; all start together, on pictures that are entered already.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import event

from segsearch.core.types import FileStamp
from segsearch.ingest.run import IndexOptions, RunMode
from segsearch.library import SegSearch
from segsearch.storage.catalog.files import SeenFile
from tests.support.fleet_workers import PatientModels
from tests.support.ingest_processes import paint_many
from tests.support.small_models import open_small_service
from tools.postgres_server import PostgresServer

ROOT = Path(__file__).parents[1]
PASS = RunMode("worker", quiet=True, waits_for_others=False)
TIMED = ("claim", "commit", "lock")
Answer = TypeVar("Answer")


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=120)
    parser.add_argument("--seconds", type=float, default=0.5, help="What a picture costs.")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--work", nargs=2, metavar=("FOLDER", "ADDRESS"), help=argparse.SUPPRESS)
    asked = parser.parse_args(words)
    if asked.work:
        print(json.dumps(worked(Path(asked.work[0]), asked.work[1], asked.seconds)))
        return
    with tempfile.TemporaryDirectory() as folder, PostgresServer() as server:
        pictures = paint_many(Path(folder) / "pictures", asked.pictures)
        found = {}
        for count in asked.workers:
            address = server.create_database(f"fleet_{count}")
            here = Path(folder) / str(count)
            enter(here / "first", address, pictures)
            found[count] = measured(here, address, count, asked.seconds)
    show(found, asked.pictures, asked.seconds)


def enter(folder: Path, address: str, pictures: Path) -> None:
    """Let pictures wait, as a look at their folder would."""
    with open_small_service(folder, address=address) as service:
        recipe_id = service.catalog.register_recipe(PatientModels(0.0).recipe)
        files = [
            SeenFile(str(file), stamp_of(file), hashlib.sha256(file.read_bytes()).hexdigest())
            for file in sorted(pictures.iterdir())
        ]
        service.catalog.record_files(files, recipe_id)


def stamp_of(file: Path) -> FileStamp:
    known = file.stat()
    return FileStamp(known.st_size, known.st_mtime_ns)


def measured(folder: Path, address: str, count: int, seconds: float) -> dict[str, Any]:
    """What so many workers have taken until nothing waits, in seconds, and each by itself."""
    command = [sys.executable, "-m", "benchmarks.fleet", "--seconds", str(seconds), "--work"]
    workers = [
        subprocess.Popen(
            [*command, str(folder / str(number)), address],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for number in range(count)
    ]  # fmt: skip
    for worker in workers:
        assert worker.stdout is not None
        worker.stdout.readline()  # it is ready
    started = time.monotonic()
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("\n")
        worker.stdin.flush()
    told = [json.loads(worker.communicate()[0]) for worker in workers]
    return {"seconds": max(one["ended"] for one in told) - started, "workers": told}


def worked(folder: Path, address: str, seconds: float) -> dict[str, float]:
    """Work as one of several until nothing waits; how many pictures, and how long what took."""
    spent: dict[str, float] = defaultdict(float)
    with open_small_service(
        folder, models=PatientModels(seconds), address=address, lanes=1
    ) as service:
        measure(service, spent)
        service.status()
        print("ready", flush=True)
        sys.stdin.readline()
        spent.clear()
        report = service.ingest.run((), IndexOptions(mode=PASS))
        return {"pictures": report.indexed, "ended": spent["ended"], **{n: spent[n] for n in TIMED}}


def measure(service: SegSearch, spent: dict[str, float]) -> None:
    """Add up what claims and commits take, and what is waiting for other writers."""

    def timed(name: str, call: Callable[..., Answer]) -> Callable[..., Answer]:
        def measured(*given: Any) -> Answer:
            started = time.monotonic()
            answer = call(*given)
            spent[name] += time.monotonic() - started
            spent["ended"] = time.monotonic()
            return answer

        return measured

    catalog = service.catalog
    catalog.claim = timed("claim", catalog.claim)  # type: ignore[method-assign]
    catalog.commit = timed("commit", catalog.commit)  # type: ignore[method-assign]

    def begin(connection: Any, *_: Any) -> None:
        connection.info["began"] = time.monotonic()

    def end(connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if "pg_advisory_xact_lock" in statement:
            spent["lock"] += time.monotonic() - connection.info["began"]

    event.listen(catalog._engine, "before_cursor_execute", begin)
    event.listen(catalog._engine, "after_cursor_execute", end)


def show(found: dict[int, dict[str, Any]], pictures: int, seconds: float) -> None:
    """The table: of the times, milliseconds a picture."""
    print(f"{pictures} pictures of {seconds:g} s each; milliseconds are of one picture.")
    print("| workers | pictures/min | beside one | beside the ideal | claim | commit | lock |")
    print("|---|---|---|---|---|---|---|")
    alone = found[min(found)]["seconds"]
    for count, run in found.items():
        told = run["workers"]
        assert sum(one["pictures"] for one in told) == pictures, "each was done once"
        each = [1000 * sum(one[name] for one in told) / pictures for name in TIMED]
        cells = [
            str(count),
            f"{60 * pictures / run['seconds']:.0f}",
            f"{alone / run['seconds']:.2f}",
            f"{pictures * seconds / count / run['seconds']:.0%}",
            *(f"{value:.1f} ms" for value in each),
        ]
        print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
