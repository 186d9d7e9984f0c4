"""Finds captions and the text of pictures by words: the port, and SQLite's FTS5 behind it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import sqlalchemy as sa

from segsearch.core.text_query import Phrase
from segsearch.storage.catalog.tables import PICTURE_TEXT

Matches = sa.Select[Any]  # of one column, `id`


class WordIndex(Protocol):
    """What finds rows of `caption` and `picture_text` by the words in them.

    Captions are compared by the stems of English words, whatever their case and accents; texts of
    pictures by whole words of their folded form, and by parts of it.
    """

    def captions(self, words: str) -> Matches:
        """Captions that hold these words side by side, in this order."""
        ...

    def texts(self, phrase: Phrase) -> Matches:
        """Texts of pictures that hold these words in this order."""
        ...

    def texts_with_part(self, part: str) -> Matches:
        """Texts of pictures in which this stands, of three signs or more, be it inside a word."""
        ...

    def with_sizes(
        self, texts: sa.Select[Any]
    ) -> tuple[sa.Select[Any], tuple[sa.ColumnElement[Any], ...]]:
        """A query of texts of pictures, and by what it is put in order so that those of fewer words
        come first."""
        ...

    def problems(self, db: sa.Connection, /) -> Iterator[str]:
        """A sentence where the words do not stand for the rows that are there."""
        ...

    def enter_again(self, db: sa.Connection) -> None:
        """Build the index of words from the rows."""
        ...


_CAPTIONS = sa.table("caption_words", sa.column("rowid"), sa.column("caption_words"))
_WORDS = sa.table("text_words", sa.column("rowid"), sa.column("text_words"))
_PARTS = sa.table("text_grams", sa.column("rowid"), sa.column("text_grams"))
# How many words each text has, as one of SQLite's varints (FTS5's documentation, 9.3): the shorter
# of two is the smaller number.
_SIZES = sa.table("text_words_docsize", sa.column("id"), sa.column("sz"))
_OF = {"caption_words": "caption", "text_words": "picture_text", "text_grams": "picture_text"}


class Fts5Words:
    """SQLite's FTS5: virtual tables that follow by triggers (migrations 0004 and 0013)."""

    def captions(self, words: str) -> Matches:
        """As `WordIndex.captions`."""
        return _matching(_CAPTIONS, _string(words))

    def texts(self, phrase: Phrase) -> Matches:
        """As `WordIndex.texts`."""
        return _matching(_WORDS, f'"{" ".join(phrase.words)}"{" *" if phrase.is_prefix else ""}')

    def texts_with_part(self, part: str) -> Matches:
        """As `WordIndex.texts_with_part`."""
        return _matching(_PARTS, _string(part))

    def with_sizes(
        self, texts: sa.Select[Any]
    ) -> tuple[sa.Select[Any], tuple[sa.ColumnElement[Any], ...]]:
        """As `WordIndex.with_sizes`. The texts themselves need not be read."""
        sized = texts.join(_SIZES, _SIZES.c.id == PICTURE_TEXT.c.id)
        return sized, (sa.func.length(_SIZES.c.sz), _SIZES.c.sz)

    def problems(self, db: sa.Connection) -> Iterator[str]:
        """As `WordIndex.problems`."""
        for name, table in _OF.items():
            held = f"SELECT id FROM {name}_docsize"  # noqa: S608  names of our own
            missing = f"SELECT count(*) FROM {table} WHERE id NOT IN ({held})"  # noqa: S608
            extra = f"SELECT count(*) FROM ({held}) WHERE id NOT IN (SELECT id FROM {table})"  # noqa: S608
            counts = [db.exec_driver_sql(query).scalar_one() for query in (missing, extra)]
            if any(counts):
                yield (
                    f"The words of {counts[0]} rows of {table} are missing in {name}, {counts[1]} "
                    "are of none."
                )

    def enter_again(self, db: sa.Connection) -> None:
        """As `WordIndex.enter_again`."""
        for name in _OF:
            db.exec_driver_sql(f"INSERT INTO {name} ({name}) VALUES ('rebuild')")  # noqa: S608


def _matching(table: sa.TableClause, phrase: str) -> Matches:
    return sa.select(table.c.rowid.label("id")).where(table.c[table.name].op("MATCH")(phrase))


def _string(text: str) -> str:
    """As FTS5 has a string, in which nothing is an operator."""
    return '"' + text.replace('"', '""') + '"'
