"""Counts what an answer leaves out behind each of its regions: fragments and near-duplicates.

Counted is what the ranking looked at and passed over, so nothing more is asked of the catalog.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from segsearch.core.types import Folded, Image, Segment
from segsearch.search.ranking import Ranked, overlaps


@dataclass(frozen=True, slots=True)
class Folding:
    """What counts as left out behind a region.

    A region counts where it is the same thing, or with `nests` lies in or around it, and scores at
    most `slack` lower; none of the ids in `barred`, and none newer than `newest`. With `alike`
    near-duplicates count, too.
    """

    slack: Callable[[], float]
    nests: bool
    alike: bool
    barred: AbstractSet[int] = frozenset()
    newest: int | None = None


def folded(
    hits: Sequence[Ranked],
    images: Mapping[int, Image],
    passed: Sequence[Ranked],
    folding: Folding,
) -> dict[int, Folded]:
    """What is left out behind each of these hits, by its region's id; those without are left out.

    `passed` are regions that the ranking looked at. A near-duplicate counts once, behind the first
    region of the first picture that it looks like, where a region of it was looked at.
    """
    by_image: dict[int, list[Ranked]] = defaultdict(list)
    for hit in hits:
        by_image[hit[1].image_id].append(hit)
    shown = {segment.id for _, segment in hits}
    parts: dict[int, int] = defaultdict(int)
    duplicates: dict[int, set[int]] = defaultdict(set)
    heads = _heads(by_image, images) if folding.alike else {}
    for score, segment in passed:
        if segment.id in shown or segment.id in folding.barred:
            continue
        if folding.newest is not None and segment.id > folding.newest:
            continue
        if segment.image_id in by_image:
            behind = _what_it_lies_behind(score, segment, by_image[segment.image_id], folding)
            if behind is not None:
                parts[behind] += 1
        elif segment.image_id in heads:
            duplicates[heads[segment.image_id]].add(segment.image_id)
    return {
        number: Folded(parts[number], len(duplicates[number])) for number in {*parts, *duplicates}
    }


def _heads(by_image: Mapping[int, Sequence[Ranked]], images: Mapping[int, Image]) -> dict[int, int]:
    """The near-duplicates of some pictures, by their ids, beside the first region of the first
    picture that each looks like."""
    heads: dict[int, int] = {}
    for image_id, regions in by_image.items():
        for other in images[image_id].near_duplicates if image_id in images else ():
            heads.setdefault(other, regions[0][1].id)
    return heads


def _what_it_lies_behind(
    score: float, segment: Segment, hits: Sequence[Ranked], folding: Folding
) -> int | None:
    for hit_score, hit in hits:
        if score >= hit_score - folding.slack():
            is_same, is_nested = overlaps(segment, hit)
            if is_same or (folding.nests and is_nested):
                return hit.id
    return None
