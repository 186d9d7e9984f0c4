"""`segsearch video`: what the library knows of a video, and parts of it as clips."""

from __future__ import annotations

import json
import shutil
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segsearch.cli.image_names import is_id
from segsearch.cli.options import AsJson
from segsearch.cli.parsing import numbers
from segsearch.cli.targets import check_target
from segsearch.core.atomic import is_stream, whole
from segsearch.core.errors import (
    DiskFullError,
    NotFoundError,
    PathError,
    QueryError,
    tells_of_full_disk,
)
from segsearch.core.video import CLIP_SIDE_PX, LEAST_CLIP_SIDE_PX, MOST_CLIP_SIDE_PX

if TYPE_CHECKING:
    from segsearch.library import SegSearch


def show_video(
    context: typer.Context,
    video: Annotated[
        str, typer.Argument(help="A video, by its id or path (`./4` is the file of that name).")
    ],
    part: Annotated[
        str | None,
        typer.Option("--clip", metavar="FROM,TO", help="Write this part as MP4, in seconds."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The file that the clip goes into.")] = None,
    side: Annotated[
        int,
        typer.Option(
            min=LEAST_CLIP_SIDE_PX,
            max=MOST_CLIP_SIDE_PX,
            help="The longer side of a clip, at most, in pixels.",
        ),
    ] = CLIP_SIDE_PX,
    as_json: AsJson = False,
) -> None:
    """Print what is known of a video, and its shots with how many things are seen in each; or write
    a part of it, at most a minute, as a clip that every player knows."""
    from segsearch.cli.output import clock
    from segsearch.export.video_documents import VideoDocument
    from segsearch.library import open_library

    with open_library(context.obj) as library:
        found = library.catalog.video(video_named(library, video))
        if part is not None:
            write_part(library, found.id, part, _needed(out), side)
            return
        if out is not None:
            raise QueryError("--out is for --clip FROM,TO, which says what part is written.")
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


def write_part(library: SegSearch, video_id: int, part: str, out: Path, side: int) -> None:
    """Write a part of a video, `FROM,TO`, into a file. PathError where that cannot be written, and
    as `StoredPictures.clip_file`."""
    t_start, t_end = numbers(part, 2, "--clip is FROM,TO in seconds, such as 3,8")
    if not isfinite(t_start) or not isfinite(t_end):
        raise QueryError(f"{part!r} cannot be read: --clip is FROM,TO in seconds, such as 3,8.")
    check_target(library, out.absolute())
    clip = library.pictures.clip_file(video_id, t_start, t_end, side_px=side)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with whole(out) as partial:
            shutil.copyfile(clip.path, partial)
    except OSError as problem:
        refusal = DiskFullError if tells_of_full_disk(problem) else PathError
        raise refusal(f"Cannot write to {str(out)!r}: {problem.strerror}.") from problem
    typer.echo(f"{t_end - t_start:g} seconds written to {out}", err=is_stream(out))


def _needed(out: Path | None) -> Path:
    if out is None:
        raise QueryError("Say where the clip goes: --out FILE.mp4.")
    return out


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
