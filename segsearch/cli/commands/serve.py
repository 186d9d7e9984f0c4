"""`segsearch serve` and `demo`: the HTTP API and the page, with a worker beside them."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segsearch.cli.signals import INTERRUPTED, stopping

if TYPE_CHECKING:
    from segsearch.core.settings import Settings

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
    from segsearch.ingest.background import working
    from segsearch.library import open_library
    from segsearch_api import server

    def announce(url: str) -> None:
        text = json.dumps({"url": url}) if as_json else f"Serving {url} (Ctrl-C ends)"
        print(text, flush=True)

    settings: Settings = context.obj
    with ExitStack() as stack:
        # Searches come first: one picture at a time is indexed beside them.
        beside = settings.model_copy(update={"lanes": settings.lanes or 1})
        library = stack.enter_context(open_library(beside, create=True))
        if with_worker:
            stack.enter_context(working(library.ingest, POLL_SECONDS))
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
