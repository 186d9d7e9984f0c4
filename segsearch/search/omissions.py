"""Counts what an answer leaves out behind each region: fragments, near-duplicates, moments.

Counted is what the ranking looked at and passed over, so nothing more is asked of the catalog.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from segsearch.core.lives import Life
from segsearch.core.types import Folded, Image, Segment
from segsearch.search.ranking import Ranked, overlaps
from segsearch.search.shot_facts import ShotFacts


@dataclass(frozen=True, slots=True)
class Folding:
    """What counts as left out behind a region.

    A region counts where it is the same thing, or with `nests` lies in or around it, and scores at
    most `slack` lower; none of the ids in `barred`, and none newer than `newest`. With `alike`
    near-duplicates count, too; with `once`, regions of videos whose thing goes on in it. Regions
    of videos in `own` count nowhere.
    """

    slack: Callable[[], float]
    nests: bool
    alike: bool
    barred: AbstractSet[int] = frozenset()
    newest: int | None = None
    once: bool = False
    own: AbstractSet[int] = frozenset()
    footage: ShotFacts = field(default_factory=ShotFacts)


def folded(
    hits: Sequence[Ranked],
    images: Mapping[int, Image],
    passed: Sequence[Ranked],
    folding: Folding,
    going_on: dict[int, list[Life]] | None = None,
) -> dict[int, Folded]:
    """What is left out behind each of these hits, by its region's id; those without are left out.

    `passed` are regions that the ranking looked at. A near-duplicate counts once, behind the first
    region of the first picture that it looks like, where a region of it was looked at. A region
    of a video that goes on counts once, behind the first that it goes on in, whose `going_on` gets
    its life.
    """
    by_image: dict[int, list[Ranked]] = defaultdict(list)
    for hit in hits:
        by_image[hit[1].image_id].append(hit)
    shown = {segment.id for _, segment in hits}
    parts: dict[int, int] = defaultdict(int)
    going_on = {} if going_on is None else going_on
    moving = [hit for _, hit in hits if hit.life is not None] if folding.once else []
    duplicates: dict[int, set[int]] = defaultdict(set)
    heads = _heads(by_image, images) if folding.alike else {}
    for score, segment in passed:
        if segment.id in shown or segment.id in folding.barred:
            continue
        if folding.newest is not None and segment.id > folding.newest:
            continue
        if segment.life is not None and segment.id in folding.own:
            continue
        behind = _what_it_lies_behind(score, segment, by_image.get(segment.image_id, ()), folding)
        shown_before = _what_it_goes_on_in(segment, moving, folding.footage)
        if behind is not None:
            parts[behind] += 1
        elif shown_before is not None and segment.life is not None:
            going_on.setdefault(shown_before, []).append(segment.life)
        elif segment.image_id in heads and segment.image_id not in by_image:
            duplicates[heads[segment.image_id]].add(segment.image_id)
    return {
        number: Folded(parts[number], len(duplicates[number]), len(going_on.get(number, ())))
        for number in {*parts, *duplicates, *going_on}
    }


def _heads(by_image: Mapping[int, Sequence[Ranked]], images: Mapping[int, Image]) -> dict[int, int]:
    """The near-duplicates of some pictures, by their ids, beside the first region of the first
    picture that each looks like."""
    heads: dict[int, int] = {}
    for image_id, regions in by_image.items():
        for other in images[image_id].near_duplicates if image_id in images else ():
            heads.setdefault(other, regions[0][1].id)
    return heads


def _what_it_goes_on_in(
    segment: Segment, moving: Sequence[Segment], footage: ShotFacts
) -> int | None:
    if segment.life is None:
        return None
    video = footage.video(segment.image_id)
    for hit in moving if video is not None else ():
        if footage.video(hit.image_id) == video and footage.goes_on(segment, hit):
            return hit.id
    return None


def _what_it_lies_behind(
    score: float, segment: Segment, hits: Sequence[Ranked], folding: Folding
) -> int | None:
    for hit_score, hit in hits:
        if score >= hit_score - folding.slack():
            is_same, is_nested = overlaps(segment, hit, folding.footage)
            if is_same or (folding.nests and is_nested):
                return hit.id
    return None
