"""`segsearch export`: regions with masks and captions, as files for other programs."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segsearch.cli.options import (
    LISTED,
    Below,
    LeastRelevance,
    MostOfPicture,
    MostRegions,
    Words,
)
from segsearch.cli.targets import check_target
from segsearch.core.errors import (
    DiskFullError,
    InputError,
    NotFoundError,
    PathError,
    QueryError,
    tells_of_full_disk,
)
from segsearch.core.query import MIN_RELEVANCE

if TYPE_CHECKING:
    from segsearch.core.settings import Settings
    from segsearch.core.types import Hit


class Format(StrEnum):
    """What is written."""

    COCO = "coco"
    JSONL = "jsonl"
    PARQUET = "parquet"
    CAPTION_PACK = "caption-pack"


def export(
    context: typer.Context,
    text: Words = None,
    into: Annotated[
        Path, typer.Option(help="File; for a caption pack a folder, or a file that ends in .tar.")
    ] = Path("segsearch-export"),
    kind: Annotated[Format, typer.Option("--format", help="What to write.")] = Format.COCO,
    under: Below = None,
    everything: Annotated[
        bool, typer.Option("--everything", help="Every region of the library, as without words.")
    ] = False,
    limit: MostRegions = None,
    per_image: MostOfPicture = 10,
    min_relevance: LeastRelevance = MIN_RELEVANCE,
) -> None:
    """Write regions with masks and captions as COCO, JSON lines, Parquet, or a caption pack.

    Without words and paths every region of the library is written.
    """
    from rich.console import Console

    from segsearch.core.atomic import is_stream
    from segsearch.export.caption_pack import Written, write_caption_pack
    from segsearch.library import RegionSelection, open_library

    if everything and (text is not None or under):
        raise QueryError("Give words, --under PATH or --everything, not several.")
    if kind is Format.PARQUET and importlib.util.find_spec("pyarrow") is None:
        raise InputError("The package pyarrow is missing: install segsearch with the extra 'data'.")
    if kind is not Format.CAPTION_PACK and into.is_dir():
        raise PathError(f"{str(into)!r} is a folder: name a file (--into).")
    settings: Settings = context.obj
    with open_library(settings) as library:
        if into.is_dir() or not is_stream(into):
            check_target(library, into)
        chosen = RegionSelection(text, under or (), limit, per_image, min_relevance)
        hits = library.select(chosen, partial(typer.echo, err=True))
        try:
            if kind is Format.CAPTION_PACK:
                written = write_caption_pack(hits, library.region_sources(), into)
            else:
                written = Written(_write_file(hits, kind, into, text or "region"), {})
        except OSError as problem:
            refusal = DiskFullError if tells_of_full_disk(problem) else PathError
            raise refusal(f"Cannot write to {str(into)!r}: {problem.strerror}.") from problem
    said_aside = is_stream(into) and not into.is_dir()  # what goes there is read by a program
    typer.echo(f"{written.regions} regions written to {into}", err=said_aside)
    err = Console(stderr=True)
    for segment_id, reason in list(written.skipped.items())[:LISTED]:
        said = f"skipped segment {segment_id}: {reason}"
        err.print(said, markup=False, highlight=False, soft_wrap=True)
    if written.skipped:
        typer.echo(f"{len(written.skipped)} regions skipped", err=said_aside)
    if written.skipped and not written.regions:
        raise typer.Exit(NotFoundError.exit_code)


def _write_file(hits: Iterable[Hit], kind: Format, into: Path, label: str) -> int:
    from segsearch.export.coco import write_coco
    from segsearch.export.documents import write_json_lines

    if kind is Format.PARQUET:
        from segsearch.export.parquet import write_parquet  # loads pyarrow

        return write_parquet(hits, into)
    if kind is Format.COCO:
        return write_coco(hits, into, label)
    return write_json_lines(hits, into)
