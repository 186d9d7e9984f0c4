"""The queue: claims, leases, heartbeats and commits; retries, failures and quarantine.

There are two of them, with the same columns: `ingest` of pictures that are put through all models,
`reading` of those whose text alone is to be read. The lease stands on the picture's own row, and
the database's clock decides about it, no other. A lease or a pause that ends far in the future
stems from a clock that was set back, and counts as ended.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import sqlalchemy as sa

from segsearch.core.arrays import DescribedPicture, PictureText
from segsearch.core.types import LONGEST_PAUSE_SECONDS, Claim, Setback, State, Task
from segsearch.storage.catalog import rows
from segsearch.storage.catalog.counters import tallies
from segsearch.storage.catalog.database import Database, portions
from segsearch.storage.catalog.near_duplicates import link_near_duplicates
from segsearch.storage.catalog.portable import NOW
from segsearch.storage.catalog.reading import (
    mark_read,
    mark_unread,
    regions_to_read,
    store_segments,
    store_text,
)
from segsearch.storage.catalog.rows import FRESH
from segsearch.storage.catalog.shots import settle_shot, store_tracks
from segsearch.storage.catalog.tables import (
    IMAGE,
    INGEST,
    READING,
    RECIPE,
    SOURCE,
)

GIVEN_UP = (State.FAILED, State.QUARANTINED)
LONGEST_LEASE_SECONDS = 86_400.0  # that settings allow
IS_DESCRIBED = sa.exists().where(
    INGEST.c.image_id == READING.c.image_id,
    INGEST.c.recipe_id == READING.c.recipe_id,
    INGEST.c.state == State.DONE,
)
QUEUES: dict[Task, sa.Table] = {"describe": INGEST, "read": READING}


class QueueMixin(Database):
    """The part of the catalog that assigns pictures to workers."""

    def queue_all(self, recipe_id: int, *, retry_failed: bool = False) -> int:
        """Queue every image that has no state under a recipe; how many wait now comes back."""
        with self._writing() as db:
            queue_new(db, recipe_id)
            if retry_failed:
                for queue in QUEUES.values():
                    given_up = (queue.c.recipe_id == recipe_id) & queue.c.state.in_(GIVEN_UP)
                    db.execute(sa.update(queue).where(given_up).values(FRESH))
            return tallies(db, recipe_id).get("state", Counter())[State.PENDING]

    def retry(self, recipe_id: int, image_ids: Sequence[int] | None = None) -> int:
        """Let images wait again that failed or are quarantined under a recipe, or whose text could
        not be read, all or those of these ids, with nothing held against them; how many that
        were."""
        with self._writing() as db:
            return sum(_retry(db, queue, recipe_id, image_ids) for queue in QUEUES.values())

    def has_waiting(self, recipe_id: int) -> bool:
        """Whether images wait to be described under a recipe, and are with nobody."""
        with self._reading() as db:
            return tallies(db, recipe_id).get("state", Counter())[State.PENDING] > 0

    def holders(self) -> dict[str, int]:
        """How many images each owner holds, under whichever recipe."""
        recipes = sa.select(RECIPE.c.id)
        held: Counter[str] = Counter()
        with self._reading() as db:
            for queue in QUEUES.values():
                under_way = queue.c.recipe_id.in_(recipes) & (queue.c.state == State.RUNNING)
                counted = sa.select(queue.c.owner, sa.func.count()).where(under_way)
                for owner, count in db.execute(counted.group_by(queue.c.owner)).all():
                    held[owner] += count
        return {owner: count for owner, count in held.items() if owner}

    def waiting(self, recipe_id: int, task: Task = "describe") -> int:
        """How many images wait or run under a recipe."""
        with self._reading() as db:
            return unfinished(db, recipe_id, task)

    def retry_seconds(self, recipe_id: int, task: Task = "describe") -> float | None:
        """Seconds until the first picture that was put back is due; None when there is none."""
        queue = QUEUES[task]
        due = sa.select(sa.func.min(queue.c.retry_at) - NOW).where(
            queue.c.recipe_id == recipe_id, queue.c.state == State.PENDING
        )
        with self._reading() as db:
            seconds = db.execute(due).scalar()
        return seconds if seconds is None or 0 < seconds <= LONGEST_PAUSE_SECONDS else 0.0

    def claim(
        self, recipe_id: int, owner: str, lease_seconds: float, task: Task = "describe"
    ) -> Claim | None:
        """The next waiting image, or one whose lease ran out; None when there is none."""
        queue = QUEUES[task]
        rested = queue.c.retry_at.is_(None) | ~_ahead(queue.c.retry_at, LONGEST_PAUSE_SECONDS)
        fresh = (queue.c.state == State.PENDING) & rested
        ended = ~_ahead(queue.c.lease_until, LONGEST_LEASE_SECONDS)
        expired = (queue.c.state == State.RUNNING) & ended
        if task == "read":
            fresh, expired = (free & IS_DESCRIBED for free in (fresh, expired))
        with self._claiming() as db:
            # One after the other: with OR, SQLite sorts everything that waits, for every claim.
            lease = {"owner": owner, "lease_until": NOW + lease_seconds}
            row = _lend(db, task, recipe_id, fresh, lease) or _lend(
                db, task, recipe_id, expired, lease
            )
            if row is None:
                return None
            paths = sa.select(SOURCE.c.path).where(SOURCE.c.image_id == row.image_id)
            sha256 = sa.select(IMAGE.c.sha256).where(IMAGE.c.id == row.image_id)
            return Claim(
                recipe_id=recipe_id,
                owner=owner,
                sha256=db.execute(sha256).scalar_one(),
                paths=tuple(db.execute(paths.order_by(SOURCE.c.path)).scalars()),
                task=task,
                regions=regions_to_read(db, recipe_id, row.image_id) if task == "read" else (),
                **row._mapping,
            )

    def extend(self, claims: Sequence[Claim], lease_seconds: float) -> None:
        """Heartbeat: the leases of these claims end so many seconds from now."""
        with self._claiming() as db:
            for claim in claims:
                queue = QUEUES[claim.task]
                # Past what a writer is just changing: who holds the rows of some claims and waits
                # for that of another may be waited for by whoever forgets all of these pictures.
                there = sa.select(queue.c.image_id).where(_held(claim))
                there = there.with_for_update(skip_locked=True)
                longer = sa.update(queue).where(queue.c.recipe_id == claim.recipe_id)
                longer = longer.where(queue.c.image_id == there.scalar_subquery())
                db.execute(longer.values(lease_until=NOW + lease_seconds))

    def release(
        self, recipe_id: int, is_gone: Callable[[str], bool], *, interrupted: bool = False
    ) -> int:
        """Give back what owners that are gone held; how many images that was comes back.

        `interrupted` counts it against each picture: one of them may be why the owner is gone.
        """
        return sum(
            self._release(queue, recipe_id, is_gone, int(interrupted)) for queue in QUEUES.values()
        )

    def _release(
        self, queue: sa.Table, recipe_id: int, is_gone: Callable[[str], bool], counts: int
    ) -> int:
        running = (queue.c.recipe_id == recipe_id) & (queue.c.state == State.RUNNING)
        with self._reading() as db:
            owners = db.execute(sa.select(queue.c.owner).where(running).distinct()).scalars()
            gone = [owner for owner in owners if owner and is_gone(owner)]
        if not gone:
            return 0
        back = sa.update(queue).where(running, queue.c.owner.in_(gone))
        free = {"state": State.PENDING, "owner": None, "lease_until": None}
        with self._writing() as db:
            tried = queue.c.interruptions + counts
            return db.execute(back.values(**free, interruptions=tried)).rowcount

    def commit(self, claim: Claim, picture: DescribedPicture) -> bool:
        """Store a picture's segments, vectors and change log, of a shot how they live, too, and
        mark it done.

        False, with nothing stored, when the claim has passed to another worker.
        """
        done = {
            "state": State.DONE,
            "reason": None,
            "retry_at": None,
            "picture_vector": rows.pack(picture.vector),
        }
        with self._writing() as db:
            if not _settle(db, claim, done):
                return False
            is_shot = picture.seconds is not None
            info = settle_shot(db, claim.image_id, picture) if is_shot else picture.info
            image = sa.update(IMAGE).where(IMAGE.c.id == claim.image_id)
            db.execute(image.values(rows.info_values(info)))
            link_near_duplicates(db, claim.image_id, info.perceptual_hash, is_shot=is_shot)
            ids = store_segments(db, claim, picture.segments)
            if is_shot:
                store_tracks(db, ids, picture.tracks)
            if picture.text is not None:
                store_text(db, claim, picture.text, ids)
                mark_read(db, claim, picture.text.reader)
            elif picture.is_unread:
                mark_unread(db, claim)
        return True

    def commit_text(self, claim: Claim, text: PictureText) -> bool:
        """Store the text of a picture in place of what it had, and mark it read.

        Regions that reading had added go; those that the claim's picture has lost meanwhile hold
        no line. False, with nothing stored, when the claim has passed to another worker.
        """
        done = {"state": State.DONE, "reason": None, "retry_at": None, "reader": text.reader}
        with self._writing() as db:
            if not _settle(db, claim, done):
                return False
            store_text(db, claim, text, [region.id for region in claim.regions])
        return True

    def put_back(self, claim: Claim, reason: str, *, pause_seconds: float, counts: Setback) -> bool:
        """Let a picture be tried again after a pause, one more counted against it of what `counts`
        names; False when the claim has passed on."""
        values: dict[str, Any] = {
            "state": State.PENDING,
            "reason": reason,
            "retry_at": NOW + pause_seconds,
            counts: QUEUES[claim.task].c[counts] + 1,
        }
        with self._writing() as db:
            return _settle(db, claim, values)

    def quarantine(self, claim: Claim, reason: str) -> bool:
        """Set a picture that crashes the models aside; False when the claim has passed on."""
        crashes = QUEUES[claim.task].c.crashes + 1
        values = {"state": State.QUARANTINED, "reason": reason, "crashes": crashes}
        with self._writing() as db:
            return _settle(db, claim, values)

    def forgive_crash(
        self, recipe_id: int, image_ids: Sequence[int], task: Task = "describe"
    ) -> None:
        """Take one crash back that was held against each of some images, which wait again at once
        if they do not run."""
        queue = QUEUES[task]
        idle = queue.c.state.in_((State.PENDING, State.QUARANTINED)) & (queue.c.crashes > 0)
        with self._writing() as db:
            for portion in portions(image_ids):
                theirs = (queue.c.recipe_id == recipe_id) & queue.c.image_id.in_(portion)
                forgiven = sa.update(queue).where(theirs, idle)
                waiting = {"state": State.PENDING, "reason": None, "retry_at": None}
                db.execute(forgiven.values(**waiting, crashes=queue.c.crashes - 1))

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

    def refuse(self, path: str, recipe_id: int, reason: str) -> bool:
        """Mark what lies at a path as failed before anybody has claimed it; False when somebody
        has, or it does not wait."""
        of_path = sa.select(SOURCE.c.image_id).where(SOURCE.c.path == path).scalar_subquery()
        waits = (INGEST.c.image_id == of_path) & (INGEST.c.recipe_id == recipe_id)
        refused = sa.update(INGEST).where(waits, INGEST.c.state == State.PENDING)
        with self._writing() as db:
            return db.execute(refused.values(state=State.FAILED, reason=reason)).rowcount > 0


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


def _retry(
    db: sa.Connection, queue: sa.Table, recipe_id: int, image_ids: Sequence[int] | None
) -> int:
    given_up = (queue.c.recipe_id == recipe_id) & queue.c.state.in_(GIVEN_UP)
    again = sa.update(queue).where(given_up).values(FRESH)
    if image_ids is None:
        return db.execute(again).rowcount
    return sum(
        db.execute(again.where(queue.c.image_id.in_(portion))).rowcount
        for portion in portions(image_ids)
    )


def unfinished(db: sa.Connection, recipe_id: int, task: Task = "describe") -> int:
    """How many images wait or run under a recipe."""
    kind = "state" if task == "describe" else "reading"
    by_state = tallies(db, recipe_id).get(kind, Counter())
    return by_state[State.PENDING] + by_state[State.RUNNING]


def _ahead(column: sa.Column[Any], most_seconds: float) -> sa.ColumnElement[bool]:
    """Whether a moment is still to come, and near enough to have been set by today's clock."""
    return (column > NOW) & (column <= NOW + most_seconds)


def _lend(
    db: sa.Connection,
    task: Task,
    recipe_id: int,
    free: sa.ColumnElement[bool],
    lease: dict[str, Any],
) -> sa.Row[Any] | None:
    """Lend the first image that is free; its columns of the queue that a claim holds."""
    queue = QUEUES[task]
    of_recipe = queue.c.recipe_id == recipe_id
    images = sa.select(queue.c.image_id).where(of_recipe, free)
    # On PostgreSQL past those that others are just claiming; SQLite lets one claim at a time.
    images = images.with_for_update(skip_locked=True, of=queue)
    first = images.order_by(queue.c.image_id).limit(1).scalar_subquery()
    lend = sa.update(queue).where(of_recipe, queue.c.image_id == first)
    lend = lend.values(state=State.RUNNING, attempt=queue.c.attempt + 1, retry_at=None, **lease)
    counts = (queue.c.interruptions, queue.c.crashes, queue.c.errors)
    return db.execute(lend.returning(queue.c.image_id, queue.c.attempt, *counts)).first()


def _held(claim: Claim) -> sa.ColumnElement[bool]:
    """Whether a row of its queue is still assigned as a claim says."""
    queue = QUEUES[claim.task]
    return (
        (queue.c.image_id == claim.image_id)
        & (queue.c.recipe_id == claim.recipe_id)
        & (queue.c.owner == claim.owner)
        & (queue.c.attempt == claim.attempt)
        & (queue.c.state == State.RUNNING)
    )


def _settle(db: sa.Connection, claim: Claim, values: dict[str, Any]) -> bool:
    """Write the outcome of a claim, unless it has passed to another worker meanwhile."""
    outcome = sa.update(QUEUES[claim.task]).where(_held(claim))
    return db.execute(outcome.values(owner=None, lease_until=None, **values)).rowcount == 1
