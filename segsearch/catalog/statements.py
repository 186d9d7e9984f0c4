"""Small pieces that several statements on the catalog share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

import sqlalchemy as sa

from segsearch.catalog.tables import SOURCE

PARAMETERS_PER_STATEMENT = 5_000  # SQLite takes 32,766 parameters
# The database's clock in seconds since 1970.
NOW: sa.ColumnElement[float] = sa.literal_column("(julianday('now') - 2440587.5) * 86400.0")
T = TypeVar("T")


def portions(values: Sequence[T]) -> Iterator[Sequence[T]]:
    """The values in runs short enough for one statement each."""
    for start in range(0, len(values), PARAMETERS_PER_STATEMENT):
        yield values[start : start + PARAMETERS_PER_STATEMENT]


def at_or_below(place: str) -> sa.ColumnElement[bool]:
    """Sources at a path, or anywhere below it as a folder; `%` and `_` mean themselves."""
    bare = place.rstrip("/")
    below = SOURCE.c.path.startswith(bare + "/", autoescape=True)
    return (SOURCE.c.path == bare) | below
