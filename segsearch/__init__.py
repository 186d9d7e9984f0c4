"""Search picture libraries by the things in the pictures.

    with open_library(Settings(library=Path("photos"))) as library: ...

The values and `segsearch.client` load nothing heavy. `open_library` and `SegSearch` load what a
library needs, and raise InputError where the extra with it is not installed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from segsearch.core.answers import SearchAnswer
from segsearch.core.errors import SegSearchError
from segsearch.core.filters import Filters
from segsearch.core.query import (
    AnswerOrder,
    ImageTerm,
    KeptPictureTerm,
    PictureTerm,
    Prefer,
    Query,
    RegionTerm,
    SegmentTerm,
    TextTerm,
    VectorTerm,
    WrittenTerm,
)
from segsearch.core.status import Status
from segsearch.core.types import Box, Hit, Image, IngestReport, Mask, Segment
from segsearch.core.version import __version__ as __version__

if TYPE_CHECKING:
    from segsearch.core.settings import Settings
    from segsearch.library import SegSearch, open_library

__all__ = [
    "AnswerOrder",
    "Box",
    "Filters",
    "Hit",
    "Image",
    "ImageTerm",
    "IngestReport",
    "KeptPictureTerm",
    "Mask",
    "PictureTerm",
    "Prefer",
    "Query",
    "RegionTerm",
    "SearchAnswer",
    "SegSearch",
    "SegSearchError",
    "Segment",
    "SegmentTerm",
    "Settings",
    "Status",
    "TextTerm",
    "VectorTerm",
    "WrittenTerm",
    "open_library",
]


def __getattr__(name: str) -> Any:
    """The names that load more than the values do, at their first use."""
    from importlib import import_module

    if name == "Settings":
        return import_module("segsearch.core.settings").Settings
    if name not in ("SegSearch", "open_library"):
        raise AttributeError(f"module 'segsearch' has no attribute {name!r}")
    from segsearch.core.install import needs_extra

    with needs_extra():
        return getattr(import_module("segsearch.library"), name)
