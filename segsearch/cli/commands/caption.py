"""`segsearch caption`: regions described by a vision model, kept to be searched and exported."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from segsearch.cli.options import (
    LISTED,
    AsJson,
    BaseUrl,
    Below,
    LeastRelevance,
    ModelName,
    MostOfPicture,
    MostRegions,
    Words,
)
from segsearch.cli.signals import INTERRUPTED, stopping
from segsearch.core.errors import AnswerError, QueryError
from segsearch.core.query import MIN_RELEVANCE

if TYPE_CHECKING:
    from segsearch.core.settings import Settings


def caption(
    context: typer.Context,
    text: Words = None,
    base_url: BaseUrl = None,
    model: ModelName = None,
    under: Below = None,
    everything: Annotated[
        bool, typer.Option("--everything", help="Caption every region of the library.")
    ] = False,
    limit: MostRegions = None,
    per_image: MostOfPicture = 10,
    min_relevance: LeastRelevance = MIN_RELEVANCE,
    most: Annotated[
        int | None, typer.Option(help="Cost cap: requests at most that may be billed.")
    ] = None,
    prompt: Annotated[
        str | None, typer.Option(help="What to ask of the two pictures shown of each region.")
    ] = None,
    at_once: Annotated[int, typer.Option(help="Requests under way at once.")] = 4,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds to wait for an answer.")] = 120,
    as_json: AsJson = False,
) -> None:
    """Describe regions by a vision model; run again, it sends only what has no caption yet.

    Each region is shown as a crop with its surroundings and outlined in its picture. The key comes
    from SEGSEARCH_CAPTION_KEY.
    """
    from rich.console import Console

    from segsearch.cli.output import caption_bar
    from segsearch.export.caption_pack import QUESTION
    from segsearch.export.captioning import CaptionOptions, caption_report_document
    from segsearch.export.captioning import caption as caption_regions
    from segsearch.export.vision_chat import endpoint_of
    from segsearch.library import open_library
    from segsearch.search.selection import RegionSelection

    if sum((text is not None, bool(under), everything)) != 1:
        raise QueryError("Say what to caption: words, --under PATH, or --everything.")
    settings: Settings = context.obj
    endpoint = endpoint_of(settings, base_url, model, timeout)
    options = CaptionOptions(QUESTION if prompt is None else prompt, at_once, most)
    err = Console(stderr=True)
    with (
        open_library(settings) as library,
        stopping() as stop,
        caption_bar(err, quiet=as_json) as report,
    ):
        chosen = RegionSelection(text, under or (), limit, per_image, min_relevance)
        hits = library.select(chosen, partial(typer.echo, err=True))
        result = caption_regions(
            hits,
            library.region_sources(),
            library.catalog,
            endpoint,
            options,
            stop=stop,
            report=report,
        )
    if as_json:
        print(json.dumps(caption_report_document(result)))
    else:
        print(
            f"{result.captioned} regions captioned, {result.already} had a caption, "
            f"{len(result.failed)} failed, {result.requests} requests, in {result.seconds:.1f} s."
        )
        for segment_id, reason in sorted(result.failed.items())[:LISTED]:
            print(f"  segment {segment_id}: {reason}")
    if stop.is_set():
        err.print("segsearch: Stopped before the end; run the same command again to go on.")
        raise typer.Exit(INTERRUPTED)
    if result.is_spent:
        err.print(f"segsearch: {most} requests were sent (--most); run it again to go on.")
    if result.failed and not result.captioned + result.already:
        raise typer.Exit(AnswerError.exit_code)
