"""Collections: named sets of images. What they are, what a name may be, what the catalog is asked.

An image may be in any number of them, and stays in the library when a collection goes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from unicodedata import category

from segsearch.errors import InputError

MAX_CHARACTERS = 100
NAME = r"^[\w][\w .,()+&'-]{0,99}$"  # no slash: a name stands in a path of the HTTP API
_NAME = re.compile(NAME)
JOINERS = "\u200c\u200d"  # shape letters of Persian and Indic scripts, and join emoji


@dataclass(frozen=True, slots=True)
class Collection:
    """A named set of images; `created_at` is ISO 8601 in UTC, `images` counts its members."""

    id: int
    name: str
    created_at: str
    images: int


def checked_name(name: str) -> str:
    """The name without surrounding space; InputError when it cannot name a collection."""
    bare = name.strip()
    # Python's \w is no vowel sign and no accent of its own, unlike that of the API's patterns.
    letters = (one for one in bare if category(one)[0] != "M" and one not in JOINERS)
    if len(bare) > MAX_CHARACTERS or not _NAME.match("".join(letters)):
        raise InputError(
            f"The name {name[:120]!r} cannot name a collection: expected up to 100 letters, "
            "digits, spaces and . , ( ) + & ' - _, a letter or digit first."
        )
    return bare


class Collections(Protocol):
    """What a catalog knows of collections; every method is one transaction.

    A name that is not there raises NotFoundError.
    """

    def collections(self) -> list[Collection]:
        """All of them by name."""

    def collection(self, name: str) -> Collection: ...

    def create_collection(self, name: str) -> Collection:
        """A new, empty one; ConflictError when the name is taken."""

    def rename_collection(self, name: str, new_name: str) -> Collection:
        """The same one under another name; ConflictError when that is taken."""

    def delete_collection(self, name: str) -> None:
        """Forget a collection; its images stay."""

    def add_to_collection(self, name: str, image_ids: Sequence[int]) -> int:
        """Put images in; how many were not in it before. NotFoundError for unknown images."""

    def take_from_collection(self, name: str, image_ids: Sequence[int]) -> int:
        """Take images out; how many were in it."""

    def image_ids_of(self, name: str) -> list[int]:
        """Ids of a collection's images, ascending."""

    def image_with(self, sha256: str) -> int | None:
        """Id of the image whose file has this sha256."""

    def digests(self, image_ids: Sequence[int]) -> list[str]:
        """The sha256 of these images' bytes as hex, sorted; unknown ids are passed by."""

    def find_paths(self, places: Sequence[str]) -> list[str]:
        """The known paths at these places, or anywhere below them, sorted."""

    def remove_images(self, image_ids: Sequence[int]) -> int:
        """Forget images with their paths, segments and vectors; how many there were."""

    def remove_segments(self, segment_ids: Sequence[int]) -> int:
        """Forget segments of the active recipe; how many there were."""

    def statistics(self) -> dict[str, Any]:
        """Of the active recipe: `images`, `segments`, `states` and `formats` (counts of images),
        and `area_shares` (ten counts of segments, by tenths of their picture's area)."""
