"""Collections in the catalog, what a person removes, and counts of what there is."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from segsearch.core.errors import ConflictError, NotFoundError
from segsearch.core.names import checked_name
from segsearch.core.types import Collection
from segsearch.storage.catalog.database import (
    NOW,
    Database,
    at_or_below,
    drop_images,
    log_change,
    portions,
)
from segsearch.storage.catalog.tables import (
    COLLECTION,
    COLLECTION_IMAGE,
    IMAGE,
    INGEST,
    RECIPE,
    SEGMENT,
    SOURCE,
)

TENTHS = 10


class Collections(Database):
    """The part of the catalog that people arrange."""

    def collections(self) -> list[Collection]:
        """All of them by name."""
        with self._reading() as db:
            return [_collection(row) for row in db.execute(_counted().order_by(COLLECTION.c.name))]

    def collection(self, name: str) -> Collection:
        with self._reading() as db:
            return _one(db, name)

    def create_collection(self, name: str) -> Collection:
        """A new, empty one; ConflictError when the name is taken."""
        chosen = checked_name(name)
        with self._writing() as db:
            _refuse_taken(db, chosen)
            db.execute(sa.insert(COLLECTION).values(name=chosen, created_at=NOW))
            return _one(db, chosen)

    def rename_collection(self, name: str, new_name: str) -> Collection:
        """The same one under another name; ConflictError when that is taken."""
        chosen = checked_name(new_name)
        with self._writing() as db:
            before = _one(db, name)
            if chosen != before.name:
                _refuse_taken(db, chosen)
            here = COLLECTION.c.id == before.id
            db.execute(sa.update(COLLECTION).where(here).values(name=chosen))
            return _one(db, chosen)

    def delete_collection(self, name: str) -> None:
        """Forget a collection; its images stay."""
        with self._writing() as db:
            db.execute(sa.delete(COLLECTION).where(COLLECTION.c.id == _one(db, name).id))

    def add_to_collection(self, name: str, image_ids: Sequence[int]) -> int:
        """Put images in; how many were not in it before. NotFoundError for unknown images."""
        added = 0
        with self._writing() as db:
            number = _one(db, name).id
            for some in portions(image_ids):
                known = set(db.execute(sa.select(IMAGE.c.id).where(IMAGE.c.id.in_(some))).scalars())
                unknown = sorted(set(some) - known)
                if unknown:
                    raise NotFoundError(f"There is no image {unknown[0]} in the library.")
                rows = [{"collection_id": number, "image_id": one} for one in sorted(known)]
                done = db.execute(insert(COLLECTION_IMAGE).values(rows).on_conflict_do_nothing())
                added += done.rowcount
        return added

    def take_from_collection(self, name: str, image_ids: Sequence[int]) -> int:
        """Take images out; how many were in it."""
        taken = 0
        with self._writing() as db:
            here = COLLECTION_IMAGE.c.collection_id == _one(db, name).id
            for some in portions(image_ids):
                chosen = here & COLLECTION_IMAGE.c.image_id.in_(some)
                taken += db.execute(sa.delete(COLLECTION_IMAGE).where(chosen)).rowcount
        return taken

    def image_ids_of(self, name: str) -> list[int]:
        """Ids of a collection's images, ascending."""
        with self._reading() as db:
            _one(db, name)
            ids = members_of(name).order_by(COLLECTION_IMAGE.c.image_id)
            return list(db.execute(ids).scalars())

    def image_with(self, sha256: str) -> int | None:
        """Id of the image whose file has this sha256."""
        with self._reading() as db:
            found = db.execute(sa.select(IMAGE.c.id).where(IMAGE.c.sha256 == sha256)).scalar()
        return cast("int | None", found)

    def digests(self, image_ids: Sequence[int]) -> list[str]:
        """The sha256 of these images' bytes as hex, sorted; unknown ids are passed by."""
        found: list[str] = []
        with self._reading() as db:
            for some in portions(image_ids):
                found += db.execute(sa.select(IMAGE.c.sha256).where(IMAGE.c.id.in_(some))).scalars()
        return sorted(found)

    def find_paths(self, places: Sequence[str]) -> list[str]:
        """The known paths at these places, or anywhere below them, sorted."""
        found: set[str] = set()
        with self._reading() as db:
            for place in places:
                here = sa.select(SOURCE.c.path).where(at_or_below(place))
                found.update(db.execute(here).scalars())
        return sorted(found)

    def remove_images(self, image_ids: Sequence[int]) -> int:
        """Forget images with their paths, segments and vectors; how many there were."""
        with self._writing() as db:
            return sum(
                drop_images(db, sa.select(IMAGE.c.id).where(IMAGE.c.id.in_(some)))
                for some in portions(image_ids)
            )

    def remove_segments(self, segment_ids: Sequence[int]) -> int:
        """Forget segments of the active recipe; how many there were."""
        removed = 0
        with self._writing() as db:
            for some in portions(segment_ids):
                chosen = (
                    sa.select(SEGMENT.c.id)
                    .join(RECIPE, RECIPE.c.id == SEGMENT.c.recipe_id)
                    .where(RECIPE.c.active, SEGMENT.c.id.in_(some))
                )
                log_change(db, "remove", chosen)
                theirs = sa.exists().where(
                    SEGMENT.c.id.in_(chosen),
                    SEGMENT.c.image_id == INGEST.c.image_id,
                    SEGMENT.c.recipe_id == INGEST.c.recipe_id,
                )
                more = INGEST.c.removed_segments + 1
                db.execute(sa.update(INGEST).where(theirs).values(removed_segments=more))
                removed += db.execute(sa.delete(SEGMENT).where(SEGMENT.c.id.in_(chosen))).rowcount
        return removed

    def statistics(self) -> dict[str, Any]:
        """Of the active recipe: `images`, `segments`, `states` and `formats` (counts of images),
        and `area_shares` (ten counts of segments, by tenths of their picture's area)."""
        active = sa.select(RECIPE.c.id).where(RECIPE.c.active).scalar_subquery()
        states = sa.select(INGEST.c.state, sa.func.count()).where(INGEST.c.recipe_id == active)
        formats = sa.select(IMAGE.c.format, sa.func.count()).where(IMAGE.c.format != "")
        pixels = IMAGE.c.width * IMAGE.c.height
        tenth = sa.cast(SEGMENT.c.area * TENTHS / sa.func.max(pixels, 1), sa.Integer)
        shares = (
            sa.select(sa.func.min(tenth, TENTHS - 1).label("tenth"), sa.func.count())
            .select_from(SEGMENT.join(IMAGE, IMAGE.c.id == SEGMENT.c.image_id))
            .where(SEGMENT.c.recipe_id == active)
            .group_by("tenth")
        )
        with self._reading() as db:
            by_tenth: dict[int, int] = {row[0]: row[1] for row in db.execute(shares)}
            return {
                "images": db.execute(sa.select(sa.func.count(IMAGE.c.id))).scalar_one(),
                "segments": sum(by_tenth.values()),
                "states": _counts(db, states.group_by(INGEST.c.state)),
                "formats": _counts(db, formats.group_by(IMAGE.c.format)),
                "area_shares": [by_tenth.get(number, 0) for number in range(TENTHS)],
            }


def members_of(name: str) -> sa.Select[Any]:
    """Ids of a collection's images."""
    joined = COLLECTION_IMAGE.join(COLLECTION, COLLECTION.c.id == COLLECTION_IMAGE.c.collection_id)
    ids = sa.select(COLLECTION_IMAGE.c.image_id).select_from(joined)
    return ids.where(COLLECTION.c.name == name)


def _counts(db: sa.Connection, query: sa.Select[Any]) -> dict[str, int]:
    return {row[0]: row[1] for row in db.execute(query)}


def _counted() -> sa.Select[Any]:
    members = sa.func.count(COLLECTION_IMAGE.c.image_id).label("images")
    joined = COLLECTION.outerjoin(
        COLLECTION_IMAGE, COLLECTION_IMAGE.c.collection_id == COLLECTION.c.id
    )
    return sa.select(COLLECTION, members).select_from(joined).group_by(COLLECTION.c.id)


def _one(db: sa.Connection, name: str) -> Collection:
    row = db.execute(_counted().where(COLLECTION.c.name == name)).first()
    if row is None:
        raise _unknown(name)
    return _collection(row)


def refuse_unknown(db: sa.Connection, names: Sequence[str]) -> None:
    """NotFoundError for the first name of no collection."""
    known = set(db.execute(sa.select(COLLECTION.c.name)).scalars()) if names else set()
    for name in names:
        if name not in known:
            raise _unknown(name)


def _unknown(name: str) -> NotFoundError:
    return NotFoundError(f"There is no collection {name[:120]!r} in the library.")


def _refuse_taken(db: sa.Connection, name: str) -> None:
    if db.execute(sa.select(COLLECTION.c.id).where(COLLECTION.c.name == name)).first():
        raise ConflictError(f"There is a collection {name!r} already.")


def _collection(row: Any) -> Collection:
    made = datetime.fromtimestamp(row.created_at, UTC).isoformat(timespec="seconds")
    return Collection(row.id, row.name, made, row.images)
