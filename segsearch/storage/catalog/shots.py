"""Videos: their shots, which are images, and how the segments of these live, as tracks with masks.

Nothing here is asked for a library of pictures: `Image.format` says which images are shots.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import sqlalchemy as sa

from segsearch.core.arrays import DescribedPicture, DescribedSegment
from segsearch.core.errors import NotFoundError
from segsearch.core.lives import Life, Shot
from segsearch.core.names import VIDEO_FILE, file_of, split_shot
from segsearch.core.types import Box, Claim, Mask, PictureInfo, Segment
from segsearch.core.video import FORMAT, DescribedTrack, KeyMask, Video, VideoInfo
from segsearch.storage.catalog.counters import CounterMixin
from segsearch.storage.catalog.portable import AMONG_IDS, NOW, ids_parameter, insert
from segsearch.storage.catalog.rows import OF_SEGMENT, in_order, segment_from, without_times
from segsearch.storage.catalog.tables import (
    ACTIVE_RECIPE,
    IMAGE,
    SEGMENT,
    SHOT,
    SOURCE,
    TRACK,
    TRACK_MASK,
    VIDEO,
)

FACTS = tuple(field.name for field in fields(VideoInfo) if field.name != "shots")
# Until a shot is described, the middle of it stands for it.
_SECONDS = sa.func.coalesce(SHOT.c.seconds, (SHOT.c.t_start + SHOT.c.t_end) / 2)
_SHOT = sa.select(SHOT.c.image_id, SHOT.c.video_id, SHOT.c.t_start, SHOT.c.t_end, _SECONDS)
_SHOTS_OF_IMAGES = _SHOT.where(SHOT.c.image_id.in_(AMONG_IDS))
_SHOTS_OF_VIDEOS = _SHOT.where(SHOT.c.video_id.in_(AMONG_IDS)).order_by(
    SHOT.c.t_start, SHOT.c.image_id
)
_LIVES = sa.select(TRACK).where(TRACK.c.segment_id.in_(AMONG_IDS))
MASK = tuple(TRACK_MASK.c[name] for name in ("x0", "y0", "x1", "y1", "counts", "area"))
_MASKS = (
    sa.select(TRACK_MASK.c.segment_id, TRACK_MASK.c.seconds, IMAGE.c.height, IMAGE.c.width, *MASK)
    .join(SEGMENT, SEGMENT.c.id == TRACK_MASK.c.segment_id)
    .join(IMAGE, IMAGE.c.id == SEGMENT.c.image_id)
)
_ALL_MASKS = _MASKS.where(TRACK_MASK.c.segment_id.in_(AMONG_IDS))  # whatever the recipe
_KEY_MASKS = _MASKS.where(SEGMENT.c.recipe_id == ACTIVE_RECIPE).order_by(
    TRACK_MASK.c.segment_id, TRACK_MASK.c.seconds
)
_OF_SEGMENTS = _KEY_MASKS.where(TRACK_MASK.c.segment_id.in_(AMONG_IDS))
_KEY_TIMES = (
    sa.select(SHOT.c.image_id, SHOT.c.t_start, TRACK_MASK.c.seconds)
    .join(SEGMENT, SEGMENT.c.image_id == SHOT.c.image_id)
    .join(TRACK_MASK, TRACK_MASK.c.segment_id == SEGMENT.c.id)
    .where(SHOT.c.video_id == sa.bindparam("video"), SEGMENT.c.recipe_id == ACTIVE_RECIPE)
    .distinct()
    .order_by(SHOT.c.t_start, SHOT.c.image_id, TRACK_MASK.c.seconds)
)
_OTHER_MASK = TRACK_MASK.alias("other_mask")
_NEAREST = (
    sa.select(_OTHER_MASK.c.seconds)
    .where(_OTHER_MASK.c.segment_id == TRACK_MASK.c.segment_id)
    .order_by(sa.func.abs(_OTHER_MASK.c.seconds - sa.bindparam("at")), _OTHER_MASK.c.seconds)
    .limit(1)
    .scalar_subquery()
)
_AT = _OF_SEGMENTS.where(TRACK_MASK.c.seconds == _NEAREST)
_ALIVE = (
    sa.select(*OF_SEGMENT)
    .join(IMAGE, IMAGE.c.id == SEGMENT.c.image_id)
    .join(TRACK, TRACK.c.segment_id == SEGMENT.c.id)
    .where(SEGMENT.c.image_id == sa.bindparam("shot"), SEGMENT.c.recipe_id == ACTIVE_RECIPE)
    .where(TRACK.c.t_start <= sa.bindparam("at"), TRACK.c.t_end >= sa.bindparam("at"))
    .order_by(SEGMENT.c.id)
)


@dataclass(frozen=True, slots=True)
class SeenShot:
    """The part of a video that a path names: of a file of this sha256, of which a first look said
    `info`, from `t_start` to `t_end` in seconds."""

    video_sha256: str
    info: VideoInfo
    t_start: float
    t_end: float


class ShotMixin(CounterMixin):
    """The part of the catalog that holds videos."""

    def video(self, video_id: int) -> Video:
        """One video; NotFoundError when there is none of this id."""
        found = self._videos(sa.select(VIDEO).where(VIDEO.c.id == video_id))
        if not found:
            raise NotFoundError(f"There is no video {video_id} in the library.")
        return found[0]

    def videos(self, after: int = 0, limit: int = 100) -> list[Video]:
        """Videos by ascending id, `after` an id, `limit` at most."""
        if not self._kept_count("videos"):
            return []
        page = sa.select(VIDEO).where(VIDEO.c.id > after).order_by(VIDEO.c.id).limit(limit)
        return self._videos(page)

    def _videos(self, query: sa.Select[Any]) -> list[Video]:
        with self._reading() as db:
            rows = db.execute(query).mappings().all()
            asked = ids_parameter([row["id"] for row in rows])
            shots: dict[int, list[tuple[int, Shot]]] = {row["id"]: [] for row in rows}
            for image_id, *of_shot in db.execute(_SHOTS_OF_VIDEOS, asked):
                shots[of_shot[0]].append((image_id, Shot(*of_shot)))
            # Each copy of the file is a path of the first shot as well.
            first = {some[0][0]: video_id for video_id, some in shots.items() if some}
            named = sa.select(SOURCE.c.image_id, SOURCE.c.path)
            paths: dict[int, set[str]] = {row["id"]: set() for row in rows}
            of_first = named.where(SOURCE.c.image_id.in_(AMONG_IDS))
            for image_id, path in db.execute(of_first, ids_parameter(first)):
                paths[first[image_id]].add(file_of(path))
        return [
            Video(
                id=row["id"],
                sha256=row["sha256"],
                paths=in_order(paths[row["id"]]),
                shots=tuple(shots[row["id"]]),
                **{name: row[name] for name in FACTS},
            )
            for row in rows
        ]

    def video_of_path(self, path: str) -> int | None:
        """Id of the video whose file, or a shot of it, is at a path; None when there is none."""
        file = file_of(path)
        if not VIDEO_FILE.search(file):
            return None
        shot = SOURCE.join(SHOT, SHOT.c.image_id == SOURCE.c.image_id)
        query = sa.select(SHOT.c.video_id).select_from(shot).where(shots_at(SOURCE.c.path, file))
        with self._reading() as db:
            return db.execute(query.limit(1)).scalar()

    def shots(self, image_ids: Sequence[int]) -> dict[int, Shot]:
        """What shots of videos some images stand for, by their ids; those of pictures are left
        out."""
        if not self._kept_count("videos"):
            return {}
        with self._reading() as db:
            return shots_of(db, image_ids)

    def key_masks(self, segment_ids: Sequence[int]) -> dict[int, tuple[KeyMask, ...]]:
        """The masks of segments of the active recipe at their keyframes, in order of time; those
        of pictures are left out."""
        found: dict[int, tuple[KeyMask, ...]] = {}
        if not segment_ids or not self._kept_count("videos"):
            return found
        with self._reading() as db:
            for segment_id, *row in db.execute(_OF_SEGMENTS, ids_parameter(segment_ids)):
                found[segment_id] = (*found.get(segment_id, ()), key_mask_from(row))
        return found

    def key_times(self, video_id: int) -> dict[int, tuple[float, ...]]:
        """The seconds of a video at which segments of the active recipe have masks, by the ids of
        the images that its shots are; shots and seconds in order of time."""
        found: dict[int, tuple[float, ...]] = {}
        with self._reading() as db:
            for image_id, _, seconds in db.execute(_KEY_TIMES, {"video": video_id}):
                found[image_id] = (*found.get(image_id, ()), seconds)
        return found

    def segments_at(self, video_id: int, seconds: float) -> list[tuple[Segment, KeyMask]]:
        """The segments of the active recipe that are there at a moment of a video, by ascending id,
        each with its mask of the keyframe nearest in time; NotFoundError for an unknown video.
        Where two shots meet, those of the later one."""
        shown = sa.select(SHOT.c.image_id, SHOT.c.t_end).where(
            SHOT.c.video_id == video_id, SHOT.c.t_start <= seconds
        )
        with self._reading() as db:
            shot = db.execute(shown.order_by(SHOT.c.t_start.desc()).limit(1)).first()
            known = sa.select(VIDEO.c.id).where(VIDEO.c.id == video_id)
            if shot is None and db.execute(known).first() is None:
                raise NotFoundError(f"There is no video {video_id} in the library.")
            if shot is None or shot.t_end < seconds:
                return []
            given = {"shot": shot.image_id, "at": seconds}
            segments = segments_from(db, db.execute(_ALIVE, given).all())
            asked = {"at": seconds, **ids_parameter([segment.id for segment in segments])}
            masks = {number: key_mask_from(row) for number, *row in db.execute(_AT, asked)}
        return [(one, masks[one.id]) for one in segments if one.id in masks]


def shots_at(column: sa.Column[Any], file: str) -> sa.ColumnElement[bool]:
    """Whether a path is that of a shot of a video's file: a span of the paths' order."""
    shots = f"{file}#t="
    return (column > shots) & (column < f"{file}#t>") & (without_times(column) == shots)


def key_mask_from(row: Sequence[Any]) -> KeyMask:
    """A mask at a keyframe from its seconds, the frame's height and width, box, counts and area."""
    seconds, height, width, *corners, counts, area = row
    return KeyMask(seconds, Mask(height, width, Box(*corners), counts, area))


def segments_from(db: sa.Connection, rows: Sequence[Any]) -> list[Segment]:
    """Segments from their rows of `OF_SEGMENT`; what lives in a shot says so."""
    of_shots = [row[0] for row in rows if row[-1] == FORMAT]
    if not of_shots:
        return [segment_from(row) for row in rows]
    found = db.execute(_LIVES, ids_parameter(of_shots))
    lives = {number: Life(*times) for number, *times in found}
    return [segment_from(row, lives.get(row[0])) for row in rows]


def on_frame(
    db: sa.Connection, image_id: int, segments: list[Segment], seconds: float | None = None
) -> list[Segment]:
    """Segments of an image as one picture shows them: of a shot those that are seen on the frame of
    a second, or else on the one that stands for it, with their masks there."""
    if not any(segment.life for segment in segments):
        return segments
    at = shots_of(db, [image_id])[image_id].seconds if seconds is None else seconds
    found = db.execute(_ALL_MASKS, ids_parameter([segment.id for segment in segments])).all()
    masks = {number: key_mask_from(row).mask for number, *row in found if row[0] == at}
    return [
        replace(segment, mask=masks[segment.id], life=replace(segment.life, best_seconds=at))
        for segment in segments
        if segment.life and segment.id in masks
    ]


def shots_of(db: sa.Connection, image_ids: Sequence[int]) -> dict[int, Shot]:
    """What shots some images stand for, by their ids; no statement for none."""
    if not image_ids:
        return {}
    found = db.execute(_SHOTS_OF_IMAGES, ids_parameter(image_ids))
    return {image_id: Shot(*of_shot) for image_id, *of_shot in found}


def shot_of_claim(db: sa.Connection, claim: Claim) -> Shot | None:
    """What shot a claim's image stands for; asked only where its paths are those of shots."""
    if not any(map(split_shot, claim.paths)):
        return None
    return shots_of(db, [claim.image_id]).get(claim.image_id)


def enter_shots(db: sa.Connection, shots: Iterable[tuple[int, SeenShot]]) -> None:
    """Note what images are shots of what videos; a video that is known is as it was seen now."""
    entered = list(shots)
    if not entered:
        return
    infos = {shot.video_sha256: shot.info for _, shot in entered}
    values = [
        {"sha256": sha256, **{name: getattr(info, name) for name in FACTS}}
        for sha256, info in infos.items()
    ]
    upsert = insert(VIDEO).values(added_at=NOW)
    facts = {name: upsert.excluded[name] for name in FACTS}
    db.execute(upsert.on_conflict_do_update(index_elements=["sha256"], set_=facts), values)
    named = sa.select(VIDEO.c.sha256, VIDEO.c.id).where(VIDEO.c.sha256.in_(list(infos)))
    ids = {sha256: video_id for sha256, video_id in db.execute(named).all()}  # noqa: C416
    rows = {
        image_id: {
            "image_id": image_id,
            "video_id": ids[shot.video_sha256],
            "t_start": shot.t_start,
            "t_end": shot.t_end,
        }
        for image_id, shot in entered
    }
    db.execute(insert(SHOT).on_conflict_do_nothing(), list(rows.values()))


def settle_shot(db: sa.Connection, image_id: int, picture: DescribedPicture) -> PictureInfo:
    """Note the frame that stands for a shot; what is to be stored of its image, which was taken
    when the video was made."""
    described = sa.update(SHOT).where(SHOT.c.image_id == image_id)
    db.execute(described.values(seconds=picture.seconds))
    made = sa.select(VIDEO.c.made_at).join(SHOT, SHOT.c.video_id == VIDEO.c.id)
    taken_at = db.execute(made.where(SHOT.c.image_id == image_id)).scalar()
    return replace(picture.info, format=FORMAT, taken_at=picture.info.taken_at or taken_at)


def store_tracks(db: sa.Connection, ids: Sequence[int], tracks: Sequence[DescribedTrack]) -> None:
    """Store how segments live, one track for each."""
    if not ids:
        return
    together = list(zip(ids, tracks, strict=True))
    lives = [
        {
            "segment_id": segment_id,
            "t_start": track.t_start,
            "t_end": track.t_end,
            "best_seconds": track.best_seconds,
        }
        for segment_id, track in together
    ]
    masks = [
        {"segment_id": segment_id, "seconds": key.seconds, **_mask_values(key.mask)}
        for segment_id, track in together
        for key in track.masks
    ]
    db.execute(sa.insert(TRACK), lives)
    db.execute(sa.insert(TRACK_MASK), masks)


def whole_tracks(shot: Shot, segments: Sequence[DescribedSegment]) -> list[DescribedTrack]:
    """The lives of segments that are there through a whole shot, as what is read there is."""
    return [
        DescribedTrack(
            shot.t_start,
            shot.t_end,
            shot.seconds,
            (KeyMask(shot.seconds, segment.proposal.mask),),
        )
        for segment in segments
    ]


def _mask_values(mask: Mask) -> dict[str, Any]:
    corners = dict(zip(("x0", "y0", "x1", "y1"), mask.box.as_tuple(), strict=True))
    return {**corners, "area": mask.area, "counts": mask.counts}
