"""Joins what the words in pictures find with what vectors find: by rank, on the scale of cosines.

So wholes and parts, groups, and what may follow in a picture are told as ever, and an answer in
which no text takes part is what it was.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache

from segsearch.core.errors import QueryError
from segsearch.core.query import Query, TextTerm, WrittenTerm, seen_terms
from segsearch.core.text_query import TextQuery, TextRanking, phrases_in
from segsearch.search.candidates import Candidates, remembered
from segsearch.search.fusion import DEPTH, RANK_OFFSET
from segsearch.search.picture_groups import Siblings
from segsearch.search.ranking import Nearest
from segsearch.search.vectors import check_text

PLAIN_DEPTH = 200  # regions; in an archive of pages every plain word stands on thousands
NEVER = 1 << 62  # the rank of what a ranking does not hold


def text_query(query: Query) -> TextQuery | None:
    """What a query asks of the text of pictures; None where that has no say. QueryError where text
    cannot take part in what is asked for.

    Plain words ask for all of them, as whole words, where nothing else is looked for.
    """
    _check(query)
    written = [term for term in query.terms if isinstance(term, WrittenTerm)]
    words = [term for term in query.terms if isinstance(term, TextTerm)]
    asked = TextQuery(
        tuple(term.text for term in written if term.weight > 0),
        tuple(term.text for term in written if term.weight < 0),
    )
    plain = tuple(term.text for term in words if term.weight > 0)
    unwanted = tuple(term.text for term in words if term.weight < 0)
    if query.written == "only":
        return replace(asked, words=asked.words + plain, without=asked.without + unwanted)
    if asked.words:
        return asked
    looked_for = [term for term in seen_terms(query.terms) if term.weight > 0]
    if query.written == "off" or not plain or len(looked_for) > len(plain):
        return None
    return TextQuery(plain, asked.without + unwanted, whole=True)


def is_alone(query: Query) -> bool:
    """Whether nothing is looked for but words that stand in pictures."""
    looked_for = [term for term in query.terms if term.weight > 0]
    return query.written == "only" or not (seen_terms(looked_for) or query.like)


def depth_of(text: TextQuery) -> int:
    """How many regions found by their text are joined with the others: fewer where words were not
    said to stand in pictures, since finding them costs what their pictures' lines do."""
    return PLAIN_DEPTH if text.whole else DEPTH


def unwanted_text(query: Query) -> tuple[str, ...]:
    """What must not stand in a picture, whatever else is asked for."""
    written = [term for term in query.terms if isinstance(term, WrittenTerm)]
    return tuple(term.text for term in written if term.weight < 0)


def _check(query: Query) -> None:
    seen, alone = seen_terms(query.terms), is_alone(query)
    if query.captions == "only" and (len(seen) < len(query.terms) or query.written == "only"):
        raise QueryError("Captions alone are searched: leave out what stands in pictures.")
    words = [term for term in seen if isinstance(term, TextTerm)]
    if query.written == "only" and (query.like or query.unlike or len(words) < len(seen)):
        raise QueryError(
            "What stands in pictures is found by words alone: leave out pictures and segments."
        )
    if alone and seen and query.written != "only":
        raise QueryError(
            "Nothing is looked for but words that stand in pictures: what to steer away from must "
            "be such words, too (text:WORD)."
        )
    asked = [term for term in query.terms if isinstance(term, WrittenTerm)]
    for term in (*asked, *(words if query.written == "only" else ())):
        if not phrases_in(check_text(term.text)):
            raise QueryError(f"{term.text!r:.60} holds neither letters nor digits to look for.")


def joined(
    candidates: Candidates, siblings: Siblings, *, alone: bool
) -> tuple[Candidates, Siblings]:
    """Candidates, and the regions of a picture, among which those found by their text are lifted:
    `lifted` says how. With `alone` they are all there is: what vectors find is chance. How relevant
    they are is the share of the words that they show."""
    found = candidates.found
    nearest = lifted(candidates.nearest, found.ids, candidates.own, alone=alone)
    scores = dict(zip(*reversed(nearest(DEPTH)), strict=True))
    higher = {segment_id: scores.get(segment_id, own) for segment_id, own in candidates.own.items()}
    shown = dict(zip(found.ids, found.scores, strict=True))
    lines = found.lines
    return (
        replace(candidates, nearest=nearest, by_rank=True, shown=shown, lines=lines, without=None),
        siblings.rescored(higher),
    )


def lifted(
    by_vector: Nearest, found: Sequence[int], own: Mapping[int, float], *, alone: bool = False
) -> Nearest:
    """Regions in the order of reciprocal rank fusion (see `fusion`), of equal ones those found by
    their text first. What vectors alone find keeps its cosine, and its order. What is lifted has
    its own, or that of the region it now stands before, where that is higher: so scores fall."""
    known = [segment_id for segment_id in found if segment_id in own]  # others are gone since
    ranks = {segment_id: rank for rank, segment_id in enumerate(known, start=1)}

    @cache
    def to_depth(depth: int) -> tuple[list[float], list[int]]:
        scores, ids = ([], []) if alone else by_vector(depth)
        places = {segment_id: rank for rank, segment_id in enumerate(ids[:DEPTH], start=1)}
        cosines = {**dict(zip(ids, scores, strict=True)), **own}
        front = sorted(
            {*places, *ranks},
            key=lambda one: (
                -_fused(places.get(one), ranks.get(one)),
                ranks.get(one, NEVER),
                places.get(one, NEVER),
            ),
        )
        order = [*front, *(one for one in ids[DEPTH:] if one not in ranks)]
        falling: list[float] = []
        least = float("-inf")
        for one in reversed(order):
            least = max(cosines[one], least) if one in ranks else cosines[one]
            falling.append(least)
        return falling[::-1], order

    def nearest(k: int) -> tuple[list[float], list[int]]:
        scores, ids = to_depth(max(k, DEPTH))
        return scores[:k], ids[:k]

    return nearest


def _fused(*ranks: int | None) -> float:
    return sum(1 / (RANK_OFFSET + rank) for rank in ranks if rank is not None)


def by_text(find: Callable[[int], TextRanking]) -> Candidates:
    """Candidates that are found by their text alone; a score is the share of the words' weight.
    `find` gives the best k."""
    lines: dict[int, tuple[int, ...]] = {}

    def nearest(k: int) -> tuple[list[float], list[int]]:
        found = find(k)
        lines.update(found.lines)
        return found.scores, found.ids

    return Candidates(remembered(nearest), by_rank=True, lines=lines)
