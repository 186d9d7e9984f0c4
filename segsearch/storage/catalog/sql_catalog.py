"""The catalog over SQLAlchemy: recipes, files, pictures, and what an index needs.

Models run with no transaction open; each method here is one short transaction. Who holds which
picture is in `queue.py`, what is being done in `jobs.py`, order in `upkeep.py`, what was said of
segments in `captions.py`.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast

import numpy as np
import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from segsearch.core.arrays import DescribedPicture, Ids, VectorRows
from segsearch.core.errors import NotFoundError
from segsearch.core.types import Claim, FileStamp, Image, Recipe, Segment, State
from segsearch.storage.catalog import notes, rows
from segsearch.storage.catalog.backup import Upkeep
from segsearch.storage.catalog.captions import Captions, carry_captions
from segsearch.storage.catalog.collections import Collections, members_of
from segsearch.storage.catalog.database import (
    at_or_below,
    drop_images,
    foreign_errors_as_ours,
    log_change,
    portions,
    without_source,
)
from segsearch.storage.catalog.engine import check_schema, schema_revision, upgrade
from segsearch.storage.catalog.filtering import Selecting
from segsearch.storage.catalog.integrity import catalog_problems
from segsearch.storage.catalog.jobs import Jobs
from segsearch.storage.catalog.queue import Queue, queue_new, settle, try_vanished_again, unfinished
from segsearch.storage.catalog.records import Changes
from segsearch.storage.catalog.tables import (
    CHANGE_LOG,
    IMAGE,
    INGEST,
    LIBRARY,
    RECIPE,
    SEGMENT,
    SOURCE,
)

BATCH_ROWS = 2_000
UNDER_WAY = "generation_under_way"


class Catalog(Queue, Jobs, Upkeep, notes.Notes, Collections, Captions, Selecting):
    """A library's catalog in one SQLite file; made, or brought to this schema, on opening.

    Raises LibraryVersionError for a later version's file, DamageError for one that is none.
    """

    def __init__(self, file: Path) -> None:
        super().__init__(file)
        if self.read_only:
            with foreign_errors_as_ours(file):
                check_schema(self._engine)
            return
        with foreign_errors_as_ours(file):
            upgrade(self._engine)
        with self._reading() as db:
            known = set(db.execute(sa.select(LIBRARY.c.key)).scalars())
        missing = {"catalog_id", "timeline"} - known
        if missing:
            with self._writing() as db:
                for key in sorted(missing):
                    row = {"key": key, "value": uuid.uuid4().hex}
                    db.execute(insert(LIBRARY).values(row).on_conflict_do_nothing())

    def schema(self) -> str:
        return schema_revision(self._engine) or ""

    def identity(self) -> str:
        """`catalog-id/timeline`: differs for another library and after a restore."""
        with self._reading() as db:
            values = {row.key: row.value for row in db.execute(sa.select(LIBRARY))}
        return f"{values['catalog_id']}/{values['timeline']}"

    # Recipes

    def active_recipe(self) -> tuple[int, Recipe] | None:
        """Id and recipe that searches use; None for a new library."""
        with self._reading() as db:
            row = db.execute(sa.select(RECIPE).where(RECIPE.c.active)).first()
        return (row.id, rows.recipe_from(row.document)) if row else None

    def register_recipe(self, recipe: Recipe) -> int:
        """Id of a recipe; the first one registered becomes the active one."""
        with self._writing() as db:
            known = sa.select(RECIPE.c.id).where(RECIPE.c.fingerprint == recipe.fingerprint)
            found = db.execute(known).scalar()
            if found is not None:
                return cast(int, found)
            first = not db.execute(sa.select(sa.exists().where(RECIPE.c.active))).scalar()
            values = {
                "fingerprint": recipe.fingerprint,
                "document": json.dumps(recipe.document),
                "active": first,
            }
            added = sa.insert(RECIPE).values(values).returning(RECIPE.c.id)
            return cast(int, db.execute(added).scalar_one())

    def begin_generation(self, recipe_id: int, *, keep_old: bool) -> None:
        """Note that a recipe is to take over once every picture has been through its models."""
        row = {"key": UNDER_WAY, "value": json.dumps([recipe_id, keep_old])}
        with self._writing() as db:
            upsert = insert(LIBRARY).values(row)
            db.execute(upsert.on_conflict_do_update(index_elements=["key"], set_=row))

    def generation_under_way(self) -> tuple[int, Recipe, bool] | None:
        """Id, recipe and `keep_old` of what `begin_generation` noted, until the switch."""
        with self._reading() as db:
            value = db.execute(sa.select(LIBRARY.c.value).where(LIBRARY.c.key == UNDER_WAY))
            recipe_id, keep_old = json.loads(value.scalar() or "[null, null]")
            row = db.execute(sa.select(RECIPE).where(RECIPE.c.id == recipe_id)).first()
        return (row.id, rows.recipe_from(row.document), keep_old) if row else None

    def switch_recipe(self, recipe_id: int, *, keep_old: bool = False) -> bool:
        """Make a recipe the active one; the segments of every other go, unless they are kept.

        False, with nothing switched, while an image waits or runs under it; images without a
        state are queued. Captions of the active recipe's segments are given to those that match.
        """
        with self._writing() as db:
            in_use = sa.select(RECIPE.c.id).where(RECIPE.c.active, RECIPE.c.id == recipe_id)
            if db.execute(in_use).first():
                return True  # whoever finished at the same time was faster
            # Pictures may have come in under the recipe in use while this one was filled.
            queue_new(db, recipe_id)
            if unfinished(db, recipe_id):
                return False
            db.execute(sa.delete(LIBRARY).where(LIBRARY.c.key == UNDER_WAY))
            carry_captions(db, recipe_id)
            if keep_old:
                db.execute(sa.update(RECIPE).values(active=RECIPE.c.id == recipe_id))
                return True
            others = sa.select(SEGMENT.c.id).where(SEGMENT.c.recipe_id != recipe_id)
            log_change(db, "remove", others)
            db.execute(sa.delete(RECIPE).where(RECIPE.c.id != recipe_id))
            db.execute(sa.update(RECIPE).values(active=True))
        return True

    # Files and the queue

    def file_stamps(self) -> dict[str, FileStamp]:
        """The stamp of every known path."""
        with self._reading() as db:
            found = db.execute(sa.select(SOURCE.c.path, SOURCE.c.size_bytes, SOURCE.c.mtime_ns))
            return {row.path: FileStamp(row.size_bytes, row.mtime_ns) for row in found}

    def record_file(self, path: str, stamp: FileStamp, sha256: str, recipe_id: int) -> None:
        """Note that a path holds these bytes now, and queue them unless they are known.

        When the path held other bytes before, the image takes over the tags and collections of
        that one, which goes when it is left without any path. An image that had failed waits
        again when the path is new to it, or back, and any of its files is marked as missing.
        """
        with self._writing() as db:
            db.execute(insert(IMAGE).values(sha256=sha256).on_conflict_do_nothing())
            image_id = db.execute(
                sa.select(IMAGE.c.id).where(IMAGE.c.sha256 == sha256)
            ).scalar_one()
            known = db.execute(sa.select(SOURCE).where(SOURCE.c.path == path)).first()
            before = known.image_id if known else None
            if known is None or before != image_id or known.missing_since is not None:
                try_vanished_again(db, image_id)
            values = {
                "image_id": image_id,
                "size_bytes": stamp.size_bytes,
                "mtime_ns": stamp.mtime_ns,
                "missing_since": None,
            }
            upsert = insert(SOURCE).values(path=path, **values)
            db.execute(upsert.on_conflict_do_update(index_elements=["path"], set_=values))
            state = {"image_id": image_id, "recipe_id": recipe_id, "state": State.PENDING}
            db.execute(insert(INGEST).values(state).on_conflict_do_nothing())
            if before is not None and before != image_id:
                notes.inherit(db, before, image_id)
                drop_images(db, without_source().where(IMAGE.c.id == before))

    def commit(self, claim: Claim, picture: DescribedPicture) -> bool:
        """Store a picture's segments, vectors and change log, and mark it done.

        False, with nothing stored, when the claim has passed to another worker.
        """
        done = {
            "state": State.DONE,
            "reason": None,
            "retry_at": None,
            "picture_vector": rows.pack(picture.vector),
        }
        values = [
            rows.segment_values(claim.image_id, claim.recipe_id, one) for one in picture.segments
        ]
        with self._writing() as db:
            if not settle(db, claim, done):
                return False
            here = sa.update(IMAGE).where(IMAGE.c.id == claim.image_id)
            db.execute(here.values(rows.info_values(picture.info)))
            notes.link_near_duplicates(db, claim.image_id, picture.info.perceptual_hash)
            if values:
                db.execute(sa.insert(SEGMENT), values)
                mine = (SEGMENT.c.image_id == claim.image_id) & (
                    SEGMENT.c.recipe_id == claim.recipe_id
                )
                log_change(db, "add", sa.select(SEGMENT.c.id).where(mine))
        return True

    # Questions

    def find_images(self, paths: Sequence[str]) -> list[int]:
        """Ids of images at these paths, or anywhere below them."""
        found: set[int] = set()
        with self._reading() as db:
            for path in paths:
                here = sa.select(SOURCE.c.image_id).where(at_or_below(path))
                found.update(db.execute(here).scalars())
        return sorted(found)

    def images(
        self,
        *,
        after: int = 0,
        limit: int = 100,
        ids: Sequence[int] | None = None,
        state: State | None = None,
        collection: str | None = None,
    ) -> list[Image]:
        """Images by ascending id, `after` an id; with `ids`, only these.

        NotFoundError for a `collection` that is not there.
        """
        if collection is not None:
            self.collection(collection)
        recipe = sa.select(RECIPE.c.id).where(RECIPE.c.active).scalar_subquery()
        joined = IMAGE.outerjoin(
            INGEST, (INGEST.c.image_id == IMAGE.c.id) & (INGEST.c.recipe_id == recipe)
        )
        query = sa.select(IMAGE, INGEST.c.state, INGEST.c.reason).select_from(joined)
        query = query.where(IMAGE.c.id > after).order_by(IMAGE.c.id).limit(limit)
        if ids is not None:
            query = query.where(IMAGE.c.id.in_(ids))
        if state is not None:
            query = query.where(INGEST.c.state == state)
        if collection is not None:
            query = query.where(IMAGE.c.id.in_(members_of(collection)))
        with self._reading() as db:
            found = db.execute(query).all()
            beside = notes.beside(db, [row.id for row in found])
        return rows.images_from(found, beside)

    def image(self, image_id: int) -> Image:
        """One image; NotFoundError when there is none of this id."""
        images = self.images(ids=[image_id], limit=1)
        if not images:
            raise NotFoundError(f"There is no image {image_id} in the library.")
        return images[0]

    def segment(self, segment_id: int) -> Segment:
        """One segment of the active recipe; NotFoundError when there is none of this id."""
        segments = self.segments([segment_id])
        if not segments:
            raise NotFoundError(f"There is no segment {segment_id} in the library.")
        return segments[0]

    def segments_of(self, image_id: int) -> list[Segment]:
        """Every segment of an image under the active recipe, by ascending id; none of an unknown
        image."""
        return self._segments(SEGMENT.c.image_id == image_id)

    def segments(self, ids: Sequence[int] | None = None) -> list[Segment]:
        """The segments with these ids under the active recipe, or all, by ascending id."""
        return self._segments(sa.true() if ids is None else SEGMENT.c.id.in_(ids))

    def _segments(self, condition: sa.ColumnElement[bool]) -> list[Segment]:
        query = (
            sa.select(SEGMENT, IMAGE.c.width, IMAGE.c.height)
            .join(IMAGE, IMAGE.c.id == SEGMENT.c.image_id)
            .join(RECIPE, RECIPE.c.id == SEGMENT.c.recipe_id)
            .where(RECIPE.c.active, condition)
            .order_by(SEGMENT.c.id)
        )
        with self._reading() as db:
            return [rows.segment_from(row) for row in db.execute(query)]

    def counts(self) -> dict[str, int]:
        """`images`, `segments`, `pending` (with running ones), `failed` and `quarantined` of the
        active recipe, and `missing` paths."""
        active = sa.select(RECIPE.c.id).where(RECIPE.c.active).scalar_subquery()
        states = (
            sa.select(INGEST.c.state, sa.func.count())
            .where(INGEST.c.recipe_id == active)
            .group_by(INGEST.c.state)
        )
        with self._reading() as db:
            images = db.execute(sa.select(sa.func.count()).select_from(IMAGE)).scalar_one()
            in_use = sa.select(sa.func.count()).where(SEGMENT.c.recipe_id == active)
            segments = db.execute(in_use).scalar_one()
            by_state: dict[str, int] = {row[0]: row[1] for row in db.execute(states)}
            gone = sa.select(sa.func.count()).where(SOURCE.c.missing_since.is_not(None))
            missing = db.execute(gone).scalar_one()
            near_duplicates = notes.near_duplicate_count(db)
        waiting = by_state.get(State.PENDING, 0) + by_state.get(State.RUNNING, 0)
        return {
            "images": images,
            "segments": segments,
            "pending": waiting,
            "failed": by_state.get(State.FAILED, 0),
            "quarantined": by_state.get(State.QUARANTINED, 0),
            "near_duplicates": near_duplicates,
            "missing": missing,
        }

    # What an index needs

    def changes(self, recipe_id: int, since: int) -> Changes | None:
        """What happened after `since`; None when the log does not reach back that far."""
        log = sa.select(CHANGE_LOG.c.op, CHANGE_LOG.c.segment_id)
        log = log.where(CHANGE_LOG.c.seq > since, CHANGE_LOG.c.recipe_id == recipe_id)
        with self._reading() as db:
            latest = db.execute(sa.select(sa.func.max(CHANGE_LOG.c.seq))).scalar() or 0
            if since > latest:
                return None
            last = {row.segment_id: row.op for row in db.execute(log.order_by(CHANGE_LOG.c.seq))}
        added = sorted(one for one, op in last.items() if op == "add")
        removed = sorted(one for one, op in last.items() if op == "remove")
        return Changes(latest, np.array(added, np.int64), np.array(removed, np.int64))

    def vectors(self, recipe_id: int, ids: Ids | None = None) -> Iterator[VectorRows]:
        """Vectors of all segments of a recipe, or of some, in batches by ascending id."""
        joined = SEGMENT.join(
            INGEST,
            (INGEST.c.image_id == SEGMENT.c.image_id) & (INGEST.c.recipe_id == SEGMENT.c.recipe_id),
        )
        query = (
            sa.select(
                SEGMENT.c.id,
                SEGMENT.c.context_vector,
                SEGMENT.c.masked_vector,
                INGEST.c.picture_vector,
            )
            .select_from(joined)
            .where(SEGMENT.c.recipe_id == recipe_id)
            .order_by(SEGMENT.c.id)
        )
        with self._reading() as db:
            if ids is not None:
                for some in portions(ids.tolist()):
                    found = db.execute(query.where(SEGMENT.c.id.in_(some))).all()
                    if found:
                        yield rows.vectors_from(found)
                return
            for part in db.execute(query).partitions(BATCH_ROWS):
                yield rows.vectors_from(part)

    def segment_ids(self, recipe_id: int) -> Ids:
        """Every segment id of a recipe, ascending."""
        query = sa.select(SEGMENT.c.id).where(SEGMENT.c.recipe_id == recipe_id)
        with self._reading() as db:
            return np.array(db.execute(query.order_by(SEGMENT.c.id)).scalars().all(), np.int64)

    def problems(self, recipe: tuple[int, Recipe]) -> Iterator[str]:
        """What contradicts itself in the catalog, one sentence each."""
        with self._reading() as db:
            yield from catalog_problems(db, *recipe)
