"""Counters: numbers that would take a whole table to find out, kept by triggers as rows change."""

from __future__ import annotations

from collections import Counter
from typing import Any

import sqlalchemy as sa

from segsearch.storage.catalog.database import Database
from segsearch.storage.catalog.tables import (
    CAPTION,
    COUNTER,
    IMAGE,
    INGEST,
    NEAR_DUPLICATE,
    READING,
    SEGMENT,
    SOURCE,
    TEXT_LINE,
    VIDEO,
)  # fmt: skip

Key = tuple[str, int, str]  # kind, recipe (0 where none has a say), key


def tallies(db: sa.Connection, recipe_id: int | None) -> dict[str, Counter[str]]:
    """The numbers that are kept of the library and of one recipe: by kind, then by key."""
    named = sa.select(COUNTER.c.kind, COUNTER.c.key, COUNTER.c.count)
    kept: dict[str, Counter[str]] = {}
    # On PostgreSQL a number has a row for each change of late.
    for kind, key, count in db.execute(named.where(COUNTER.c.recipe_id.in_((0, recipe_id or 0)))):
        kept.setdefault(kind, Counter())[key] += count
    positive = {kind: +counts for kind, counts in kept.items()}  # without those that are 0
    return {kind: counts for kind, counts in positive.items() if counts}


class CounterMixin(Database):
    """The part of the catalog that knows how much of something there is."""

    def _kept_count(self, kind: str) -> int:
        """How many there are of a kind that no recipe has a say in."""

        def read() -> dict[str, Counter[str]]:
            with self._reading() as db:
                return tallies(db, None)

        kept = self._since_written("tallies", read)
        return kept.get(kind, Counter()).total()


def counter_problems(db: sa.Connection) -> list[str]:
    """A sentence for each number that is not what the tables say; reads them whole."""
    counted, kept = _counted(db), _kept(db)
    return [
        f"The number kept for {' '.join(filter(None, (kind, key)))} is {kept.get(name, 0)}, the "
        f"tables say {counted.get(name, 0)}."
        for name in sorted(counted.keys() | kept.keys())
        for kind, _, key in [name]
        if counted.get(name, 0) != kept.get(name, 0)
    ]


def count_again(db: sa.Connection) -> None:
    """Find all numbers out from the tables."""
    db.execute(sa.delete(COUNTER))
    names = ("kind", "recipe_id", "key", "count")
    values = [dict(zip(names, (*name, count), strict=True)) for name, count in _counted(db).items()]
    if values:
        db.execute(sa.insert(COUNTER), values)


def _kept(db: sa.Connection) -> dict[Key, int]:
    kept: dict[Key, int] = {}
    for kind, recipe_id, key, count in db.execute(sa.select(COUNTER)):
        kept[kind, recipe_id, key] = kept.get((kind, recipe_id, key), 0) + count
    return kept


def _counted(db: sa.Connection) -> dict[Key, int]:
    """What the tables say; none is 0."""
    all_rows, no_recipe, no_key = sa.func.count(), sa.literal(0), sa.literal("")
    tenth = sa.cast(SEGMENT.c.area_tenth, sa.Text)
    alike = sa.func.count(NEAR_DUPLICATE.c.image_id.distinct())
    queries: dict[str, Any] = {
        "images": sa.select(no_recipe, no_key, all_rows).select_from(IMAGE),
        "format": sa.select(no_recipe, IMAGE.c.format, all_rows).where(IMAGE.c.format != ""),
        "missing": sa.select(no_recipe, no_key, all_rows).where(
            SOURCE.c.missing_since.is_not(None)
        ),
        "excluded": sa.select(no_recipe, no_key, all_rows).where(
            SOURCE.c.excluded_since.is_not(None)
        ),
        "captions": sa.select(no_recipe, no_key, all_rows).select_from(CAPTION),
        "state": sa.select(INGEST.c.recipe_id, INGEST.c.state, all_rows),
        "reading": sa.select(READING.c.recipe_id, READING.c.state, all_rows),
        "lines": sa.select(TEXT_LINE.c.recipe_id, no_key, all_rows),
        "segments": sa.select(SEGMENT.c.recipe_id, tenth, all_rows),
        "near_duplicates": sa.select(no_recipe, no_key, alike),
        "videos": sa.select(no_recipe, no_key, all_rows).select_from(VIDEO),
    }
    return {
        (kind, recipe_id, key): count
        for kind, query in queries.items()
        for recipe_id, key, count in db.execute(query.group_by(sa.text("1"), sa.text("2")))
        if count
    }
