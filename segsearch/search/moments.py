"""The moments of videos that an answer's hits cover, and hits in the order of time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from segsearch.core.lives import Life
from segsearch.core.query import AnswerOrder
from segsearch.core.types import Hit
from segsearch.core.video import MOMENT_GAP_SECONDS, Moment
from segsearch.search.ranking import Ranked
from segsearch.search.shot_facts import ShotFacts


@dataclass(frozen=True, slots=True)
class Appearance:
    """A hit of a video: its place in the answer, and when it is there."""

    rank: int
    video_id: int
    life: Life


def appearances(hits: Iterable[Hit]) -> list[Appearance]:
    """Those of hits that are of videos."""
    return [
        Appearance(hit.rank, hit.image.shot.video_id, hit.segment.life)
        for hit in hits
        if hit.image.shot is not None and hit.segment.life is not None
    ]


def moments_of(shown: Sequence[Appearance]) -> tuple[Moment, ...]:
    """The moments that hits cover, the one with the best hit first; what lies at most
    `MOMENT_GAP_SECONDS` apart in one video is one moment."""
    by_video: dict[int, list[Appearance]] = defaultdict(list)
    for one in shown:
        by_video[one.video_id].append(one)
    runs: list[list[Appearance]] = []
    for some in by_video.values():
        end = float("-inf")
        for one in sorted(some, key=lambda other: other.life.t_start):
            if one.life.t_start > end + MOMENT_GAP_SECONDS:
                runs.append([])
            runs[-1].append(one)
            end = max(end, one.life.t_end)
    places = {id(one): place for place, one in enumerate(shown)}
    runs = [sorted(run, key=lambda one: (one.rank, places[id(one)])) for run in runs]
    runs.sort(key=lambda run: (run[0].rank, places[id(run[0])]))
    return tuple(
        Moment(
            run[0].video_id,
            min(one.life.t_start for one in run),
            max(one.life.t_end for one in run),
            run[0].life.best_seconds,
            tuple(sorted({one.rank for one in run})),
        )
        for run in runs
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
