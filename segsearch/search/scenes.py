"""Answers scene queries: which regions may fill each slot, and in which pictures they fit."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from segsearch.core.answers import SceneAnswer, SceneHit
from segsearch.core.errors import QueryError
from segsearch.core.lives import Life
from segsearch.core.query import SceneQuery, Slot
from segsearch.core.types import Hit
from segsearch.core.video import Moment
from segsearch.search.answer_rules import are_words, things_asked
from segsearch.search.candidates import Candidates
from segsearch.search.engine import SearchEngine
from segsearch.search.moments import Appearance, moments_of
from segsearch.search.relevance import rounded
from segsearch.search.scene_assignment import (
    SceneProblem,
    SlotCandidate,
    assign,
    assign_over_time,
    check_scene,
)
from segsearch.search.shot_facts import ShotFacts
from segsearch.search.vectors import Active
from segsearch.storage.index.allowed import Allowed

# In lower spreads of a slot's scores. Measured on benchmarks/regions: from 2 on stand 92 to 94 %
# of the pictures that show a thing; from 3 on 74 to 79 % of those, and 14 to 15 % of the others.
PRESENT_SPREADS = 2.0
ABSENT_SPREADS = 3.0
FIRST_CANDIDATES = 256
LOOKED_UP = 32  # shots of videos at once


@dataclass(frozen=True, slots=True)
class SlotCandidates:
    """The regions that may fill one slot, by image, best first.

    `relevance` is that of the best region in the library, None where it is too small to tell.
    """

    slot: Slot
    candidates: Candidates
    relevance: float | None
    by_image: dict[int, tuple[SlotCandidate, ...]]


@dataclass(frozen=True, slots=True)
class FilledScene:
    """A picture in which regions fill the present slots, in their order; `worth` is their sum, and
    `seconds` the moment of a video at which they do."""

    worth: float
    image_id: int
    regions: tuple[SlotCandidate, ...]
    seconds: float | None = None


def answer_scene(engine: SearchEngine, recipe: Active, query: SceneQuery) -> SceneAnswer:
    """Pictures in which regions fill the slots as linked, best first."""
    check_scene(query)
    allowed = engine.allowed(recipe, query.filters)
    slots = [_slot_candidates(engine, recipe, slot, allowed) for slot in query.slots]
    present = [slot for slot in slots if not slot.slot.absent]
    absent = [slot for slot in slots if slot.slot.absent]
    relevance = {slot.slot.name: slot.relevance for slot in present}
    for name, value in relevance.items():
        if value is not None and value < query.min_relevance:
            return SceneAnswer((), relevance, _nothing_matches(name, value, query))
    hits = _hits(engine, present, _best_scenes(query, present, absent, engine.footage(recipe)))
    message = None if hits else "No picture holds all of it as asked for."
    return SceneAnswer(hits, relevance, message, _moments(hits))


def _moments(hits: Sequence[SceneHit]) -> tuple[Moment, ...]:
    """When all things of scenes in videos are there."""
    shown: list[Appearance] = []
    for hit in hits:
        lives = [one.segment.life for one in hit.regions.values() if one.segment.life is not None]
        if lives and hit.image.shot is not None and hit.seconds is not None:
            start, end = max(one.t_start for one in lives), min(one.t_end for one in lives)
            life = Life(min(start, hit.seconds), max(end, hit.seconds), hit.seconds)
            shown.append(Appearance(hit.rank, hit.image.shot.video_id, life))
    return moments_of(shown)


def _nothing_matches(name: str, relevance: float, query: SceneQuery) -> str:
    return (
        f"Nothing in the library matches {name!r}: its best region's relevance is "
        f"{rounded(relevance)}, expected {query.min_relevance:g} or more."
    )


def _slot_candidates(
    engine: SearchEngine, recipe: Active, slot: Slot, scene_allowed: Allowed | None
) -> SlotCandidates:
    vector = engine.asked(recipe, slot.terms)
    allowed = engine.allowed(recipe, slot.filters)
    if allowed is None or scene_allowed is None:
        allowed = scene_allowed if allowed is None else allowed
    else:
        allowed = allowed & scene_allowed
    words = (vector, things_asked(slot.terms)) if are_words(slot.terms) else None
    candidates = engine.candidates(recipe, vector, allowed, words)
    scores, ids = _from(candidates, _least_score(slot, candidates))
    segments = engine.fetch(ids)
    by_image: dict[int, list[SlotCandidate]] = defaultdict(list)
    for score, segment_id in zip(scores, ids, strict=True):
        segment = segments.get(segment_id)
        if segment is not None:
            background = candidates.background
            worth = background.spreads(score) if background else score
            by_image[segment.image_id].append(SlotCandidate(segment, score, worth))
    relevance = (
        candidates.relevance(scores[:1], ids[:1])[0] if scores else candidates.best_relevance()
    )
    regions = {image_id: tuple(some) for image_id, some in by_image.items()}
    return SlotCandidates(slot, candidates, relevance, regions)


def _least_score(slot: Slot, candidates: Candidates) -> float:
    """The score from which on a region may fill a slot."""
    if slot.min_score is not None:
        return slot.min_score
    background = candidates.background
    if background is not None:
        spreads = ABSENT_SPREADS if slot.absent else PRESENT_SPREADS
        return background.middle + spreads * background.spread
    if slot.absent:
        raise QueryError(
            f"The library is too small to tell whether {slot.name!r} is there: give the slot a "
            "min_score."
        )
    return -1.0


def _from(candidates: Candidates, least: float) -> tuple[list[float], list[int]]:
    """Every region from a score on, best first."""
    k = FIRST_CANDIDATES
    while True:
        scores, ids = candidates.nearest(k)
        if len(ids) < k or scores[-1] < least:
            count = sum(score >= least for score in scores)
            return scores[:count], ids[:count]
        k *= 4


def _best_scenes(
    query: SceneQuery,
    present: list[SlotCandidates],
    absent: list[SlotCandidates],
    footage: ShotFacts,
) -> list[FilledScene]:
    """The best scenes, best first; ties go to the smaller image."""
    numbers = {slot.slot.name: number for number, slot in enumerate((*present, *absent))}
    links = tuple((numbers[link.one], link.relation, numbers[link.other]) for link in query.links)
    shared = set.intersection(*(set(slot.by_image) for slot in present))
    problems = {
        image_id: SceneProblem(
            tuple(slot.by_image[image_id] for slot in present),
            tuple(slot.by_image.get(image_id, ()) for slot in absent),
            links,
        )
        for image_id in shared
    }
    best: list[FilledScene] = []
    order = sorted(problems, key=lambda image_id: (-problems[image_id].bound, image_id))
    for number, image_id in enumerate(order):
        problem = problems[image_id]
        if len(best) == query.limit and problem.bound < best[-1].worth - 1e-9:
            break  # nor can any later picture be better
        if number % LOOKED_UP == 0:
            some = [problems[other] for other in order[number : number + LOOKED_UP]]
            _look_up(some, footage)
        scene = _filled(image_id, problem, footage)
        if scene is not None:
            best = _best_of([*best, scene], query, footage)
    return best


def _look_up(problems: Sequence[SceneProblem], footage: ShotFacts) -> None:
    segments = [
        candidate.segment
        for problem in problems
        for options in (*problem.present, *problem.absent)
        for candidate in options
    ]
    footage.look_up_shots(segments)
    footage.look_up_masks(segments)


def _filled(image_id: int, problem: SceneProblem, footage: ShotFacts) -> FilledScene | None:
    if problem.present[0][0].segment.life is None:
        found, seconds = assign(problem), None
    else:
        found, seconds = assign_over_time(problem, footage.masks) or (None, None)
    if found is None:
        return None
    return FilledScene(sum(region.worth for region in found), image_id, found, seconds)


def _best_of(
    scenes: Sequence[FilledScene], query: SceneQuery, footage: ShotFacts
) -> list[FilledScene]:
    """The best scenes, of one video as many as may be."""
    count: Counter[int] = Counter()
    best: list[FilledScene] = []
    for scene in sorted(scenes, key=lambda one: (-one.worth, one.image_id)):
        video = footage.video(scene.image_id)
        if video is not None:
            count[video] += 1
            if query.per_video is not None and count[video] > query.per_video:
                continue
        best.append(scene)
    return best[: query.limit]


def _hits(
    engine: SearchEngine, present: list[SlotCandidates], scenes: list[FilledScene]
) -> tuple[SceneHit, ...]:
    segments = [region.segment for scene in scenes for region in scene.regions]
    images = engine.images_of(segments)
    captions, lines = engine.said_of([segment.id for segment in segments])
    hits: list[SceneHit] = []
    for scene in scenes:
        image = images.get(scene.image_id)
        if image is None:  # gone since
            continue
        rank = len(hits) + 1
        regions = {
            slot.slot.name: Hit(
                rank,
                region.score,
                region.segment,
                image,
                relevance=slot.candidates.relevance([region.score], [region.segment.id])[0],
                captions=captions.get(region.segment.id, ()),
                lines=tuple(lines.get(region.segment.id, ())),
            )
            for slot, region in zip(present, scene.regions, strict=True)
        }
        fit = scene.worth / len(present)
        hits.append(SceneHit(rank, fit, image, regions, scene.seconds))
    return tuple(hits)
