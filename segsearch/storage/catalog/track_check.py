"""Masks and tracks that contradict themselves are said, and videos that hang on nothing put right.

What is wrong with a track is put right by describing its shot again (`integrity.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Any

import sqlalchemy as sa

from segsearch.core.errors import InputError
from segsearch.core.types import Mask
from segsearch.core.video import FORMAT
from segsearch.masks import rle
from segsearch.storage.catalog.images import drop_images
from segsearch.storage.catalog.shots import MASK, key_mask_from
from segsearch.storage.catalog.tables import IMAGE, SEGMENT, SHOT, TRACK, TRACK_MASK, VIDEO

LOOKED_AT_MASKS = 1_000  # held in memory at once
SLACK_SECONDS = 1e-3  # by which times that were rounded may lie beside each other


def video_problems(db: sa.Connection, recipe_id: int) -> Iterator[str]:
    """A sentence for each thing that is wrong with videos, shots and tracks."""
    for image_id in db.execute(_without_shot()).scalars():
        yield f"Image {image_id} is of a video, but no shot of one."
    for video_id in db.execute(_without_shots()).scalars():
        yield f"Video {video_id} has no shot."
    for _, problem in track_problems(db, recipe_id):
        yield problem


def mend_videos(db: sa.Connection) -> int:
    """Forget shots of which nothing is known, and videos that have none; how many shots."""
    db.execute(sa.delete(VIDEO).where(VIDEO.c.id.in_(_without_shots())))
    return drop_images(db, _without_shot())


def track_problems(db: sa.Connection, recipe_id: int) -> Iterator[tuple[int, str]]:
    """Image and a sentence for each segment of a shot that does not live as it should: without a
    track, or masks; with times out of order, or masks that do not fit."""
    if db.execute(sa.select(SHOT.c.image_id).limit(1)).first() is None:
        return
    query = (
        sa.select(SEGMENT.c.image_id, SEGMENT.c.id, SHOT.c.t_start, SHOT.c.t_end)
        .add_columns(TRACK.c.t_start, TRACK.c.t_end, TRACK.c.best_seconds)
        .add_columns(TRACK_MASK.c.seconds, IMAGE.c.height, IMAGE.c.width, *MASK)
        .join(IMAGE, IMAGE.c.id == SEGMENT.c.image_id)
        .join(SHOT, SHOT.c.image_id == SEGMENT.c.image_id)
        .outerjoin(TRACK, TRACK.c.segment_id == SEGMENT.c.id)
        .outerjoin(TRACK_MASK, TRACK_MASK.c.segment_id == SEGMENT.c.id)
        .where(SEGMENT.c.recipe_id == recipe_id)
        .order_by(SEGMENT.c.id, TRACK_MASK.c.seconds)
    )
    found = db.execute(query.execution_options(yield_per=LOOKED_AT_MASKS))
    for (image_id, segment_id, *times), some in groupby(found, lambda row: tuple(row[:7])):
        masks = [row[7:] for row in some]
        if problem := _track_problem(times, masks):
            yield image_id, f"Segment {segment_id}: {problem}."


def _track_problem(times: list[float | None], masks: list[Any]) -> str | None:
    opened, closed, start, end, best = times
    if start is None or end is None or best is None:
        return "it is of a video, but lives at no time"
    if masks[0][0] is None:
        return "it has no mask at any moment of its video"
    if not start <= best <= end:
        return f"it lives from {start:g} to {end:g} s, and is seen best at {best:g} s"
    for row in masks:
        key = key_mask_from(row)
        if not start - SLACK_SECONDS <= key.seconds <= end + SLACK_SECONDS:
            return f"it lives from {start:g} to {end:g} s, and has a mask at {key.seconds:g} s"
        if problem := mask_problem(key.mask):
            return f"at {key.seconds:g} s {problem}"
    if not (_at_most(opened, start) and _at_most(end, closed)):
        return f"it lives from {start:g} to {end:g} s, its shot from {opened:g} to {closed:g} s"
    return None


def _at_most(one: float | None, other: float | None) -> bool:
    return one is not None and other is not None and one <= other + SLACK_SECONDS


def _without_shot() -> sa.Select[int]:
    """Ids of images that are of a video of which nothing is known."""
    of_shot = sa.exists().where(SHOT.c.image_id == IMAGE.c.id)
    return sa.select(IMAGE.c.id).where(IMAGE.c.format == FORMAT, ~of_shot)


def _without_shots() -> sa.Select[int]:
    return sa.select(VIDEO.c.id).where(~sa.exists().where(SHOT.c.video_id == VIDEO.c.id))


def mask_problem(mask: Mask) -> str | None:
    """What is wrong with a stored mask, as the rest of a sentence; None for nothing."""
    box = mask.box
    if not (0 <= box.x0 < box.x1 <= mask.width and 0 <= box.y0 < box.y1 <= mask.height):
        return f"its box {box.as_tuple()} lies outside the {mask.width} x {mask.height} picture"
    lengths = {"size": [box.height, box.width], "counts": mask.counts}
    try:
        area = rle.from_coco(lengths).area
    except InputError as problem:
        return f"its run lengths are damaged ({problem})"
    return (
        None
        if area == mask.area
        else f"its mask covers {area} pixels, the catalog says {mask.area}"
    )
