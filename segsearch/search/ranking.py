"""Turns scored regions into an answer's regions: no thing twice, wholes or parts, page by page."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from segsearch.core.query import Prefer
from segsearch.core.types import Segment
from segsearch.masks import rle
from segsearch.masks.relations import INSIDE_SHARE
from segsearch.search.shot_facts import ShotFacts, VideosShown

SAME_THING_IOU = 0.7  # two regions of one picture that overlap more are one answer
SAME_THING_INSIDE = 0.92  # ... or where the smaller lies in the larger and is not much smaller
SAME_THING_SIZE = 0.5
# One region scored twice by different paths (index, exact) differs by rounding alone.
SAME_SCORE = 1e-5

# From so many regions on, those of videos that have their share are left out by the index.
WIDE = 1_000
LOOKED_UP = 128  # regions at once
MAX_VIDEOS = 1_000  # that are left out

Ranked = tuple[float, Segment]
Nearest = Callable[[int], tuple[list[float], list[int]]]  # the best k: scores, ids
Alike = Callable[[AbstractSet[int]], Mapping[int, AbstractSet[int]]]  # by image id
Without = Callable[[Sequence[int]], Nearest]  # the best that are in none of some videos
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

    Of one video at most `per_video` regions, and with `once` none whose thing goes on in a shown
    one; regions of a video never that are among `own` or of an image in `away`.
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
    per_video: int | None = None
    once: bool = False
    own: AbstractSet[int] = frozenset()
    away: AbstractSet[int] = frozenset()
    footage: ShotFacts = field(default_factory=ShotFacts)


def rank(
    nearest: Nearest, fetch: Fetch, limit: int, rules: Rules, *, without: Without | None = None
) -> tuple[list[Ranked], list[Ranked]]:
    """The best `limit` regions under the rules, none twice the same thing, best first, and all
    that were looked at for them.

    Asks for more candidates until enough are left, so that a picture with many overlapping
    regions does not shorten the answer; nor does a long video, whose regions `without` leaves out
    once it has its share.
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
        if without is not None and k >= WIDE:
            full = _full(kept, rules)[:MAX_VIDEOS]
            nearest = _behind((scores, ids), without(full)) if full else nearest
        k *= 4


def _full(kept: Sequence[Ranked], rules: Rules) -> list[int]:
    """The videos that have their share."""
    videos = _videos(rules)
    for _, segment in kept:
        videos.add(segment)
    return videos.full


def _behind(known: tuple[list[float], list[int]], rest: Nearest) -> Nearest:
    """What is known already, and the best k of the rest, best first."""

    def nearest(k: int) -> tuple[list[float], list[int]]:
        scores, ids = rest(k)
        there = set(known[1])
        more = [pair for pair in zip(scores, ids, strict=True) if pair[1] not in there]
        pairs = sorted([*zip(*known, strict=True), *more], key=lambda pair: -pair[0])
        return [score for score, _ in pairs], [one for _, one in pairs]

    return nearest


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
    videos = _videos(rules, (segment for _, segment in pairs))
    for at, (score, segment) in enumerate(pairs):
        if at % LOOKED_UP == 0:
            some = [one for _, one in pairs[at : at + LOOKED_UP] if videos.has_room(one)]
            rules.footage.look_up([*rules.shown, *(one for _, one in kept), *some])
        others = by_image[segment.image_id]
        top = best.setdefault(segment.image_id, score)
        if (
            _is_out(score, segment, rules)
            or segment.id in barred
            or segment.image_id in hidden
            or len(others) >= rules.per_image
            or (rules.behind is not None and others and score < top - rules.behind)
            or not videos.has_room(segment)
            or any(_repeats(segment, other, rules) for other in others)
            or videos.has_moment(segment)
            or not (rules.accepts is None or rules.accepts(score, segment))
        ):
            continue
        others.append(segment)
        videos.add(segment)
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
        or (
            segment.life is not None and (segment.id in rules.own or segment.image_id in rules.away)
        )
    )


def _videos(rules: Rules, candidates: Iterable[Segment] = ()) -> VideosShown:
    """What the answer shows of videos before any of these."""
    rules.footage.look_up_shots([*rules.shown, *candidates], rules.closed)
    videos = VideosShown(rules.footage, rules.per_video, once=rules.once)
    for segment in rules.shown:
        videos.add(segment)
    for image_id in rules.closed:
        videos.close(image_id)
    return videos


def _repeats(segment: Segment, other: Segment, rules: Rules) -> bool:
    is_same, is_nested = overlaps(segment, other, rules.footage)
    return is_same or (rules.whole_things and is_nested)


def same_thing(first: Segment, second: Segment) -> bool:
    """Whether two regions of one picture would look like one answer given twice."""
    return overlaps(first, second, ShotFacts())[0]


def overlaps(first: Segment, second: Segment, footage: ShotFacts) -> tuple[bool, bool]:
    """Whether two regions of one image are the same thing, and whether one lies in the other; of a
    video, over all moments that both have masks of, and neither where there are none."""
    pairs = footage.together(first, second)
    if not pairs:
        return False, False
    areas = sum(mask.area for mask, _ in pairs), sum(mask.area for _, mask in pairs)
    small, large = sorted(areas)
    shared = sum(rle.intersection(mask, other) for mask, other in pairs)
    is_same = shared >= SAME_THING_IOU * (small + large - shared) or (
        shared >= SAME_THING_INSIDE * small and small >= SAME_THING_SIZE * large
    )
    return is_same, shared >= INSIDE_SHARE * small


def preferred(
    prefer: Prefer,
    slack: float,
    siblings: Callable[[int], Sequence[Ranked]],
    footage: ShotFacts,
) -> Callable[[float, Segment], bool]:
    """Whether a region may stand for its picture, given the regions it lies in or holds.

    `prefer` is WHOLE or PART. Under WHOLE a region gives way to one it lies in, under PART to one
    that lies in it, when that one's score is at most `slack` below its own. `siblings` gives every
    scored region of an image.
    """

    def gives_way(segment: Segment, other: Segment) -> bool:
        inner, outer = (segment, other) if prefer is Prefer.WHOLE else (other, segment)
        pairs = footage.together(inner, outer)
        inner_area = sum(mask.area for mask, _ in pairs)
        if inner_area >= sum(mask.area for _, mask in pairs):
            return False
        shared = sum(rle.intersection(mask, other) for mask, other in pairs)
        return shared >= INSIDE_SHARE * inner_area

    def accepts(score: float, segment: Segment) -> bool:
        rivals = [
            other
            for other_score, other in siblings(segment.image_id)
            if other_score >= score - slack
        ]
        footage.look_up_masks([segment, *rivals])
        return not any(gives_way(segment, other) for other in rivals)

    return accepts
