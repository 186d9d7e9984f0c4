"""Draws what a vision model is shown of regions, picture by picture: what is kept is the files that
are sent, and no decoded picture."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial

from segsearch.core.arrays import Pixels
from segsearch.core.types import Segment
from segsearch.export.caption_pack import views

DRAWN_AT_ONCE = 8  # regions of a picture that is decoded; 2 MB of files each, a picture 600 MB
View = Callable[[], tuple[bytes, bytes]]
Seen = tuple[int, float | None]  # an image, and the second of its video


class RegionViews:
    """The views of some regions, as `caption_pack.views` draws them, of pixels found by a segment's
    `image_id` and the second of its video. A picture is decoded once for several regions of it, and
    let go. One thread at a time."""

    def __init__(
        self, segments: Sequence[Segment], pixels: Callable[[int, float | None], Pixels]
    ) -> None:
        self._segments = segments
        self._pixels = pixels
        self._waiting: dict[Seen, list[int]] = defaultdict(list)  # places of segments
        self._drawn: dict[int, tuple[bytes, bytes]] = {}  # by place
        for place, segment in enumerate(segments):
            self._waiting[segment.image_id, segment.seen_at].append(place)

    def all(self) -> list[View]:
        """What draws each region, in their order, to be called once; it raises what `pixels`
        raises."""
        return [partial(self._view, place) for place in range(len(self._segments))]

    def _view(self, place: int) -> tuple[bytes, bytes]:
        if place not in self._drawn:
            self._draw(place)
        return self._drawn.pop(place)

    def _draw(self, place: int) -> None:
        """Draw a region, and those that wait for the same picture."""
        segment = self._segments[place]
        waiting = self._waiting[segment.image_id, segment.seen_at]
        waiting.remove(place)
        pixels = self._pixels(segment.image_id, segment.seen_at)
        together, waiting[:] = waiting[: DRAWN_AT_ONCE - 1], waiting[DRAWN_AT_ONCE - 1 :]
        for one in (place, *together):
            self._drawn[one] = views(pixels, self._segments[one].mask)
