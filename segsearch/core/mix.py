"""How a segment's vectors, and what is known of it, make up the row that queries are compared with.

A query asks for a thing. How likely a region is to be a whole thing, rather than a part of one or a
piece of ground, shows in what the segmenter says of it and in how it lies in its picture: its
traits. What they count is learnt with the models, in units of a cosine (conditional logit: the
score of a region is its cosine plus a sum over its traits), and stands in the row as a number of
its own, which a query for words meets with 1. So one inner product ranks by both, in any index.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from segsearch.core.arrays import Vector, VectorRows, Vectors

# Columns of `VectorRows.traits`. Shares are of the picture's area, logarithms natural.
TRAITS = (
    "predicted_iou",
    "stability",
    "log_share",
    "log_share_squared",
    "sides_touched",  # of the picture, by the region's box
    "log_holds",  # 1 + how many other regions lie in it
    "log_lies_in",  # 1 + in how many it lies
    "box_filled",  # the share of its box that it covers
)
# One number would do. Scans are several times as fast where rows are multiples of 16 long.
EXTRA = 16


@dataclass(frozen=True, slots=True)
class Mix:
    """How much each of a segment's vectors counts in its score; the three add up to 1.

    `things` has a weight for each of `TRAITS`, and `offset` makes their sum 0 for a usual region;
    empty, where nothing was learnt: traits then count nothing.
    """

    context: float
    masked: float
    picture: float
    things: tuple[float, ...] = ()
    offset: float = 0.0

    def blend(self, rows: VectorRows) -> Vectors:
        """(n, d) rows whose product with a query is the weighted mean of three cosines.

        The product is linear, so mixing before the search gives the very scores that mixing after
        it would, at a third of the memory and time.
        """
        shares = np.array((self.context, self.masked, self.picture), dtype=np.float32)
        blended: Vectors = (
            shares[0] * rows.context + shares[1] * rows.masked + shares[2] * rows.picture
        )
        # Indexes keep float16: rounded here, so that every index gives the same scores.
        return blended.astype(np.float16).astype(np.float32)

    def rows(self, rows: VectorRows) -> Vectors:
        """(n, w) rows of an index: `blend`, and what the traits count beside it."""
        blended = self.blend(rows)
        if not self.things:
            return blended
        extra = np.zeros((len(blended), EXTRA), np.float32)
        extra[:, 0] = self.worth(rows.traits).astype(np.float16)
        return np.concatenate([blended, extra], axis=1)

    def worth(self, traits: Vectors) -> Vectors:
        """What traits (n, t) add to a score (n,); 0 where nothing was learnt."""
        if not self.things:
            return np.zeros(len(traits), np.float32)
        return traits @ np.array(self.things, np.float32) + np.float32(self.offset)

    def asked(self, vectors: Vectors, things: float = 0.0) -> Vectors:
        """Queries (..., d) as rows of an index are compared with them (..., w); `things` says how
        much the traits count, 1 as learnt and 0 not at all."""
        if not self.things:
            return vectors
        extra = np.zeros((*vectors.shape[:-1], EXTRA), np.float32)
        extra[..., 0] = things
        return np.concatenate([vectors, extra], axis=-1)

    def width(self, dimension: int) -> int:
        """The length w of an index's rows, for vectors of length `dimension`."""
        return dimension + EXTRA if self.things else dimension


def row_of(mix: Mix, rows: VectorRows) -> Vector:
    """The first segment's blended vector (d,) at unit length: what finds its like."""
    row = mix.blend(rows)[0]
    unit: Vector = (row / np.linalg.norm(row)).astype(np.float32)
    return unit
