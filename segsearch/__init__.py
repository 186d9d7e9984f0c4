"""Search picture libraries by the things in the pictures.

Importing this package loads no torch, faiss or sqlalchemy; they come with the first call that
needs them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from segsearch.domain import (
    Box,
    Hit,
    Image,
    IngestReport,
    Mask,
    Segment,
    Status,
)
from segsearch.errors import SegSearchError
from segsearch.filters import Filters
from segsearch.queries import (
    Answer,
    ImageTerm,
    PictureTerm,
    Prefer,
    Query,
    RegionTerm,
    SegmentTerm,
    TextTerm,
    VectorTerm,
)

if TYPE_CHECKING:
    from segsearch.service import SegSearch
    from segsearch.settings import Settings
    from segsearch.wiring import open_service

__version__ = "0.1.0"

__all__ = [
    "Answer",
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
    "SegSearch",
    "SegSearchError",
    "Segment",
    "SegmentTerm",
    "Settings",
    "Status",
    "TextTerm",
    "VectorTerm",
    "open_service",
]

_LAZY = {
    "SegSearch": "segsearch.service",
    "Settings": "segsearch.settings",
    "open_service": "segsearch.wiring",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'segsearch' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_LAZY[name]), name)
