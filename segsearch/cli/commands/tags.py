"""`segsearch tag`: what users say of the pictures in a library."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated

import typer

from segsearch.core.errors import NotFoundError, QueryError
from segsearch.core.types import MAX_ID

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


def tag(
    context: typer.Context,
    paths: Annotated[
        list[str] | None, typer.Argument(help="Pictures, or folders of pictures.")
    ] = None,
    add: Annotated[list[str] | None, typer.Option(help="A tag to give.")] = None,
    remove: Annotated[list[str] | None, typer.Option(help="A tag to take away.")] = None,
    image_id: Annotated[
        list[int] | None, typer.Option(min=1, max=MAX_ID, help="Ids of images.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Give tags to pictures of the library, or take them away; without either, show them."""
    from segsearch.library import open_library

    if not paths and not image_id:
        raise QueryError("Name what to tag: a path, or --image-id ID.")
    with open_library(context.obj) as service:
        lost = service.lacking(paths=paths or (), image_ids=image_id or ())
        ids = service.tag(
            paths=paths or (), image_ids=image_id or (), add=add or (), remove=remove or ()
        )
        images = [service.catalog.image(one) for one in ids]
    if as_json:
        for image in images:
            print(json.dumps({"image_id": image.id, "tags": list(image.tags)}))
    else:
        for image in images:
            print(f"{image.paths[0] if image.paths else image.id}: {', '.join(image.tags) or '-'}")
    check_found(lost)


def check_found(lost: Sequence[str]) -> None:
    """NotFoundError that names what was passed by, once the rest is done."""
    if lost:
        raise NotFoundError(
            f"The library holds no image at {', '.join(lost)}; the rest has been dealt with."
        )
