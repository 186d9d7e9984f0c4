"""Answers scene queries: which regions may fill each slot, and in which pictures they fit."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from segsearch.core.arrays import Ids
from segsearch.core.errors import QueryError
from segsearch.core.query import SceneAnswer, SceneHit, SceneQuery, Slot
from segsearch.core.types import Hit
from segsearch.search.engine import Active, Scored, SearchEngine, are_words
from segsearch.search.relevance import rounded
from segsearch.search.scene_assignment import SceneProblem, SlotCandidate, assign, check_scene

# In lower spreads of a slot's scores. Measured on benchmarks/regions: from 2 on stand 92 to 94 %
# of the pictures that show a thing; from 3 on 74 to 79 % of those, and 14 to 15 % of the others.
PRESENT_SPREADS = 2.0
ABSENT_SPREADS = 3.0
FIRST_CANDIDATES = 256


@dataclass(frozen=True, slots=True)
class SlotCandidates:
    """The regions that may fill one slot, by image, best first."""

    slot: Slot
    scored: Scored
    best: float | None
    by_image: dict[int, tuple[SlotCandidate, ...]]


def answer_scene(engine: SearchEngine, recipe: Active, query: SceneQuery) -> SceneAnswer:
    """Pictures in which regions fill the slots as linked, best first."""
    check_scene(query)
    everywhere = engine.allowed(recipe, query.filters)
    slots = [_slot_candidates(engine, recipe, slot, everywhere) for slot in query.slots]
    present = [one for one in slots if not one.slot.absent]
    relevance = {one.slot.name: one.best for one in present}
    for name, value in relevance.items():
        if value is not None and value < query.min_relevance:
            return SceneAnswer((), relevance, _nothing_matches(name, value, query))
    found = _fill(query, present, [one for one in slots if one.slot.absent])
    hits = _hits(engine, present, found)
    message = None if hits else "No picture holds all of it as asked for."
    return SceneAnswer(hits, relevance, message)


def _nothing_matches(name: str, relevance: float, query: SceneQuery) -> str:
    return (
        f"Nothing in the library matches {name!r}: its best region's relevance is "
        f"{rounded(relevance)}, expected {query.min_relevance:g} or more."
    )


def _slot_candidates(
    engine: SearchEngine, recipe: Active, slot: Slot, everywhere: Ids | None
) -> SlotCandidates:
    wanted, _ = engine.wanted(recipe, slot.terms, (), ())
    allowed = engine.allowed(recipe, slot.filters)
    if allowed is None or everywhere is None:
        allowed = everywhere if allowed is None else allowed
    else:
        allowed = np.intersect1d(allowed, everywhere, assume_unique=True)
    scored = engine.scored(recipe, wanted, allowed, by_words=are_words(slot.terms))
    scores, ids = _from(scored, _least(slot, scored))
    segments = engine.fetch(ids)
    by_image: dict[int, list[SlotCandidate]] = defaultdict(list)
    for score, one in zip(scores, ids, strict=True):
        if one in segments:
            worth = scored.background.spreads(score) if scored.background else score
            by_image[segments[one].image_id].append(SlotCandidate(segments[one], score, worth))
    best = scored.relevance(scores[:1], ids[:1])[0] if scores else scored.best_relevance()
    candidates = {image_id: tuple(some) for image_id, some in by_image.items()}
    return SlotCandidates(slot, scored, best, candidates)


def _least(slot: Slot, scored: Scored) -> float:
    """The score from which on a region may fill a slot."""
    if slot.min_score is not None:
        return slot.min_score
    known = scored.background
    if known is not None:
        spreads = ABSENT_SPREADS if slot.absent else PRESENT_SPREADS
        return known.middle + spreads * known.spread
    if slot.absent:
        raise QueryError(
            f"The library is too small to tell whether {slot.name!r} is there: give the slot a "
            "min_score."
        )
    return -1.0


def _from(scored: Scored, least: float) -> tuple[list[float], list[int]]:
    """Every region from a score on, best first."""
    k = FIRST_CANDIDATES
    while True:
        scores, ids = scored.nearest(k)
        if len(ids) < k or scores[-1] < least:
            count = sum(score >= least for score in scores)
            return scores[:count], ids[:count]
        k *= 4


def _fill(
    query: SceneQuery, present: list[SlotCandidates], absent: list[SlotCandidates]
) -> list[tuple[float, int, tuple[SlotCandidate, ...]]]:
    """(worth, image id, regions) of the best scenes, best first; ties go to the smaller image."""
    numbers = {one.slot.name: number for number, one in enumerate((*present, *absent))}
    links = tuple((numbers[one.one], one.relation, numbers[one.other]) for one in query.links)
    shared = set.intersection(*(set(one.by_image) for one in present))
    problems = {
        image_id: SceneProblem(
            tuple(one.by_image[image_id] for one in present),
            tuple(one.by_image.get(image_id, ()) for one in absent),
            links,
        )
        for image_id in shared
    }
    found: list[tuple[float, int, tuple[SlotCandidate, ...]]] = []
    for image_id, problem in sorted(problems.items(), key=lambda pair: (-pair[1].bound, pair[0])):
        if len(found) == query.limit and problem.bound < -found[-1][0] - 1e-9:
            break  # nor can any later picture be better
        chosen = assign(problem)
        if chosen is not None:
            found.append((-sum(one.worth for one in chosen), image_id, chosen))
            found = sorted(found, key=lambda one: one[:2])[: query.limit]
    return [(-worth, image_id, chosen) for worth, image_id, chosen in found]


def _hits(
    engine: SearchEngine,
    present: list[SlotCandidates],
    found: list[tuple[float, int, tuple[SlotCandidate, ...]]],
) -> tuple[SceneHit, ...]:
    images = engine.images_of([one.segment for _, _, chosen in found for one in chosen])
    hits: list[SceneHit] = []
    for worth, image_id, chosen in found:
        if image_id not in images:
            continue
        rank = len(hits) + 1
        regions = {
            filled.slot.name: Hit(
                rank,
                one.score,
                one.segment,
                images[image_id],
                relevance=filled.scored.relevance([one.score], [one.segment.id])[0],
            )
            for filled, one in zip(present, chosen, strict=True)
        }
        hits.append(SceneHit(rank, worth / len(present), images[image_id], regions))
    return tuple(hits)
