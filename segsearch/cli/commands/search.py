"""`segsearch search`: regions for words, pictures, stored segments and what is pointed at."""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segsearch.core.errors import PathError
from segsearch.core.query import MIN_RELEVANCE, Prefer
from segsearch.core.types import MAX_ID

if TYPE_CHECKING:
    from segsearch.core.query import Query
    from segsearch.core.types import Hit
    from segsearch.library import SegSearch


Names = list[str] | None
Ids = list[int] | None


class Captions(StrEnum):
    """What captions count in a search."""

    OFF = "off"
    JOIN = "join"
    ONLY = "only"


def search(
    context: typer.Context,
    text: Annotated[str | None, typer.Argument(help="Words to look for.")] = None,
    words: Annotated[Names, typer.Option(help="More words: WORDS:WEIGHT.")] = None,
    without: Annotated[Names, typer.Option("--not", help="Words to steer away from.")] = None,
    image: Annotated[
        Names, typer.Option(help="A picture to look like: FILE_OR_URL[:WEIGHT].")
    ] = None,
    segment: Annotated[Names, typer.Option(help="A stored segment: ID[:WEIGHT].")] = None,
    stored: Annotated[
        Names, typer.Option("--image-id", help="A stored image as a whole: ID[:WEIGHT].")
    ] = None,
    vector: Annotated[
        Names, typer.Option(help="A JSON list of numbers of the embedder's: FILE[:WEIGHT].")
    ] = None,
    click: Annotated[
        Names, typer.Option(help="A thing in a picture: FILE_OR_ID:X,Y[;X,Y;!X,Y].")
    ] = None,
    box: Annotated[
        Names, typer.Option(help="A thing in a box in a picture: FILE_OR_ID:X0,Y0,X1,Y1.")
    ] = None,
    mask: Annotated[
        Names, typer.Option(help="A region by its COCO run lengths: FILE_OR_ID:MASK.json.")
    ] = None,
    candidate: Annotated[
        int | None, typer.Option(help="Which mask of a click or box, from 0; without it the best.")
    ] = None,
    like: Annotated[Ids, typer.Option(min=1, max=MAX_ID, help="A segment that was right.")] = None,
    unlike: Annotated[
        Ids, typer.Option(min=1, max=MAX_ID, help="A segment that was wrong.")
    ] = None,
    path: Annotated[Names, typer.Option(help="Only pictures at paths like this glob.")] = None,
    album: Annotated[Names, typer.Option(help="Only pictures in folders of this name.")] = None,
    collection: Annotated[
        Names, typer.Option(help="Only pictures in collections of this name.")
    ] = None,
    camera: Annotated[Names, typer.Option(help="Only pictures of this camera.")] = None,
    taken_after: Annotated[
        str | None, typer.Option(help="Only pictures taken on or after this day or time.")
    ] = None,
    taken_before: Annotated[
        str | None, typer.Option(help="Only pictures taken before this day or time.")
    ] = None,
    tag: Annotated[Names, typer.Option(help="Only pictures with this tag; several: any.")] = None,
    all_tags: Annotated[
        Names, typer.Option("--all-tag", help="Only pictures with this tag; several: each.")
    ] = None,
    no_tags: Annotated[
        Names, typer.Option("--no-tag", help="Only pictures without this tag.")
    ] = None,
    gps_box: Annotated[
        str | None, typer.Option(help="Only pictures taken in SOUTH,WEST,NORTH,EAST, degrees.")
    ] = None,
    near: Annotated[
        str | None, typer.Option(help="Only pictures taken near LATITUDE,LONGITUDE,KILOMETRES.")
    ] = None,
    min_width: Annotated[
        int | None, typer.Option(min=0, max=MAX_ID, help="Least width of pictures, px.")
    ] = None,
    min_height: Annotated[
        int | None, typer.Option(min=0, max=MAX_ID, help="Least height of pictures, px.")
    ] = None,
    place: Annotated[
        Names, typer.Option("--in", help='Only regions in this third: left, "top right", center.')
    ] = None,
    in_box: Annotated[
        str | None, typer.Option(help="Only regions in this box, in shares: X0,Y0,X1,Y1.")
    ] = None,
    min_area: Annotated[float | None, typer.Option(help="Least share of the picture.")] = None,
    max_area: Annotated[float | None, typer.Option(help="Largest share of the picture.")] = None,
    min_iou: Annotated[float | None, typer.Option(help="Least predicted IoU.")] = None,
    min_stability: Annotated[float | None, typer.Option(help="Least stability.")] = None,
    limit: Annotated[int, typer.Option(help="How many regions, or pictures, at most.")] = 10,
    per_image: Annotated[int, typer.Option(help="How many regions of one picture at most.")] = 3,
    by_picture: Annotated[bool, typer.Option("--by-picture", help="Group by picture.")] = False,
    prefer: Annotated[Prefer, typer.Option(help="Whole things, parts, or any.")] = Prefer.ANY,
    min_relevance: Annotated[
        float, typer.Option(help="Relevance the best region must reach; 0 shows all.")
    ] = MIN_RELEVANCE,
    captions: Annotated[
        Captions, typer.Option(help="Whether the words of captions count too, or only they.")
    ] = Captions.OFF,
    cursor: Annotated[str | None, typer.Option(help="Go on behind a page, by its cursor.")] = None,
    overlay: Annotated[
        Path | None, typer.Option(help="Write the best hit, marked in its picture, to this PNG.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
) -> None:
    """Find regions by words, pictures, segments, or what is pointed at; several add up."""
    from segsearch.cli.parsing import Typed, filters_of, terms_of
    from segsearch.core.query import Query
    from segsearch.media.sources.paths import normal
    from segsearch.media.sources.reader import Sources

    def every(values: Names) -> tuple[str, ...]:
        return tuple(values or ())

    def read(name: str) -> bytes:
        return Sources(context.obj).read(normal(name))

    typed = Typed(
        text, every(words), every(without), every(image), every(segment), every(stored),
        every(vector), every(click), every(box), every(mask), candidate,
    )  # fmt: skip
    filters = filters_of({
        "paths": path, "albums": album, "collections": collection, "cameras": camera,
        "taken_after": taken_after, "taken_before": taken_before, "min_width": min_width,
        "min_height": min_height, "tags": tag, "all_tags": all_tags, "no_tags": no_tags,
        "gps_box": gps_box, "near": near, "places": place, "box": in_box, "min_area": min_area,
        "max_area": max_area, "min_predicted_iou": min_iou, "min_stability": min_stability,
    })  # fmt: skip
    query = Query(
        terms_of(typed, read), limit, per_image, filters, prefer, by_picture,
        tuple(like or ()), tuple(unlike or ()), min_relevance, cursor, captions.value,
    )  # fmt: skip
    _answer(context, query, overlay, as_json=as_json)


def _answer(context: typer.Context, query: Query, overlay: Path | None, *, as_json: bool) -> None:
    from rich.console import Console

    from segsearch.cli.output import hit_table
    from segsearch.cli.targets import check_target
    from segsearch.export.documents import hit_document
    from segsearch.library import open_library
    from segsearch.search import validate as asked

    asked.check(query)  # before models are loaded for nothing
    with open_library(context.obj) as service:
        if overlay:
            check_target(service, overlay)
        answer = service.search(query)
        if overlay and answer.hits:
            _write_overlay(service, answer.hits[0], overlay)
    if not as_json:
        hit_table(Console(), answer.hits, message=answer.message, cursor=answer.next_cursor)
        return
    for hit in answer.hits:
        print(json.dumps(hit_document(hit)))
    if answer.message:
        print(answer.message, file=sys.stderr)
    if answer.next_cursor:
        print(f"More: --cursor {answer.next_cursor}", file=sys.stderr)


def _write_overlay(service: SegSearch, best: Hit, overlay: Path) -> None:
    from segsearch.export.render import overlay_png

    pixels = service.pictures.pixels(best.image.id)
    drawn = overlay_png(pixels, [best.segment.mask], [f"{best.score:.2f}"])
    try:
        overlay.write_bytes(drawn)
    except OSError as problem:
        raise PathError(f"Cannot write to {str(overlay)!r}: {problem.strerror}.") from problem
