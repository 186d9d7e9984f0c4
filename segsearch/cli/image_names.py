"""Which image an argument means: commands that take one take its id or its path."""

from __future__ import annotations

from typing import TYPE_CHECKING

from segsearch.core.errors import NotFoundError, QueryError
from segsearch.core.types import MAX_ID

if TYPE_CHECKING:
    from segsearch.library import SegSearch

BY_ID_OR_PATH = "by its id or path (`./31` is the file of that name)"


def is_id(word: str) -> bool:
    """Whether a word is a number as ids are."""
    return word.isascii() and word.isdecimal() and len(word) < len(str(MAX_ID))


def image_named(library: SegSearch, name: str) -> int:
    """The id of the image that is meant: of a number the id, whatever files are called; else that
    of the path. NotFoundError where the library has none there, QueryError where it has several."""
    from segsearch.media.sources.paths import normal

    if is_id(name):
        return int(name)
    images = library.catalog.find_images([normal(name)])
    if not images:
        raise NotFoundError(f"The library holds no image at {name!r}.")
    if len(images) > 1:
        page = f" as in {f'{name}#page=1'!r}" if name.lower().endswith(".pdf") else ""
        raise QueryError(f"At {name!r} there are {len(images)} images, expected one{page}.")
    return images[0]
