"""Jobs: which runs fill the library, how far each is, how it ended; and whether workers pause."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, cast

import sqlalchemy as sa

from segsearch.core.types import Job, JobStage, JobState
from segsearch.storage.catalog.database import Database
from segsearch.storage.catalog.portable import NOW, insert
from segsearch.storage.catalog.rows import iso
from segsearch.storage.catalog.tables import JOB, LIBRARY

PAUSED = "paused"  # a key of `library`, there while workers pause
ENDED: dict[str, Any] = {"current": None, "stage": None, "stopping": False}
WAS_LOST = JOB.c.state == JobState.LOST
AGAIN: dict[str, Any] = {
    "state": sa.case((WAS_LOST, JobState.RUNNING.value), else_=JOB.c.state),
    "finished_at": sa.case((WAS_LOST, sa.null()), else_=JOB.c.finished_at),
}


class JobMixin(Database):
    """The part of the catalog that holds jobs."""

    def begin_job(self, kind: str, owner: str, preset: str | None, paths: Sequence[str]) -> int:
        """Note that a run has begun; its id."""
        values = {
            "kind": kind,
            "owner": owner,
            "preset": preset,
            "paths": json.dumps(list(paths)),
            "state": JobState.RUNNING,
            "stage": JobStage.SCANNING,
        }
        started = sa.insert(JOB).values(started_at=NOW, updated_at=NOW, **values)
        with self._writing() as db:
            return cast(int, db.execute(started.returning(JOB.c.id)).scalar_one())

    def update_job(self, job_id: int, **values: Any) -> bool:
        """Note how far a run is: `total`, `done`, `segments`, `skipped`, `current`, `report`,
        `stage`, `device`; whether it is to stop. One that counted as lost was only silent: it runs
        again."""
        changed = sa.update(JOB).where(JOB.c.id == job_id).values(updated_at=NOW, **AGAIN)
        with self._claiming() as db:
            noted = db.execute(changed.values(**values).returning(JOB.c.stopping))
            return bool(noted.scalar())

    def is_to_stop(self, job_id: int) -> bool:
        """Whether somebody has cancelled a job."""
        with self._reading() as db:
            return bool(db.execute(sa.select(JOB.c.stopping).where(JOB.c.id == job_id)).scalar())

    def cancel_job(self, job_id: int) -> bool:
        """Ask a running job to stop, and workers to pause; False when it has ended."""
        running = (JOB.c.id == job_id) & (JOB.c.state == JobState.RUNNING)
        pause = insert(LIBRARY).values(key=PAUSED, value="1")
        with self._writing() as db:
            if not db.execute(sa.update(JOB).where(running).values(stopping=True)).rowcount:
                return False
            db.execute(pause.on_conflict_do_nothing())
            return True

    def finish_job(self, job_id: int, state: JobState, **values: Any) -> None:
        """Note how a run has ended. Workers pause no longer where somebody cancelled a run that was
        done by then: nobody knows that they do."""
        job = JOB.c.id == job_id
        ended = (
            sa.update(JOB)
            .where(job)
            .values(state=state, updated_at=NOW, finished_at=NOW, **ENDED, **values)
        )
        with self._editing() as db:
            was_stopping = bool(db.execute(sa.select(JOB.c.stopping).where(job)).scalar())
            db.execute(ended)
            if was_stopping and state is JobState.DONE:
                db.execute(sa.delete(LIBRARY).where(LIBRARY.c.key == PAUSED))

    def close_lost_jobs(self, is_lost: Callable[[Job], bool]) -> None:
        """Mark those running jobs as lost that are, but for those that were heard of meanwhile."""
        running = sa.select(JOB).where(JOB.c.state == JobState.RUNNING)
        with self._reading() as db:
            rows = db.execute(running).all()
        lost = {"state": JobState.LOST, "updated_at": NOW, "finished_at": NOW, **ENDED}
        for row in rows:
            if is_lost(_job(row)):
                same = (JOB.c.id == row.id) & (JOB.c.updated_at == row.updated_at)
                same &= JOB.c.state == JobState.RUNNING
                with self._claiming() as db:
                    db.execute(sa.update(JOB).where(same).values(lost))

    def clock(self) -> datetime:
        """The time by the catalog's clock, which jobs are noted by."""
        with self._reading() as db:
            return datetime.fromtimestamp(db.execute(sa.select(NOW)).scalar_one(), UTC)

    def is_paused(self) -> bool:
        """Whether workers wait, since a job was cancelled, until they are told to go on."""

        def read() -> bool:
            with self._reading() as db:
                paused = sa.select(LIBRARY.c.value).where(LIBRARY.c.key == PAUSED)
                return db.execute(paused).first() is not None

        return self._since_written("paused", read)

    def resume(self) -> None:
        """Let workers go on; nothing is written where they do."""
        if self.is_paused():
            with self._writing() as db:
                db.execute(sa.delete(LIBRARY).where(LIBRARY.c.key == PAUSED))

    def jobs(
        self, *, before: int | None = None, limit: int = 50, job_id: int | None = None,
        running: bool = False,
    ) -> list[Job]:  # fmt: skip
        """Jobs, newest first; those `before` an id, only one, or only the running ones."""
        query = sa.select(JOB).order_by(JOB.c.id.desc()).limit(limit)
        if before is not None:
            query = query.where(JOB.c.id < before)
        if job_id is not None:
            query = query.where(JOB.c.id == job_id)
        if running:
            query = query.where(JOB.c.state == JobState.RUNNING)
        with self._reading() as db:
            return [_job(row) for row in db.execute(query)]


def _job(row: sa.Row[Any]) -> Job:
    values = dict(row._mapping)  # the table calls a job's fields the same
    for name in ("started_at", "updated_at", "finished_at"):
        values[name] = None if values[name] is None else iso(values[name])
    values |= {"state": JobState(row.state), "paths": tuple(json.loads(row.paths))}
    values["stage"] = None if row.stage is None else JobStage(row.stage)
    return Job(**values)
