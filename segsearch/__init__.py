"""Search picture libraries by the things in the pictures.

Importing this package loads no torch, faiss or sqlalchemy; they come with the first call that
needs them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from segsearch.core.errors import SegSearchError
from segsearch.core.filters import Filters
from segsearch.core.query import (
    ImageTerm,
    PictureTerm,
    Prefer,
    Query,
    RegionTerm,
    SearchAnswer,
    SegmentTerm,
    TextTerm,
    VectorTerm,
)
from segsearch.core.types import Box, Hit, Image, IngestReport, Mask, Segment, Status
from segsearch.core.version import __version__ as __version__

if TYPE_CHECKING:
    from segsearch.core.settings import Settings
    from segsearch.library import SegSearch, open_library

__all__ = [
    "Box",
    "Filters",
    "Hit",
    "Image",
    "ImageTerm",
    "IngestReport",
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
    "open_library",
]

_LAZY = {
    "SegSearch": "segsearch.library",
    "Settings": "segsearch.core.settings",
    "open_library": "segsearch.library",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'segsearch' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_LAZY[name]), name)
