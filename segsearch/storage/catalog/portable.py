"""What SQLite and PostgreSQL spell differently, by what it means; each compiles for both.

`insert` is PostgreSQL's: its `ON CONFLICT` clauses read the same in SQLite.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.sql.operators import custom_op

__all__ = [
    "AMONG_IDS", "AMONG_PATHS", "NOW", "TEXT", "WIDE", "glob", "ids_parameter", "insert",
    "joined_ids", "larger", "number_of", "padded_times", "page_digits", "paths_parameter",
    "regex_of_glob", "smaller", "utc_text", "values_of",
]  # fmt: skip

# Whole numbers beyond 2**31, such as ids. SQLite, whose INTEGER holds them, counts up a primary key
# of that name and no other.
WIDE = sa.BigInteger().with_variant(sa.Integer, "sqlite")


class _Text(sa.types.TypeDecorator[str]):
    """Text that both compare byte by byte, so that both have the same order. PostgreSQL takes no
    NUL, which a broken camera may write: it is stored as the sign for what is no character."""

    impl = sa.Text
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> sa.types.TypeEngine[str]:
        """The column's type."""
        return dialect.type_descriptor(
            sa.Text(collation="C" if dialect.name == "postgresql" else None)
        )

    def process_bind_param(self, value: str | None, dialect: sa.Dialect) -> str | None:
        """What is stored and compared."""
        if value is None or dialect.name == "sqlite":
            return value
        return value.replace("\0", "\ufffd")


TEXT = _Text()


class GlobPattern(sa.types.TypeDecorator[str]):
    """A pattern of `glob`: PostgreSQL knows no globs and gets a regular expression."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: sa.Dialect) -> str | None:
        """The pattern in the dialect's own language."""
        return value if value is None or dialect.name == "sqlite" else regex_of_glob(value)


def regex_of_glob(pattern: str) -> str:
    """SQLite's GLOB as a regular expression of PostgreSQL (ARE): `*`, `?`, `[a-z]`, `[^a-z]`.

    An unclosed bracket matches nothing, as in SQLite.
    """
    parts, place = [], 0
    while place < len(pattern):
        sign = pattern[place]
        place += 1
        if sign == "*":
            parts.append(".*")
        elif sign == "?":
            parts.append(".")
        elif sign == "[":
            negated = pattern.startswith("^", place)
            start = place + negated
            end = pattern.find("]", start + 1)  # a bracket that comes first is one of the set
            if end < 0:
                return "(?!)"
            parts.append(_set(pattern[start:end], negated=negated))
            place = end + 1
        else:
            parts.append(re.sub(r"[^\w\s]", r"\\\g<0>", sign))
    return f"(?s)^{''.join(parts)}$"


def _set(signs: str, *, negated: bool) -> str:
    """A bracket expression, each sign or range by numbers: what means something else in one of
    PostgreSQL does not. Of a range that falls SQLite takes the first sign alone."""
    held, place = "", 0
    while place < len(signs):
        first = last = signs[place]
        is_range = signs[place + 1 : place + 2] == "-" and place + 2 < len(signs)
        if is_range and (place, first) != (0, "]"):
            last = max(first, signs[place + 2])
            place += 2
        place += 1
        held += f"\\U{ord(first):08x}-\\U{ord(last):08x}"
    return f"[{'^' if negated else ''}{held}]"


class _Glob(sa.BinaryExpression[bool]):
    """Whether a text is as a glob says."""

    inherit_cache = True


class _Now(FunctionElement[float]):
    """The database's clock in seconds since 1970."""

    inherit_cache = True
    type = sa.Float()


class _Smaller(FunctionElement[Any]):
    inherit_cache = True


class _Larger(FunctionElement[Any]):
    inherit_cache = True


class _JoinedIds(FunctionElement[str]):
    inherit_cache = True
    type = sa.Text()


class _UtcText(FunctionElement[str]):
    inherit_cache = True
    type = sa.Text()


class _PageDigits(FunctionElement[str]):
    inherit_cache = True
    type = sa.Text()


class _PaddedTimes(FunctionElement[str]):
    inherit_cache = True
    type = sa.Text()


class _NumberOf(FunctionElement[int]):
    inherit_cache = True
    type = sa.Integer()


class _Listed(FunctionElement[Any]):
    """The values of a JSON list, as rows of one text."""

    inherit_cache = True
    name = "listed"


def glob(text: Any, pattern: str) -> sa.ColumnElement[bool]:
    """Whether a text is as a glob of SQLite says: upper and lower case differ."""
    # A comparison, not a function: SQLite uses an index for it, and none for `... = 1`.
    asked = sa.literal(pattern, GlobPattern)
    return _Glob(text, asked, custom_op("GLOB", is_comparison=True), type_=sa.Boolean())


def smaller(one: Any, other: Any) -> sa.ColumnElement[Any]:
    """The smaller of two values, of their common type."""
    return _typed(_Smaller, one, other)


def larger(one: Any, other: Any) -> sa.ColumnElement[Any]:
    """The larger of two values."""
    return _typed(_Larger, one, other)


def _typed(kind: type[FunctionElement[Any]], one: Any, other: Any) -> sa.ColumnElement[Any]:
    made = kind(one, other)
    typed = next((value for value in (one, other) if isinstance(value, sa.ColumnElement)), None)
    made.type = typed.type if typed is not None else sa.Integer()
    return made


def joined_ids(column: sa.ColumnElement[int]) -> sa.ColumnElement[str]:
    """All ids of a group as one text, with commas: a row for each would take three times as
    long."""
    return _JoinedIds(column)


def utc_text(seconds: Any) -> sa.ColumnElement[str]:
    """Seconds since 1970 as `2024-07-14 12:31:05` in UTC; what is below a second is cut off."""
    return _UtcText(seconds)


def page_digits(number: Any) -> sa.ColumnElement[str]:
    """A page's number, given as text, in seven digits: in the order of text that of numbers."""
    return _PageDigits(number)


def padded_times(times: Any) -> sa.ColumnElement[str]:
    """The times of a shot, given as text `12.48,18.2`, of which the first has six digits before the
    point and three behind it: in the order of text that of times. What is none stays as it is."""
    return _PaddedTimes(times)


def number_of(document: Any, key: str) -> sa.ColumnElement[int]:
    """A whole number that a JSON document, stored as text, holds under a key."""
    return _NumberOf(document, sa.literal(key, sa.Text))


NOW: sa.ColumnElement[float] = _Now()


def _values(name: str, kind: Any) -> sa.Select[Any]:
    listed = _Listed(sa.bindparam(name, type_=sa.Text)).table_valued(sa.column("value", sa.Text))
    return sa.select(sa.cast(listed.c.value, kind))


def values_of(ids: str) -> sa.Select[Any]:
    """The ids of a JSON list as a subquery; for several lists in one statement."""
    listed = _Listed(sa.literal(ids, sa.Text)).table_valued(sa.column("value", sa.Text))
    return sa.select(sa.cast(listed.c.value, sa.BigInteger))


# Ids and paths that a statement takes as one parameter, whatever their number: its text stays the
# same, so it is prepared once. `ids_parameter` and `paths_parameter` give the value.
AMONG_IDS = _values("ids", sa.BigInteger)
AMONG_PATHS = _values("paths", TEXT)


def ids_parameter(ids: Iterable[int]) -> dict[str, str]:
    """The parameter of a statement with `AMONG_IDS`."""
    return {"ids": json.dumps(list(ids))}


def paths_parameter(paths: Iterable[str]) -> dict[str, str]:
    """The parameter of a statement with `AMONG_PATHS`."""
    return {"paths": json.dumps(list(paths))}


SPELT: dict[type[FunctionElement[Any]], tuple[str, str]] = {
    _Now: (
        "((julianday('now') - 2440587.5) * 86400.0)",
        "extract(epoch FROM clock_timestamp())::float8",
    ),
    _Smaller: ("min({0}, {1})", "least({0}, {1})"),
    _Larger: ("max({0}, {1})", "greatest({0}, {1})"),
    _JoinedIds: ("group_concat({0})", "string_agg(({0})::text, ',')"),
    _UtcText: (
        "datetime({0}, 'unixepoch')",
        "to_char(to_timestamp(floor({0})) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS')",
    ),
    _PageDigits: (
        "printf('%07d', CAST({0} AS INTEGER))",
        "CASE WHEN length({0}) < 7 THEN lpad({0}, 7, '0') ELSE {0} END",
    ),
    _PaddedTimes: (
        "CASE WHEN {0} GLOB '[0-9]*,[0-9]*' AND {0} NOT GLOB '*,*,*' "
        "AND {0} NOT GLOB '*[^0-9.,]*' "
        "THEN printf('%010.3f', CAST({0} AS REAL)) || substr({0}, instr({0}, ',')) ELSE {0} END",
        "CASE WHEN {0} ~ '^[0-9][0-9.]*,[0-9][0-9.]*$' THEN "
        "regexp_replace(to_char(substring({0} from '^[0-9]+\\.?[0-9]*')::numeric, "
        "'FM000000.000'), '^#.*', split_part({0}, ',', 1)) || substr({0}, strpos({0}, ',')) "
        "ELSE {0} END",
    ),
    _NumberOf: ("json_extract({0}, '$.' || {1})", "(({0})::json ->> {1})::integer"),
    _Listed: ("json_each({0})", "json_array_elements_text(({0})::json)"),
}


def _spell(kind: type[FunctionElement[Any]], in_sqlite: str, in_postgres: str) -> None:
    def spell(spelling: str) -> Any:
        def compiled(element: FunctionElement[Any], compiler: SQLCompiler, **options: Any) -> str:
            parts = (compiler.process(clause, **options) for clause in element.clauses)
            return spelling.format(*parts)

        return compiled

    compiles(kind, "sqlite")(spell(in_sqlite))
    compiles(kind, "postgresql")(spell(in_postgres))


for _kind, _spellings in SPELT.items():
    _spell(_kind, *_spellings)


@compiles(_Glob, "postgresql")
def _glob_in_postgres(element: _Glob, compiler: SQLCompiler, **options: Any) -> str:
    sides = (compiler.process(side, **options) for side in (element.left, element.right))
    return " ~ ".join(sides)
