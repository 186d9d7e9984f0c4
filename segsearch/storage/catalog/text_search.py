"""Searches the text of pictures: by whole words, by how they begin, and by their parts (FTS5).

The words may stand on several lines of a picture; the answer is the smallest region whose lines
hold most of them: the element of a page only where they are spread over several in it. A line whose
regions were removed is found no more.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import sqlalchemy as sa

from segsearch.core.arrays import Ids
from segsearch.core.text import LineText
from segsearch.core.text_query import (
    MOST_PHRASES,
    PART_SHARE,
    Phrase,
    TextQuery,
    TextRanking,
    line_filter,
    phrases_in,
    shares,
)
from segsearch.storage.catalog.captions import COMMON_SHARE, LEAST_SHARE, count_of, weight_of
from segsearch.storage.catalog.portable import AMONG_IDS, ids_parameter, joined_ids
from segsearch.storage.catalog.reading import ReadingMixin, TextsOf, texts_of_lines
from segsearch.storage.catalog.tables import ACTIVE_RECIPE, PICTURE_TEXT, SEGMENT, TEXT_LINE
from segsearch.storage.catalog.words import Matches, WordIndex
from segsearch.storage.index.allowed import Allowed

FIRST_PICTURES, PAGE_PICTURES = 25, 200  # of an answer, whose lines are looked at together
FEW_ALLOWED = 5_000  # so few regions name their pictures first
SAME_WORTH = 1e-9


class TextSearchMixin(ReadingMixin):
    """The part of the catalog that finds pictures by the words that stand in them."""

    def pictures_read(self) -> int:
        """Of how many pictures of the active recipe the text was read."""
        return self._text_tallies()[0]

    def search_text(
        self,
        query: TextQuery,
        k: int,
        *,
        allowed: Allowed | None = None,
        image_ids: Sequence[int] | None = None,
    ) -> TextRanking:
        """The `k` regions whose lines answer best, best first; of those that are `allowed`, and of
        some images, where these are given.

        A score, in (0, 1], is the share of the weight of what is wanted that the picture holds:
        rare words weigh more, a part of a word counts half; from 0.3 on it is an answer. Of equal
        pictures that come first which, with `whole`, hold the words in their order, then which hold
        fewer words. Of a picture all regions answer whose lines hold as much as those of any. Any
        text may be asked for. The matches of a few pictures at a time are held in memory.
        """
        phrases = _phrases(query.words, whole=query.whole)
        pictures_read, line_count = self._text_tallies()
        found = TextRanking()
        if not phrases or not line_count or k < 1:
            return found
        few = None if allowed is None or allowed.count > FEW_ALLOWED else allowed.ids
        with self._reading() as db:
            index = self._words
            weights = _weights(db, index, phrases, pictures_read)
            holding = _holding(index, query.words, weights, whole=query.whole)
            for text in query.without:
                if unwanted := _phrases((text,), whole=query.whole):
                    others = _weights(db, index, unwanted, pictures_read)
                    ids = sa.select(_matching(index, (text,), others, whole=query.whole).c.id)
                    holding = holding.where(PICTURE_TEXT.c.id.not_in(ids))
            statement, given = _of_some(_ranked(index, holding), few, image_ids)
            texts_of = texts_of_lines(db, line_filter(tuple(weights)))
            cursor: Any = db.execute(statement, given).cursor  # the driver's own: rows as they come
            count = min(k, FIRST_PICTURES)
            while len(found.ids) < k and (page := cursor.fetchmany(count)):
                count = min(2 * count, PAGE_PICTURES)
                for score, region, line_ids in _answers(db, texts_of, page, weights, allowed):
                    found.scores.append(score)
                    found.ids.append(region)
                    found.lines[region] = line_ids
            cursor.close()
        lines = {region: found.lines[region] for region in found.ids[:k]}
        return TextRanking(found.scores[:k], found.ids[:k], lines)

    def segments_with_text(self, texts: Sequence[str]) -> Ids:
        """Ids (n,) of all regions, ascending, of the pictures whose text would answer any of these
        texts alone."""
        pictures_read, line_count = self._text_tallies()
        if not line_count:
            return np.empty(0, np.int64)
        with self._reading() as db:
            pictures = [
                _holding(
                    self._words,
                    (text,),
                    _weights(db, self._words, phrases, pictures_read),
                    whole=False,
                ).with_only_columns(PICTURE_TEXT.c.image_id)
                for text in texts
                if (phrases := _phrases((text,), whole=False))
            ]
            # As one text: a row for each id would take longer than finding them.
            theirs = sa.select(joined_ids(SEGMENT.c.id)).where(
                SEGMENT.c.recipe_id == ACTIVE_RECIPE,
                SEGMENT.c.image_id.in_(sa.union(*pictures)) if pictures else sa.false(),
            )
            ids = db.execute(theirs).scalar() or ""
            return np.sort(np.fromstring(ids, np.int64, sep=","))


def _phrases(texts: Sequence[str], *, whole: bool) -> tuple[Phrase, ...]:
    """What texts look for together, each once; with `whole` no parts of words."""
    each = [phrase for text in texts for phrase in phrases_in(text)]
    each = [replace(one, part=None) if whole else one for one in each]
    return tuple(dict.fromkeys(each))[:MOST_PHRASES]


def _weights(
    db: sa.Connection, index: WordIndex, phrases: Sequence[Phrase], pictures_read: int
) -> dict[Phrase, float]:
    """How much each tells, as with captions: what stands in nearly every text counts only where
    nothing else is looked for."""
    counts = {
        one: count_of(db, index.texts(one) if one.part is None else index.texts_with_part(one.part))
        for one in phrases
    }
    total = max([pictures_read, 1, *counts.values()])
    rare = [one for one in phrases if counts[one] <= COMMON_SHARE * total]
    return {one: weight_of(counts[one], total) for one in rare or phrases}


def _holding(
    index: WordIndex, texts: Sequence[str], weights: dict[Phrase, float], *, whole: bool
) -> sa.Select[Any]:
    """Texts of pictures of the active recipe that answer: `image_id`, `share`, and `behind`, 1
    where the words stand in another order than in `texts`."""
    matching = _matching(index, texts, weights, whole=whole)
    return (
        sa.select(PICTURE_TEXT.c.image_id, matching.c.share, matching.c.behind)
        .join(matching, matching.c.id == PICTURE_TEXT.c.id)
        .where(PICTURE_TEXT.c.recipe_id == ACTIVE_RECIPE)
    )


def _matching(
    index: WordIndex, texts: Sequence[str], weights: dict[Phrase, float], *, whole: bool
) -> sa.Subquery:
    """`id`, `share` and `behind` of texts under any recipe."""
    return _holding_all(index, texts, weights) if whole else _holding_some(index, weights)


def _holding_all(
    index: WordIndex, texts: Sequence[str], weights: dict[Phrase, float]
) -> sa.Subquery:
    every = sa.intersect(*map(index.texts, weights)).subquery()
    in_order = Phrase(tuple(word for one in _phrases(texts, whole=True) for word in one.words))
    behind = sa.case((every.c.id.not_in(index.texts(in_order)), 1), else_=0).label("behind")
    share = sa.literal(1.0).label("share")
    return sa.select(every.c.id, share, behind).subquery()


def _holding_some(index: WordIndex, weights: dict[Phrase, float]) -> sa.Subquery:
    each = [
        matching.add_columns(sa.literal(number).label("number"), sa.literal(worth).label("worth"))
        for number, (one, weight) in enumerate(weights.items())
        for matching, worth in _ways(index, one, weight)
    ]
    matches = sa.union_all(*each).subquery()
    best = sa.func.max(matches.c.worth).label("worth")
    one_each = sa.select(matches.c.id, best).group_by(matches.c.id, matches.c.number).subquery()
    share = sa.func.sum(one_each.c.worth) / sum(weights.values())
    return (
        sa.select(one_each.c.id, share.label("share"), sa.literal(0).label("behind"))
        .group_by(one_each.c.id)
        .having(share >= LEAST_SHARE)
        .subquery()
    )


def _ways(index: WordIndex, phrase: Phrase, weight: float) -> Iterator[tuple[Matches, float]]:
    yield index.texts(phrase), weight
    if phrase.part is not None:
        yield index.texts_with_part(phrase.part), PART_SHARE * weight


def _ranked(index: WordIndex, holding: sa.Select[Any]) -> sa.Select[Any]:
    """`image_id` and `share` of texts, best first; of equal ones that of fewer words: it says less
    besides."""
    image_id, share, behind = holding.selected_columns
    sized, sizes = index.with_sizes(holding)
    return sized.with_only_columns(image_id, share).order_by(share.desc(), behind, *sizes, image_id)


def _of_some(
    pictures: sa.Select[Any], few: Ids | None, image_ids: Sequence[int] | None
) -> tuple[sa.Select[Any], dict[str, str]]:
    """Texts of these images alone, or of those in which a few regions lie; and the parameters."""
    if image_ids is not None:
        return pictures.where(PICTURE_TEXT.c.image_id.in_(AMONG_IDS)), ids_parameter(image_ids)
    if few is None:
        return pictures, {}
    theirs = sa.select(SEGMENT.c.image_id).where(SEGMENT.c.id.in_(AMONG_IDS))
    return pictures.where(PICTURE_TEXT.c.image_id.in_(theirs)), ids_parameter(few.tolist())


def _answers(
    db: sa.Connection,
    texts_of: TextsOf,
    page: Sequence[tuple[int, float]],
    weights: dict[Phrase, float],
    allowed: Allowed | None,
) -> Iterator[tuple[float, int, tuple[int, ...]]]:
    """Score, region and the ids of its lines that answer, for pictures by id and score."""
    if allowed is not None:
        page = _with_allowed(db, page, allowed)
    lines = texts_of([image_id for image_id, _ in page])
    theirs = {region for some in lines.values() for line in some for region in line.regions}
    may_answer = _passing(theirs, allowed)
    for image_id, score in page:
        for region, line_ids in _regions(lines.get(image_id, ()), weights, may_answer):
            yield min(1.0, score), region, line_ids


def _with_allowed(
    db: sa.Connection, page: Sequence[tuple[int, float]], allowed: Allowed
) -> list[tuple[int, float]]:
    """Those pictures in which a line belongs to an allowed region; no line is read for it."""
    regions = (TEXT_LINE.c.segment_id, TEXT_LINE.c.element_id)
    pairs = sa.select(TEXT_LINE.c.image_id, *regions).where(
        TEXT_LINE.c.recipe_id == ACTIVE_RECIPE, TEXT_LINE.c.image_id.in_(AMONG_IDS)
    )
    found = db.execute(pairs.distinct(), ids_parameter([image_id for image_id, _ in page]))
    pairs_found = [(image_id, some) for image_id, *some in found]
    theirs = {region for _, some in pairs_found for region in some if region is not None}
    may_answer = _passing(theirs, allowed)
    held = {image_id for image_id, some in pairs_found if not may_answer.isdisjoint(some)}
    return [pair for pair in page if pair[0] in held]


def _regions(
    lines: Sequence[LineText], weights: dict[Phrase, float], may_answer: Container[int]
) -> list[tuple[int, tuple[int, ...]]]:
    """The regions of a picture that may answer and whose lines hold as much as those of any, as
    they are read; each with the ids of these lines. An element is none beside regions of its lines
    that hold as much."""
    held = shares(lines, tuple(weights))
    by_region: dict[int, dict[int, float]] = defaultdict(lambda: defaultdict(float))
    theirs: dict[int, list[int]] = defaultdict(list)
    for line in lines:
        if line.id not in held:
            continue
        for region in line.regions:
            if region in may_answer:
                theirs[region].append(line.id)
                best = by_region[region]
                for number, share in held[line.id].items():
                    if share > best[number]:
                        best[number] = share
    each = list(weights.values())
    worth = {
        region: sum(each[number] * share for number, share in some.items())
        for region, some in by_region.items()
    }
    least = max(worth.values(), default=0.0) - SAME_WORTH
    answering = {region for region, value in worth.items() if value >= least}
    around = {
        line.element_id
        for line in lines
        if line.segment_id != line.element_id and line.segment_id in answering
    }
    return [(region, tuple(theirs[region])) for region in worth if region in answering - around]


def _passing(regions: set[int], allowed: Allowed | None) -> set[int]:
    """Those of some regions that may answer."""
    if allowed is None:
        return regions
    ids = np.array(sorted(regions), np.int64)
    return set(ids[allowed.has(ids)].tolist())
