"""Loops that keep a library filled: folders in turn, watched folders, a thread beside a server."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from segsearch.core.errors import BusyError, EngineError, PathError, ReadOnlyError, SegSearchError
from segsearch.ingest.run import IndexOptions, Ingest, one_pass
from segsearch.ingest.watch import Watch

LOG = logging.getLogger(__name__)


def index_in_turn(ingest: Ingest, paths: Sequence[str | Path], stop: threading.Event) -> None:
    """Index these folders one by one, then what waits.

    A folder that is missing or empty stops neither the other folders nor uploads. Where the
    library's server is away, that is said, and the next call tries again.
    """
    for path in (*paths, None):
        try:
            if stop.is_set() or ingest.is_paused:
                return
            if path is None:
                ingest.run_waiting(stop)
            else:
                result = ingest.run([path], IndexOptions(stop=stop, mode=one_pass("worker")))
                LOG.info("Indexed %d pictures.", result.indexed, extra={"action": "worker.pass"})
        except (PathError, BusyError) as problem:
            LOG.info("Nothing to do: %s", problem, extra={"action": "worker.idle"})
        except EngineError as problem:
            LOG.warning("Tried again shortly: %s", problem, extra={"action": "worker.late"})
            return


def index_changes(ingest: Ingest, watch: Watch, stop: threading.Event) -> None:
    """Index what a watch reports, and what waits, until `stop`.

    What comes while another process holds the library, or switches its models, is tried again,
    and what a job that was cancelled has left, once workers are to go on.
    RecipeError when the library was made by other models than are here under their name.
    """
    ingest.resume()
    late: list[Path] = []
    options = IndexOptions(stop=stop, mode=one_pass("watch", watch.folders, watch.is_moving))
    for changed in watch.changes(stop):
        late = list(dict.fromkeys([*late, *changed]))
        try:
            if ingest.is_paused:
                continue
            if late:
                result = ingest.run(late, options)
                LOG.info("Indexed %d pictures.", result.indexed, extra={"action": "watch.pass"})
                if result.cancelled:
                    continue
            else:
                ingest.run_waiting(stop)
        except PathError as problem:
            LOG.info("Nothing to do: %s", problem, extra={"action": "watch.idle"})
        except (BusyError, EngineError) as problem:
            LOG.warning("Tried again shortly: %s", problem, extra={"action": "watch.late"})
            continue
        late = []


@contextmanager
def working(ingest: Ingest, poll_seconds: float) -> Iterator[None]:
    """A thread that indexes waiting pictures until the block ends; models run in processes."""
    stop = threading.Event()
    with suppress(ReadOnlyError):
        ingest.resume()

    def work() -> None:
        while not stop.is_set():
            try:
                ingest.run_waiting(stop)
            except SegSearchError as problem:
                extra = {"action": "worker.failed"}
                LOG.warning("The worker cannot go on: %s", problem, extra=extra)
            except Exception:  # uploads wait for this thread: it must not end before the server
                LOG.exception(
                    "The worker failed; it tries again.", extra={"action": "worker.failed"}
                )
            stop.wait(poll_seconds)

    thread = threading.Thread(target=work, name="worker")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
