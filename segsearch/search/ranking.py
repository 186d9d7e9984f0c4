"""Turns scored regions into an answer's regions: no thing twice, wholes or parts, page by page."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from segsearch.core.query import Prefer
from segsearch.core.types import Segment
from segsearch.masks import rle
from segsearch.masks.relations import INSIDE_SHARE

SAME_THING_IOU = 0.7  # two regions of one picture that overlap more are one answer
SAME_THING_INSIDE = 0.92  # ... or where the smaller lies in the larger and is not much smaller
SAME_THING_SIZE = 0.5
# One region scored twice by different paths (index, exact) differs by rounding alone.
SAME_SCORE = 1e-5

Ranked = tuple[float, Segment]
Nearest = Callable[[int], tuple[list[float], list[int]]]  # the best k: scores, ids
Alike = Callable[[AbstractSet[int]], Mapping[int, AbstractSet[int]]]  # by image id
Fetch = Callable[[list[int]], Mapping[int, Segment]]  # segments by id, without those gone


@dataclass(frozen=True, slots=True)
class Rules:
    """What may be in an answer.

    At most `per_image` regions of one picture. On a later page: only regions that score below
    `below`, or as much; `shown` before, which are not shown again, nor anything that is the same
    thing; none of the images in `closed`; none newer than the id `newest`. `unwanted` ids never;
    `accepts` has the last word. With `whole_things` nothing that lies in a shown region, or around
    it, is shown. A region that follows another of its picture scores at most `behind` below the
    best there, if that is given: another thing of the kind does, what merely stands beside it does
    not. `alike` gives the near-duplicates of images, of which one alone is shown.
    """

    per_image: int
    below: float | None = None
    shown: tuple[Segment, ...] = ()
    closed: AbstractSet[int] = frozenset()
    newest: int | None = None
    unwanted: AbstractSet[int] = frozenset()
    accepts: Callable[[float, Segment], bool] | None = None
    whole_things: bool = False
    behind: float | None = None
    alike: Alike | None = None


def rank(
    nearest: Nearest, fetch: Fetch, limit: int, rules: Rules
) -> tuple[list[Ranked], list[Ranked]]:
    """The best `limit` regions under the rules, none twice the same thing, best first, and all
    that were looked at for them.

    Asks for more candidates until enough are left, so that a picture with many overlapping
    regions does not shorten the answer.
    """
    k = first_candidates(limit) + 4 * (len(rules.shown) + len(rules.closed))
    while True:
        scores, ids = nearest(k)
        segments = fetch(ids)
        pairs = [
            (score, segments[segment_id])
            for score, segment_id in zip(scores, ids, strict=True)
            if segment_id in segments
        ]
        kept = choose(pairs, limit, rules)
        if len(kept) == limit or len(ids) < k:
            return kept, pairs
        k *= 4


def first_candidates(limit: int) -> int:
    """How many candidates are looked at before more are asked for."""
    return limit * 4 + 16


def choose(pairs: Sequence[Ranked], limit: int, rules: Rules) -> list[Ranked]:
    """The first `limit` of these (score, region), best first, that the rules let through."""
    kept: list[Ranked] = []
    by_image: dict[int, list[Segment]] = defaultdict(list)
    for segment in rules.shown:
        by_image[segment.image_id].append(segment)
    barred = {*rules.unwanted, *(segment.id for segment in rules.shown)}
    pictures = {*by_image, *rules.closed}  # that are in the answer
    alike = rules.alike({*pictures, *(one.image_id for _, one in pairs)}) if rules.alike else {}
    best: dict[int, float] = {}  # by image, of all that are given: what is barred counts too
    hidden = {other for image_id in pictures for other in alike.get(image_id, ())} - pictures
    for score, segment in pairs:
        others = by_image[segment.image_id]
        top = best.setdefault(segment.image_id, score)
        if (
            _is_out(score, segment, rules)
            or segment.id in barred
            or segment.image_id in hidden
            or len(others) >= rules.per_image
            or (rules.behind is not None and others and score < top - rules.behind)
            or any(same_thing(segment, other) for other in others)
            or (rules.whole_things and any(nested(segment, other) for other in others))
            or not (rules.accepts is None or rules.accepts(score, segment))
        ):
            continue
        others.append(segment)
        pictures.add(segment.image_id)
        hidden |= alike.get(segment.image_id, frozenset()) - pictures
        kept.append((score, segment))
        if len(kept) == limit:
            break
    return kept


def _is_out(score: float, segment: Segment, rules: Rules) -> bool:
    return (
        (rules.below is not None and score > rules.below + SAME_SCORE)
        or (rules.newest is not None and segment.id > rules.newest)
        or segment.image_id in rules.closed
    )


def same_thing(first: Segment, second: Segment) -> bool:
    """Whether two regions of one picture would look like one answer given twice."""
    return overlaps(first, second)[0]


def nested(first: Segment, second: Segment) -> bool:
    """Whether one of two regions of a picture lies in the other."""
    return overlaps(first, second)[1]


def overlaps(first: Segment, second: Segment) -> tuple[bool, bool]:
    """Whether two regions of one picture are the same thing, and whether one lies in the other."""
    small, large = sorted((first.mask, second.mask), key=lambda mask: mask.area)
    shared = rle.intersection(small, large)
    is_same = shared >= SAME_THING_IOU * (small.area + large.area - shared) or (
        shared >= SAME_THING_INSIDE * small.area and small.area >= SAME_THING_SIZE * large.area
    )
    return is_same, shared >= INSIDE_SHARE * small.area


def preferred(
    prefer: Prefer, slack: float, siblings: Callable[[int], Sequence[Ranked]]
) -> Callable[[float, Segment], bool]:
    """Whether a region may stand for its picture, given the regions it lies in or holds.

    `prefer` is WHOLE or PART. Under WHOLE a region gives way to one it lies in, under PART to one
    that lies in it, when that one's score is at most `slack` below its own. `siblings` gives every
    scored region of an image.
    """

    def accepts(score: float, segment: Segment) -> bool:
        return not any(
            other_score >= score - slack and _gives_way(prefer, segment, other)
            for other_score, other in siblings(segment.image_id)
        )

    return accepts


def _gives_way(prefer: Prefer, segment: Segment, other: Segment) -> bool:
    inner, outer = (segment, other) if prefer is Prefer.WHOLE else (other, segment)
    if inner.mask.area >= outer.mask.area:
        return False
    return rle.intersection(inner.mask, outer.mask) >= INSIDE_SHARE * inner.mask.area
