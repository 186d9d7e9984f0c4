"""The catalog over SQLAlchemy: the only file that opens a database session.

Models run with no transaction open; each method here is one short transaction. The database's
clock decides about leases, no other.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import numpy as np
import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from segsearch.catalog import notes, rows
from segsearch.catalog.checks import catalog_problems
from segsearch.catalog.engine import create_engine, schema_revision, upgrade
from segsearch.catalog.statements import NOW, at_or_below, portions
from segsearch.catalog.tables import CHANGE_LOG, IMAGE, INGEST, LIBRARY, RECIPE, SEGMENT, SOURCE
from segsearch.domain import Image, Recipe, Segment, State
from segsearch.errors import BusyError, DamageError
from segsearch.ports import Changes, Claim, DescribedPicture, FileStamp, Ids, VectorRows

BATCH_ROWS = 2_000


class SqlCatalog(notes.Notes):
    """A library's catalog in one SQLite file; made, or brought to this schema, on opening.

    Raises LibraryVersionError for a later version's file, DamageError for one that is none.
    """

    def __init__(self, file: Path) -> None:
        self._engine = create_engine(file)
        with _foreign_errors_as_ours():
            upgrade(self._engine)
            with self._writing() as db:
                for key in ("catalog_id", "timeline"):
                    row = {"key": key, "value": uuid.uuid4().hex}
                    db.execute(insert(LIBRARY).values(row).on_conflict_do_nothing())

    @contextmanager
    def _writing(self) -> Iterator[sa.Connection]:
        with _foreign_errors_as_ours(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def _reading(self) -> Iterator[sa.Connection]:
        with _foreign_errors_as_ours(), self._engine.connect() as connection:
            yield connection.execution_options(reader=True)

    def close(self) -> None:
        self._engine.dispose()

    def schema(self) -> str:
        return schema_revision(self._engine) or ""

    def identity(self) -> str:
        with self._reading() as db:
            values = {row.key: row.value for row in db.execute(sa.select(LIBRARY))}
        return f"{values['catalog_id']}/{values['timeline']}"

    # Recipes

    def active_recipe(self) -> tuple[int, Recipe] | None:
        with self._reading() as db:
            row = db.execute(sa.select(RECIPE).where(RECIPE.c.active)).first()
        return (row.id, rows.recipe_from(row.document)) if row else None

    def register_recipe(self, recipe: Recipe) -> int:
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

    def switch_recipe(self, recipe_id: int) -> None:
        with self._writing() as db:
            others = sa.select(SEGMENT.c.id).where(SEGMENT.c.recipe_id != recipe_id)
            _log(db, "remove", others)
            db.execute(sa.delete(RECIPE).where(RECIPE.c.id != recipe_id))
            db.execute(sa.update(RECIPE).values(active=True))

    # Files and the queue

    def file_stamps(self) -> dict[str, FileStamp]:
        with self._reading() as db:
            found = db.execute(sa.select(SOURCE.c.path, SOURCE.c.size_bytes, SOURCE.c.mtime_ns))
            return {row.path: FileStamp(row.size_bytes, row.mtime_ns) for row in found}

    def record_file(self, path: str, stamp: FileStamp, sha256: str, recipe_id: int) -> None:
        with self._writing() as db:
            db.execute(insert(IMAGE).values(sha256=sha256).on_conflict_do_nothing())
            image_id = db.execute(
                sa.select(IMAGE.c.id).where(IMAGE.c.sha256 == sha256)
            ).scalar_one()
            before = db.execute(sa.select(SOURCE.c.image_id).where(SOURCE.c.path == path)).scalar()
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
                notes.inherit_tags(db, before, image_id)
                _drop_images(db, _without_source().where(IMAGE.c.id == before))

    def queue_all(self, recipe_id: int, *, retry_failed: bool = False) -> int:
        here = INGEST.c.recipe_id == recipe_id
        with self._writing() as db:
            missing = sa.select(
                IMAGE.c.id, sa.literal(recipe_id), sa.literal(State.PENDING.value)
            ).where(~sa.exists().where(INGEST.c.image_id == IMAGE.c.id, here))
            columns = ["image_id", "recipe_id", "state"]
            db.execute(sa.insert(INGEST).from_select(columns, missing))
            if retry_failed:
                failed = sa.update(INGEST).where(here, INGEST.c.state == State.FAILED)
                db.execute(failed.values(state=State.PENDING, reason=None))
            waiting = sa.select(sa.func.count()).where(here, INGEST.c.state == State.PENDING)
            return db.execute(waiting).scalar_one()

    def waiting(self, recipe_id: int) -> int:
        states = (State.PENDING, State.RUNNING)
        here = (INGEST.c.recipe_id == recipe_id) & INGEST.c.state.in_(states)
        with self._reading() as db:
            return db.execute(sa.select(sa.func.count()).where(here)).scalar_one()

    def claim(self, recipe_id: int, owner: str, lease_seconds: float) -> Claim | None:
        expired = (INGEST.c.state == State.RUNNING) & (INGEST.c.lease_until < NOW)
        waiting = (
            sa.select(INGEST.c.image_id)
            .where(INGEST.c.recipe_id == recipe_id, (INGEST.c.state == State.PENDING) | expired)
            .order_by(INGEST.c.image_id)
            .limit(1)
        )
        lend = (
            sa.update(INGEST)
            .where(INGEST.c.recipe_id == recipe_id, INGEST.c.image_id == waiting.scalar_subquery())
            .values(
                state=State.RUNNING,
                owner=owner,
                attempt=INGEST.c.attempt + 1,
                lease_until=NOW + lease_seconds,
            )
            .returning(INGEST.c.image_id, INGEST.c.attempt)
        )
        with self._writing() as db:
            row = db.execute(lend).first()
            if row is None:
                return None
            here = sa.select(SOURCE.c.path).where(SOURCE.c.image_id == row.image_id)
            paths = tuple(db.execute(here.order_by(SOURCE.c.path)).scalars())
            sha256 = db.execute(sa.select(IMAGE.c.sha256).where(IMAGE.c.id == row.image_id))
            return Claim(row.image_id, recipe_id, row.attempt, owner, sha256.scalar_one(), paths)

    def release(self, recipe_id: int, is_gone: Callable[[str], bool]) -> int:
        running = (INGEST.c.recipe_id == recipe_id) & (INGEST.c.state == State.RUNNING)
        with self._writing() as db:
            owners = db.execute(sa.select(INGEST.c.owner).where(running).distinct()).scalars()
            gone = [owner for owner in owners if owner and is_gone(owner)]
            back = sa.update(INGEST).where(running, INGEST.c.owner.in_(gone))
            return db.execute(back.values(state=State.PENDING, owner=None)).rowcount

    def commit(self, claim: Claim, picture: DescribedPicture) -> bool:
        done = {"state": State.DONE, "reason": None, "picture_vector": rows.pack(picture.vector)}
        values = [
            rows.segment_values(claim.image_id, claim.recipe_id, one) for one in picture.segments
        ]
        with self._writing() as db:
            if not _settle(db, claim, done):
                return False
            here = sa.update(IMAGE).where(IMAGE.c.id == claim.image_id)
            db.execute(here.values(rows.info_values(picture.info)))
            notes.link_near_duplicates(db, claim.image_id, picture.info.perceptual_hash)
            if values:
                db.execute(sa.insert(SEGMENT), values)
                mine = (SEGMENT.c.image_id == claim.image_id) & (
                    SEGMENT.c.recipe_id == claim.recipe_id
                )
                _log(db, "add", sa.select(SEGMENT.c.id).where(mine))
        return True

    def fail(self, claim: Claim, reason: str) -> bool:
        with self._writing() as db:
            return _settle(db, claim, {"state": State.FAILED, "reason": reason})

    def remove_images(self, image_ids: Sequence[int]) -> int:
        with self._writing() as db:
            return sum(
                _drop_images(db, sa.select(IMAGE.c.id).where(IMAGE.c.id.in_(some)))
                for some in portions(image_ids)
            )

    def forget_files(self, paths: Sequence[str]) -> int:
        with self._writing() as db:
            for some in portions(paths):
                db.execute(sa.delete(SOURCE).where(SOURCE.c.path.in_(some)))
            return _drop_images(db, _without_source())

    # Questions

    def find_images(self, paths: Sequence[str]) -> list[int]:
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
    ) -> list[Image]:
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
        with self._reading() as db:
            found = db.execute(query).all()
            beside = notes.beside(db, [row.id for row in found])
        return rows.images_from(found, beside)

    def segments(
        self, *, ids: Sequence[int] | None = None, image_id: int | None = None
    ) -> list[Segment]:
        query = (
            sa.select(SEGMENT, IMAGE.c.width, IMAGE.c.height)
            .join(IMAGE, IMAGE.c.id == SEGMENT.c.image_id)
            .join(RECIPE, RECIPE.c.id == SEGMENT.c.recipe_id)
            .where(RECIPE.c.active)
            .order_by(SEGMENT.c.id)
        )
        if ids is not None:
            query = query.where(SEGMENT.c.id.in_(ids))
        if image_id is not None:
            query = query.where(SEGMENT.c.image_id == image_id)
        with self._reading() as db:
            return [rows.segment_from(row) for row in db.execute(query)]

    def counts(self) -> dict[str, int]:
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
        waiting = by_state.get(State.PENDING, 0) + by_state.get(State.RUNNING, 0)
        failed = by_state.get(State.FAILED, 0)
        return {"images": images, "segments": segments, "pending": waiting, "failed": failed}

    # What an index needs

    def changes(self, recipe_id: int, since: int) -> Changes | None:
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
        query = sa.select(SEGMENT.c.id).where(SEGMENT.c.recipe_id == recipe_id)
        with self._reading() as db:
            return np.array(db.execute(query.order_by(SEGMENT.c.id)).scalars().all(), np.int64)

    def problems(self, recipe: tuple[int, Recipe]) -> Iterator[str]:
        with self._reading() as db:
            yield from catalog_problems(db, *recipe)


@contextmanager
def _foreign_errors_as_ours() -> Iterator[None]:
    try:
        yield
    except sa.exc.OperationalError as problem:
        if "locked" in str(problem.orig) or "busy" in str(problem.orig):
            raise BusyError(
                "Another process has been writing to the library for over 30 seconds; try again."
            ) from problem
        raise DamageError(f"The catalog cannot be used: {problem.orig}.") from problem
    except sa.exc.DatabaseError as problem:
        raise DamageError(f"The catalog is damaged: {problem.orig}.") from problem


def _settle(db: sa.Connection, claim: Claim, values: dict[str, Any]) -> bool:
    """Write the outcome of a claim, unless it has passed to another worker meanwhile."""
    mine = (
        (INGEST.c.image_id == claim.image_id)
        & (INGEST.c.recipe_id == claim.recipe_id)
        & (INGEST.c.owner == claim.owner)
        & (INGEST.c.attempt == claim.attempt)
        & (INGEST.c.state == State.RUNNING)
    )
    outcome = sa.update(INGEST).where(mine).values(owner=None, lease_until=None, **values)
    return db.execute(outcome).rowcount == 1


def _log(db: sa.Connection, op: str, segment_ids: sa.Select[Any]) -> None:
    """Append to the change log what the same transaction does to these segments."""
    chosen = segment_ids.with_only_columns(
        SEGMENT.c.recipe_id, sa.literal(op), SEGMENT.c.id
    ).order_by(SEGMENT.c.id)
    db.execute(sa.insert(CHANGE_LOG).from_select(["recipe_id", "op", "segment_id"], chosen))


def _without_source() -> sa.Select[Any]:
    return sa.select(IMAGE.c.id).where(~sa.exists().where(SOURCE.c.image_id == IMAGE.c.id))


def _drop_images(db: sa.Connection, chosen: sa.Select[Any]) -> int:
    _log(db, "remove", sa.select(SEGMENT.c.id).where(SEGMENT.c.image_id.in_(chosen)))
    return db.execute(sa.delete(IMAGE).where(IMAGE.c.id.in_(chosen))).rowcount
