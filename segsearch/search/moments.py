"""The moments of videos that an answer's hits cover, and hits in the order of time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from segsearch.core.lives import Life
from segsearch.core.query import AnswerOrder
from segsearch.core.types import Hit
from segsearch.core.video import MOMENT_GAP_SECONDS, Moment
from segsearch.search.ranking import Ranked
from segsearch.search.shot_facts import ShotFacts

# Of the best hit's score, that what is one moment with it must have (`benchmarks/video`).
LEAST_SCORE = 0.75


@dataclass(frozen=True, slots=True)
class Appearance:
    """A hit of a video: its place in the answer, when it is there, and its score; with `goes_on` a
    region that was left out behind it, in which the same thing goes on."""

    rank: int
    video_id: int
    life: Life
    score: float = 0.0
    goes_on: bool = False


def appearances(
    hits: Iterable[Hit], going_on: Mapping[int, Sequence[Life]] = MappingProxyType({})
) -> list[Appearance]:
    """Those of hits that are of videos; `going_on` are the lives of what was left out behind them
    because the same thing goes on in it, by the ids of their regions."""
    found = []
    for hit in hits:
        if hit.image.shot is None or hit.segment.life is None:
            continue
        one = Appearance(hit.rank, hit.image.shot.video_id, hit.segment.life, hit.score)
        found.append(one)
        lives = going_on.get(hit.segment.id, ())
        found += [replace(one, life=life, goes_on=True) for life in lives]
    return found


def moments_of(shown: Sequence[Appearance]) -> tuple[Moment, ...]:
    """The moments that hits cover, the one with the best hit first.

    A hit makes one moment with what lies at most `MOMENT_GAP_SECONDS` from it in its video, or from
    what does, and scores not much less: what is there by the way answers something else. What its
    own thing goes on in belongs to it, not what those of others do.
    """
    waiting: dict[int, list[Appearance]] = defaultdict(list)
    for one in sorted(shown, key=lambda other: other.life.t_start):
        waiting[one.video_id].append(one)
    moments = []
    for best in sorted((one for one in shown if not one.goes_on), key=lambda one: one.rank):
        rest = waiting[best.video_id]
        if any(one is best for one in rest):
            run = _around(best, rest)
            taken = {id(one) for one in run}
            waiting[best.video_id] = [one for one in rest if id(one) not in taken]
            moments.append(_moment(best, run))
    return tuple(moments)


def _around(best: Appearance, rest: Sequence[Appearance]) -> list[Appearance]:
    """What makes one moment with a hit, of the rest of its video, itself among it; in order of
    time."""
    least = best.score - (1 - LEAST_SCORE) * abs(best.score)
    run: list[Appearance] = []
    end = float("-inf")
    for one in rest:
        if one.score < least or (one.goes_on and one.rank != best.rank):
            continue
        if one.life.t_start > end + MOMENT_GAP_SECONDS:
            if any(other is best for other in run):
                break
            run = []
        run.append(one)
        end = max(end, one.life.t_end)
    return run


def _moment(best: Appearance, run: Sequence[Appearance]) -> Moment:
    return Moment(
        best.video_id,
        min(one.life.t_start for one in run),
        max(one.life.t_end for one in run),
        best.life.best_seconds,
        tuple(sorted({one.rank for one in run})),
    )


def in_order(order: AnswerOrder, ranked: Sequence[Ranked], footage: ShotFacts) -> list[Ranked]:
    """Regions, best first, in another order; those of pictures come last, as they are."""
    if order is AnswerOrder.RELEVANCE:
        return list(ranked)
    places: dict[int | None, int] = {}
    for _, segment in ranked:
        places.setdefault(footage.video(segment.image_id), len(places))

    def place(pair: Ranked) -> tuple[float, ...]:
        life = pair[1].life
        if life is None:
            return (1,)
        if order is AnswerOrder.LONGEST:
            return (0, life.t_start - life.t_end)
        return (0, places[footage.video(pair[1].image_id)], life.t_start, life.t_end)

    return sorted(ranked, key=place)
