"""Words by PostgreSQL's own indexes: of lexemes in their order, and of trigrams (pg_trgm).

The lexemes are generated columns: they can hold nothing that is not in the rows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, BOOLEAN, TSVECTOR
from sqlalchemy.sql.operators import custom_op

from segsearch.core.text_query import Phrase
from segsearch.storage.catalog.postgres.schema import LEXEMES, LONGEST_WORD
from segsearch.storage.catalog.tables import CAPTION, PICTURE_TEXT
from segsearch.storage.catalog.words import Matches


class PostgresWords:
    """The functions that `schema.py` makes, and the indexes over them."""

    def captions(self, words: str) -> Matches:
        """As `WordIndex.captions`."""
        asked = sa.func.phrase_of(sa.func.caption_words(words), False)
        return sa.select(CAPTION.c.id).where(_holds(CAPTION, asked))

    def texts(self, phrase: Phrase) -> Matches:
        """As `WordIndex.texts`."""
        texts = sa.select(PICTURE_TEXT.c.id)
        if any(len(word.encode()) > LONGEST_WORD for word in phrase.words):
            return texts.where(sa.false())  # no index holds such a word
        words = sa.literal(list(phrase.words), ARRAY(sa.Text))
        asked = sa.func.phrase_of(words, phrase.is_prefix)
        return texts.where(_holds(PICTURE_TEXT, asked))

    def texts_with_part(self, part: str) -> Matches:
        """As `WordIndex.texts_with_part`."""
        pattern = re.sub(r"([\\%_])", r"\\\1", part)
        return sa.select(PICTURE_TEXT.c.id).where(PICTURE_TEXT.c.folded.like(f"%{pattern}%"))

    def with_sizes(
        self, texts: sa.Select[Any]
    ) -> tuple[sa.Select[Any], tuple[sa.ColumnElement[Any], ...]]:
        """As `WordIndex.with_sizes`."""
        words = sa.func.string_to_array(PICTURE_TEXT.c.spaced, " ")
        return texts, (sa.func.cardinality(words),)

    def problems(self, _db: sa.Connection) -> Iterator[str]:
        """None: an index of PostgreSQL holds what the rows hold."""
        yield from ()

    def enter_again(self, db: sa.Connection) -> None:
        """Build the indexes again."""
        for name in ("caption_by_word", "picture_text_by_word", "picture_text_by_part"):
            db.exec_driver_sql(f"REINDEX INDEX {name}")


def _holds(table: sa.Table, asked: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
    """Whether the lexemes of a row are as asked; SQLite's tables have no such column."""
    held = sa.literal_column(f"{table.name}.{LEXEMES}", TSVECTOR)
    return sa.BinaryExpression(held, asked, custom_op("@@", is_comparison=True), type_=BOOLEAN)
