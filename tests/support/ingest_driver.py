"""A command of its own for tests: indexes with the small models, in ways that can be killed.

`python -m tests.support.ingest_driver index|worker|serve|stay|leave|read LIBRARY PICTURES
[ADDRESS]`, the address of a PostgreSQL database that holds the catalog. `stay`
works as `worker` and then waits for its end; `leave` ends without closing the library; `read` reads
the text of what is indexed, as `worker` does.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segsearch.core.arrays import Pixels
from segsearch.core.text import Line
from segsearch.core.types import Proposal
from segsearch.models.pipeline import Pipeline
from tests.support.small_models import (
    ColourEmbedder,
    ColourSegmenter,
    ReadingModels,
    SmallModels,
    StripeReader,
    nearest_colours,
    open_small_service,
)

if TYPE_CHECKING:
    from segsearch.library import SegSearch

SLOWLY_SECONDS = 0.03
PURPLE, CYAN, BLACK = 4, 5, 6  # numbers of colours, see COLOURS


class HazardousSegmenter(ColourSegmenter):
    """Cuts like `ColourSegmenter`, slowly; a picture that is mostly purple ends the process by a
    signal, cyan by an exit code, black takes all memory it may."""

    def propose(self, pixels: Pixels) -> list[Proposal]:
        time.sleep(SLOWLY_SECONDS)
        shares = [(nearest_colours(pixels) == colour).mean() for colour in (PURPLE, CYAN, BLACK)]
        if shares[0] > 0.5:
            os.kill(os.getpid(), signal.SIGSEGV)
            time.sleep(60)  # another thread may take the signal, and a little later
        if shares[1] > 0.5:
            os._exit(3)
        if shares[2] > 0.5:
            held, _ = resource.getrlimit(resource.RLIMIT_AS)
            resource.setrlimit(resource.RLIMIT_AS, (2_000_000_000, held))
            bytearray(4_000_000_000)
        return super().propose(pixels)


def hazardous_pipeline() -> Pipeline:
    """The small models with a segmenter that can end its process."""
    return Pipeline(HazardousSegmenter(), ColourEmbedder(), SmallModels.crop)


class HazardousModels(SmallModels):
    """Small models of the same recipe that crash on some pictures."""

    def pipeline(self) -> Pipeline:
        return hazardous_pipeline()

    def builder(self) -> Callable[[], Pipeline]:
        return hazardous_pipeline


class SlowReader(StripeReader):
    """Reads slowly enough to be killed meanwhile."""

    def read(self, pixels: Pixels) -> list[Line]:
        time.sleep(SLOWLY_SECONDS)
        return super().read(pixels)


def slowly_reading_pipeline() -> Pipeline:
    """The small models and a slow reader."""
    return replace(SmallModels().pipeline(), reader=SlowReader())


class SlowlyReadingModels(ReadingModels):
    """The same as the service asks for them."""

    def builder(self) -> Callable[[], Pipeline]:
        return slowly_reading_pipeline


def main(mode: str, library: Path, pictures: Path, address: str | None = None) -> None:
    """Fill a library until all is done, or serve it while a worker fills it."""
    # Here, so that a model process, which imports this module, need not load a catalog.
    from segsearch.ingest.run import BY_HAND, one_pass

    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    settings: dict[str, Any] = {
        "lease_seconds": 2.0,
        "retry_seconds": 0.2,
        "lanes": 1,
        "drain_seconds": 5.0,
    }
    models = SlowlyReadingModels() if mode == "read" else HazardousModels()
    open_ = partial(open_small_service, library, models=models, address=address, **settings)
    if mode == "leave":
        open_().index([pictures], mode=one_pass("worker"))
        return
    with open_() as service:
        run_mode = BY_HAND if mode == "index" else one_pass("worker")
        if mode == "serve":
            thread = threading.Thread(target=serve, args=[service], daemon=True)
            thread.start()
        taken = [] if mode == "read" else [pictures]
        report = service.index(taken, stop=stop, mode=run_mode, read_missing=mode == "read")
        if mode == "stay":
            stop.wait()
        sys.stdout.write(json.dumps({"indexed": report.indexed, "skipped": len(report.skipped)}))


def serve(service: SegSearch) -> None:
    """The API on a free port, in a thread beside the worker."""
    import uvicorn

    from segsearch_api.app import create_app

    uvicorn.Server(uvicorn.Config(create_app(service), port=0, log_config=None)).run()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), *sys.argv[4:])
