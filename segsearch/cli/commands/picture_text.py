"""`segsearch text`: the text of a picture, as it was read."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from segsearch.cli.image_names import BY_ID_OR_PATH, image_named
from segsearch.cli.options import AsJson


def show_text(
    context: typer.Context,
    picture: Annotated[str, typer.Argument(help=f"A picture, {BY_ID_OR_PATH}.")],
    as_json: AsJson = False,
) -> None:
    """Print the lines of text in a picture, and, of a page, what its elements are."""
    from segsearch.core.plain import plain_text
    from segsearch.export.text_documents import PictureTextDocument
    from segsearch.library import open_library

    with open_library(context.obj) as library:
        read = library.text_of(image_named(library, picture))
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
