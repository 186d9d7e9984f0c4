"""Arrays by name, and the values that hold them: shapes, dtypes and axis order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segsearch.core.types import PictureInfo, Proposal

Pixels = NDArray[np.uint8]  # (H, W, 3) upright RGB
BoolArray = NDArray[np.bool_]  # (H, W)
Vectors = NDArray[np.float32]  # (n, d), rows of unit length
Vector = NDArray[np.float32]  # (d,) of unit length
Ids = NDArray[np.int64]  # (n,)


@dataclass(frozen=True, slots=True)
class DescribedSegment:
    """A proposal with its two vectors (d,) of unit length: with surroundings, and masked."""

    proposal: Proposal
    context: Vector
    masked: Vector


@dataclass(frozen=True, slots=True)
class DescribedPicture:
    """All that the models say of one picture; `vector` (d,) describes it as a whole."""

    info: PictureInfo
    vector: Vector
    segments: tuple[DescribedSegment, ...]


@dataclass(frozen=True, slots=True)
class VectorRows:
    """Vectors of n segments: ids (n,), and (n, d) each with surroundings, masked, whole picture."""

    ids: Ids
    context: Vectors
    masked: Vectors
    picture: Vectors
