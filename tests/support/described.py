"""Makes described pictures with random unit vectors, for tests of what stores and indexes them."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from segsearch.core.arrays import (
    DescribedPicture,
    DescribedSegment,
    PictureText,
    PlacedLine,
    Vector,
)
from segsearch.core.names import shot_name
from segsearch.core.text import Corners, Line, RegionKind
from segsearch.core.types import Box, FileStamp, PictureInfo, Proposal, Recipe
from segsearch.core.video import DescribedTrack, KeyMask, VideoInfo
from segsearch.masks.rle import encode
from segsearch.storage.catalog.files import SeenFile
from segsearch.storage.catalog.shots import SeenShot

DIMENSION = 8
RECIPE = Recipe(
    "test", "s@1", "e@1", DIMENSION, {"points_per_side": 4}, {"margin": 0.1}, {"size": 8}
)


def unit(rng: np.random.Generator) -> Vector:
    vector = rng.normal(size=DIMENSION).astype(np.float32)
    return vector / np.linalg.norm(vector)


def describe(seed: int, segments: int = 3) -> DescribedPicture:
    """A 30 x 20 picture with `segments` small rectangles, the first nine side by side."""
    rng = np.random.default_rng(seed)
    described = []
    for number in range(segments):
        window = np.ones((3, 2), dtype=bool)
        mask = encode(window, origin=(3 * number % 27, number % 17), size=(20, 30))
        assert mask is not None
        proposal = Proposal(mask, 0.9 - 0.01 * number, 0.8)
        described.append(DescribedSegment(proposal, unit(rng), unit(rng)))
    return DescribedPicture(PictureInfo(30, 20, "PNG"), unit(rng), tuple(described))


def read_lines(lines: Sequence[str], things: int = 0) -> PictureText:
    """The text of a picture as `describe` makes them, with so many things: each line is a region
    of its own."""
    made = describe(0, len(lines)).segments
    boxes = [segment.proposal.mask.box for segment in made]
    placed = tuple(
        PlacedLine(Line(_corners(box), text, 0.9), things + number)
        for number, (box, text) in enumerate(zip(boxes, lines, strict=True))
    )
    kinds: list[RegionKind] = ["thing"] * things
    kinds += ["text"] * len(lines)
    return PictureText("reader@1", placed, made, tuple(kinds), (None,) * len(kinds))


def _corners(box: Box) -> Corners:
    return ((box.x0, box.y0), (box.x1, box.y0), (box.x1, box.y1), (box.x0, box.y1))


def digest(name: str) -> str:
    """The sha256 of what is called so."""
    return hashlib.sha256(name.encode()).hexdigest()


def seen_shots(file: str, video: str, cuts: Sequence[float], **info: Any) -> list[SeenFile]:
    """The shots of a `video` between the `cuts`, in seconds, as a first look finds them."""
    shots = tuple(itertools.pairwise(cuts))
    looked = VideoInfo(30, 20, cuts[-1], 25.0, "h264", "mp4", shots)
    seen = replace(looked, **info)
    return [
        SeenFile(
            shot_name(file, *times),
            FileStamp(1_000, 10),
            digest(f"{video} {times}"),
            SeenShot(digest(video), seen, *times),
        )
        for times in shots
    ]


def describe_shot(seed: int, t_start: float, t_end: float, segments: int = 3) -> DescribedPicture:
    """A shot of 30 x 20 pixels whose segments move to the right by a pixel from one keyframe to the
    next of three; each comes when another fortieth of the shot is over."""
    made = describe(seed, segments)
    length = t_end - t_start
    times = [t_start + part * length for part in (0.25, 0.5, 0.75)]
    tracks = []
    for number, segment in enumerate(made.segments):
        mask = segment.proposal.mask
        masks = [replace(mask, box=_moved(mask.box, step - 1)) for step in range(3)]
        keys = tuple(KeyMask(at, mask) for at, mask in zip(times, masks, strict=True))
        tracks.append(DescribedTrack(t_start + number * length / 40, t_end, times[1], keys))
    info = replace(made.info, format="MP4")
    return replace(made, info=info, seconds=times[1], tracks=tuple(tracks))


def _moved(box: Box, pixels: int) -> Box:
    pixels = max(pixels, -box.x0)
    return Box(box.x0 + pixels, box.y0, box.x1 + pixels, box.y1)
