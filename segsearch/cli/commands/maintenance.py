"""`segsearch verify`, `repair`, `prune`, `backup` and `restore`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from segsearch.core.errors import DamageError, PathError

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


def verify(context: typer.Context, as_json: AsJson = False) -> None:
    """Check that catalog, vectors, index and files agree; exit code 0 only when they do."""
    from segsearch.library import open_library

    with open_library(context.obj) as service:
        problems = service.maintenance.verify()
    if as_json:
        print(json.dumps({"ok": not problems, "problems": problems}))
    else:
        print("\n".join(problems) or "Catalog, vectors, index and files agree.")
    if problems:
        raise typer.Exit(DamageError.exit_code)


def repair(context: typer.Context, as_json: AsJson = False) -> None:
    """Put right what `verify` finds, and list what cannot be; exit code 0 when nothing is left.

    Damaged pictures are queued again: run `segsearch index` afterwards.
    """
    from segsearch.library import open_library

    with open_library(context.obj) as service:
        report = service.maintenance.repair()
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
    as_json: AsJson = False,
) -> None:
    """Forget pictures whose files are gone, as the last `index` of their folder found.

    A share that is not mounted looks like files that are gone: look at --dry-run first.
    """
    from segsearch.library import open_library

    with open_library(context.obj) as service:
        report = service.maintenance.prune(dry_run=dry_run)
    if as_json:
        print(json.dumps(asdict(report)))
        return
    for path in report.paths:
        print(f"{'gone' if dry_run else 'forgotten'}: {path}")
    done = "would be removed" if dry_run else "removed"
    print(f"{len(report.paths)} paths, {report.images} images {done}.")


def backup(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="The file to write; it must not be there yet.")],
    as_json: AsJson = False,
) -> None:
    """Copy the library as of one moment to one file, while others index and search.

    It holds everything but the pictures and the index, which is built again from it.
    """
    from segsearch.library import open_library

    with open_library(context.obj) as service:
        service.maintenance.backup(file)
    size = file.stat().st_size
    print(json.dumps({"file": str(file), "bytes": size}) if as_json else f"{file}: {size:,} bytes.")


def restore(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="A file that `segsearch backup` wrote.")],
    as_json: AsJson = False,
) -> None:
    """Put a backup in place of what the library holds; a new library is made when there is none."""
    from segsearch.library import open_library

    if not file.is_file():  # before a library is made for it
        raise PathError(f"There is no file {str(file)!r}.")
    with open_library(context.obj, create=True) as service:
        service.maintenance.restore(file)
        found = service.status()
    if as_json:
        print(json.dumps(asdict(found)))
    else:
        print(f"Restored {found.images} images with {found.segments} segments.")
