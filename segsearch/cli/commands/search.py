"""`segsearch search`: regions for words, pictures, stored segments and what is pointed at."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from segsearch.cli.options import AsJson, Rerank, RerankMost, RerankSeconds
from segsearch.cli.parsing import TypedTerms, filters_of, terms_of, with_options
from segsearch.core.errors import PathError
from segsearch.core.filters import Filters
from segsearch.core.query import RERANK_SECONDS, Query, SearchOptions

if TYPE_CHECKING:
    from segsearch.core.types import Hit
    from segsearch.export.rerank import RerankOptions
    from segsearch.library import SegSearch

TERMS = {
    "words": "--words", "without": "--not", "images": "--image", "segments": "--segment",
    "stored": "--image-id", "vectors": "--vector", "clicks": "--click", "boxes": "--box",
    "masks": "--mask", "candidate": "--candidate",
}  # fmt: skip
FILTERS = {
    "paths": "--path", "albums": "--album", "collections": "--collection", "cameras": "--camera",
    "taken_after": "--taken-after", "taken_before": "--taken-before", "tags": "--tag",
    "all_tags": "--all-tag", "no_tags": "--no-tag", "gps_box": "--gps-box", "near": "--near",
    "min_width": "--min-width", "min_height": "--min-height", "places": "--in", "box": "--in-box",
    "min_area": "--min-area", "max_area": "--max-area", "min_predicted_iou": "--min-iou",
    "min_stability": "--min-stability", "map_cluster": "--map-cluster",
    "has_text": "--has-text / --no-text", "kinds": "--kind", "is_video": "--video / --picture",
    "videos": "--of-video", "between": "--between", "min_duration": "--min-duration",
    "max_duration": "--max-duration",
}  # fmt: skip
OPTIONS = {
    "limit": "--limit", "per_image": "--per-image", "per_video": "--per-video",
    "by_picture": "--by-picture", "by_video": "--by-video", "order": "--order",
    "elsewhere": "--elsewhere",
    "prefer": "--prefer", "near_duplicates": "--near-duplicates",
    "min_relevance": "--min-relevance", "captions": "--captions", "written": "--written",
    "cursor": "--cursor",
    "like": "--like", "unlike": "--unlike",
}  # fmt: skip


@with_options({TypedTerms: TERMS, Filters: FILTERS, SearchOptions: OPTIONS})
def search(
    context: typer.Context,
    text: Annotated[str | None, typer.Argument(help="Words to look for.")] = None,
    *,
    overlay: Annotated[
        Path | None, typer.Option(help="Write the best hit, marked in its picture, to this PNG.")
    ] = None,
    rerank: Rerank = None,
    rerank_seconds: RerankSeconds = RERANK_SECONDS,
    rerank_most: RerankMost = None,
    as_json: AsJson = False,
    **given: Any,
) -> None:
    """Find regions by words, pictures, segments, or what is pointed at; several add up."""

    def read(name: str) -> bytes:
        from segsearch.media.sources.paths import normal
        from segsearch.media.sources.reader import Sources

        return Sources(context.obj).read(normal(name))

    def typed(flags: dict[str, str]) -> dict[str, Any]:
        return {name: given[name] for name in flags if given[name] is not None}

    terms = terms_of(TypedTerms(text, **typed(TERMS)), read)
    query = Query(terms, filters=filters_of(typed(FILTERS)), **typed(OPTIONS))
    options = _options(rerank, rerank_seconds, rerank_most)
    _answer(context, query, overlay, options, as_json=as_json)


def _options(first: int | None, seconds: float, most: int | None) -> RerankOptions | None:
    if first is None:
        return None
    from segsearch.export.rerank import RerankOptions

    return RerankOptions(first, seconds, most)


def _answer(
    context: typer.Context,
    query: Query,
    overlay: Path | None,
    rerank: RerankOptions | None,
    *,
    as_json: bool,
) -> None:
    from segsearch.cli.running_server import ask_running_server

    # The pictures of an overlay and of what is reranked are read here anyway.
    answer = None if overlay or rerank else ask_running_server(context.obj, query)
    if answer is None:
        answer = _search_here(context, query, overlay, rerank)
    hits, message, cursor = (answer[name] for name in ("hits", "message", "next_cursor"))
    if not as_json:
        from rich.console import Console

        from segsearch.cli.output import hit_table

        hit_table(Console(), hits, message=message, cursor=cursor)
        return
    sys.stdout.writelines(json.dumps(hit) + "\n" for hit in hits)
    if message:
        print(message, file=sys.stderr)
    if cursor:
        print(f"More: --cursor {cursor}", file=sys.stderr)


def _search_here(
    context: typer.Context, query: Query, overlay: Path | None, rerank: RerankOptions | None
) -> dict[str, Any]:
    """The answer of a library opened in this process: `hits` as documents, and the rest."""
    from segsearch.cli.targets import check_target
    from segsearch.export.documents import HitDocument
    from segsearch.library import open_library

    with open_library(context.obj) as library:
        if overlay:
            check_target(library, overlay)
        if rerank:
            library.questions.check_rerank(query)
        answer = library.search(query)
        if rerank and answer.hits:
            outcome = library.questions.rerank(query, answer, rerank)
            answer = outcome.answer
            if outcome.message:
                typer.echo(f"segsearch: {outcome.message}", err=True)
        if overlay and answer.hits:
            _write_overlay(library, answer.hits[0], overlay)
    hits = [HitDocument.of(hit).model_dump() for hit in answer.hits]
    return {"hits": hits, "message": answer.message, "next_cursor": answer.next_cursor}


def _write_overlay(library: SegSearch, best: Hit, overlay: Path) -> None:
    from segsearch.export.render import overlay_png

    pixels = library.pictures.pixels(best.image.id, best.segment.seen_at)
    drawn = overlay_png(pixels, [best.segment.mask], [f"{best.score:.2f}"])
    try:
        overlay.write_bytes(drawn)
    except OSError as problem:
        raise PathError(f"Cannot write to {str(overlay)!r}: {problem.strerror}.") from problem
