"""`segsearch presets`: the presets, which of them are ready, and how long a picture takes."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from segsearch.cli.options import AsJson

if TYPE_CHECKING:
    from rich.console import Console

    from segsearch.core.settings import Settings
    from segsearch.models.presets import Preset


def presets(
    context: typer.Context,
    measure: Annotated[
        str | None,
        typer.Option(help="Measure seconds and masks a picture on the pictures in a folder."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show the presets, and which models to pull.

    With --measure also how long a picture takes with those whose models are here.
    """
    from rich.console import Console

    from segsearch.media.sources.paths import normal
    from segsearch.models.loading import advice_here, best_here
    from segsearch.models.presets import PRESETS

    settings: Settings = context.obj
    folder = None if measure is None else normal(measure)
    best = best_here(settings).name
    rows = [_row(settings, preset, is_best=preset.name == best) for preset in PRESETS.values()]
    for row in rows:
        if folder is not None and not row["missing"]:
            row |= _measured(settings.model_copy(update={"preset": row["name"]}), folder)
    if as_json:
        print(json.dumps(rows))
        return
    _show(Console(), rows)
    Console().print(advice_here(settings), highlight=False)


def _row(settings: Settings, preset: Preset, *, is_best: bool) -> dict[str, Any]:
    from segsearch.models.loading import is_here

    return {
        "name": preset.name,
        "segmenter": preset.segmenter,
        "embedder": preset.embedder,
        "summary": preset.summary,
        "generator": preset.generator,
        "crop": preset.crop.document,
        "missing": [name for name in preset.models if not is_here(settings, name)],
        "best_here": is_best,
    }


def _measured(settings: Settings, folder: str | Path) -> dict[str, Any]:
    """Seconds and masks a picture; the first picture is run once before the clock starts.

    PathError for a folder without pictures.
    """
    from segsearch.core.errors import PathError, PictureError
    from segsearch.media.decode import Limits, decode
    from segsearch.media.sources.reader import Sources
    from segsearch.models.loading import build_pipeline

    pipeline = build_pipeline(settings)
    sources = Sources(settings)
    limits = Limits.of(settings)
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


def _show(console: Console, rows: list[dict[str, Any]]) -> None:
    from rich.table import Table

    table = Table()
    for name in ("preset", "segmenter", "embedder"):
        table.add_column(name, no_wrap=True)
    is_measured = any("seconds_per_picture" in row for row in rows)
    for name in ("here", *(("s a picture", "masks") if is_measured else ())):
        table.add_column(name, overflow="fold")
    for row in rows:
        state = "to be pulled" if row["missing"] else "yes"
        cells = [row["name"], row["segmenter"], row["embedder"]]
        cells.append("yes, the best" if row["best_here"] else state)
        if is_measured:
            seconds, masks = row.get("seconds_per_picture"), row.get("masks_per_picture")
            cells.append("" if seconds is None else f"{seconds:.2f}")
            cells.append("" if masks is None else f"{masks:.1f}")
        table.add_row(*cells)
    console.print(table)
    for row in rows:
        pull = f" `segsearch models pull {' '.join(row['missing'])}`" if row["missing"] else ""
        console.print(f"{row['name']}: {row['summary']}.{pull}", highlight=False, soft_wrap=True)
