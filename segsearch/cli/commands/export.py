"""`segsearch export`: regions with masks and captions, as files for other programs."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

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
    from segsearch.export.caption_pack import RegionSources, Written


STDOUT = "-"


class Format(StrEnum):
    """What is written."""

    COCO = "coco"
    JSONL = "jsonl"
    PARQUET = "parquet"
    CAPTION_PACK = "caption-pack"
    CUTOUTS = "cutouts"
    YTVIS = "ytvis"


def export(
    context: typer.Context,
    text: Words = None,
    into: Annotated[
        str,
        typer.Option(
            help="File; for a caption pack a folder, or a file that ends in .tar; - for standard "
            "output."
        ),
    ] = "segsearch-export",
    kind: Annotated[Format, typer.Option("--format", help="What to write.")] = Format.COCO,
    under: Below = None,
    everything: Annotated[
        bool, typer.Option("--everything", help="Every region of the library, as without words.")
    ] = False,
    relative_to: Annotated[
        str | None,
        typer.Option(
            help="For COCO and YouTube-VIS: the folder that pictures are named below; else what "
            "all have in common."
        ),
    ] = None,
    frames: Annotated[
        Path | None,
        typer.Option(help="For YouTube-VIS: the folder for the frames, as JPEG; else none."),
    ] = None,
    polygons: Annotated[
        bool,
        typer.Option("--polygons", help="For COCO: polygons, for tools that read no run lengths."),
    ] = False,
    limit: MostRegions = None,
    per_image: MostOfPicture = 10,
    min_relevance: LeastRelevance = MIN_RELEVANCE,
) -> None:
    """Write regions with masks and captions as COCO, JSON lines, Parquet, a caption pack, a zip of
    cutouts, or things of videos as YouTube-VIS.

    Without words and paths every region of the library is written.
    """
    from segsearch.core.atomic import is_stream
    from segsearch.library import open_library
    from segsearch.search.selection import RegionSelection

    if everything and (text is not None or under):
        raise QueryError("Give words, --under PATH or --everything, not several.")
    _check_options(kind, relative_to, frames, polygons=polygons)
    target = None if into == STDOUT else Path(into)
    _check_format(kind, target)
    settings: Settings = context.obj
    with open_library(settings) as library, _whole_output(kind) as output:
        if target and (target.is_dir() or not is_stream(target)):
            check_target(library, target.absolute())
        if frames:
            check_target(library, frames.absolute())
        chosen = RegionSelection(text, under or (), limit, per_image, min_relevance)
        hits = library.select(chosen, partial(typer.echo, err=True))
        options: dict[str, Any] = {"label": text or "region", "relative_to": relative_to}
        if kind is Format.COCO:
            options["polygons"] = polygons
        else:
            options["frames"] = frames
        try:
            written = _write(hits, kind, target or output, library.region_sources(), options)
        except OSError as problem:
            refusal = DiskFullError if tells_of_full_disk(problem) else PathError
            raise refusal(f"Cannot write to {into!r}: {problem.strerror}.") from problem
    # What goes to standard output, a pipe or a device is read by a program.
    said_aside = target is None or (is_stream(target) and not target.is_dir())
    _report(written, into if target else "standard output", said_aside=said_aside)


def _report(written: Written, shown: str, *, said_aside: bool) -> None:
    """Say what was written to a place, and what was not."""
    from rich.console import Console

    typer.echo(f"{written.regions} regions written to {shown}", err=said_aside)
    if written.left_out:
        said = f"{written.left_out} regions of pictures left out: YouTube-VIS holds videos alone"
        typer.echo(said, err=True)
    err = Console(stderr=True)
    for segment_id, reason in list(written.skipped.items())[:LISTED]:
        said = f"skipped segment {segment_id}: {reason}"
        err.print(said, markup=False, highlight=False, soft_wrap=True)
    if written.skipped:
        typer.echo(f"{len(written.skipped)} regions skipped", err=said_aside)
    if written.skipped and not written.regions:
        raise typer.Exit(NotFoundError.exit_code)


def _check_options(
    kind: Format, relative_to: str | None, frames: Path | None, *, polygons: bool
) -> None:
    """Whether a format has what is asked for."""
    if kind is not Format.COCO and polygons:
        raise InputError("--polygons is for --format coco.")
    if kind not in {Format.COCO, Format.YTVIS} and relative_to:
        raise InputError("--relative-to is for --format coco and ytvis.")
    if kind is not Format.YTVIS and frames:
        raise InputError("--frames is for --format ytvis.")


def _check_format(kind: Format, target: Path | None) -> None:
    """Whether a format can be written here, and to this target."""
    if kind is Format.PARQUET and importlib.util.find_spec("pyarrow") is None:
        raise InputError("The package pyarrow is missing: install segsearch with the extra 'data'.")
    if kind is not Format.CAPTION_PACK and target and target.is_dir():
        raise PathError(f"{str(target)!r} is a folder: name a file (--into).")


@contextmanager
def _whole_output(kind: Format) -> Iterator[Path]:
    """A file for what standard output shall hold, copied there when the block ends: only whole
    files are handed on, and tar and Parquet are written with steps back."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / ("export.tar" if kind is Format.CAPTION_PACK else "export")
        yield file
        if file.exists():
            with file.open("rb") as whole:
                shutil.copyfileobj(whole, sys.stdout.buffer)


def _write(
    hits: Iterable[Hit], kind: Format, into: Path, sources: RegionSources, options: dict[str, Any]
) -> Written:
    """Write regions; `options` are those of COCO and YouTube-VIS."""
    from segsearch.export.caption_pack import Written, write_caption_pack
    from segsearch.export.coco import write_coco
    from segsearch.export.cutouts import write_cutouts
    from segsearch.export.documents import write_json_lines
    from segsearch.export.ytvis import write_ytvis

    match kind:
        case Format.CAPTION_PACK:
            return write_caption_pack(hits, sources, into)
        case Format.CUTOUTS:
            return write_cutouts(hits, sources, into)
        case Format.YTVIS:
            return write_ytvis(hits, sources, into, **options)
        case Format.COCO:
            return Written(write_coco(hits, into, sources=sources, **options), {})
        case Format.PARQUET:
            from segsearch.export.parquet import write_parquet  # loads pyarrow

            return Written(write_parquet(hits, into), {})
        case Format.JSONL:
            return Written(write_json_lines(hits, into), {})
