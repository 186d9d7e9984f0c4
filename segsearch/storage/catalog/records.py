"""What the catalog hands to those who follow it."""

from __future__ import annotations

from dataclasses import dataclass

from segsearch.core.arrays import Ids


@dataclass(frozen=True, slots=True)
class Changes:
    """Segments added and removed since a point of the change log, net; `seq` is the new point."""

    seq: int
    added: Ids
    removed: Ids
