"""`segsearch scene`: pictures that hold several things, each where it should lie."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from segsearch.cli.options import AsJson
from segsearch.cli.parsing import read_json
from segsearch.core.errors import InputError, QueryError

if TYPE_CHECKING:
    from segsearch.core.query import SceneQuery


def scene(
    context: typer.Context,
    file: Annotated[
        Path | None, typer.Argument(help="The scene as JSON, as POST /v1/search/scene takes it.")
    ] = None,
    thing: Annotated[
        list[str] | None, typer.Option(help="A thing: NAME, or NAME=WORDS; at least one.")
    ] = None,
    no: Annotated[list[str] | None, typer.Option(help="A thing that must not be there.")] = None,
    where: Annotated[
        list[str] | None, typer.Option(help='How two lie: "NAME left of NAME".')
    ] = None,
    limit: Annotated[int | None, typer.Option(help="How many pictures at most.")] = None,
    as_json: AsJson = False,
) -> None:
    """Find pictures that hold several things as asked for, and say which region is which."""
    from rich.console import Console

    from segsearch.cli.output import scene_table
    from segsearch.export.scene_documents import SceneDocument
    from segsearch.library import open_library

    document = read_json(file) if file else {"slots": [], "relations": []}
    if not isinstance(document, dict):
        raise InputError(f"{str(file)!r} holds no scene: expected an object.")
    slots = [_slot(text, absent=False) for text in thing or ()]
    slots += [_slot(text, absent=True) for text in no or ()]
    document["slots"] = [*_list(document, "slots"), *slots]
    names = [slot.get("name") for slot in document["slots"] if isinstance(slot, dict)]
    links = [_link(text, names) for text in where or ()]
    document["relations"] = [*_list(document, "relations"), *links]
    if limit is not None:
        document["limit"] = limit
    query = _query(document)
    with open_library(context.obj) as library:
        answer = library.search_scene(query)
    if not as_json:
        scene_table(Console(), answer)
        return
    for hit in answer.hits:
        print(json.dumps(SceneDocument.of(hit).model_dump()))
    if answer.message:
        print(answer.message, file=sys.stderr)


def _list(document: dict[str, Any], field: str) -> list[Any]:
    """What a file's scene says in a field, for more to be added; nothing where it is left out."""
    entries = document.get(field, [])
    if not isinstance(entries, list):
        raise QueryError(f"The scene's field {field} is wrong: expected a list.")
    return entries


def _query(document: dict[str, Any]) -> SceneQuery:
    from pydantic import TypeAdapter, ValidationError

    from segsearch.search.schema import SceneRequest

    if not document["slots"]:
        raise QueryError("The scene is empty: name a FILE, or things by --thing NAME.")
    try:
        return TypeAdapter(SceneRequest).validate_python(document).query()
    except ValidationError as problem:
        first = problem.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise QueryError(f"The scene's field {field} is wrong: {first['msg']}.") from problem


def _slot(text: str, *, absent: bool) -> dict[str, Any]:
    name, _, words = text.partition("=")
    return {"name": name.strip(), "text": (words or name).strip(), "absent": absent}


def _link(text: str, names: list[Any]) -> tuple[str, str, str]:
    """`NAME RELATION NAME` in its three parts; names may have spaces."""
    from segsearch.search.scene_assignment import LINKS

    for relation in LINKS:
        first, between, second = text.partition(f" {relation} ")
        if between and first.strip() in names and second.strip() in names:
            return first.strip(), relation, second.strip()
    raise QueryError(
        f"{text!r} cannot be read: expected NAME RELATION NAME with names of things, and one of "
        f"{', '.join(LINKS)}."
    )
