"""`segsearch export`: the regions that answer a query, as files for other programs."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from segsearch.errors import PathError
from segsearch.settings import Settings


class Format(StrEnum):
    """What is written."""

    COCO = "coco"
    JSONL = "jsonl"
    CAPTION_PACK = "caption-pack"


def export(
    context: typer.Context,
    text: Annotated[str | None, typer.Argument(help="Words to look for; none: all.")] = None,
    into: Annotated[Path, typer.Option(help="File, or folder for a caption pack.")] = Path(
        "segsearch-export"
    ),
    kind: Annotated[Format, typer.Option("--format", help="What to write.")] = Format.COCO,
    limit: Annotated[int, typer.Option(help="How many regions at most, of a query.")] = 100,
    per_image: Annotated[int, typer.Option(help="How many of one picture at most.")] = 10,
) -> None:
    """Write regions with their masks as COCO, as JSON lines, or as a pack for captioning.

    Without words every region of the library is written.
    """
    from segsearch.packs import Sources, coco_document, json_lines, write_caption_pack
    from segsearch.wiring import open_service

    settings: Settings = context.obj
    with open_service(settings) as service:
        if text is None:
            hits = list(service.everything())
        else:
            hits = service.search_text(text, limit=limit, per_image=per_image)
        try:
            if kind is Format.CAPTION_PACK:
                write_caption_pack(hits, Sources(service.picture, service.segments), into)
            elif kind is Format.COCO:
                into.write_text(json.dumps(coco_document(hits, text or "region")) + "\n", "utf-8")
            else:
                into.write_text(json_lines(hits), "utf-8")
        except OSError as problem:
            raise PathError(f"Cannot write to {str(into)!r}: {problem.strerror}.") from problem
    print(f"{len(hits)} regions written to {into}")
