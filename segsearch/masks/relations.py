"""Says how two regions of one picture lie to each other, from their masks and boxes."""

from __future__ import annotations

from enum import StrEnum

from segsearch.core.types import Box, Mask
from segsearch.masks.rle import intersection

INSIDE_SHARE = 0.9  # of the inner region's area
NEAR_SHARE = 0.1  # of the picture's diagonal, between the boxes


class Relation(StrEnum):
    """How one region lies to another; `INVERSE` names the same seen from the other one."""

    LEFT_OF = "left of"
    RIGHT_OF = "right of"
    ABOVE = "above"
    BELOW = "below"
    INSIDE = "inside"
    CONTAINS = "contains"
    OVERLAPPING = "overlapping"
    NEAR = "near"


INVERSE = {
    Relation.LEFT_OF: Relation.RIGHT_OF,
    Relation.RIGHT_OF: Relation.LEFT_OF,
    Relation.ABOVE: Relation.BELOW,
    Relation.BELOW: Relation.ABOVE,
    Relation.INSIDE: Relation.CONTAINS,
    Relation.CONTAINS: Relation.INSIDE,
    Relation.OVERLAPPING: Relation.OVERLAPPING,
    Relation.NEAR: Relation.NEAR,
}


def relations(first: Mask, second: Mask) -> list[Relation]:
    """Every relation of `one` to `other`, in the order of `Relation`; both of one picture.

    One region is left of another when each one's middle lies outside the other's box on that
    side. A region that lies inside another does not also overlap it, and is not near it.
    """
    shared = intersection(first, second)
    inside = shared >= INSIDE_SHARE * first.area
    contains = shared >= INSIDE_SHARE * second.area
    a, b = first.box, second.box
    holds = {
        Relation.LEFT_OF: _before(a.x0, a.x1, b.x0, b.x1),
        Relation.RIGHT_OF: _before(b.x0, b.x1, a.x0, a.x1),
        Relation.ABOVE: _before(a.y0, a.y1, b.y0, b.y1),
        Relation.BELOW: _before(b.y0, b.y1, a.y0, a.y1),
        Relation.INSIDE: inside,
        Relation.CONTAINS: contains,
        Relation.OVERLAPPING: shared > 0 and not inside and not contains,
        Relation.NEAR: not shared and gap(a, b) <= NEAR_SHARE * _diagonal(first),
    }
    return [relation for relation in Relation if holds[relation]]


def gap(first: Box, second: Box) -> float:
    """The distance in pixels between two boxes; 0 when they touch or overlap."""
    across = max(first.x0 - second.x1, second.x0 - first.x1, 0)
    down = max(first.y0 - second.y1, second.y0 - first.y1, 0)
    return float((across**2 + down**2) ** 0.5)


def _before(low: int, high: int, other_low: int, other_high: int) -> bool:
    """Whether a span's middle lies before another's beginning, and the other's behind its end."""
    return low + high <= 2 * other_low and other_low + other_high >= 2 * high


def _diagonal(mask: Mask) -> float:
    return float((mask.height**2 + mask.width**2) ** 0.5)
