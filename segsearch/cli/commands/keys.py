"""`segsearch keys`: API keys of a library, for a server that others reach."""

from __future__ import annotations

import json
from typing import Annotated, Literal

import typer

from segsearch.cli.options import AsJson

app = typer.Typer(
    help="Make, list and revoke the API keys of a library.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
ScopeName = Literal["read", "write", "admin"]  # `api_keys.Scope`, which loads more than the help


@app.command()
def create(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Who or what will use it.")],
    scope: Annotated[
        ScopeName, typer.Option(help="read: search and look; write: change; admin: keys.")
    ] = "read",
    as_json: AsJson = False,
) -> None:
    """Make a key and print it: this is the only time it can be seen."""
    from rich.console import Console

    from segsearch.storage.api_keys import Scope
    from segsearch.storage.catalogs import open_keys

    with open_keys(context.obj, create=True) as keys:
        key, text = keys.create(name, Scope(scope))
    if as_json:
        print(json.dumps({**key.document, "key": text}))
        return
    print(text)
    note = (
        f"Key {key.id} for {name!r} may {scope}. It is not shown again; send it as "
        "'Authorization: Bearer KEY'."
    )
    Console(stderr=True).print(note, markup=False, soft_wrap=True)


@app.command("list")
def list_keys(context: typer.Context, as_json: AsJson = False) -> None:
    """Show every key that was made, without its secret text."""
    from rich.console import Console
    from rich.table import Table

    from segsearch.storage.catalogs import open_keys

    with open_keys(context.obj) as ring:
        keys = ring.all()
    if as_json:
        print(json.dumps([key.document for key in keys]))
        return
    table = Table(*("id", "name", "scope", "made", "revoked"))
    for key in keys:
        restored = "" if key.trusted else "came with a dump: see `keys trust`"
        table.add_row(key.id, key.name, key.scope, key.created_at, key.revoked_at or restored)
    Console().print(table)


@app.command()
def revoke(context: typer.Context, key_id: str, as_json: AsJson = False) -> None:
    """End a key at once, also for servers that run."""
    from segsearch.storage.catalogs import open_keys

    with open_keys(context.obj) as keys:
        key = keys.revoke(key_id)
    print(json.dumps(key.document) if as_json else f"Key {key.id} ({key.name}) is revoked.")


@app.command()
def trust(context: typer.Context, key_id: str, as_json: AsJson = False) -> None:
    """Let a key open again that came back with a dump of a PostgreSQL database.

    Until then it opens nothing: it may have been revoked after the dump was made.
    """
    from segsearch.storage.catalogs import open_keys

    with open_keys(context.obj) as keys:
        key = keys.trust(key_id)
    print(json.dumps(key.document) if as_json else f"Key {key.id} ({key.name}) opens again.")
