"""What a catalog answers a search besides vectors: which segments pass, and what describes a
picture as a whole."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from segsearch.filters import Filters


class Selecting(Protocol):
    """A part of `ports.Catalog`."""

    def select_segments(self, recipe_id: int, filters: Filters) -> NDArray[np.int64]:
        """Ids (n,) of a recipe's segments that pass the filters, ascending; NotFoundError when
        they name a collection that does not exist."""

    def newest_segment(self) -> int:
        """The highest id of a segment; 0 when there is none. Ids only ever grow."""

    def picture_vector(self, recipe_id: int, image_id: int) -> NDArray[np.float32] | None:
        """What describes an image as a whole (d,), at unit length; None when there is no such
        image, or it has not been described yet."""
