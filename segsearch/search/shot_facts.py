"""What is known of regions of videos while they are ranked: their videos, masks over time, vectors.

Of regions of pictures nothing is asked, so an answer of pictures alone costs no look-up.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

from segsearch.core.arrays import Vector
from segsearch.core.lives import Shot
from segsearch.core.types import Mask, Segment
from segsearch.core.video import MOMENT_GAP_SECONDS, KeyMask

# Of masked vectors; what two keyframes of a thing in one shot seldom fall below.
SAME_THING_COSINE = 0.9

ShotsOf = Callable[[Sequence[int]], Mapping[int, Shot]]  # by image id; no picture's
KeyMasksOf = Callable[[Sequence[int]], Mapping[int, tuple[KeyMask, ...]]]  # by segment id
VectorsOf = Callable[[Sequence[int]], Mapping[int, Vector]]  # by segment id, of unit length


class ShotFacts:
    """The videos of regions that answer one query; each thing is looked up once."""

    def __init__(
        self,
        shots: ShotsOf = lambda _: {},
        key_masks: KeyMasksOf = lambda _: {},
        vectors: VectorsOf = lambda _: {},
    ) -> None:
        self._find_shots = shots
        self._find_masks = key_masks
        self._find_vectors = vectors
        self._shots: dict[int, Shot | None] = {}
        self._masks: dict[int, dict[float, Mask]] = {}
        self._vectors: dict[int, Vector | None] = {}

    def look_up(self, segments: Iterable[Segment]) -> None:
        """Look up what comparing these regions with each other takes."""
        moving = {one.id: one for one in segments if one.life is not None}
        if not moving:
            return
        self.look_up_shots(moving.values())
        in_shot = Counter(one.image_id for one in moving.values())
        in_video = Counter(self.video(one.image_id) for one in moving.values())
        self.look_up_masks(one for one in moving.values() if in_shot[one.image_id] > 1)
        new = [
            number
            for number, one in moving.items()
            if in_video[self.video(one.image_id)] > 1 and number not in self._vectors
        ]
        if new:
            found = self._find_vectors(new)
            self._vectors |= {number: found.get(number) for number in new}

    def look_up_masks(self, segments: Iterable[Segment]) -> None:
        """Look up the masks over time of those regions that are of videos."""
        new = [one.id for one in segments if one.life is not None and one.id not in self._masks]
        if new:
            found = self._find_masks(new)
            self._masks |= {
                number: {key.seconds: key.mask for key in found.get(number, ())} for number in new
            }

    def look_up_shots(self, segments: Iterable[Segment], image_ids: Iterable[int] = ()) -> None:
        """Look up which shots regions are of, and, where one is of a video, some images are."""
        asked = {one.image_id for one in segments if one.life is not None}
        if not asked:
            return
        new = [number for number in {*asked, *image_ids} if number not in self._shots]
        if new:
            found = self._find_shots(new)
            self._shots |= {number: found.get(number) for number in new}

    def video(self, image_id: int) -> int | None:
        """The video that an image is a shot of, once it was looked up; None of a picture."""
        shot = self._shots.get(image_id)
        return None if shot is None else shot.video_id

    def masks(self, segment: Segment) -> Mapping[float, Mask]:
        """The masks of a region over time, once they were looked up; of a picture's its own."""
        known = self._masks.get(segment.id)
        return known or {segment.life.best_seconds if segment.life else 0.0: segment.mask}

    def together(self, first: Segment, second: Segment) -> list[tuple[Mask, Mask]]:
        """The masks of two regions of one image at the moments that both have one of."""
        if first.life is None or second.life is None:
            return [(first.mask, second.mask)]
        masks, others = self.masks(first), self.masks(second)
        return [(mask, others[seconds]) for seconds, mask in masks.items() if seconds in others]

    def goes_on(self, first: Segment, second: Segment) -> bool:
        """Whether of two regions of one video the one shows the same thing right before or after
        the other: in the next shot, or in the same one where no moment has both."""
        one, other = first.life, second.life
        if one is None or other is None:
            return False
        if max(one.t_start, other.t_start) > min(one.t_end, other.t_end) + MOMENT_GAP_SECONDS:
            return False
        if first.image_id == second.image_id and self.together(first, second):
            return False
        vector, following = self._vectors.get(first.id), self._vectors.get(second.id)
        if vector is None or following is None:
            return False
        return float(vector @ following) >= SAME_THING_COSINE


class VideosShown:
    """What an answer shows of videos so far: at most `most` regions, or groups of them, of one
    video. With `once` no region whose thing goes on in one that is shown."""

    def __init__(self, footage: ShotFacts, most: int | None, *, once: bool) -> None:
        self._footage = footage
        self._most = most
        self._once = once
        self._regions: dict[int, list[Segment]] = defaultdict(list)
        self._count: Counter[int] = Counter()

    def add(self, segment: Segment) -> None:
        """A region that is shown."""
        if segment.life is None:
            return
        video = self._footage.video(segment.image_id)
        if video is not None:
            self._count[video] += 1
            self._regions[video].append(segment)

    def close(self, image_id: int) -> None:
        """A shot that is shown with all its regions."""
        video = self._footage.video(image_id)
        if video is not None:
            self._count[video] += 1

    @property
    def full(self) -> list[int]:
        """The videos of which no more may be shown."""
        most = self._most
        return [] if most is None else [one for one, count in self._count.items() if count >= most]

    def has_room(self, segment: Segment) -> bool:
        """Whether one more region of this one's video may be shown."""
        video = None if segment.life is None else self._footage.video(segment.image_id)
        return video is None or self._most is None or self._count[video] < self._most

    def has_moment(self, segment: Segment) -> bool:
        """Whether a region shows what goes on in one that is shown."""
        video = None if segment.life is None else self._footage.video(segment.image_id)
        if video is None or not self._once:
            return False
        return any(self._footage.goes_on(segment, other) for other in self._regions[video])
