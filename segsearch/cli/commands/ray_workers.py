"""`segsearch ray`: workers on the nodes of a Ray cluster."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from segsearch.cli.commands.index import DAY_SECONDS, POLL_SECONDS
from segsearch.cli.signals import stopping
from segsearch.core.errors import InputError

if TYPE_CHECKING:
    from segsearch.core.settings import Settings

# Variables of ours, of PostgreSQL's programs, and what opens a Milvus and S3. Names of files and
# profiles stay: other machines have their own.
HANDED_ON = (
    "SEGSEARCH_", "PG", "MILVUS_TOKEN", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_REGION", "AWS_DEFAULT_REGION",
)  # fmt: skip


def ray_workers(
    context: typer.Context,
    paths: Annotated[
        list[str] | None,
        typer.Argument(help="Folders or URLs to keep indexed; none: only what waits already."),
    ] = None,
    actors: Annotated[int, typer.Option(min=1, help="Number of workers.")] = 1,
    gpus_per_actor: Annotated[
        float, typer.Option(min=0, help="GPUs of each, as Ray counts them; 0.5 shares one.")
    ] = 0.0,
    address: Annotated[
        str | None,
        typer.Option(
            help="A running cluster, such as 10.0.0.5:6379 or auto; without it one is started on "
            "this machine."
        ),
    ] = None,
    poll_seconds: Annotated[
        float,
        typer.Option(
            min=0.1, max=DAY_SECONDS, help="Pause before the folders are looked at again."
        ),
    ] = POLL_SECONDS,
    processes: Annotated[
        int, typer.Option(min=1, help="Number of model processes of each worker.")
    ] = 1,
) -> None:
    """Keep folders indexed by workers on a Ray cluster, until SIGTERM or Ctrl-C.

    Each actor runs `segsearch worker`; whatever ends, with its process or its node, is placed
    anew. At the end started pictures are finished within SEGSEARCH_DRAIN_SECONDS.
    """
    from segsearch.cli.ray_fleet import RayFleet, WorkerOrder, connect, disconnect
    from segsearch.library import open_library
    from segsearch.media.sources.paths import normal

    settings: Settings = context.obj
    if address is not None and settings.catalog is None:
        raise InputError(
            "Workers of a cluster need a library that all its machines reach: name a PostgreSQL "
            "database with --library postgresql://user@host/photos."
        )
    taken = [normal(path) for path in paths or ()]
    with open_library(settings, create=True) as library:  # what is wrong is said here, once
        library.ingest.resume()
    words = ["-m", "segsearch", "worker", "--processes", str(processes)]
    words += ["--poll-seconds", str(poll_seconds), "--", *taken]
    order = WorkerOrder(words, environment_of(settings))
    connect(address, actors)
    try:
        with stopping() as stop:
            fleet = RayFleet(order, actors, gpus=gpus_per_actor)
            fleet.run(stop, settings.drain_seconds)
    finally:
        disconnect()


def environment_of(settings: Settings) -> dict[str, str]:
    """What workers are told of a library, passwords and keys among it: by their environment
    alone."""
    from segsearch.core.settings import folder_of

    given = {name: value for name, value in os.environ.items() if name.startswith(HANDED_ON)}
    given["SEGSEARCH_LIBRARY"] = str(settings.library.absolute())
    if settings.catalog is not None:
        given["SEGSEARCH_CATALOG"] = settings.catalog.get_secret_value()
        if settings.library == folder_of(given["SEGSEARCH_CATALOG"]):
            # Each machine's own folder follows from the address.
            given["SEGSEARCH_LIBRARY"] = given.pop("SEGSEARCH_CATALOG")
    if settings.preset is not None:
        given["SEGSEARCH_PRESET"] = settings.preset
    return given
