"""`segsearch presets`: what can be chosen, what is here, and how long a picture takes."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from segsearch.core.settings import Settings


def presets(
    context: typer.Context,
    measure: Annotated[
        str | None,
        typer.Option(help="Measure seconds and masks a picture on the pictures in a folder."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
) -> None:
    """Show the presets: their models, what must be pulled, and with `--measure` their speed."""
    from segsearch.media.sources.paths import normal
    from segsearch.models.loading import advice_here, best_here, is_here
    from segsearch.models.presets import PRESETS

    settings: Settings = context.obj
    folder = None if measure is None else normal(measure)
    best = best_here(settings).name
    rows: list[dict[str, Any]] = []
    for one in PRESETS.values():
        missing = [name for name in one.models if not is_here(settings, name)]
        row: dict[str, Any] = {
            "name": one.name,
            "segmenter": one.segmenter,
            "embedder": one.embedder,
            "summary": one.summary,
            "generator": one.generator,
            "crop": one.crop.document,
            "missing": missing,
            "best_here": one.name == best,
        }
        if folder is not None and not missing:
            row |= _measured(settings.model_copy(update={"preset": one.name}), folder)
        rows.append(row)
    if as_json:
        print(json.dumps(rows))
        return
    _show(rows)
    Console().print(advice_here(settings), highlight=False)


def _measured(settings: Settings, folder: str | Path) -> dict[str, Any]:
    """Seconds and masks a picture, models loaded and one picture run before the clock starts."""
    from segsearch.core.errors import PathError, PictureError
    from segsearch.media.decode import Limits, decode
    from segsearch.media.sources.reader import Sources
    from segsearch.models.loading import build_pipeline

    pipeline = build_pipeline(settings)
    sources = Sources(settings)
    limits = Limits(settings.max_bytes, settings.max_pixels)
    pictures = masks = 0
    seconds = 0.0
    for file in sources.find([folder]).files:
        try:
            picture = decode(sources.read(file), limits)
        except PictureError:
            continue
        if not pictures:
            pipeline.describe(*picture)
        started = time.perf_counter()
        masks += len(pipeline.describe(*picture).segments)
        seconds += time.perf_counter() - started
        pictures += 1
    if not pictures:
        raise PathError(f"{str(folder)!r} holds no picture to measure.")
    return {
        "pictures": pictures,
        "seconds_per_picture": seconds / pictures,
        "masks_per_picture": masks / pictures,
    }


def _show(rows: list[dict[str, Any]]) -> None:
    table = Table()
    for name in ("preset", "segmenter", "embedder"):
        table.add_column(name, no_wrap=True)
    measured = any("seconds_per_picture" in row for row in rows)
    for name in ("here", *(("s a picture", "masks") if measured else ())):
        table.add_column(name, overflow="fold")
    for row in rows:
        here = "to be pulled" if row["missing"] else "yes"
        if row["best_here"]:
            here = "yes, the best"
        speed, masks = row.get("seconds_per_picture"), row.get("masks_per_picture")
        table.add_row(
            row["name"],
            row["segmenter"],
            row["embedder"],
            here,
            *(("" if speed is None else f"{speed:.2f}",) if measured else ()),
            *(("" if masks is None else f"{masks:.1f}",) if measured else ()),
        )
    console = Console()
    console.print(table)
    for row in rows:
        get = f" `segsearch models pull {' '.join(row['missing'])}`" if row["missing"] else ""
        console.print(f"{row['name']}: {row['summary']}.{get}", highlight=False, soft_wrap=True)
