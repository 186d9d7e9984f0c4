"""The points of a map of regions as bytes that typed arrays can be made of, and back.

All numbers are little-endian. A header of six uint32: the letters `SSM1`, the number n of points,
and at which byte each block begins: x, y (n float32 in [-1, 1]), cluster (n uint16), and the ids of
the segments (n int64), ascending. Every block begins at a multiple of 8.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from segsearch.core.errors import DamageError

MAGIC = b"SSM1"
HEADER = struct.Struct("<4s5I")
ALIGNED = 8
BLOCKS = ("<f4", "<f4", "<u2", "<i8")


@dataclass(frozen=True, slots=True, eq=False)
class MapPoints:
    """Where regions lie on a map: x and y (n,) float32 in [-1, 1], the numbers of their clusters
    (n,) uint16, and their segments' ids (n,) int64, ascending."""

    x: NDArray[np.float32]
    y: NDArray[np.float32]
    cluster: NDArray[np.uint16]
    ids: NDArray[np.int64]

    def __len__(self) -> int:
        return int(self.ids.size)

    def to_bytes(self) -> bytes:
        """Header and blocks."""
        blocks = (self.x, self.y, self.cluster, self.ids)
        data, starts = bytearray(HEADER.size), []
        for values, kind in zip(blocks, BLOCKS, strict=True):
            data += bytes(-len(data) % ALIGNED)
            starts.append(len(data))
            data += np.ascontiguousarray(values, kind).tobytes()
        HEADER.pack_into(data, 0, MAGIC, len(self), *starts)
        return bytes(data)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """The points in what `to_bytes` has made; DamageError for anything else."""
        if not data.startswith(MAGIC):
            raise DamageError(f"These bytes are no points of a map: they begin with {data[:4]!r}.")
        try:
            _, count, *starts = HEADER.unpack_from(data)
            x, y, cluster, ids = (
                np.frombuffer(data, kind, count, start)
                for kind, start in zip(BLOCKS, starts, strict=True)
            )
        except (struct.error, ValueError) as problem:
            raise DamageError(f"These bytes are no points of a map: {problem}.") from problem
        return cls(x, y, cluster, ids)

    def within(self, corners: tuple[tuple[float, float], ...]) -> NDArray[np.bool_]:
        """Which points (n,) lie in a polygon of these corners x, y: where its outline crosses
        itself, those around which it winds an odd number of times."""
        ring = np.array(corners, np.float64)
        low, high = ring.min(axis=0), ring.max(axis=0)
        around = (self.x >= low[0]) & (self.x <= high[0])
        around &= (self.y >= low[1]) & (self.y <= high[1])
        near = np.flatnonzero(around)
        near = near[np.argsort(self.y[near], kind="stable")]
        x, y = self.x[near].astype(np.float64), self.y[near].astype(np.float64)
        inside = np.zeros(near.size, dtype=bool)
        for (x0, y0), (x1, y1) in zip(ring, np.roll(ring, -1, axis=0), strict=True):
            first, last = np.searchsorted(y, (min(y0, y1), max(y0, y1)))
            if first < last:  # points from which a line to the right meets this side, or its end
                beside = slice(first, last)
                inside[beside] ^= x[beside] < x0 + (y[beside] - y0) * (x1 - x0) / (y1 - y0)
        found = np.zeros(len(self), dtype=bool)
        found[near[inside]] = True
        return found
