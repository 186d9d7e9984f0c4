"""`segsearch video`: what the library knows of a video."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from segsearch.cli.image_names import is_id
from segsearch.cli.options import AsJson
from segsearch.core.errors import NotFoundError

if TYPE_CHECKING:
    from segsearch.library import SegSearch


def show_video(
    context: typer.Context,
    video: Annotated[
        str, typer.Argument(help="A video, by its id or path (`./4` is the file of that name).")
    ],
    as_json: AsJson = False,
) -> None:
    """Print what is known of a video, and its shots with how many things are seen in each."""
    from segsearch.cli.output import clock
    from segsearch.export.video_documents import VideoDocument
    from segsearch.library import open_library

    with open_library(context.obj) as library:
        found = library.catalog.video(video_named(library, video))
        if as_json:
            print(json.dumps(VideoDocument.of(found).model_dump()))
            return
        for path in found.paths:
            print(path)
        rate = f", {found.frame_rate:.4g} frames a second" if found.frame_rate else ""
        print(f"{found.width} x {found.height}, {clock(found.seconds)}{rate}, {found.codec} in "
              f"{found.container}")  # fmt: skip
        if found.lost:
            print(found.lost)
        for image_id, shot in found.shots:
            image = library.catalog.image(image_id)
            things = len(library.catalog.segments_of(image_id))
            said = f"{things} things" if image.state == "done" else image.state.value
            print(f"{clock(shot.t_start):>8} - {clock(shot.t_end):<8} image {image_id}: {said}")


def video_named(library: SegSearch, name: str) -> int:
    """The id of the video that is meant: a number is the id, whatever files are called, else it is
    a path. NotFoundError where the library has none there."""
    from segsearch.media.sources.paths import normal

    if is_id(name):
        return int(name)
    found = library.catalog.video_of_path(normal(name))
    if found is None:
        raise NotFoundError(f"The library holds no video at {name!r}.")
    return found
