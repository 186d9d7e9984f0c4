"""`segsearch tag` and `remove`: what is done to pictures that are named by path or id."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated

import typer

from segsearch.cli.options import AsJson
from segsearch.core.errors import NotFoundError, QueryError
from segsearch.core.types import MAX_ID


def tag(
    context: typer.Context,
    paths: Annotated[
        list[str] | None, typer.Argument(help="Pictures, or folders of pictures.")
    ] = None,
    add: Annotated[list[str] | None, typer.Option(help="A tag to add.")] = None,
    remove: Annotated[list[str] | None, typer.Option(help="A tag to remove.")] = None,
    image_id: Annotated[
        list[int] | None, typer.Option(min=1, max=MAX_ID, help="Ids of images.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Add tags to pictures, or remove them.

    Without --add and --remove it shows the tags.
    """
    from segsearch.library import open_library

    if not paths and not image_id:
        raise QueryError("Name what to tag: a path, or --image-id ID.")
    with open_library(context.obj) as library:
        missing = library.lacking(paths=paths or (), image_ids=image_id or ())
        ids = library.tag(
            paths=paths or (), image_ids=image_id or (), add=add or (), remove=remove or ()
        )
        images = [library.catalog.image(number) for number in ids]
    if as_json:
        for image in images:
            print(json.dumps({"image_id": image.id, "tags": list(image.tags)}))
    else:
        for image in images:
            print(f"{image.paths[0] if image.paths else image.id}: {', '.join(image.tags) or '-'}")
    _check_all_known(missing)


def remove(
    context: typer.Context,
    paths: Annotated[
        list[str] | None, typer.Argument(help="Pictures or folders to forget; files stay.")
    ] = None,
    image_id: Annotated[
        list[int] | None,
        typer.Option(
            min=1,
            max=MAX_ID,
            help="Ids of images to forget, under all their paths; files of uploads are deleted.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Forget pictures; their files stay.

    Their segments and vectors are removed. A picture named by a path stays while the library knows
    another path to it. --image-id forgets it whole, and deletes its file if it was uploaded.
    """
    from segsearch.library import open_library

    if not paths and not image_id:
        raise QueryError("Name what to remove: a path, or --image-id ID.")
    with open_library(context.obj) as library:
        missing = library.lacking(paths=paths or (), image_ids=image_id or ())
        removed = library.remove(paths=paths or (), image_ids=image_id or ())
    text = f"Removed {removed} images." if removed else "Forgot the paths; other paths lead there."
    print(json.dumps({"removed": removed}) if as_json else text)
    _check_all_known(missing)


def _check_all_known(missing: Sequence[str]) -> None:
    """NotFoundError that names what the library does not have, after the rest is done."""
    if missing:
        raise NotFoundError(
            f"The library holds no image at {', '.join(missing)}; the rest has been dealt with."
        )
