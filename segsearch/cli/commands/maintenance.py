"""`segsearch status`, `verify`, `repair`, `prune`, `backup` and `restore`."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import typer

from segsearch.cli.options import LISTED, AsJson
from segsearch.cli.targets import refuse_dash
from segsearch.core.errors import DamageError, PathError


def status(context: typer.Context, as_json: AsJson = False) -> None:
    """Say what the library holds."""
    from rich.console import Console

    from segsearch.cli.output import status_table
    from segsearch.library import open_library

    with open_library(context.obj) as library:
        counts = library.status()
    if as_json:
        print(json.dumps(asdict(counts)))
    else:
        status_table(Console(), counts)


def verify(context: typer.Context, as_json: AsJson = False) -> None:
    """Check that catalog, vectors, index and files agree.

    The exit code is 0 only when they do.
    """
    from segsearch.library import open_library

    with open_library(context.obj) as library:
        problems = library.maintenance.verify()
    if as_json:
        print(json.dumps({"ok": not problems, "problems": problems}))
    else:
        print("\n".join(problems) or "Catalog, vectors, index and files agree.")
    if problems:
        raise typer.Exit(DamageError.exit_code)


def repair(
    context: typer.Context,
    drop_rows: Annotated[
        bool,
        typer.Option(
            "--drop-rows",
            help="First let a PostgreSQL library keep no rows in pgvector any more; nodes search "
            "by FAISS when they are started again.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Repair what `verify` finds.

    It lists what was repaired and what could not be; the exit code is 0 when nothing is left.
    Damaged pictures are queued again: run `segsearch index` afterwards.
    """
    from segsearch.library import open_library

    dropped: tuple[str, ...] = ()
    if drop_rows:
        with open_library(context.obj) as library:
            if library.maintenance.drop_rows():
                dropped = ("The rows in pgvector were dropped.",)
    with open_library(context.obj) as library:
        report = library.maintenance.repair()
    report = replace(report, fixed=dropped + report.fixed)
    if as_json:
        print(json.dumps(asdict(report)))
    else:
        for sentence in report.fixed:
            print(f"repaired: {sentence}")
        for sentence in report.left:
            print(f"left: {sentence}")
        if not report.fixed and not report.left:
            print("There was nothing to repair.")
    if report.left:
        raise typer.Exit(DamageError.exit_code)


def prune(
    context: typer.Context,
    dry_run: Annotated[bool, typer.Option(help="Only list what would be forgotten.")] = False,
    excluded: Annotated[
        bool,
        typer.Option(
            "--excluded", help="Instead, those that the globs of the last `index` left out."
        ),
    ] = False,
    uploads: Annotated[
        bool, typer.Option("--uploads", help="Instead, delete uploaded files of no picture.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Forget pictures whose files are gone.

    What is gone is what the last `index` of its folder did not find any more. A share that is not
    mounted looks like files that are gone: look at --dry-run first. --uploads deletes files that
    uploads left which were killed; in a place that another library uses, too, those of that one.
    """
    from segsearch.library import open_library

    with open_library(context.obj) as library:
        if uploads:
            report = library.maintenance.prune_uploads(dry_run=dry_run)
        else:
            report = library.maintenance.prune(dry_run=dry_run, excluded=excluded)
    if as_json:
        print(json.dumps(asdict(report)))
        return
    for path in report.paths:
        state = "of no picture" if uploads else "left out" if excluded else "gone"
        print(f"{state if dry_run else 'deleted' if uploads else 'forgotten'}: {path}")
    if uploads:
        print(f"{len(report.paths)} uploaded files {'would be' if dry_run else 'were'} deleted.")
        return
    done = "would be removed" if dry_run else "removed"
    print(f"{len(report.paths)} paths, {report.images} images {done}.")


def backup(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="The file to write; it must not be there yet.")],
    as_json: AsJson = False,
) -> None:
    """Copy the library to one file.

    The copy is of one moment, also while others index and search. It holds everything but the
    pictures and the vector index, which is built again from it.
    """
    from segsearch.library import open_library

    refuse_dash(file)
    with open_library(context.obj) as library:
        library.maintenance.backup(file)
    size = file.stat().st_size
    print(json.dumps({"file": str(file), "bytes": size}) if as_json else f"{file}: {size:,} bytes.")


def restore(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="A file that `segsearch backup` wrote.")],
    as_json: AsJson = False,
) -> None:
    """Replace the library by a backup.

    A library is made when there is none. Pictures are read from the folders that the backup names:
    look at them where it comes from somebody else.
    """
    from segsearch.library import open_library

    if not file.is_file():  # before a library is made for it
        raise PathError(f"There is no file {str(file)!r}.")
    with open_library(context.obj, create=True) as library:
        library.maintenance.restore(file)
        counts = library.status()
        places = library.maintenance.places()
    if as_json:
        print(json.dumps(asdict(counts)))
        return
    print(f"Restored {counts.images} images with {counts.segments} segments.")
    for place in places[:LISTED]:
        print(f"  read from {place!r}")  # a name may hold what steers a terminal
    if len(places) > LISTED:
        print(f"  and from {len(places) - LISTED} more")
