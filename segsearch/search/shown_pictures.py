"""Pictures that people search by: kept for later queries, and known again where they are stored.

What the models make of a picture is remembered, so that a further page of an answer costs no model
call; so is its perceptual hash, which tells whether the library holds a picture like it.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from cachetools import LRUCache

from segsearch.core.answers import Pointed
from segsearch.core.arrays import Pixels, Vector, Vectors
from segsearch.core.heap import give_back
from segsearch.core.types import State
from segsearch.masks.crops import MAX_SIDE_PX
from segsearch.media.decode import Limits, decode_small, inspect
from segsearch.media.phash import perceptual_hash
from segsearch.storage.catalog.sql_catalog import Catalog
from segsearch.storage.shared_pictures import QueryPictures

VECTORS_KEPT = 1_024  # 2 MB of vectors of 512 numbers
REGIONS_KEPT = 256  # with their masks
TURNED = 5  # from this EXIF orientation on width and height change places
Result = TypeVar("Result")
QueryPicture = bytes | str  # a file's bytes, or the id under which they are kept


@dataclass(frozen=True, slots=True)
class ShownPicture:
    """A picture that was kept. `width` and `height` are those of the upright picture, `image_id`
    is the stored image with these bytes, `near` are those that look almost the same."""

    picture_id: str
    width: int
    height: int
    image_id: int | None
    near: tuple[int, ...]


class Remembered(Generic[Result]):
    """The latest results of a computation by their keys. Thread-safe; two callers who ask at once
    may both compute."""

    def __init__(self, size: int) -> None:
        self._kept: LRUCache[Hashable, Result] = LRUCache(size)
        self._lock = threading.Lock()

    def get(self, key: Hashable, compute: Callable[[], Result]) -> Result:
        """The result of a key, by `compute` where it is not kept."""
        with self._lock:
            if key in self._kept:
                return self._kept[key]
        result = compute()
        with self._lock:
            self._kept[key] = result
        return result


class ShownPictures:
    """Pictures that queries bring along or name. Of a file at most `max_pixels` are decoded."""

    def __init__(
        self, catalog: Catalog, kept: QueryPictures, limits: Limits, max_pixels: int
    ) -> None:
        self._catalog = catalog
        self._kept = kept
        self._limits = limits
        self._max_pixels = max_pixels
        self._vectors: Remembered[Vector] = Remembered(VECTORS_KEPT)
        self._hashes: Remembered[str | None] = Remembered(VECTORS_KEPT)
        self.regions: Remembered[tuple[Vector, Pointed]] = Remembered(REGIONS_KEPT)

    def keep(self, data: bytes) -> ShownPicture:
        """Keep a picture for queries. PictureError, PictureTooLargeError for what could not be
        searched by; ReadOnlyError, DiskFullError."""
        info = inspect(data, self._limits)
        value = self._hash(data)
        picture_id = self._kept.keep(data)
        width, height = info.width, info.height
        if (info.orientation or 1) >= TURNED:
            width, height = height, width
        image_id = self._catalog.image_with(picture_id)
        near = self._catalog.images_near(value) if value else []
        others = tuple(number for number in near if number != image_id)
        return ShownPicture(picture_id, width, height, image_id, others)

    def use(self, picture: QueryPicture) -> str:
        """The sha256 of a picture's bytes as hex; NotFoundError where it is kept no longer."""
        if isinstance(picture, bytes):
            return hashlib.sha256(picture).hexdigest()
        self._kept.use(picture)
        return picture

    def data(self, picture: QueryPicture) -> bytes:
        """A picture's bytes; NotFoundError where it is kept no longer."""
        return picture if isinstance(picture, bytes) else self._kept.read(picture)

    def small(self, picture: QueryPicture, side_px: int) -> Pixels:
        """Upright pixels (h, w, 3) u8, the longer side at most `side_px`. NotFoundError,
        PictureError, PictureTooLargeError."""
        pixels = decode_small(
            self.data(picture), side_px, self._limits, max_decoded_pixels=self._max_pixels
        )
        give_back()  # what decoding took may be a hundred times what is left
        return pixels

    def vector(
        self,
        recipe: str,
        picture: QueryPicture,
        embed: Callable[[Sequence[Pixels]], Vectors],
    ) -> Vector:
        """What a model makes of a picture (d,): that of the recipe with this fingerprint."""

        def look() -> Vector:
            pixels = self.small(picture, MAX_SIDE_PX)
            self._hashes.get(sha256, lambda: perceptual_hash(pixels))
            vector: Vector = embed([pixels])[0].copy()
            return vector

        sha256 = self.use(picture)
        return self._vectors.get((recipe, sha256), look)

    def is_stored(self, picture: QueryPicture) -> bool:
        """Whether the library has described this picture, or one that looks almost the same."""
        exact, value = self._catalog.image_with(self.use(picture)), self._hash(picture)
        ids = [] if exact is None else [exact]
        ids += self._catalog.images_near(value) if value else []
        images = self._catalog.images(ids=ids, limit=len(ids)) if ids else []
        return any(image.state is State.DONE for image in images)

    def _hash(self, picture: QueryPicture) -> str | None:
        return self._hashes.get(
            self.use(picture), lambda: perceptual_hash(self.small(picture, MAX_SIDE_PX))
        )
