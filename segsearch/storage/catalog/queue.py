"""The queue: claims, leases, heartbeats and commits; retries, failures and quarantine.

The lease stands on the picture's own row, and the database's clock decides about it, no other. A
lease or a pause that ends far in the future stems from a clock that was set back, and counts as
ended.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import sqlalchemy as sa

from segsearch.core.arrays import DescribedPicture
from segsearch.core.types import LONGEST_PAUSE_SECONDS, Claim, Setback, State
from segsearch.storage.catalog import rows
from segsearch.storage.catalog.change_log import log_change
from segsearch.storage.catalog.counters import tallies
from segsearch.storage.catalog.database import NOW, Database, portions
from segsearch.storage.catalog.near_duplicates import link_near_duplicates
from segsearch.storage.catalog.tables import (
    IMAGE,
    INGEST,
    RECIPE,
    SEGMENT,
    SEGMENT_VECTOR,
    SOURCE,
)

GIVEN_UP = (State.FAILED, State.QUARANTINED)
LONGEST_LEASE_SECONDS = 86_400.0  # that settings allow


class QueueMixin(Database):
    """The part of the catalog that assigns pictures to workers."""

    def queue_all(self, recipe_id: int, *, retry_failed: bool = False) -> int:
        """Queue every image that has no state under a recipe; how many wait now comes back."""
        of_recipe = INGEST.c.recipe_id == recipe_id
        with self._writing() as db:
            queue_new(db, recipe_id)
            if retry_failed:
                given_up = INGEST.c.state.in_(GIVEN_UP)
                db.execute(sa.update(INGEST).where(of_recipe, given_up).values(FRESH))
            return tallies(db, recipe_id).get("state", Counter())[State.PENDING]

    def retry(self, recipe_id: int, image_ids: Sequence[int] | None = None) -> int:
        """Let images wait again that failed or are quarantined under a recipe, all or those of
        these ids, with nothing held against them; how many that were."""
        given_up = (INGEST.c.recipe_id == recipe_id) & INGEST.c.state.in_(GIVEN_UP)
        again = sa.update(INGEST).where(given_up).values(FRESH)
        with self._writing() as db:
            if image_ids is None:
                return db.execute(again).rowcount
            return sum(
                db.execute(again.where(INGEST.c.image_id.in_(portion))).rowcount
                for portion in portions(image_ids)
            )

    def holders(self) -> dict[str, int]:
        """How many images each owner holds, under whichever recipe."""
        recipes = sa.select(RECIPE.c.id)
        held = sa.select(INGEST.c.owner, sa.func.count()).where(
            INGEST.c.recipe_id.in_(recipes), INGEST.c.state == State.RUNNING
        )
        with self._reading() as db:
            rows = db.execute(held.group_by(INGEST.c.owner)).all()
        return {owner: count for owner, count in rows if owner}

    def waiting(self, recipe_id: int) -> int:
        """How many images wait or run under a recipe."""
        with self._reading() as db:
            return unfinished(db, recipe_id)

    def retry_seconds(self, recipe_id: int) -> float | None:
        """Seconds until the first picture that was put back is due; None when there is none."""
        due = sa.select(sa.func.min(INGEST.c.retry_at) - NOW).where(
            INGEST.c.recipe_id == recipe_id, INGEST.c.state == State.PENDING
        )
        with self._reading() as db:
            seconds = db.execute(due).scalar()
        return seconds if seconds is None or 0 < seconds <= LONGEST_PAUSE_SECONDS else 0.0

    def claim(self, recipe_id: int, owner: str, lease_seconds: float) -> Claim | None:
        """The next waiting image, or one whose lease ran out; None when there is none."""
        rested = INGEST.c.retry_at.is_(None) | ~_ahead(INGEST.c.retry_at, LONGEST_PAUSE_SECONDS)
        fresh = (INGEST.c.state == State.PENDING) & rested
        ended = ~_ahead(INGEST.c.lease_until, LONGEST_LEASE_SECONDS)
        expired = (INGEST.c.state == State.RUNNING) & ended
        with self._writing() as db:
            # One after the other: with OR, SQLite sorts everything that waits, for every claim.
            lease = {"owner": owner, "lease_until": NOW + lease_seconds}
            row = _lend(db, recipe_id, fresh, lease) or _lend(db, recipe_id, expired, lease)
            if row is None:
                return None
            paths = sa.select(SOURCE.c.path).where(SOURCE.c.image_id == row.image_id)
            sha256 = sa.select(IMAGE.c.sha256).where(IMAGE.c.id == row.image_id)
            return Claim(
                recipe_id=recipe_id,
                owner=owner,
                sha256=db.execute(sha256).scalar_one(),
                paths=tuple(db.execute(paths.order_by(SOURCE.c.path)).scalars()),
                **row._mapping,
            )

    def extend(self, claims: Sequence[Claim], lease_seconds: float) -> None:
        """Heartbeat: the leases of these claims end so many seconds from now."""
        with self._writing() as db:
            for claim in claims:
                longer = sa.update(INGEST).where(_held(claim))
                db.execute(longer.values(lease_until=NOW + lease_seconds))

    def release(
        self, recipe_id: int, is_gone: Callable[[str], bool], *, interrupted: bool = False
    ) -> int:
        """Give back what owners that are gone held; how many images that was comes back.

        `interrupted` counts it against each picture: one of them may be why the owner is gone.
        """
        running = (INGEST.c.recipe_id == recipe_id) & (INGEST.c.state == State.RUNNING)
        with self._reading() as db:
            owners = db.execute(sa.select(INGEST.c.owner).where(running).distinct()).scalars()
            gone = [owner for owner in owners if owner and is_gone(owner)]
        if not gone:
            return 0
        with self._writing() as db:
            back = sa.update(INGEST).where(running, INGEST.c.owner.in_(gone))
            count = INGEST.c.interruptions + (1 if interrupted else 0)
            return db.execute(
                back.values(state=State.PENDING, owner=None, lease_until=None, interruptions=count)
            ).rowcount

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
        segments = [
            rows.segment_values(claim.image_id, claim.recipe_id, segment)
            for segment in picture.segments
        ]
        with self._writing() as db:
            if not _settle(db, claim, done):
                return False
            image = sa.update(IMAGE).where(IMAGE.c.id == claim.image_id)
            db.execute(image.values(rows.info_values(picture.info)))
            link_near_duplicates(db, claim.image_id, picture.info.perceptual_hash)
            if segments:
                db.execute(sa.insert(SEGMENT), segments)
                of_recipe = SEGMENT.c.recipe_id == claim.recipe_id
                stored = sa.select(SEGMENT.c.id).where(SEGMENT.c.image_id == claim.image_id)
                stored = stored.where(of_recipe)
                ids = db.execute(stored.order_by(SEGMENT.c.id)).scalars().all()[-len(segments) :]
                vectors = map(rows.vector_values, ids, picture.segments)
                db.execute(sa.insert(SEGMENT_VECTOR), list(vectors))
                log_change(db, "add", stored)
        return True

    def put_back(self, claim: Claim, reason: str, *, pause_seconds: float, counts: Setback) -> bool:
        """Let a picture be tried again after a pause, one more counted against it of what `counts`
        names; False when the claim has passed on."""
        values: dict[str, Any] = {
            "state": State.PENDING,
            "reason": reason,
            "retry_at": NOW + pause_seconds,
            counts: INGEST.c[counts] + 1,
        }
        with self._writing() as db:
            return _settle(db, claim, values)

    def quarantine(self, claim: Claim, reason: str) -> bool:
        """Set a picture that crashes the models aside; False when the claim has passed on."""
        crashes = INGEST.c.crashes + 1
        values = {"state": State.QUARANTINED, "reason": reason, "crashes": crashes}
        with self._writing() as db:
            return _settle(db, claim, values)

    def forgive_crash(self, recipe_id: int, image_ids: Sequence[int]) -> None:
        """Take one crash back that was held against each of some images, which wait again at once
        if they do not run."""
        idle = INGEST.c.state.in_((State.PENDING, State.QUARANTINED)) & (INGEST.c.crashes > 0)
        with self._writing() as db:
            for portion in portions(image_ids):
                theirs = (INGEST.c.recipe_id == recipe_id) & INGEST.c.image_id.in_(portion)
                forgiven = sa.update(INGEST).where(theirs, idle)
                waiting = {"state": State.PENDING, "reason": None, "retry_at": None}
                db.execute(forgiven.values(**waiting, crashes=INGEST.c.crashes - 1))

    def fail(self, claim: Claim, reason: str, *, gone: bool = False) -> bool:
        """Mark a picture as failed for a reason; False when the claim has passed on.

        With `gone` its paths are marked as missing: it is tried again when one comes back.
        """
        with self._writing() as db:
            is_held = _settle(db, claim, {"state": State.FAILED, "reason": reason})
            if is_held and gone:
                known = (SOURCE.c.image_id == claim.image_id) & SOURCE.c.missing_since.is_(None)
                db.execute(sa.update(SOURCE).where(known).values(missing_since=NOW))
            return is_held


FRESH: dict[str, Any] = {
    "state": State.PENDING,
    "reason": None,
    "owner": None,
    "lease_until": None,
    "crashes": 0,
    "interruptions": 0,
    "errors": 0,
    "retry_at": None,
}


def queue_new(db: sa.Connection, recipe_id: int) -> None:
    """Queue every image that has no state under a recipe; none is looked at where as many have a
    state as there are."""
    kept = tallies(db, recipe_id)
    if kept.get("state", Counter()).total() == kept.get("images", Counter()).total():
        return
    known = sa.exists().where(INGEST.c.image_id == IMAGE.c.id, INGEST.c.recipe_id == recipe_id)
    pending = (sa.literal(recipe_id), sa.literal(State.PENDING.value))
    missing = sa.select(IMAGE.c.id, *pending).where(~known)
    columns = ["image_id", "recipe_id", "state"]
    db.execute(sa.insert(INGEST).from_select(columns, missing))


def unfinished(db: sa.Connection, recipe_id: int) -> int:
    """How many images wait or run under a recipe."""
    by_state = tallies(db, recipe_id).get("state", Counter())
    return by_state[State.PENDING] + by_state[State.RUNNING]


def _ahead(column: sa.Column[Any], most_seconds: float) -> sa.ColumnElement[bool]:
    """Whether a moment is still to come, and near enough to have been set by today's clock."""
    return (column > NOW) & (column <= NOW + most_seconds)


def _lend(
    db: sa.Connection, recipe_id: int, free: sa.ColumnElement[bool], lease: dict[str, Any]
) -> sa.Row[Any] | None:
    """Lend the first image that is free; its columns of `ingest` that a claim holds."""
    of_recipe = INGEST.c.recipe_id == recipe_id
    images = sa.select(INGEST.c.image_id).where(of_recipe, free)
    first = images.order_by(INGEST.c.image_id).limit(1).scalar_subquery()
    lend = sa.update(INGEST).where(of_recipe, INGEST.c.image_id == first)
    lend = lend.values(state=State.RUNNING, attempt=INGEST.c.attempt + 1, retry_at=None, **lease)
    counts = (INGEST.c.interruptions, INGEST.c.crashes, INGEST.c.errors)
    return db.execute(lend.returning(INGEST.c.image_id, INGEST.c.attempt, *counts)).first()


def _held(claim: Claim) -> sa.ColumnElement[bool]:
    """Whether a row of `ingest` is still assigned as a claim says."""
    return (
        (INGEST.c.image_id == claim.image_id)
        & (INGEST.c.recipe_id == claim.recipe_id)
        & (INGEST.c.owner == claim.owner)
        & (INGEST.c.attempt == claim.attempt)
        & (INGEST.c.state == State.RUNNING)
    )


def _settle(db: sa.Connection, claim: Claim, values: dict[str, Any]) -> bool:
    """Write the outcome of a claim, unless it has passed to another worker meanwhile."""
    outcome = sa.update(INGEST).where(_held(claim)).values(owner=None, lease_until=None)
    return db.execute(outcome.values(values)).rowcount == 1
