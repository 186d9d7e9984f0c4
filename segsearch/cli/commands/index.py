"""`segsearch index`, `worker` and `watch`: the ways pictures get into a library."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segsearch.cli.options import AsJson
from segsearch.cli.signals import INTERRUPTED, stopping
from segsearch.core.errors import PathError, PictureError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from segsearch.core.settings import Settings
    from segsearch.media.sources.reader import Sources

POLL_SECONDS = 10.0
DAY_SECONDS = 86_400.0  # the largest value of such settings


def index(
    context: typer.Context,
    paths: Annotated[
        list[str] | None,
        typer.Argument(
            help="Pictures, folders, tar archives, or URLs; none with --rebuild, --retry-failed or "
            "--read: what the library holds."
        ),
    ] = None,
    include: Annotated[
        list[str] | None, typer.Option(help="Take only what matches this glob [SEGSEARCH_INCLUDE].")
    ] = None,
    exclude: Annotated[
        list[str] | None, typer.Option(help="Leave out what matches this glob [SEGSEARCH_EXCLUDE].")
    ] = None,
    rebuild: Annotated[
        bool, typer.Option(help="Put every picture of the library through the models again.")
    ] = False,
    keep_old: Annotated[
        bool, typer.Option(help="Keep what the earlier models made after the switch.")
    ] = False,
    retry_failed: Annotated[
        bool, typer.Option(help="Try pictures again that failed in an earlier run.")
    ] = False,
    read: Annotated[
        bool | None,
        typer.Option(
            "--read/--no-read",
            help="Read the text of all pictures, also of those that were indexed without; or of "
            "none. New pictures are read by default [SEGSEARCH_READ].",
        ),
    ] = None,
    animated: Annotated[
        bool | None,
        typer.Option(
            "--animated/--no-animated",
            help="Take GIF, WebP and AVIF pictures that move for videos, also those indexed as "
            "pictures; or not [SEGSEARCH_ANIMATED].",
        ),
    ] = None,
    explain: Annotated[
        bool,
        typer.Option("--explain", help="Only say what would be taken and left out, and why."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Segment and embed pictures.

    Run again, it goes on where it stopped and takes what is new. With another --preset than the
    library's, everything is made anew beside what is there, and searches switch over when it is
    complete.
    """
    from rich.console import Console

    from segsearch.cli.output import progress_bar, report_table, say_error
    from segsearch.export.documents import report_document
    from segsearch.library import open_library
    from segsearch.media.sources.reader import Sources
    from segsearch.models.loading import check_models

    if not paths and not (rebuild or retry_failed or read):
        raise PathError("Name pictures, folders, archives or URLs to index.")
    globs = {"include": include, "exclude": exclude}
    given: dict[str, object] = {name: tuple(value) for name, value in globs.items() if value}
    flags = {"read": read, "animated": animated}
    given |= {name: value for name, value in flags.items() if value is not None}
    settings: Settings = context.obj.model_copy(update=given)
    sources = Sources(settings)
    sources.check(paths or ())  # before a library is made for nothing
    if explain:
        _explain(sources, paths or (), as_json=as_json)
        return
    check_models(settings)
    with (
        open_library(settings, create=bool(paths)) as library,
        stopping() as stop,
        progress_bar(Console(stderr=True), quiet=as_json) as report,
    ):
        result = library.index(
            paths or (),
            report=report,
            stop=stop,
            rebuild=rebuild,
            retry_failed=retry_failed,
            keep_old=keep_old,
            read_missing=bool(read),
        )
    if as_json:
        print(json.dumps(report_document(result)))
    else:
        report_table(Console(), result)
    if stop.is_set() or result.cancelled:
        say_error("Stopped before the end; run the same command again to go on.")
        raise typer.Exit(INTERRUPTED)
    if result.skipped and result.indexed + result.unchanged + result.read == 0:
        raise typer.Exit(PictureError.exit_code)


def _explain(sources: Sources, paths: Sequence[str], *, as_json: bool) -> None:
    """Print what a run would take of these paths, and what it would not, with the reasons."""
    from segsearch.media.sources.passed_by import reason_of_name
    from segsearch.media.sources.paths import normal, scheme_of, shown

    listing = sources.look(paths)
    left_out = {shown(name): why for name, why in listing.left_out.items()}
    for name in map(normal, paths):
        above = None if scheme_of(name) else reason_of_name(name.strip("/").split("/"))
        if above:
            left_out[shown(name)] = f"{above} It is taken because it is named itself."
    skipped = {file.path: file.reason for file in listing.skipped}
    if as_json:
        taken = list(listing.files)
        print(json.dumps({"taken": taken, "skipped": skipped, "left_out": left_out}))
        return
    for name in listing.files:
        print(f"taken: {name}")
    for state, reasons in (("skipped", skipped), ("left out", left_out)):
        for name, why in sorted(reasons.items()):
            print(f"{state}: {name}: {why}")


def worker(
    context: typer.Context,
    paths: Annotated[
        list[str] | None,
        typer.Argument(help="Folders or URLs to keep indexed; none: only what waits already."),
    ] = None,
    poll_seconds: Annotated[
        float,
        typer.Option(
            min=0.1, max=DAY_SECONDS, help="Pause before the folders are looked at again."
        ),
    ] = POLL_SECONDS,
    processes: Annotated[
        int | None, typer.Option(min=1, help="Number of model processes [SEGSEARCH_LANES].")
    ] = None,
    drain_seconds: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=DAY_SECONDS,
            help="Time for started pictures after SIGTERM [SEGSEARCH_DRAIN_SECONDS].",
        ),
    ] = None,
) -> None:
    """Keep folders indexed until SIGTERM or Ctrl-C.

    Any number of workers may fill one library. The models run in processes of their own: one that
    crashes costs one try of one picture, and a picture that crashes two is set aside.
    """
    from segsearch.ingest.background import index_in_turn
    from segsearch.library import open_library

    given = {"lanes": processes, "drain_seconds": drain_seconds}
    chosen = {name: value for name, value in given.items() if value is not None}
    settings: Settings = context.obj.model_copy(update=chosen)
    with open_library(settings, create=True) as library, stopping() as stop:
        library.ingest.resume()
        while not stop.is_set():
            index_in_turn(library.ingest, paths or (), stop)
            stop.wait(poll_seconds)


def watch(
    context: typer.Context,
    paths: Annotated[list[str], typer.Argument(help="Folders to watch.")],
    settle_seconds: Annotated[
        float, typer.Option(min=0.1, help="A file is taken when it has not changed for so long.")
    ] = 2.0,
    poll: Annotated[
        bool | None,
        typer.Option(
            "--poll/--events",
            help="Scan again and again, or wait for events; by default chosen by file system.",
        ),
    ] = None,
    rescan_seconds: Annotated[
        float, typer.Option(min=1, help="Scan everything again after so long.")
    ] = 600.0,
) -> None:
    """Index folders, then every change in them.

    A changed file is indexed when it has not changed for a while. Files that are gone are marked;
    `segsearch prune` forgets them.
    """
    from segsearch.ingest.background import index_changes
    from segsearch.ingest.watch import Watch, WatchTimes
    from segsearch.library import open_library
    from segsearch.media.sources.paths import normal
    from segsearch.models.loading import check_models

    folders = [Path(normal(path)) for path in paths]
    for path, folder in zip(paths, folders, strict=True):
        if not folder.is_dir():
            raise PathError(f"There is no folder {path!r}.")
    check_models(context.obj)
    with open_library(context.obj, create=True) as library, stopping() as stop:
        times = WatchTimes(settle_seconds, rescan_seconds, POLL_SECONDS)
        index_changes(library.ingest, Watch(folders, context.obj.library, times, poll=poll), stop)
