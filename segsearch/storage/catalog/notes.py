"""What stands beside an image: its paths, tags and near-duplicates; statements in a transaction
that somebody else has opened."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from segsearch.media.phash import NEAR_BITS, bands, distance
from segsearch.storage.catalog.database import Database, portions
from segsearch.storage.catalog.rows import Beside
from segsearch.storage.catalog.tables import (
    COLLECTION_IMAGE,
    HASH_BAND,
    IMAGE,
    IMAGE_TAG,
    NEAR_DUPLICATE,
    SOURCE,
)

CANDIDATES = 1_000  # of a series of hundreds of equal frames the first stand for all
LINKS = 50  # near-duplicates noted for one image


def beside(db: sa.Connection, image_ids: Sequence[int]) -> Beside:
    """Paths, tags and near-duplicates of images."""
    found = Beside()
    for source in db.execute(sa.select(SOURCE).where(SOURCE.c.image_id.in_(image_ids))):
        found.paths[source.image_id].append(source.path)
    for row in db.execute(sa.select(IMAGE_TAG).where(IMAGE_TAG.c.image_id.in_(image_ids))):
        found.tags[row.image_id].append(row.tag)
    near = sa.select(NEAR_DUPLICATE).where(NEAR_DUPLICATE.c.image_id.in_(image_ids))
    for row in db.execute(near.order_by(NEAR_DUPLICATE.c.bits, NEAR_DUPLICATE.c.other_id)):
        found.near_duplicates[row.image_id].append(row.other_id)
    return found


def link_near_duplicates(db: sa.Connection, image_id: int, value: str | None) -> None:
    """Note an image's perceptual hash, and link it with the images whose hash is near.

    Hashes that differ in at most 7 of 128 bits agree in one of eight bands at least, so candidates
    come from an index. A band of flat sky is common to thousands, so those that agree in the most
    bands come first.
    """
    db.execute(sa.delete(HASH_BAND).where(HASH_BAND.c.image_id == image_id))
    either = (NEAR_DUPLICATE.c.image_id == image_id) | (NEAR_DUPLICATE.c.other_id == image_id)
    db.execute(sa.delete(NEAR_DUPLICATE).where(either))
    if value is None:
        return
    parts = list(enumerate(bands(value)))
    same_band = sa.tuple_(HASH_BAND.c.band, HASH_BAND.c.value).in_(parts)
    candidates = (
        sa.select(IMAGE.c.id, IMAGE.c.perceptual_hash)
        .join(HASH_BAND, HASH_BAND.c.image_id == IMAGE.c.id)
        .where(same_band)
        .group_by(IMAGE.c.id)
        .order_by(sa.func.count().desc(), IMAGE.c.id)
        .limit(CANDIDATES)
    )
    near = sorted(
        (bits, row.id)
        for row in db.execute(candidates)
        if row.perceptual_hash and (bits := distance(row.perceptual_hash, value)) <= NEAR_BITS
    )
    links = [
        {"image_id": one, "other_id": other, "bits": bits}
        for bits, found in near[:LINKS]
        for one, other in ((image_id, found), (found, image_id))
    ]
    db.execute(
        sa.insert(HASH_BAND),
        [{"image_id": image_id, "band": band, "value": part} for band, part in parts],
    )
    if links:
        db.execute(sa.insert(NEAR_DUPLICATE), links)


def near_duplicate_count(db: sa.Connection) -> int:
    """How many images have at least one near-duplicate."""
    distinct = sa.func.count(NEAR_DUPLICATE.c.image_id.distinct())
    return db.execute(sa.select(distinct)).scalar_one()


def tag(
    db: sa.Connection, image_ids: Sequence[int], add: Collection[str], remove: Collection[str]
) -> list[int]:
    """Give tags to images that exist, and take some away; the ids of those images."""
    known = sa.select(IMAGE.c.id).where(IMAGE.c.id.in_(image_ids)).order_by(IMAGE.c.id)
    ids = list(db.execute(known).scalars())
    here = IMAGE_TAG.c.image_id.in_(ids)
    db.execute(sa.delete(IMAGE_TAG).where(here, IMAGE_TAG.c.tag.in_(remove)))
    rows = [{"image_id": one, "tag": name} for one in ids for name in add]
    if rows:
        db.execute(insert(IMAGE_TAG).on_conflict_do_nothing(), rows)
    return ids


def inherit(db: sa.Connection, old_id: int, new_id: int) -> None:
    """An edited file keeps what people said about it: its tags and its collections."""
    for table, said in ((IMAGE_TAG, "tag"), (COLLECTION_IMAGE, "collection_id")):
        rows: sa.Select[Any] = sa.select(sa.literal(new_id), table.c[said])
        rows = rows.where(table.c.image_id == old_id)
        copy = insert(table).from_select(["image_id", said], rows)
        db.execute(copy.on_conflict_do_nothing())


class Notes(Database):
    """The part of the catalog that users' tags are kept in."""

    def tag_images(
        self, image_ids: Sequence[int], *, add: Collection[str] = (), remove: Collection[str] = ()
    ) -> list[int]:
        """Give tags to images and take some away; the ids of those that exist come back."""
        with self._writing() as db:
            return [one for some in portions(image_ids) for one in tag(db, some, add, remove)]
