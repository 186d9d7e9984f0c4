"""`segsearch models`: which weights there are, and fetching, checking and removing them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from rich.table import Table

from segsearch.core.errors import ChecksumError
from segsearch.core.settings import Settings

app = typer.Typer(help="List, fetch, check and remove models.", no_args_is_help=True)
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
Names = Annotated[list[str], typer.Argument(help="Names as `models list` shows them.")]


@app.command("list")
def list_models(context: typer.Context, as_json: AsJson = False) -> None:
    """List every model with licence and size, and whether it is here; loads nothing."""
    rows = [*_embedded(), *_pulled(context.obj)]
    if as_json:
        print(json.dumps(rows))
        return
    table = Table()
    table.add_column("name", no_wrap=True)  # what is copied into the next command
    for name in ("kind", "here"):
        table.add_column(name, overflow="fold")
    for name in ("MB", "px"):
        table.add_column(name, justify="right", no_wrap=True)
    for name in ("licence", "sha256"):
        table.add_column(name, overflow="fold")
    for row in rows:
        licence = row["licence"] + ("" if row["commercial"] else " (no commercial use)")
        digest = (row["sha256"] or "at pull")[:10]
        here, size = "yes" if row["here"] else "", str(row["megabytes"] or "")
        table.add_row(
            row["name"], row["kind"], here, size, str(row["input_px"] or ""), licence, digest
        )
    Console().print(table)


@app.command()
def pull(
    context: typer.Context,
    names: Names,
    format: Annotated[  # noqa: A002 - the option's name
        str | None, typer.Option(help="pt, pth or safetensors, where a model has several.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Fetch models: interrupted, it goes on when run again; wrong bytes are thrown away."""
    from segsearch.models.loading import model_config, model_entry, model_store

    settings: Settings = context.obj
    store = model_store(settings)
    wanted = [model_entry(name) for name in names]  # a wrong name before the first byte
    done: list[dict[str, Any]] = []
    for one in wanted:
        with _bar(quiet=as_json) as report:
            fetched = store.pull(one, model_config(one), format=format, report=report)
        weights = store.files(one)["weights"]
        done.append({"name": one.name, "fetched": fetched, "sha256": weights.sha256})
        if not as_json:
            print(f"{one.name}: {'fetched' if fetched else 'is here'}, sha256 {weights.sha256}")
    if as_json:
        print(json.dumps(done))


@app.command("import")
def import_model(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The model that the file is.")],
    file: Annotated[Path, typer.Argument(help="Its weights; a tokenizer lies beside them.")],
) -> None:
    """Take weights from a file, on machines that reach no hub; what does not fit is refused."""
    from segsearch.models.loading import check_weights, model_config, model_entry, model_store

    store, one = model_store(context.obj), model_entry(name)
    store.put(one, file, model_config(one), check=partial(check_weights, one))
    print(f"{one.name}: imported, sha256 {store.files(one)['weights'].sha256}")


@app.command()
def verify(
    context: typer.Context,
    names: Annotated[list[str] | None, typer.Argument(help="Without names, all here.")] = None,
    as_json: AsJson = False,
) -> None:
    """Read every byte of models and compare with what was recorded; exit code 0 if all agree."""
    from segsearch.models.loading import find_model, model_store
    from segsearch.models.zoo.registry import embedded_names

    here = [*embedded_names(), *model_store(context.obj).kept()]
    checked = {name: find_model(context.obj, name).problems() for name in names or here}
    if as_json:
        print(json.dumps(checked))
    else:
        for name, problems in checked.items():
            print(f"{name}: {' '.join(problems) or 'every byte as recorded'}")
    if any(checked.values()):
        raise typer.Exit(ChecksumError.exit_code)


@app.command()
def path(context: typer.Context, name: str) -> None:
    """Print where a model's weights lie."""
    from segsearch.models.loading import find_model

    found = find_model(context.obj, name)
    print(found.folder / found.files["weights"][0])


@app.command()
def remove(context: typer.Context, names: Names) -> None:
    """Delete models from disk."""
    from segsearch.models.loading import model_entry, model_store

    store = model_store(context.obj)
    wanted = [model_entry(name) for name in dict.fromkeys(names)]
    for one in wanted:  # a wrong name before the first deletion
        store.begun(one)
    for one in wanted:
        print(f"{one.name}: removed, {store.remove(one) / 1e6:.0f} MB freed")


def _embedded() -> Iterator[dict[str, Any]]:
    from segsearch.models.zoo.registry import embedded_names, model

    for name in embedded_names():
        one = model(name)
        path = one.folder / one.files["weights"][0]
        yield {
            "name": name,
            "kind": one.kind,
            "architecture": name,
            "here": True,
            "megabytes": round(path.stat().st_size / 1e6),
            "parameters_millions": None,
            "input_px": None,
            "licence": one.licence,
            "commercial": True,
            "sha256": one.files["weights"][1],
            "source": one.source,
        }


def _pulled(settings: Settings) -> Iterator[dict[str, Any]]:
    from segsearch.models.loading import model_entry, model_store
    from segsearch.models.zoo.pullable import OPEN_CLIP, TABLE

    store = model_store(settings)
    others = [model_entry(name) for name in store.kept() if name.startswith(OPEN_CLIP)]
    for one in (*TABLE, *others):
        here = store.holds(one)
        kept = store.files(one)["weights"] if here else None
        yield {
            "name": one.name,
            "kind": one.kind,
            "architecture": one.architecture,
            "here": here,
            "megabytes": round(kept.bytes / 1e6) if kept else one.source().megabytes,
            "parameters_millions": one.parameters or None,
            "input_px": one.input_px,
            "licence": one.licence,
            "commercial": one.commercial,
            "sha256": kept.sha256 if kept else one.source().sha256,
            "source": kept.source if kept else one.source().url(settings.hub),
        }


@contextmanager
def _bar(*, quiet: bool) -> Iterator[Any]:
    """A report callback that draws one bar a file."""
    if quiet:
        yield None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, TransferSpeedColumn(), console=Console(stderr=True)) as bar:
        tasks: dict[str, Any] = {}

        def report(name: str, here: int, total: int | None) -> None:
            if name not in tasks:
                tasks[name] = bar.add_task(name, total=total)
            bar.update(tasks[name], completed=here, total=total)

        yield report
