"""Collections: sets of images that people name and fill."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import sqlalchemy as sa

from segsearch.core.errors import ConflictError, NotFoundError
from segsearch.core.names import checked_name, composed
from segsearch.core.types import Collection
from segsearch.storage.catalog.database import Database, portions
from segsearch.storage.catalog.portable import NOW, insert
from segsearch.storage.catalog.rows import iso
from segsearch.storage.catalog.tables import COLLECTION, COLLECTION_IMAGE, IMAGE


class CollectionMixin(Database):
    """The part of the catalog that holds collections."""

    def collections(self) -> list[Collection]:
        """All of them by name."""
        with self._reading() as db:
            return [_collection(row) for row in db.execute(_counted().order_by(COLLECTION.c.name))]

    def collection(self, name: str) -> Collection:
        """The one of this name; NotFoundError, as below, when there is none."""
        with self._reading() as db:
            return _named(db, name)

    def create_collection(self, name: str) -> Collection:
        """A new, empty one; ConflictError when the name is taken."""
        chosen = checked_name(name)
        with self._editing() as db:
            _refuse_taken(db, chosen)
            db.execute(sa.insert(COLLECTION).values(name=chosen, created_at=NOW))
            return _named(db, chosen)

    def rename_collection(self, name: str, new_name: str) -> Collection:
        """The same one under another name; ConflictError when that is taken."""
        chosen = checked_name(new_name)
        with self._editing() as db:
            before = _named(db, name)
            if chosen != before.name:
                _refuse_taken(db, chosen)
            renamed = sa.update(COLLECTION).where(COLLECTION.c.id == before.id)
            db.execute(renamed.values(name=chosen))
            return _named(db, chosen)

    def delete_collection(self, name: str) -> None:
        """Forget a collection; its images stay."""
        with self._editing() as db:
            db.execute(sa.delete(COLLECTION).where(COLLECTION.c.id == _named(db, name).id))

    def add_to_collection(self, name: str, image_ids: Sequence[int]) -> int:
        """Put images in; how many were not in it before. NotFoundError for unknown images."""
        added = 0
        with self._editing() as db:
            number = _named(db, name).id
            for portion in portions(image_ids):
                query = sa.select(IMAGE.c.id).where(IMAGE.c.id.in_(portion)).order_by(IMAGE.c.id)
                known = db.execute(query).scalars().all()
                unknown = sorted(set(portion).difference(known))
                if unknown:
                    raise NotFoundError(f"There is no image {unknown[0]} in the library.")
                rows = [{"collection_id": number, "image_id": image_id} for image_id in known]
                put = insert(COLLECTION_IMAGE).values(rows).on_conflict_do_nothing()
                new = db.execute(put.returning(COLLECTION_IMAGE.c.image_id)).scalars()
                added += len(new.all())
        return added

    def take_from_collection(self, name: str, image_ids: Sequence[int]) -> int:
        """Take images out; how many were in it."""
        taken = 0
        with self._editing() as db:
            members = COLLECTION_IMAGE.c.collection_id == _named(db, name).id
            for portion in portions(image_ids):
                chosen = members & COLLECTION_IMAGE.c.image_id.in_(portion)
                taken += db.execute(sa.delete(COLLECTION_IMAGE).where(chosen)).rowcount
        return taken

    def image_ids_of(self, name: str) -> list[int]:
        """Ids of a collection's images, ascending."""
        with self._reading() as db:
            _named(db, name)
            ids = members_of(name).order_by(COLLECTION_IMAGE.c.image_id)
            return list(db.execute(ids).scalars())


def members_of(name: str) -> sa.Select[Any]:
    """Ids of a collection's images."""
    joined = COLLECTION_IMAGE.join(COLLECTION, COLLECTION.c.id == COLLECTION_IMAGE.c.collection_id)
    ids = sa.select(COLLECTION_IMAGE.c.image_id).select_from(joined)
    return ids.where(COLLECTION.c.name == composed(name))


def _counted() -> sa.Select[Any]:
    members = sa.func.count(COLLECTION_IMAGE.c.image_id).label("images")
    joined = COLLECTION.outerjoin(
        COLLECTION_IMAGE, COLLECTION_IMAGE.c.collection_id == COLLECTION.c.id
    )
    return sa.select(COLLECTION, members).select_from(joined).group_by(COLLECTION.c.id)


def _named(db: sa.Connection, name: str) -> Collection:
    row = db.execute(_counted().where(COLLECTION.c.name == composed(name))).first()
    if row is None:
        raise _unknown(name)
    return _collection(row)


def refuse_unknown(
    db: sa.Connection, names: Sequence[str], form: Callable[[str], str] = composed
) -> None:
    """NotFoundError for the first name of no collection, compared in a form."""
    known = db.execute(sa.select(COLLECTION.c.name)).scalars() if names else ()
    forms = set(map(form, known))
    for name in names:
        if form(name) not in forms:
            raise _unknown(name)


def _unknown(name: str) -> NotFoundError:
    return NotFoundError(f"There is no collection {name[:120]!r} in the library.")


def _refuse_taken(db: sa.Connection, name: str) -> None:
    if db.execute(sa.select(COLLECTION.c.id).where(COLLECTION.c.name == name)).first():
        raise ConflictError(f"There is a collection {name!r} already.")


def _collection(row: Any) -> Collection:
    return Collection(row.id, row.name, iso(row.created_at, "seconds"), row.images)
