"""`segsearch eval`: measures search by region on a user's own annotated pictures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segsearch.cli.options import AsJson, Rerank, RerankMost, RerankSeconds
from segsearch.core.query import RERANK_SECONDS

if TYPE_CHECKING:
    from segsearch.core.arrays import Pixels
    from segsearch.core.settings import Settings
    from segsearch.export.rerank import BudgetedJudge, RerankOptions
    from segsearch.media.decode import Limits
    from segsearch.search.evaluation.truth import TruePicture


def evaluate(
    context: typer.Context,
    coco: Annotated[Path, typer.Option(help="COCO instances file: names and masks.")],
    images: Annotated[str, typer.Option(help="Folder of its pictures.")],
    limit: Annotated[
        int | None, typer.Option(help="Measure this many pictures, drawn at random once for all.")
    ] = None,
    rerank: Rerank = None,
    rerank_seconds: RerankSeconds = RERANK_SECONDS,
    rerank_most: RerankMost = None,
    as_json: AsJson = False,
) -> None:
    """Measure search on annotated pictures.

    Search by region is measured beside search by whole pictures, patches and boxes, as in
    `benchmarks/regions`. Nothing is stored. `--preset` picks the models, SEGSEARCH_CONTEXT_WEIGHT,
    SEGSEARCH_MASKED_WEIGHT and SEGSEARCH_PICTURE_WEIGHT the mix of vectors, as in a search.
    With `--rerank` a row below tells what a vision model makes of the answers; it is asked about
    each name, of an answer about 30 regions at most.
    """
    from rich.console import Console
    from rich.progress import track

    from segsearch.export.rerank import RerankOptions
    from segsearch.media.decode import Limits
    from segsearch.media.sources.paths import normal
    from segsearch.models.loading import build_pipeline, mix_here
    from segsearch.search.evaluation.run import check_present, sampled, table
    from segsearch.search.evaluation.run import evaluate as run
    from segsearch.search.evaluation.truth import read_truth

    settings: Settings = context.obj
    options = None if rerank is None else RerankOptions(rerank, rerank_seconds, rerank_most)
    pictures = sampled(read_truth(coco, Path(normal(images))), limit)
    check_present(pictures)
    limits = Limits.of(settings)
    judge = _judge(settings, options, pictures, limits) if options else None
    pipeline = build_pipeline(settings)
    console = Console(stderr=True, quiet=as_json)
    shown = track(pictures, "Describing", console=console)
    scores = judge.scores if judge else None
    result = run(pipeline, shown, mix_here(settings), limits=limits, rerank=scores)
    if judge and judge.scored < judge.regions:
        typer.echo(
            f"segsearch: The endpoint judged {judge.scored} of {judge.regions} regions, with "
            f"{judge.requests} requests: {judge.trouble or 'no reason given'}.",
            err=True,
        )
    print(json.dumps(result.document) if as_json else table(result))


def _judge(
    settings: Settings, options: RerankOptions, pictures: Sequence[TruePicture], limits: Limits
) -> BudgetedJudge:
    """A judge of regions whose `image_id` is their picture's place; EndpointMissingError."""
    from segsearch.export.rerank import BudgetedJudge
    from segsearch.export.vision_chat import endpoint_of
    from segsearch.search.evaluation.run import pixels_of

    def pixels(place: int, _seconds: float | None) -> Pixels:
        return pixels_of(pictures[place], limits)

    return BudgetedJudge(endpoint_of(settings), options, pixels)
