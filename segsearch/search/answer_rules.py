"""What a query's options mean for its answer: what may be shown, and what counts as left out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache

from segsearch.core.query import (
    AnswerOrder,
    Prefer,
    Query,
    SegmentTerm,
    Term,
    TextTerm,
    seen_terms,
)
from segsearch.core.types import Segment
from segsearch.search.candidates import Candidates
from segsearch.search.cursor import Cursor
from segsearch.search.moments import in_order
from segsearch.search.omissions import Folding
from segsearch.search.ranking import Alike, Fetch, Ranked, Rules, choose
from segsearch.search.shot_facts import ShotFacts

ORDERED = 200  # regions at least that are put in the order of time


def are_words(terms: Sequence[Term]) -> bool:
    """Whether words alone are asked for, but for those that stand in pictures."""
    return all(isinstance(term, TextTerm) for term in seen_terms(terms))


def things_asked(terms: Sequence[Term]) -> float:
    """How much the traits of regions count: as much as words do among what is looked for."""
    wanted = [term for term in seen_terms(terms) if term.weight > 0]
    total = sum(term.weight for term in wanted)
    said = sum(term.weight for term in wanted if isinstance(term, TextTerm))
    return said / total if total else 0.0


def rules_of(
    query: Query,
    cursor: Cursor | None,
    fetch: Fetch,
    alike: Alike,
    footage: ShotFacts,
) -> Rules:
    """What may be in a page of an answer, but for what depends on its candidates."""
    own = stored_terms(query.terms)
    groups = query.by_picture or query.by_video
    rules = Rules(
        query.per_image,
        unwanted=frozenset(query.unlike),
        whole_things=query.prefer is Prefer.THING,
        alike=alike if _hides_duplicates(query) else None,
        per_video=query.per_video,
        once=not (query.near_duplicates or groups),
        own=own,
        footage=footage,
    )
    if query.elsewhere and own:
        stored = fetch(sorted(own)).values()
        rules = replace(rules, away=frozenset(one.image_id for one in stored if one.life))
    if cursor is None:
        return rules
    rules = replace(rules, below=cursor.below, newest=cursor.newest)
    if groups:
        return replace(rules, closed=frozenset(cursor.shown))
    return replace(rules, shown=tuple(fetch(list(cursor.shown)).values()))


def of_candidates(
    query: Query,
    rules: Rules,
    candidates: Candidates,
    accepts: Callable[[float, Segment], bool] | None,
) -> Rules:
    """The rules with what depends on the candidates."""
    rules = replace(rules, accepts=accepts)
    if candidates.by_rank:
        # A score made of ranks or shares rises when others go, and would pass `below` for ever.
        rules = replace(rules, below=None)
    follows = query.per_image > 1  # another region of a picture may
    if follows and query.prefer is Prefer.THING and things_asked(query.terms):
        rules = replace(rules, behind=candidates.spread)
    return rules


def heads_of(query: Query, rules: Rules) -> Rules:
    """The rules for what is ranked first: of a group its best region; what is put in another order
    is chosen from all that answers."""
    if query.by_picture or query.by_video:
        rules = replace(rules, per_image=1)
    if query.by_video:
        return replace(rules, per_video=1)
    if query.order is not AnswerOrder.RELEVANCE:
        return replace(rules, per_video=None, once=False)
    return rules


def is_ordered(query: Query) -> bool:
    """Whether the regions of an answer, not those of its groups, are put in another order."""
    return query.order is not AnswerOrder.RELEVANCE and not query.by_video


def depth_of(query: Query) -> int:
    """How many regions, or groups, are ranked for a page."""
    return max(query.limit, ORDERED) if is_ordered(query) else query.limit + 1


def ordered(
    query: Query, rules: Rules, ranked: Sequence[Ranked], candidates: Candidates
) -> list[Ranked]:
    """The page of an answer in the order of time: of what is relevant, as many as the rules let
    by, in that order."""
    relevant = _relevant(query, ranked, candidates)
    rules = replace(rules, behind=None, accepts=None)
    if query.by_picture:
        rules = replace(rules, per_image=1)
    return choose(in_order(query.order, relevant, rules.footage), query.limit, rules)


def _relevant(query: Query, ranked: Sequence[Ranked], candidates: Candidates) -> list[Ranked]:
    """Regions that answer by themselves; where the library is too small to tell, those that score
    about as well as the best."""
    if not ranked:
        return []
    known = candidates.relevance([score for score, _ in ranked], [one.id for _, one in ranked])
    least = float("-inf") if candidates.by_rank else ranked[0][0] - candidates.slack
    relevant = [
        pair
        for pair, relevance in zip(ranked, known, strict=True)
        if (pair[0] >= least if relevance is None else relevance >= query.min_relevance)
    ]
    return relevant or list(ranked[:1])  # what is stored itself is shown whatever its relevance


def folding_of(query: Query, rules: Rules, candidates: Candidates) -> Folding:
    """What an answer to a query leaves out behind its regions."""

    @cache
    def slack() -> float:
        return candidates.slack if rules.behind is None else rules.behind

    return Folding(
        slack,
        nests=query.prefer is not Prefer.ANY,
        alike=rules.alike is not None,
        barred=rules.unwanted | {segment.id for segment in rules.shown},
        newest=rules.newest,
        once=rules.once,
        own=rules.own,
        footage=rules.footage,
    )


def stored_terms(terms: Sequence[Term]) -> frozenset[int]:
    """Stored segments that are looked for."""
    return frozenset(
        term.segment_id for term in terms if isinstance(term, SegmentTerm) and term.weight > 0
    )


def _hides_duplicates(query: Query) -> bool:
    """Whether words are asked: who shows a picture may be looking for its copies."""
    said = any(isinstance(term, TextTerm) and term.weight > 0 for term in query.terms)
    # Pages that look almost the same may show other words.
    return said and query.written != "only" and not query.near_duplicates
