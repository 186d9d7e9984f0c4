"""`segsearch eval`: measures search by region on a user's own annotated pictures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segsearch.cli.options import AsJson

if TYPE_CHECKING:
    from segsearch.core.settings import Settings


def evaluate(
    context: typer.Context,
    coco: Annotated[Path, typer.Option(help="COCO instances file: names and masks.")],
    images: Annotated[str, typer.Option(help="Folder of its pictures.")],
    limit: Annotated[
        int | None, typer.Option(help="Measure this many pictures, drawn at random once for all.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure search on annotated pictures.

    Search by region is measured beside search by whole pictures, patches and boxes, as in
    `benchmarks/regions`. Nothing is stored. `--preset` picks the models, SEGSEARCH_CONTEXT_WEIGHT,
    SEGSEARCH_MASKED_WEIGHT and SEGSEARCH_PICTURE_WEIGHT the mix of vectors, as in a search.
    """
    from rich.console import Console
    from rich.progress import track

    from segsearch.media.decode import Limits
    from segsearch.media.sources.paths import normal
    from segsearch.models.loading import build_pipeline, mix_here
    from segsearch.search.evaluation.run import check_present, sampled, table
    from segsearch.search.evaluation.run import evaluate as run
    from segsearch.search.evaluation.truth import read_truth

    settings: Settings = context.obj
    pictures = sampled(read_truth(coco, Path(normal(images))), limit)
    check_present(pictures)
    pipeline = build_pipeline(settings)
    console = Console(stderr=True, quiet=as_json)
    shown = track(pictures, "Describing", console=console)
    limits = Limits.of(settings)
    result = run(pipeline, shown, mix_here(settings), limits=limits)
    print(json.dumps(result.document) if as_json else table(result))
