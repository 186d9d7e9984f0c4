"""Assigns one picture's regions to a scene's slots: each where it should lie, others not there.

The things of a shot of a video must be there, and lie so, at one moment.

`scenes.py` finds the regions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

from segsearch.core.errors import QueryError
from segsearch.core.query import SceneQuery
from segsearch.core.types import Mask, Segment
from segsearch.masks.relations import Relation, relations
from segsearch.search.ranking import same_thing

MAX_SLOTS = 6
MAX_LINKS = 16
LARGER, SMALLER = "larger than", "smaller than"
LINKS = (*(relation.value for relation in Relation), LARGER, SMALLER)
MAX_STEPS = 20_000  # of one picture; what was best by then is taken, see `assign`


@dataclass(frozen=True, slots=True)
class SlotCandidate:
    """A region that may fill a slot: its cosine, and its worth, comparable between slots."""

    segment: Segment
    score: float
    worth: float


@dataclass(frozen=True, slots=True)
class SceneProblem:
    """One picture's regions for each slot, best first; `links` name slots by their number."""

    present: tuple[tuple[SlotCandidate, ...], ...]
    absent: tuple[tuple[SlotCandidate, ...], ...]
    # Absent slots are numbered after the present ones.
    links: tuple[tuple[int, str, int], ...]

    @property
    def bound(self) -> float:
        """What the best assignment is worth at most; no problem without regions is made."""
        return sum(options[0].worth for options in self.present)


MasksOf = Callable[[Segment], Mapping[float, Mask]]  # over time


def check_scene(query: SceneQuery) -> None:
    """QueryError with one sentence when a scene cannot be meant; terms are checked elsewhere."""
    names = [slot.name for slot in query.slots]
    if not any(not slot.absent for slot in query.slots):
        raise QueryError("A scene needs a slot for something that is there.")
    if len(names) > MAX_SLOTS or len(query.links) > MAX_LINKS:
        raise QueryError(
            f"The scene has {len(names)} slots and {len(query.links)} relations, expected at most "
            f"{MAX_SLOTS} and {MAX_LINKS}."
        )
    if len(set(names)) < len(names):
        raise QueryError(f"The slots are named {names}, expected names that differ.")
    absent = {slot.name for slot in query.slots if slot.absent}
    for link in query.links:
        missing = {link.one, link.other} - set(names)
        if missing:
            raise QueryError(f"A relation names the slot {missing.pop()!r}, which there is not.")
        if link.relation not in LINKS:
            raise QueryError(
                f"There is no relation {link.relation!r}: expected one of {', '.join(LINKS)}."
            )
        if link.one == link.other or {link.one, link.other} <= absent:
            raise QueryError("A relation needs two slots, one of them for something that is there.")


def holds(relation: str, first: Mask, second: Mask) -> bool:
    """Whether two regions of one picture lie so to each other."""
    if relation == LARGER:
        return first.area > second.area
    if relation == SMALLER:
        return first.area < second.area
    return Relation(relation) in relations(first, second)


def assign(problem: SceneProblem) -> tuple[SlotCandidate, ...] | None:
    """The regions that fill the present slots and are worth most together; None without any.

    No thing fills two slots, every link holds, and no other thing fills an absent slot as its
    links allow. Among equals the smaller ids win, slot by slot. Gives up improving after
    `MAX_STEPS` regions were tried, which takes six slots with dozens of regions each.
    """
    linked = _linked(problem)
    best: tuple[float, tuple[int, ...]] | None = None
    best_regions: tuple[SlotCandidate, ...] | None = None
    steps = 0
    rest = [0.0]
    for options in reversed(problem.present):
        rest.append(rest[-1] + options[0].worth)
    rest.reverse()

    def grow(chosen: tuple[SlotCandidate, ...], worth: float) -> None:
        nonlocal best, best_regions, steps
        number = len(chosen)
        if number == len(problem.present):
            key = (-worth, tuple(region.segment.id for region in chosen))
            if (best is None or key < best) and not _is_spoilt(problem, chosen, linked):
                best, best_regions = key, chosen
            return
        for region in problem.present[number]:
            steps += 1
            if steps > MAX_STEPS:
                return
            if best is not None and worth + region.worth + rest[number + 1] < -best[0] - 1e-9:
                return  # the options are sorted: no later one is worth more
            if _fits(region, chosen) and linked(number, region, chosen):
                grow((*chosen, region), worth + region.worth)

    grow((), 0.0)
    return best_regions


def assign_over_time(
    problem: SceneProblem, masks: MasksOf
) -> tuple[tuple[SlotCandidate, ...], float] | None:
    """`assign` for a shot of a video, and the moment in seconds at which what it gives is there and
    lies so: that of the assignment that is worth most, and of equals one near to where the regions
    are seen best. The masks of what comes back are those of that moment."""
    moments = {seconds for candidate in problem.present[0] for seconds in masks(candidate.segment)}
    scenes = [(seconds, made) for seconds in moments if (made := _at(problem, seconds, masks))]

    def place(scene: tuple[float, SceneProblem]) -> tuple[float, float, float]:
        seconds, made = scene
        lives = [best[options[0].segment.id] for options in made.present]
        return -made.bound, sum(abs(seconds - one) for one in lives), seconds

    best = {
        candidate.segment.id: candidate.segment.life.best_seconds
        for options in problem.present
        for candidate in options
        if candidate.segment.life is not None
    }
    found: tuple[tuple[SlotCandidate, ...], float] | None = None
    worth = float("-inf")
    for seconds, made in sorted(scenes, key=place):
        if made.bound <= worth + 1e-9:
            break
        regions = assign(made)
        total = sum(region.worth for region in regions or ())
        if regions is not None and total > worth + 1e-9:
            found, worth = (regions, seconds), total
    return found


def _at(problem: SceneProblem, seconds: float, masks: MasksOf) -> SceneProblem | None:
    """What of a shot is there at a moment, as the picture of that moment; None where nothing
    fills a slot."""

    def seen(options: Sequence[SlotCandidate]) -> tuple[SlotCandidate, ...]:
        return tuple(
            replace(candidate, segment=_frozen(candidate.segment, seconds, mask))
            for candidate in options
            if (mask := masks(candidate.segment).get(seconds)) is not None
        )

    present = tuple(seen(options) for options in problem.present)
    if not all(present):
        return None
    return SceneProblem(present, tuple(seen(options) for options in problem.absent), problem.links)


def _frozen(segment: Segment, seconds: float, mask: Mask) -> Segment:
    life = segment.life
    return replace(segment, mask=mask, life=life and replace(life, best_seconds=seconds))


Linked = Callable[[int, SlotCandidate, Sequence[SlotCandidate]], bool]


def _linked(problem: SceneProblem) -> Linked:
    """Whether a region for a slot keeps the links with the slots filled before it."""

    @cache
    def lies(relation: str, first: int, second: int) -> bool:
        return holds(relation, masks[first], masks[second])

    masks = {
        candidate.segment.id: candidate.segment.mask
        for options in (*problem.present, *problem.absent)
        for candidate in options
    }

    def linked(number: int, candidate: SlotCandidate, chosen: Sequence[SlotCandidate]) -> bool:
        own = candidate.segment.id
        return all(
            lies(relation, own, chosen[second].segment.id)
            if first == number
            else lies(relation, chosen[first].segment.id, own)
            for first, relation, second in _between(problem.links, number, len(chosen))
        )

    return linked


def _between(
    links: Sequence[tuple[int, str, int]], number: int, filled: int
) -> Iterator[tuple[int, str, int]]:
    """The links of a slot with those that are filled."""
    for first, relation, second in links:
        if (first == number and second < filled) or (second == number and first < filled):
            yield first, relation, second


def _fits(candidate: SlotCandidate, chosen: Sequence[SlotCandidate]) -> bool:
    """Whether a region is of another thing than those chosen."""
    return not any(
        candidate.segment.id == other.segment.id or same_thing(candidate.segment, other.segment)
        for other in chosen
    )


def _is_spoilt(problem: SceneProblem, chosen: Sequence[SlotCandidate], linked: Linked) -> bool:
    """Whether something that must not be there is, beside what was chosen."""
    return any(
        linked(len(problem.present) + number, candidate, chosen) and _fits(candidate, chosen)
        for number, options in enumerate(problem.absent)
        for candidate in options
    )
