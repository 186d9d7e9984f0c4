"""`segsearch migrate-store`: all of a library into another place, on another engine or the same."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from typing import Annotated

import typer

from segsearch.cli.options import AsJson


def migrate_store(
    source: Annotated[
        str, typer.Option("--from", help="A library's folder, or its PostgreSQL address.")
    ],
    target: Annotated[
        str, typer.Option("--to", help="An empty folder, or an empty PostgreSQL database.")
    ],
    as_json: AsJson = False,
) -> None:
    """Copy a library from a folder to a server, or back, with all ids.

    Stop its workers and servers first. Each table is counted and summed on both sides. A copy that
    was interrupted goes on when the command is given again. Pictures stay where they are.
    """
    from rich.console import Console
    from rich.table import Table

    from segsearch.cli.app import settings_of
    from segsearch.library import open_library
    from segsearch.storage.catalogs import move_library
    from segsearch.storage.indexes import check_index

    after = settings_of({"library": target})
    check_index(after)  # before anything is copied
    console = Console(stderr=True)
    copied: Counter[str] = Counter()
    with console.status("Copying ...") as shown:

        def progress(table: str, rows: int) -> None:
            copied[table] += rows
            shown.update(f"Copying {table}: {copied[table]:,} rows ...")

        report = move_library(settings_of({"library": source}), after, progress)
        with open_library(after) as library:
            if library.engine == "pgvector":  # others make theirs at the first search
                shown.update("Making the rows of the index ...")
                library.settle()
    if as_json:
        uploads = None if report.uploads is None else str(report.uploads)
        print(json.dumps({**asdict(report), "uploads": uploads}))
        return
    table = Table("table", "rows", "sha256, the same on both sides")
    for one in report.tables:
        table.add_row(one.name, f"{one.rows:,}", one.sha256[:16])
    Console().print(table)
    if report.keys:
        print("The API keys were copied.")
    if report.uploads is not None:
        print(f"Uploaded pictures stay in {str(report.uploads)!r}: keep that folder.")
