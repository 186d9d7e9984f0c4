"""`segsearch models`: lists, fetches, checks and removes weights."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from segsearch.cli.options import AsJson
from segsearch.core.errors import ChecksumError

if TYPE_CHECKING:
    from segsearch.core.settings import Settings

app = typer.Typer(
    help="List, fetch, check and remove models.", no_args_is_help=True, rich_markup_mode=None
)
Names = Annotated[list[str], typer.Argument(help="Names as `models list` shows them.")]


@app.command("list")
def list_models(context: typer.Context, as_json: AsJson = False) -> None:
    """List every model, its licence and size.

    It loads no model. Those under `here` need no download.
    """
    rows = [*_embedded(), *_pullable(context.obj)]
    if as_json:
        print(json.dumps(rows))
    else:
        _show(rows)


@app.command()
def pull(
    context: typer.Context,
    names: Names,
    format: Annotated[  # noqa: A002 - the option's name
        str | None, typer.Option(help="pt, pth or safetensors, where a model has several.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Fetch models.

    After an interruption it goes on when it is run again; wrong bytes are thrown away.
    """
    from segsearch.models.loading import model_config, model_entry, model_store

    settings: Settings = context.obj
    store = model_store(settings)
    models = [model_entry(name) for name in names]  # a wrong name is said before the first byte
    rows: list[dict[str, Any]] = []
    for model in models:
        with _download_bars(quiet=as_json) as report:
            fetched = store.pull(model, model_config(model), format=format, report=report)
        digest = store.files(model)["weights"].sha256
        rows.append({"name": model.name, "fetched": fetched, "sha256": digest})
        if not as_json:
            print(f"{model.name}: {'fetched' if fetched else 'is here'}, sha256 {digest}")
    if as_json:
        print(json.dumps(rows))


@app.command("import")
def import_model(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The model that the file is.")],
    file: Annotated[Path, typer.Argument(help="Its weights; a tokenizer lies beside them.")],
) -> None:
    """Take a model's weights from a file.

    For machines that reach no model hub. A file that does not fit the model is refused.
    """
    from segsearch.models.loading import check_weights, model_config, model_entry, model_store

    store, model = model_store(context.obj), model_entry(name)
    store.put(model, file, model_config(model), check=partial(check_weights, model))
    print(f"{model.name}: imported, sha256 {store.files(model)['weights'].sha256}")


@app.command()
def verify(
    context: typer.Context,
    names: Annotated[
        list[str] | None, typer.Argument(help="Without names, all that are here.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check every byte of models.

    The sha256 of each file is compared with the recorded one; the exit code is 0 if all agree.
    """
    from segsearch.models.loading import find_model, model_store
    from segsearch.models.zoo.installed import embedded_names

    names = names or [*embedded_names(), *model_store(context.obj).kept()]
    checked = {name: find_model(context.obj, name).problems() for name in names}
    if as_json:
        print(json.dumps(checked))
    else:
        for name, problems in checked.items():
            print(f"{name}: {' '.join(problems) or 'every byte as recorded'}")
    if any(checked.values()):
        raise typer.Exit(ChecksumError.exit_code)


@app.command()
def path(context: typer.Context, name: str) -> None:
    """Print the path of a model's weights."""
    from segsearch.models.loading import find_model

    model = find_model(context.obj, name)
    print(model.folder / model.files["weights"][0])


@app.command()
def remove(context: typer.Context, names: Names) -> None:
    """Delete models from disk."""
    from segsearch.models.loading import model_entry, model_store

    store = model_store(context.obj)
    models = [model_entry(name) for name in dict.fromkeys(names)]
    for model in models:  # a wrong name is said before the first deletion
        store.begun(model)
    for model in models:
        print(f"{model.name}: removed, {store.remove(model) / 1e6:.0f} MB freed")


def _embedded() -> Iterator[dict[str, Any]]:
    from segsearch.models.zoo.installed import embedded_model, embedded_names

    for name in embedded_names():
        embedded = embedded_model(name)
        path = embedded.folder / embedded.files["weights"][0]
        yield {
            "name": name,
            "kind": embedded.kind,
            "architecture": name,
            "here": True,
            "megabytes": round(path.stat().st_size / 1e6),
            "parameters_millions": None,
            "input_px": None,
            "licence": embedded.licence,
            "commercial": True,
            "sha256": embedded.files["weights"][1],
            "source": embedded.source,
        }


def _pullable(settings: Settings) -> Iterator[dict[str, Any]]:
    from segsearch.models.loading import model_entry, model_store
    from segsearch.models.zoo.pullable import OPEN_CLIP, TABLE

    store = model_store(settings)
    others = [model_entry(name) for name in store.kept() if name.startswith(OPEN_CLIP)]
    for model in (*TABLE, *others):
        is_here = store.holds(model)
        weights = store.files(model)["weights"] if is_here else None
        yield {
            "name": model.name,
            "kind": model.kind,
            "architecture": model.architecture,
            "here": is_here,
            "megabytes": round(weights.bytes / 1e6) if weights else model.source().megabytes,
            "parameters_millions": model.parameters or None,
            "input_px": model.input_px,
            "licence": model.licence,
            "commercial": model.commercial,
            "sha256": weights.sha256 if weights else model.source().sha256,
            "source": weights.source if weights else model.source().url(settings.hub),
        }


def _show(rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table()
    table.add_column("name", no_wrap=True)  # what is copied into the next command
    for name in ("kind", "here"):
        table.add_column(name, overflow="fold")
    for name in ("MB", "px"):
        table.add_column(name, justify="right", no_wrap=True)
    for name in ("licence", "sha256"):
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(
            row["name"],
            row["kind"],
            "yes" if row["here"] else "",
            str(row["megabytes"] or ""),
            str(row["input_px"] or ""),
            row["licence"] + ("" if row["commercial"] else " (no commercial use)"),
            (row["sha256"] or "at pull")[:10],
        )
    Console().print(table)


@contextmanager
def _download_bars(*, quiet: bool) -> Iterator[Callable[[str, int, int | None], None] | None]:
    """A callback for `pull` that draws one bar a file: its name, bytes here, bytes in all."""
    if quiet:
        yield None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TaskID,
        TextColumn,
        TransferSpeedColumn,
    )

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, TransferSpeedColumn(), console=Console(stderr=True)) as bars:
        tasks: dict[str, TaskID] = {}

        def report(name: str, bytes_here: int, bytes_in_all: int | None) -> None:
            if name not in tasks:
                tasks[name] = bars.add_task(name, total=bytes_in_all)
            bars.update(tasks[name], completed=bytes_here, total=bytes_in_all)

        yield report
