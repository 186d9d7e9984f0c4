"""`segsearch serve` and `demo`: the HTTP API and the page, with a worker beside them."""

from __future__ import annotations

import json
import logging
import threading
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segsearch.cli.signals import INTERRUPTED, stopping

if TYPE_CHECKING:
    from segsearch.core.settings import Settings

LOG = logging.getLogger(__name__)
POLL_SECONDS = 1.0  # somebody waits for a picture that was just uploaded
DEMO_LIBRARY = Path("segsearch-demo")


def serve(
    context: typer.Context,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")
    ] = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Let others in without an API key.")
    ] = False,
    with_worker: Annotated[
        bool, typer.Option("--worker/--no-worker", help="Index waiting pictures while serving.")
    ] = True,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the address as JSON once it is bound.")
    ] = False,
) -> None:
    """Serve the HTTP API and the page until Ctrl-C."""
    from segsearch.library import open_library
    from segsearch_api import server

    def announce(url: str) -> None:
        text = json.dumps({"url": url}) if as_json else f"Serving {url} (Ctrl-C ends)"
        print(text, flush=True)

    settings: Settings = context.obj
    background = BackgroundWorker(settings) if with_worker else nullcontext()
    with open_library(settings, create=True) as library, background:
        server.serve(
            library,
            settings.host if host is None else host,
            settings.port if port is None else port,
            insecure=insecure,
            announce=announce,
        )


def demo(
    context: typer.Context,
    serve_after: Annotated[
        bool, typer.Option("--serve/--no-serve", help="Serve the page when the searches are done.")
    ] = True,
) -> None:
    """Index sample pictures, search them, and serve the page.

    `--library` picks the folder; without it, segsearch-demo.
    """
    from rich.console import Console

    from segsearch.cli.demo.run import run_demo
    from segsearch.library import open_library

    settings: Settings = context.obj
    if "library" not in settings.model_fields_set:
        context.obj = settings.model_copy(update={"library": DEMO_LIBRARY})
    with open_library(context.obj, create=True) as library, stopping() as stop:
        run_demo(library, Console(), stop)
    if stop.is_set():
        raise typer.Exit(INTERRUPTED)
    if serve_after:
        serve(context)


class BackgroundWorker:
    """A thread beside the server that indexes waiting pictures; its models run in processes."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings.model_copy(update={"lanes": settings.lanes or 1})
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="worker")

    def __enter__(self) -> BackgroundWorker:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        from segsearch.core.errors import SegSearchError
        from segsearch.library import open_library

        # Opened a second time: what the worker loads must not hold up a search.
        with open_library(self._settings, create=True) as library:
            while not self._stop.is_set():
                try:
                    library.index_waiting(self._stop)
                except SegSearchError as problem:
                    extra = {"action": "worker.failed"}
                    LOG.warning("The worker cannot go on: %s", problem, extra=extra)
                except Exception:  # uploads wait for this thread: it must not end before the server
                    extra = {"action": "worker.failed"}
                    LOG.exception("The worker failed; it tries again.", extra=extra)
                self._stop.wait(POLL_SECONDS)
