"""Puts videos of painted things into a library of the small models, without a video file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from segsearch.core.arrays import DescribedPicture, DescribedSegment
from segsearch.core.types import PictureInfo, Proposal
from segsearch.core.video import DescribedTrack, KeyMask
from segsearch.library import SegSearch
from segsearch.masks.rle import encode
from tests.support.described import seen_shots
from tests.support.small_models import ColourEmbedder, Shape, SmallModels

WIDTH, HEIGHT = 60, 40
Corners = tuple[int, int, int, int]


@dataclass(frozen=True)
class Filmed:
    """A thing of a shot: its colour, or several that it is made of, and its box at keyframes; there
    from `t_start` to `t_end`."""

    colour: str
    t_start: float
    t_end: float
    boxes: Mapping[float, Corners]

    def track(self) -> DescribedTrack:
        masks = []
        for seconds, box in sorted(self.boxes.items()):
            mask = encode(Shape("red", box).mask(WIDTH, HEIGHT))
            assert mask is not None
            masks.append(KeyMask(seconds, mask))
        return DescribedTrack(self.t_start, self.t_end, masks[0].seconds, tuple(masks))


def still(colour: str, t_start: float, t_end: float, box: Corners = (5, 5, 25, 25)) -> Filmed:
    """A thing that does not move, with a keyframe in its middle."""
    return Filmed(colour, t_start, t_end, {(t_start + t_end) / 2: box})


def film(
    service: SegSearch, file: str, cuts: Sequence[float], shots: Sequence[Sequence[Filmed]]
) -> list[int]:
    """Enter a video with these things in its shots; the ids of their images."""
    catalog = service.catalog
    recipe_id = catalog.register_recipe(SmallModels().recipe)
    catalog.record_files(seen_shots(file, f"sha-{file}", cuts), recipe_id)
    image_ids = []
    for number, things in enumerate(shots):
        claim = catalog.claim(recipe_id, "me", 60)
        assert claim is not None
        middle = (cuts[number] + cuts[number + 1]) / 2
        assert catalog.commit(claim, _described(things, middle))
        image_ids.append(claim.image_id)
    return image_ids


def _described(things: Sequence[Filmed], seconds: float) -> DescribedPicture:
    vectors = ColourEmbedder().embed_texts([thing.colour for thing in things] or ["white"])
    tracks = [thing.track() for thing in things]
    segments = []
    for track, vector in zip(tracks, vectors if things else (), strict=True):
        proposal = Proposal(track.masks[0].mask, 0.95, 0.9)
        segments.append(DescribedSegment(proposal, vector, vector))
    return DescribedPicture(
        PictureInfo(WIDTH, HEIGHT, "MP4"),
        vectors[0],
        tuple(segments),
        seconds=seconds,
        tracks=tuple(tracks),
    )
