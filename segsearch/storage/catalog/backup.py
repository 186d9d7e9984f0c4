"""Backup and restore: a catalog as of one moment in a file, and the way back.

A backup may come from anyone: it is checked like any other file that comes in.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import uuid
from contextlib import closing
from pathlib import Path

import sqlalchemy as sa

from segsearch.core.atomic import whole
from segsearch.core.errors import (
    DamageError,
    DiskFullError,
    InputError,
    LibraryError,
    PathError,
    SegSearchError,
    tells_of_full_disk,
)
from segsearch.core.types import JobState, State
from segsearch.media.decode import DEFAULT_LIMITS
from segsearch.storage.catalog.backup_check import check_schema_of, check_values
from segsearch.storage.catalog.database import Database
from segsearch.storage.catalog.engine import check_revision, create_engine, open_to_read, upgrade
from segsearch.storage.catalog.integrity import put_right
from segsearch.storage.catalog.jobs import ENDED, PAUSED
from segsearch.storage.catalog.rows import recipe_from
from segsearch.storage.catalog.sqlite_file import SqliteFile
from segsearch.storage.catalog.tables import INGEST, JOB, LIBRARY, RECIPE
from segsearch.storage.catalog.words import Fts5Words

LOG = logging.getLogger(__name__)


class BackupMixin(Database):
    """The part of the catalog that copies it to a file and takes it from one."""

    def backup(self, file: Path) -> None:
        """Write a copy of one moment to a file, while others read and write; PathError,
        DiskFullError or DamageError when it cannot be."""
        source_file = self._sqlite_file()
        read = open_to_read if self.read_only else sqlite3.connect
        try:
            with whole(file, durable=True) as partial, closing(sqlite3.connect(partial)) as copy:
                with closing(read(source_file)) as source:
                    # In one step: under WAL a reader stops no writer, and a copy in several steps
                    # starts anew whenever another process commits.
                    source.backup(copy, pages=-1)
                copy.execute("PRAGMA journal_mode=DELETE")  # one file, no log beside it
        except (sqlite3.Error, OSError) as problem:
            raise _failed_backup(file, problem) from problem

    def restore(self, file: Path, *, max_pixels: int = DEFAULT_LIMITS.max_pixels) -> None:
        """Take a backup's content in one transaction, under a new timeline.

        Ids given out since the backup are not given out again. DamageError when the file is none,
        when it holds what segsearch never writes, or a picture of more than `max_pixels`. Pictures
        whose segments are damaged are queued again, as `repair` does it.
        """
        target = self._sqlite_file()
        staged = target.with_name(f"restore.{os.getpid()}.tmp")
        try:
            _stage(file, staged, max_pixels)
            with closing(sqlite3.connect(target)) as live:
                _start_timeline(staged, live)
                with closing(sqlite3.connect(staged)) as source:
                    # One transaction of the live database: killed halfway, nothing has changed,
                    # and other processes see the old content or the new.
                    source.backup(live, pages=-1)
        except DamageError as problem:
            raise DamageError(f"{str(file)!r} cannot be restored: {problem}.") from problem
        except (sqlite3.Error, sa.exc.SQLAlchemyError, OSError) as problem:
            if tells_of_full_disk(getattr(problem, "orig", problem)):
                raise DiskFullError(
                    f"The disk under {self.name!r} is full: make room and restore "
                    "again; nothing has changed."
                ) from problem
            raise DamageError(f"{str(file)!r} cannot be restored: {problem}.") from problem
        finally:
            for suffix in ("", "-wal", "-shm", "-journal"):
                Path(f"{staged}{suffix}").unlink(missing_ok=True)
        self._engine.dispose()

    def _sqlite_file(self) -> Path:
        """The file of the catalog; InputError for one that a server keeps."""
        if isinstance(self._backend, SqliteFile):
            return self._backend.file
        raise InputError(
            "This library's catalog is kept by PostgreSQL: copy it with pg_dump, take a copy back "
            "with pg_restore into an empty database."
        )


def _failed_backup(file: Path, problem: sqlite3.Error | OSError) -> SegSearchError:
    text = f"The backup {str(file)!r} cannot be written: {problem}."
    if tells_of_full_disk(problem):
        return DiskFullError(text)
    if isinstance(problem, OSError | sqlite3.OperationalError):
        return PathError(text)
    return DamageError(f"The catalog is damaged: {problem}.")


def _stage(file: Path, staged: Path, max_pixels: int) -> None:
    """A copy of a backup beside the catalog, checked, and of this version's schema."""
    if not file.is_file():
        raise PathError(f"There is no file {str(file)!r}.")
    with (
        closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as source,
        closing(sqlite3.connect(staged)) as copy,
    ):
        source.execute("PRAGMA trusted_schema=OFF")  # what it defines may call no function of ours
        verdict = source.execute("PRAGMA integrity_check").fetchone()[0]
        names = {row[0] for row in source.execute("SELECT name FROM sqlite_master")}
        if verdict != "ok" or "alembic_version" not in names:
            raise DamageError(f"it is no whole backup of a library ({verdict})")
        check_schema_of(source, check_revision(source))
        source.backup(copy, pages=-1)
    engine = create_engine(staged)
    try:
        upgrade(engine)
        with engine.begin() as db:
            check_values(db, max_pixels)
            Fts5Words().enter_again(db)  # the index of words is a format of its own, never trusted
            claims = sa.update(INGEST).where(INGEST.c.state == State.RUNNING)
            db.execute(claims.values(state=State.PENDING, owner=None, lease_until=None))
            jobs = sa.update(JOB).where(JOB.c.state == JobState.RUNNING)
            db.execute(jobs.values(state=JobState.LOST, **ENDED))
            db.execute(sa.delete(LIBRARY).where(LIBRARY.c.key == PAUSED))
            timeline = sa.update(LIBRARY).where(LIBRARY.c.key == "timeline")
            db.execute(timeline.values(value=uuid.uuid4().hex))
            active = db.execute(sa.select(RECIPE).where(RECIPE.c.active)).first()
            if active is None:
                raise LibraryError(f"The backup {str(file)!r} is of an empty library.")
            found = (active.id, recipe_from(active.document))
            for sentence in put_right(db, Fts5Words(), found):
                LOG.warning("Of the backup: %s", sentence, extra={"action": "catalog.restore"})
    finally:
        engine.dispose()


def _start_timeline(staged: Path, live: sqlite3.Connection) -> None:
    """Ids go on where the live catalog's ended: none is ever given out twice."""
    with closing(sqlite3.connect(staged)) as copy, copy:
        copy.execute("PRAGMA journal_mode=DELETE")
        pages = live.execute("PRAGMA page_size").fetchone()[0]
        if copy.execute("PRAGMA page_size").fetchone()[0] != pages:
            copy.commit()
            # A catalog that others have open takes no pages of another size.
            copy.execute(f"PRAGMA page_size={pages}")
            copy.execute("VACUUM")
        tables = live.execute("SELECT 1 FROM sqlite_master WHERE name = 'sqlite_sequence'")
        if not tables.fetchone():
            return
        for name, seq in live.execute("SELECT name, seq FROM sqlite_sequence").fetchall():
            known = copy.execute("SELECT seq FROM sqlite_sequence WHERE name = ?", (name,))
            row = known.fetchone()
            if row is None:
                copy.execute("INSERT INTO sqlite_sequence VALUES (?, ?)", (name, seq))
            elif row[0] < seq:
                copy.execute("UPDATE sqlite_sequence SET seq = ? WHERE name = ?", (seq, name))
