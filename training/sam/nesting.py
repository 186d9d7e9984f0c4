"""Of masks that a model offers for one picture, picks those that can all be true."""

from __future__ import annotations

from segsearch.core.types import Mask
from segsearch.masks.rle import intersection

APART, INSIDE = 0.1, 0.85  # of the smaller mask: shared by neighbours at most, by a part at least
LARGEST_PART = 0.7  # of the area of the whole


def consistent(masks: list[Mask], most: int) -> tuple[list[Mask], list[int | None]]:
    """Of masks, best first, those that can all be true, and which of them each is a part of.

    Two that stay are apart or one lies in the other; no part has parts. At most `most` stay.
    """
    kept: list[Mask] = []
    parents: list[int | None] = []
    for mask in masks:
        shared = [intersection(mask, one) / min(mask.area, one.area) for one in kept]
        meets = [index for index, share in enumerate(shared) if share > APART]
        holds = [index for index in meets if kept[index].area <= LARGEST_PART * mask.area]
        lies_in = [index for index in meets if mask.area <= LARGEST_PART * kept[index].area]
        clear = all(shared[index] >= INSIDE for index in meets)
        if not clear or len(holds) + len(lies_in) < len(meets) or (holds and lies_in):
            continue
        if any(parents[index] is not None for index in (*holds, *lies_in)) or len(lies_in) > 1:
            continue
        if any(index in parents for index in holds) or len(kept) == most:
            continue
        for index in holds:
            parents[index] = len(kept)
        kept.append(mask)
        parents.append(lies_in[0] if lies_in else None)
    return kept, parents
