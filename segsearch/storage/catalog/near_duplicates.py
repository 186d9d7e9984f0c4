"""Near-duplicates: images whose perceptual hashes differ in a few bits, linked when stored."""

from __future__ import annotations

from collections.abc import Set as AbstractSet

import sqlalchemy as sa

from segsearch.media.phash import NEAR_BITS, bands, distance
from segsearch.storage.catalog.counters import CounterMixin
from segsearch.storage.catalog.portable import AMONG_IDS, ids_parameter
from segsearch.storage.catalog.tables import HASH_BAND, IMAGE, NEAR_DUPLICATE, SHOT

CANDIDATES = 1_000  # of a series of hundreds of equal frames the first stand for all
LINKS = 50  # near-duplicates noted for one image
_LINKS = sa.select(NEAR_DUPLICATE.c.image_id, NEAR_DUPLICATE.c.other_id).where(
    NEAR_DUPLICATE.c.image_id.in_(AMONG_IDS)
)

# From each image with a near-duplicate to the next, past however many links each has.
_LEAST_OF_ALIKE = sa.text(
    "WITH RECURSIVE alike(id) AS ("
    "SELECT (SELECT min(image_id) FROM near_duplicate WHERE image_id > :after) UNION ALL "
    "SELECT (SELECT min(image_id) FROM near_duplicate WHERE image_id > alike.id) FROM alike "
    "WHERE alike.id IS NOT NULL) "
    "SELECT id, (SELECT min(other_id) FROM near_duplicate WHERE image_id = alike.id) "
    "FROM alike WHERE id IS NOT NULL LIMIT :most"
)
_SOME_LINKS = (
    sa.select(NEAR_DUPLICATE.c.other_id)
    .where(NEAR_DUPLICATE.c.image_id.in_(AMONG_IDS))
    .limit(sa.bindparam("most"))
)
LOOKED_AT = 1_000  # images with near-duplicates that one page of groups goes past
LARGEST_GROUP = 20_000  # images; no group is followed further


def candidates_of(same_band: sa.ColumnElement[bool]) -> sa.Select[tuple[int, str]]:
    """Images that share bands of a hash, those with the most first."""
    return (
        sa.select(IMAGE.c.id, IMAGE.c.perceptual_hash)
        .join(HASH_BAND, HASH_BAND.c.image_id == IMAGE.c.id)
        .where(same_band)
        .group_by(IMAGE.c.id)
        .order_by(sa.func.count().desc(), IMAGE.c.id)
        .limit(CANDIDATES)
    )


def link_near_duplicates(
    db: sa.Connection, image_id: int, value: str | None, *, is_shot: bool = False
) -> None:
    """Note an image's perceptual hash, and link it with the images whose hash is near; a shot with
    none of its own video, whose shots are bound to look alike.

    Hashes that differ in at most 7 of 128 bits agree in one of eight bands at least, so candidates
    come from an index. A band of flat sky is common to thousands, so those that agree in the most
    bands come first.
    """
    db.execute(sa.delete(HASH_BAND).where(HASH_BAND.c.image_id == image_id))
    either = (NEAR_DUPLICATE.c.image_id == image_id) | (NEAR_DUPLICATE.c.other_id == image_id)
    db.execute(sa.delete(NEAR_DUPLICATE).where(either))
    if value is None:
        return
    links = [
        {"image_id": first, "other_id": second, "bits": bits}
        for bits, other_id in _near(db, value, image_id if is_shot else None)
        for first, second in ((image_id, other_id), (other_id, image_id))
    ]
    db.execute(
        sa.insert(HASH_BAND),
        [
            {"image_id": image_id, "band": band, "value": part}
            for band, part in enumerate(bands(value))
        ],
    )
    if links:
        db.execute(sa.insert(NEAR_DUPLICATE), links)


def _near(db: sa.Connection, value: str, shot: int | None = None) -> list[tuple[int, int]]:
    """Bits and ids of the images whose hash is near, the nearest first; 50 at most. None of the
    video that an image is a `shot` of."""
    # Spelt out: SQLite uses the index for each of these, and reads every image for a tuple IN ().
    same_band = sa.or_(
        *(
            (HASH_BAND.c.band == band) & (HASH_BAND.c.value == part)
            for band, part in enumerate(bands(value))
        )
    )
    if shot is not None:
        of_video = sa.select(SHOT.c.video_id).where(SHOT.c.image_id == shot).scalar_subquery()
        own = sa.select(SHOT.c.image_id).where(SHOT.c.video_id == of_video)
        same_band &= HASH_BAND.c.image_id.not_in(own)
    near = sorted(
        (bits, row.id)
        for row in db.execute(candidates_of(same_band))
        if row.perceptual_hash and (bits := distance(row.perceptual_hash, value)) <= NEAR_BITS
    )
    return near[:LINKS]


class NearDuplicateMixin(CounterMixin):
    """The part of the catalog that knows which images look almost the same."""

    def images_near(self, perceptual_hash: str) -> list[int]:
        """Images that look almost the same as a picture of this hash, the nearest first; 50 at
        most."""
        with self._reading() as db:
            return [image_id for _, image_id in _near(db, perceptual_hash)]

    def near_duplicates(self, image_ids: AbstractSet[int]) -> dict[int, frozenset[int]]:
        """The near-duplicates of those of these images that have some."""
        found: dict[int, set[int]] = {}
        if not image_ids or not self._kept_count("near_duplicates"):
            return {}
        with self._reading() as db:
            for image_id, other_id in db.execute(_LINKS, ids_parameter(image_ids)).all():
                found.setdefault(image_id, set()).add(other_id)
        return {image_id: frozenset(others) for image_id, others in found.items()}

    def alike(self, after: int, limit: int) -> tuple[list[list[int]], int | None]:
        """Groups of images that near-duplicates connect, each by ascending id, and the id behind
        which the next page goes on; None at the end.

        A group stands where its lowest id does; it is followed to 20,000 images. One call goes
        past a bounded number of images and links, so it may find fewer groups than there are, or
        none, before the end.
        """
        if not self._kept_count("near_duplicates"):
            return [], None
        groups: list[list[int]] = []
        shown = 0
        with self._reading() as db:
            looked = db.execute(_LEAST_OF_ALIKE, {"after": after, "most": LOOKED_AT}).all()
            for image_id, other_id in looked:
                if len(groups) == limit or shown >= LOOKED_AT:
                    return groups, after
                after = image_id
                if other_id < image_id:
                    continue  # stands where that one does
                group = _connected(db, image_id)
                if group:
                    groups.append(group)
                    shown += len(group)
        return groups, after if len(looked) == LOOKED_AT else None


def _connected(db: sa.Connection, image_id: int) -> list[int]:
    """What is connected to an image, that one among it; nothing where an image before it is."""
    found, new = {image_id}, {image_id}
    while new and len(found) < LARGEST_GROUP:
        links = db.execute(_SOME_LINKS, {**ids_parameter(new), "most": LINKS * LARGEST_GROUP})
        new = {*links.scalars()} - found
        if new and min(new) < image_id:
            return []
        found |= {*sorted(new)[: LARGEST_GROUP - len(found)]}
    return sorted(found)
