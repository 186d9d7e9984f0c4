"""`segsearch text`: the text of a picture, as it was read."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from segsearch.cli.options import AsJson
from segsearch.core.errors import NotFoundError
from segsearch.core.types import MAX_ID

if TYPE_CHECKING:
    from segsearch.library import SegSearch


def show_text(
    context: typer.Context,
    picture: Annotated[str, typer.Argument(help="A picture: its path, or its id.")],
    as_json: AsJson = False,
) -> None:
    """Print the lines of text in a picture, and, of a page, what its elements are."""
    from segsearch.core.plain import plain_text
    from segsearch.export.text_documents import PictureTextDocument
    from segsearch.library import open_library

    with open_library(context.obj) as library:
        read = library.text_of(_image_id(library, picture))
    if as_json:
        print(json.dumps(PictureTextDocument.of(read).model_dump()))
        return
    if read.reader is None:
        typer.echo("The picture was not read: `segsearch index --read` does.", err=True)
    elements = {element.id: element for element in read.elements}
    shown: int | None = None
    for line in read.lines:
        element = next((elements[one] for one in reversed(line.regions) if one in elements), None)
        if element is not None and element.id != shown:
            print(f"[{element.reading_order} {element.kind}]")
        shown = element.id if element else None
        print(plain_text(line.line.text))


def _image_id(library: SegSearch, picture: str) -> int:
    """The image at a path, or of an id; NotFoundError where there is none."""
    from segsearch.media.sources.paths import normal

    ids = set(library.catalog.image_ids_at([normal(picture)]).values())
    if not ids and picture.isdecimal() and len(picture) <= len(str(MAX_ID)):
        return min(int(picture), MAX_ID)
    if not ids:
        raise NotFoundError(f"The library holds no picture at {picture}.")
    return ids.pop()
