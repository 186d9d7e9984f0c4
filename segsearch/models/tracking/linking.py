"""Links the regions of a shot's keyframes to tracks: one-to-one, by what they look like, where they
are seen to have moved, and how large they are. A thing may be unseen at one keyframe.

Keyframes lie seconds apart, and a thing may have moved by more than its size: so where it was says
little, and where its points were followed to says much. Chosen by `benchmarks/video`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from segsearch.core.arrays import DescribedSegment, Vector
from segsearch.core.types import Mask
from segsearch.masks.rle import iou

# Of a cosine: what agreeing in place adds, what another size or a long way takes away.
FOLLOWED_WORTH = 0.4  # where the thing's own movement was seen
PLACE_WORTH, WAY_COST = 0.15, 0.10  # where it was not
SIZE_COST = 0.08
LEAST_COSINE = 0.6  # that two regions may have to be the same thing
FOLLOWED_COSINE, FOLLOWED_IOU = 0.4, 0.5  # ... and where one moved to the other's place
LEAST_FIT = 0.6
MOST_TIMES_LARGER = 4.0
MOST_GAP = 2  # keyframes from one member to the next: one may lie between
ALIKE_COSINE = 0.8  # members that agree on what a thing looks like


@dataclass(frozen=True, slots=True)
class Member:
    """A region of a track: at which keyframe, at what second, and where among its regions."""

    keyframe: int
    seconds: float
    place: int
    segment: DescribedSegment

    @property
    def quality(self) -> float:
        """How well the thing is seen: the higher the better, above 0."""
        proposal = self.segment.proposal
        share = proposal.mask.area / (proposal.mask.height * proposal.mask.width)
        estimate = max(proposal.predicted_iou, 0.01) * max(proposal.stability, 0.01)
        return float(estimate * share**0.25)


@dataclass(slots=True)
class LinkedTrack:
    """Regions that are one thing, in order of time."""

    members: list[Member] = field(default_factory=list)

    @property
    def best(self) -> Member:
        """Where it is seen best; the first of equals."""
        return max(self.members, key=lambda member: member.quality)

    def vectors(self) -> tuple[Vector, Vector]:
        """Its context and masked vectors (d,) of unit length: means of its members weighted by
        quality, of those that agree with the one that agrees most with all."""
        weights = np.array([member.quality for member in self.members], np.float32)
        context = np.stack([member.segment.context for member in self.members])
        masked = np.stack([member.segment.masked for member in self.members])
        alike = (context @ context.T + masked @ masked.T) / 2
        medoid = int(np.argmax(alike @ weights))
        weights = weights * (alike[medoid] >= ALIKE_COSINE)
        weights[medoid] = max(weights[medoid], 1e-6)
        return _mean(context, weights), _mean(masked, weights)


def _mean(rows: NDArray[np.float32], weights: NDArray[np.float32]) -> Vector:
    mean = weights @ rows
    unit: Vector = (mean / np.linalg.norm(mean)).astype(np.float32)
    return unit


class Linker:
    """Takes the regions of one keyframe after the other; `tracks` are what came of them."""

    def __init__(self) -> None:
        self.tracks: list[LinkedTrack] = []
        self._keyframe = -1

    def add(
        self,
        seconds: float,
        segments: Sequence[DescribedSegment],
        moved: Sequence[Mask | None] = (),
    ) -> None:
        """Take the next keyframe's regions: each goes on a track, or begins one. `moved` are the
        masks of the keyframe before, in its order, where they are now; None where that is not
        known."""
        self._keyframe += 1
        members = [
            Member(self._keyframe, seconds, place, segment)
            for place, segment in enumerate(segments)
        ]
        going_on = [
            track
            for track in self.tracks
            if self._keyframe - track.members[-1].keyframe <= MOST_GAP
        ]
        taken: set[int] = set()
        followed = [self._followed(track, moved) for track in going_on]
        for track, member in _pairs(going_on, followed, members):
            track.members.append(member)
            taken.add(member.place)
        self.tracks += [LinkedTrack([one]) for one in members if one.place not in taken]

    def _followed(self, track: LinkedTrack, moved: Sequence[Mask | None]) -> Mask | None:
        last = track.members[-1]
        is_known = last.keyframe == self._keyframe - 1 and last.place < len(moved)
        return moved[last.place] if is_known else None


def _pairs(
    tracks: Sequence[LinkedTrack], followed: Sequence[Mask | None], members: Sequence[Member]
) -> list[tuple[LinkedTrack, Member]]:
    """Which of these regions goes on which track, whose masks were `followed` to where they are
    now: what all pairs fit better than they must is largest together, so that none is made for its
    own sake."""
    if not tracks or not members:
        return []
    from scipy.optimize import linear_sum_assignment  # late: no search needs SciPy

    last = [track.members[-1].segment for track in tracks]
    new = [member.segment for member in members]
    cosines = _cosines(last, new)
    fits = np.full(cosines.shape, -np.inf)
    for row, column in np.argwhere(cosines >= FOLLOWED_COSINE):
        cosine, before, after = cosines[row, column], last[row].proposal.mask, new[column]
        met, worth = placed(before, followed[row], after.proposal.mask)
        least = FOLLOWED_COSINE if met >= FOLLOWED_IOU else LEAST_COSINE
        if cosine >= least and cosine + worth >= LEAST_FIT:
            fits[row, column] = cosine + worth
    # Squared: one that fits well is not given up for two that fit somehow.
    gains = np.where(np.isfinite(fits), fits - LEAST_FIT, 0.0) ** 2
    rows, columns = linear_sum_assignment(gains, maximize=True)
    return [
        (tracks[row], members[column])
        for row, column in zip(rows, columns, strict=True)
        if np.isfinite(fits[row, column])
    ]


def _cosines(
    ones: Sequence[DescribedSegment], others: Sequence[DescribedSegment]
) -> NDArray[np.float64]:
    """(n, m) mean cosines of both vectors of n and of m regions."""
    total = np.zeros((len(ones), len(others)))
    for name in ("context", "masked"):
        left = np.stack([getattr(one, name) for one in ones])
        right = np.stack([getattr(other, name) for other in others])
        total += left @ right.T
    return total / 2


def placed(before: Mask, followed: Mask | None, after: Mask) -> tuple[float, float]:
    """What place and size say of two regions being one thing: the IoU of where the first was
    followed to with the second, 0 where that is not known; and in units of a cosine what it is
    worth, minus infinity where one is too many times as large as the other."""
    larger = abs(math.log(before.area / after.area))
    if larger > math.log(MOST_TIMES_LARGER):
        return 0.0, -math.inf
    if followed is not None:
        met = iou(followed, after)
        return met, FOLLOWED_WORTH * met - SIZE_COST * larger
    diagonal = math.hypot(before.width, before.height)
    (x, y), (to_x, to_y) = _middle(before), _middle(after)
    way = math.hypot(x - to_x, y - to_y) / diagonal
    return 0.0, PLACE_WORTH * iou(before, after) - SIZE_COST * larger - WAY_COST * way


def _middle(mask: Mask) -> tuple[float, float]:
    box = mask.box
    return (box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2
