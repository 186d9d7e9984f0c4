"""The pictures of a library as bytes and pixels, from wherever their files still lie."""

from __future__ import annotations

from functools import partial

from segsearch.core.arrays import Pixels
from segsearch.media.decode import Limits, decode, decode_small
from segsearch.media.pdf import split_page_bytes
from segsearch.media.sources.reader import Sources
from segsearch.media.sources.verified import read_original
from segsearch.storage.catalog.sql_catalog import Catalog


class StoredPictures:
    """Reads the files that a catalog names; thread-safe."""

    def __init__(self, catalog: Catalog, sources: Sources, limits: Limits) -> None:
        self._catalog = catalog
        self._sources = sources
        self.limits = limits

    def small(self, image_id: int, side_px: int) -> Pixels:
        """As `pixels`, shrunk until the longer side is at most `side_px`; see `decode_small`."""
        return decode_small(self.original(image_id), side_px, self.limits)

    def sha256(self, image_id: int) -> str:
        """Of an image's bytes, as hex; NotFoundError for an unknown id."""
        return self._catalog.image(image_id).sha256

    def original(self, image_id: int) -> bytes:
        """The bytes of an image's file, of a page as `pdf.page_bytes`; NotFoundError when it is
        gone or was changed since, StoreError when its store is away."""
        return read_original(
            self._catalog.image(image_id), partial(self._sources.read_as, keep=True)
        )

    def file(self, image_id: int) -> bytes:
        """As `original`, but of a page all of its PDF."""
        data = self.original(image_id)
        page = split_page_bytes(data)
        return page[0] if page else data

    def pixels(self, image_id: int) -> Pixels:
        """Upright RGB pixels (H, W, 3) u8 of an image; NotFoundError as `original`."""
        return decode(self.original(image_id), self.limits)[0]
