"""Captions: kept with their origin, found by the words in them (SQLite's FTS5)."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
import sqlalchemy as sa

from segsearch.core.arrays import Ids
from segsearch.core.types import Box, Caption, Mask, Origin
from segsearch.masks.rle import iou
from segsearch.storage.catalog.counters import CounterMixin, tallies
from segsearch.storage.catalog.database import portions
from segsearch.storage.catalog.portable import (
    AMONG_IDS,
    NOW,
    ids_parameter,
    insert,
    larger,
    smaller,
)
from segsearch.storage.catalog.rows import iso
from segsearch.storage.catalog.tables import ACTIVE_RECIPE, CAPTION, IMAGE, RECIPE, SEGMENT
from segsearch.storage.catalog.words import Matches, WordIndex

MOST_WORDS = 32  # of a query, the first ones count
LEAST_SHARE = 0.3  # of the words' weight, or a caption is no answer: "a" alone is none
CARRIED_AT_ONCE = 1_000  # segments whose captions are carried over together
CARRIED_IOU = 0.8  # what was said of one mask holds for another that overlaps it so much
COMMON_SHARE = 0.8  # of the captions; a word in more of them counts only where no other does
PAGE_ROWS = 1_000  # of an answer, looked at together
MASK_COLUMNS = ("id", "x0", "y0", "x1", "y1", "area", "counts")


_NEWEST_FIRST = (
    sa.select(CAPTION)
    .where(CAPTION.c.segment_id.in_(AMONG_IDS))
    .order_by(CAPTION.c.created_at.desc(), CAPTION.c.id.desc())
)


class CaptionMixin(CounterMixin):
    """The part of the catalog that holds captions."""

    def add_caption(self, segment_id: int, text: str, origin: Origin) -> bool:
        """Keep a caption, in place of what the same model said to the same prompt before.

        False, with nothing kept, when there is no such segment any more.
        """
        key = {
            "segment_id": segment_id,
            "model": origin.model,
            "prompt_sha256": origin.prompt_sha256,
        }
        content = {"text": text, "host": origin.host, "created_at": NOW}
        upsert = insert(CAPTION).values(**key, **content)
        upsert = upsert.on_conflict_do_update(index_elements=list(key), set_=content)
        with self._writing() as db:
            segment = sa.select(SEGMENT.c.id).where(SEGMENT.c.id == segment_id)
            if db.execute(segment).first() is None:
                return False
            db.execute(upsert)
        return True

    def captions(self, segment_ids: Sequence[int]) -> dict[int, tuple[Caption, ...]]:
        """The captions of those of these segments that have some, newest first."""
        if not segment_ids or not self._kept_count("captions"):
            return {}
        captions: dict[int, list[Caption]] = defaultdict(list)
        with self._reading() as db:
            for row in db.execute(_NEWEST_FIRST, ids_parameter(segment_ids)).all():
                captions[row.segment_id].append(_caption(row))
        return {segment_id: tuple(texts) for segment_id, texts in captions.items()}

    def captioned(self, segment_ids: Sequence[int], origin: Origin) -> set[int]:
        """Which of these segments the model of an origin has captioned to its prompt."""
        theirs = sa.select(CAPTION.c.segment_id).where(
            CAPTION.c.model == origin.model, CAPTION.c.prompt_sha256 == origin.prompt_sha256
        )
        captioned: set[int] = set()
        with self._reading() as db:
            for portion in portions(segment_ids):
                captioned.update(
                    db.execute(theirs.where(CAPTION.c.segment_id.in_(portion))).scalars()
                )
        return captioned

    def search_captions(
        self, words: str, k: int, *, without: str = "", allowed: Ids | None = None
    ) -> tuple[list[float], list[int]]:
        """Scores and ids of the `k` segments whose captions hold most of the words, best first.

        Of the `allowed` ids (n,), ascending, where they are given, and none that the words
        `without` would find. A score is the share, in (0, 1], of the weight of the words that a
        caption holds; rare words weigh more. Any text may be asked for; one without words finds
        nothing. No more than the `k` are held in memory, however many captions there are.
        """
        with self._reading() as db:
            total = tallies(db, None).get("captions", Counter()).total()
            best = _holding(db, self._words, words, total)
            if best is None:
                return [], []
            unwanted = _holding(db, self._words, without, total)
            if unwanted is not None:
                others = unwanted.with_only_columns(unwanted.selected_columns[0]).order_by(None)
                best = best.where(SEGMENT.c.id.not_in(others.correlate(None)))
            if allowed is None:
                best = best.limit(k)
            cursor: Any = db.execute(best).cursor  # the driver's own: rows as they come
            pairs: list[tuple[int, float]] = []
            while len(pairs) < k and (rows := cursor.fetchmany(PAGE_ROWS)):
                pairs += rows if allowed is None else _among(rows, allowed)
            cursor.close()
        return [score for _, score in pairs[:k]], [segment_id for segment_id, _ in pairs[:k]]


def phrases_of(words: str) -> list[str]:
    """Each word once; one that the index takes apart, such as "sea-green", is looked for as a
    phrase."""
    plain = words.encode("utf-8", "ignore").decode().replace("\0", " ")  # no lone surrogates
    return list(dict.fromkeys(word.casefold() for word in plain.split()))[:MOST_WORDS]


def weight_of(count: int, total: int) -> float:
    """How much a word tells that stands in `count` of `total` captions; never below 0.

    The inverse document frequency of BM25 as Lucene computes it (Robertson & Zaragoza 2009). A
    word that stands in none weighs like one that stands in one: it may be a synonym, or misspelt.
    """
    known = min(max(count, 1), total)
    return math.log1p((total - known + 0.5) / (known + 0.5))


def carry_captions(db: sa.Connection, recipe_id: int) -> None:
    """Give what was said of the active recipe's segments to those of another that they match.

    The best match of a segment in its image takes its captions, from IoU `CARRIED_IOU` on; what
    it has been told itself stays. Some segments at a time are held in memory.
    """
    captioned = sa.select(CAPTION.c.segment_id).distinct().order_by(CAPTION.c.segment_id)
    after = 0
    while page := db.execute(
        captioned.where(CAPTION.c.segment_id > after).limit(CARRIED_AT_ONCE)
    ).all():
        segment_ids = [segment_id for (segment_id,) in page]
        after = segment_ids[-1]
        best: dict[int, tuple[float, int]] = {}
        for row in db.execute(_alike(recipe_id), ids_parameter(segment_ids)).all():
            overlap = iou(_mask(row, "old"), _mask(row, "new"))
            if overlap >= CARRIED_IOU and overlap > best.get(row.old_id, (0.0, 0))[0]:
                best[row.old_id] = overlap, row.new_id
        if best:
            pairs = [{"from_id": old, "to_id": new} for old, (_, new) in best.items()]
            db.execute(_copied(), pairs)


def _alike(recipe_id: int) -> sa.Select[Any]:
    """Those of some segments that are the active recipe's beside each one of another recipe that
    may match: neither areas nor boxes rule out that the masks reach `CARRIED_IOU`."""
    old, new = SEGMENT.alias("old"), SEGMENT.alias("new")
    across = smaller(old.c.x1, new.c.x1) - larger(old.c.x0, new.c.x0)
    down = smaller(old.c.y1, new.c.y1) - larger(old.c.y0, new.c.y0)
    needed = (CARRIED_IOU - 1e-6) * larger(old.c.area, new.c.area)  # rounding rules out nothing
    named = [
        side.c[name].label(f"{side.name}_{name}") for side in (old, new) for name in MASK_COLUMNS
    ]
    return (
        sa.select(*named, IMAGE.c.width, IMAGE.c.height)
        .join_from(old, new, new.c.image_id == old.c.image_id)
        .join(IMAGE, IMAGE.c.id == old.c.image_id)
        .where(old.c.recipe_id == ACTIVE_RECIPE, new.c.recipe_id == recipe_id)
        .where(old.c.id.in_(AMONG_IDS))
        .where(smaller(old.c.area, new.c.area) >= needed, across > 0, across * down >= needed)
        .order_by(old.c.id, new.c.id)
    )


def _mask(row: sa.Row[Any], whose: str) -> Mask:
    _, x0, y0, x1, y1, area, counts = (getattr(row, f"{whose}_{name}") for name in MASK_COLUMNS)
    return Mask(row.height, row.width, Box(x0, y0, x1, y1), counts, area)


def _copied() -> sa.Insert:
    """A segment's captions, once more for another; what that one already has stays."""
    held = [column for column in CAPTION.c if column.name not in ("id", "segment_id")]
    names = ["segment_id", *(column.name for column in held)]
    taker = sa.bindparam("to_id", type_=sa.Integer)
    rows = sa.select(taker, *held).where(CAPTION.c.segment_id == sa.bindparam("from_id"))
    return insert(CAPTION).from_select(names, rows).on_conflict_do_nothing()


def _among(rows: Sequence[tuple[int, float]], allowed: Ids) -> list[tuple[int, float]]:
    """Those of some rows whose id is among the allowed ones, which ascend."""
    if not allowed.size:
        return []
    ids = np.array([segment_id for segment_id, _ in rows], np.int64)
    places = np.minimum(np.searchsorted(allowed, ids), allowed.size - 1)
    return [row for row, fits in zip(rows, allowed[places] == ids, strict=True) if fits]


def _holding(db: sa.Connection, index: WordIndex, words: str, total: int) -> sa.Select[Any] | None:
    """The segments that words find among `total` captions, and their scores, best first; None
    where no caption holds any of them."""
    phrases = phrases_of(words)
    matches = {phrase: index.captions(phrase) for phrase in phrases}
    counts = {phrase: count_of(db, matches[phrase]) for phrase in phrases}
    rare = [phrase for phrase in phrases if counts[phrase] <= COMMON_SHARE * total]
    weights = {phrase: weight_of(counts[phrase], total) for phrase in rare or phrases}
    known = [(matches[phrase], weight) for phrase, weight in weights.items() if counts[phrase]]
    return _best(known, sum(weights.values())) if known else None


def count_of(db: sa.Connection, matches: Matches) -> int:
    """How many rows match."""
    return int(db.execute(sa.select(sa.func.count()).select_from(matches.subquery())).scalar_one())


def _best(weighted: Sequence[tuple[Matches, float]], total_weight: float) -> sa.Select[Any]:
    """Segments of the active recipe by the share of the words' weight in one of their captions.

    Of equal ones the shorter caption comes first: it says less besides.
    """
    each = [found.add_columns(sa.literal(weight).label("weight")) for found, weight in weighted]
    matches = sa.union_all(*each).subquery()
    share = sa.func.sum(matches.c.weight) / total_weight
    shares = (
        sa.select(matches.c.id, share.label("share"))
        .group_by(matches.c.id)
        .having(share >= LEAST_SHARE)
        .subquery()
    )
    by_caption = (
        sa.select(CAPTION.c.segment_id, shares.c.share, sa.func.length(CAPTION.c.text))
        .join(shares, shares.c.id == CAPTION.c.id)
        .subquery()
    )
    segment_id, shared, length = by_caption.c
    score = sa.func.max(shared).label("score")
    return (
        sa.select(segment_id, score)
        .join(SEGMENT, SEGMENT.c.id == segment_id)
        .join(RECIPE, RECIPE.c.id == SEGMENT.c.recipe_id)
        .where(RECIPE.c.active)
        .group_by(segment_id)
        .order_by(score.desc(), sa.func.min(length), segment_id)
    )


def _caption(row: sa.Row[Any]) -> Caption:
    origin = Origin(row.model, row.host, row.prompt_sha256)
    return Caption(row.segment_id, row.text, origin, iso(row.created_at))
