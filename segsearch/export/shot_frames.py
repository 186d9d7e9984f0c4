"""Lays out things of videos keyframe by keyframe, for formats whose pictures are single frames.

The keyframes of a shot are the seconds at which any of its things has a mask: at the others nothing
was seen, and nothing is kept of them.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from segsearch.core.errors import InputError
from segsearch.core.names import file_of
from segsearch.core.types import Hit, Image
from segsearch.core.video import KeyMask
from segsearch.export.caption_pack import RegionSources

BATCH = 200  # regions whose masks are read at once
APART = 10**10  # between ids of the keyframes of one shot: more than a library has images


@dataclass(frozen=True, slots=True)
class ShotFrames:
    """A shot as frames of `width` x `height` pixels at these `seconds` of its video, in order of
    time; the first of them is number `first` among the keyframes of the video, from 0. `path` is
    that of the shot, None where none is known, and `standing` the second of the frame that stands
    for it."""

    image_id: int
    video_id: int
    path: str | None
    width: int
    height: int
    first: int
    seconds: tuple[float, ...]
    standing: float

    @property
    def file(self) -> str | None:
        """The path of the video."""
        return self.path and file_of(self.path)

    def place(self, seconds: float) -> int:
        """Which of the keyframes is that of a second, from 0."""
        return self.seconds.index(seconds)


def numbered_id(number: int, place: int) -> int:
    """The id of what an image, or a segment, is at one keyframe of its shot: its own at the first
    of them, and so the library's, then others that no image and no segment has."""
    return number + place * APART


@dataclass(slots=True)
class FramedHits:
    """Hits with what they are at keyframes. `shots` are the frames of those shots that went by, by
    the ids of their images. InputError for a thing of a video where `sources` is None."""

    sources: RegionSources | None
    shots: dict[int, ShotFrames] = field(default_factory=dict)

    def of(
        self, hits: Iterable[Hit]
    ) -> Iterator[tuple[Hit, ShotFrames | None, tuple[KeyMask, ...]]]:
        """Each hit with the frames of its shot and its masks there, in order of time; with None and
        none for that of a picture. Some hundred at a time are in memory."""
        coming = iter(hits)
        while some := list(itertools.islice(coming, BATCH)):
            filmed = [hit.segment.id for hit in some if hit.image.shot]
            masks = self._sources().key_masks(filmed) if filmed else {}
            for hit in some:
                if hit.image.shot is None:
                    yield hit, None, ()
                    continue
                frames = self._frames(hit.image)
                known = set(frames.seconds)  # one may have come since the shot was looked up
                keys = masks.get(hit.segment.id, ())
                yield hit, frames, tuple(key for key in keys if key.seconds in known)

    def _sources(self) -> RegionSources:
        if self.sources is None:
            raise InputError(
                "Things of videos need their masks: pass sources=library.region_sources()."
            )
        return self.sources

    def _frames(self, image: Image) -> ShotFrames:
        shot = image.shot
        if image.id not in self.shots and shot is not None:
            times = self._sources().key_times(shot.video_id)
            earlier = itertools.takewhile(lambda other: other != image.id, times)
            self.shots[image.id] = ShotFrames(
                image.id,
                shot.video_id,
                image.paths[0] if image.paths else None,
                image.width,
                image.height,
                sum(len(times[other]) for other in earlier),
                times.get(image.id, ()),
                shot.seconds,
            )
        return self.shots[image.id]
