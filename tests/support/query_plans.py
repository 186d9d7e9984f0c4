"""Notes how SQLite goes about every statement of a catalog: which tables are read from end to end.

A plan does not depend on how much a table holds, so a small library shows what a large one suffers.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa

LARGE = (
    "image", "source", "ingest", "segment", "segment_vector", "hash_band", "near_duplicate",
    "change_log", "caption", "listing", "reading", "text_line", "picture_text",
    "shot", "track", "track_mask",
)  # fmt: skip
SMALL = {"source_missing", "source_excluded"}  # indexes of the few rows that are asked for


@contextmanager
def scans() -> Iterator[list[str]]:
    """Statements that read a large table, or an index of one, from end to end; filled meanwhile."""
    found: list[str] = []

    def note(
        connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool
    ) -> None:
        del connection, context, many
        if not statement.lstrip().upper().startswith(("SELECT", "UPDATE", "DELETE", "INSERT")):
            return
        given = parameters[0] if isinstance(parameters, list) and parameters else parameters
        for _, _, _, step in cursor.connection.execute(f"EXPLAIN QUERY PLAN {statement}", given):
            words = step.split()
            if words[0] == "SCAN" and words[1] in LARGE and not SMALL & {*words}:
                found.append(f"{step}: {' '.join(statement.split())}")

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)


@contextmanager
def statements() -> Iterator[list[str]]:
    """Every statement that is sent to a database meanwhile."""
    sent: list[str] = []

    def note(
        connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool
    ) -> None:
        del connection, cursor, parameters, context, many
        sent.append(statement)

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)


@contextmanager
def machine_steps(apart: int = 100) -> Iterator[list[int]]:
    """How often SQLite's machine makes so many steps meanwhile."""
    steps = [0]

    def count() -> int:
        steps[0] += 1
        return 0

    def watch(connection: Any) -> None:
        connection.connection.driver_connection.set_progress_handler(count, apart)

    sa.event.listen(sa.Engine, "begin", watch)
    try:
        yield steps
    finally:
        sa.event.remove(sa.Engine, "begin", watch)
