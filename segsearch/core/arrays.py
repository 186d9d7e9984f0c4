"""Arrays by name, and the values that hold them: shapes, dtypes and axis order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segsearch.core.text import Line, RegionKind
from segsearch.core.types import PictureInfo, Proposal
from segsearch.core.video import DescribedTrack

Pixels = NDArray[np.uint8]  # (H, W, 3) upright RGB
BoolArray = NDArray[np.bool_]  # (H, W)
Vectors = NDArray[np.float32]  # (n, d), rows of unit length
Vector = NDArray[np.float32]  # (d,) of unit length
Ids = NDArray[np.int64]  # (n,)


@dataclass(frozen=True, slots=True)
class ShotFrame:
    """A frame of a shot: from when on it is shown, in seconds of the video, and its pixels; a
    keyframe is described, in others things are only followed, and these may be smaller."""

    seconds: float
    pixels: Pixels
    is_key: bool = True


@dataclass(frozen=True, slots=True)
class DescribedSegment:
    """A proposal with its two vectors (d,) of unit length: with surroundings, and masked; how many
    regions of its picture lie in it, and in how many it lies."""

    proposal: Proposal
    context: Vector
    masked: Vector
    holds: int = 0
    lies_in: int = 0


@dataclass(frozen=True, slots=True)
class PlacedLine:
    """A line, and by their numbers the smallest region of its picture that covers it, and the one
    that is its element of a page, which may be the same; None for none."""

    line: Line
    region: int | None
    element: int | None = None


@dataclass(frozen=True, slots=True)
class PictureText:
    """What reading a picture gave; n regions it had before, m that reading adds.

    `reader` is `name@sha256-of-weights`. `lines` stand in the order of reading; their regions are
    numbered from 0, those of `regions` (m) behind the n others. `kinds` and `order` (n + m) say
    what each region is, and number the elements of a page as they are read, from 1; None for what
    is none.
    """

    reader: str
    lines: tuple[PlacedLine, ...] = ()
    regions: tuple[DescribedSegment, ...] = ()
    kinds: tuple[RegionKind, ...] = ()
    order: tuple[int | None, ...] = ()


@dataclass(frozen=True, slots=True)
class DescribedPicture:
    """All that the models say of one picture; `vector` (d,) describes it as a whole. `text` is
    None where it was not read; `is_unread` where that failed, or was put off. Of a shot of a video
    `seconds` is the moment of the frame that stands for it, and `tracks` say how its segments live,
    one for each, whose masks are those of their `best_seconds`; None and () for a picture."""

    info: PictureInfo
    vector: Vector
    segments: tuple[DescribedSegment, ...]
    text: PictureText | None = None
    is_unread: bool = False
    seconds: float | None = None
    tracks: tuple[DescribedTrack, ...] = ()


PictureResult = DescribedPicture | PictureText  # of a claim to describe, or to read


@dataclass(frozen=True, slots=True)
class VectorRows:
    """Vectors of n segments: ids (n,), and (n, d) each with surroundings, masked, whole picture;
    and what else is known of them, `traits` (n, t), as `core.mix.TRAITS` has them."""

    ids: Ids
    context: Vectors
    masked: Vectors
    picture: Vectors
    traits: NDArray[np.float32]
