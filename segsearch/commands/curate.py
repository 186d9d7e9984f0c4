"""`segsearch tag` and `segsearch prune`: what users do with a library beside filling it."""

from __future__ import annotations

import json
from typing import Annotated

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


def tag(
    context: typer.Context,
    paths: Annotated[
        list[str] | None, typer.Argument(help="Pictures, or folders of pictures.")
    ] = None,
    add: Annotated[list[str] | None, typer.Option(help="A tag to give.")] = None,
    remove: Annotated[list[str] | None, typer.Option(help="A tag to take away.")] = None,
    image_id: Annotated[list[int] | None, typer.Option(help="Ids of images.")] = None,
    as_json: AsJson = False,
) -> None:
    """Give tags to pictures of the library, or take them away; without either, show them."""
    from segsearch.wiring import open_service

    with open_service(context.obj) as service:
        ids = service.tag(
            paths=paths or (), image_ids=image_id or (), add=add or (), remove=remove or ()
        )
        images = [service.image(one) for one in ids]
    if as_json:
        for image in images:
            print(json.dumps({"image_id": image.id, "tags": list(image.tags)}))
    else:
        for image in images:
            print(f"{image.paths[0] if image.paths else image.id}: {', '.join(image.tags) or '-'}")


def prune(
    context: typer.Context,
    dry_run: Annotated[bool, typer.Option(help="Only say what would be forgotten.")] = False,
    as_json: AsJson = False,
) -> None:
    """Forget pictures whose files are gone: missed by the last `index` of their folder, and now."""
    from segsearch.wiring import open_service

    with open_service(context.obj) as service:
        pruned = service.prune(only_look=dry_run)
    if as_json:
        print(json.dumps({"paths": list(pruned.paths), "images": pruned.images}))
        return
    for path in pruned.paths:
        print(path)
    verb = "are gone" if dry_run else "were forgotten"
    print(f"{len(pruned.paths)} files {verb}, {pruned.images} images with them.")
