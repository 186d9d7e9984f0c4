"""The catalog over SQLAlchemy: joins the parts that hold recipes, files, images and the rest.

Models run with no transaction open; each method of a part is one short transaction.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

import sqlalchemy as sa

from segsearch.core.errors import NotFoundError
from segsearch.core.picture_text import ReadPicture
from segsearch.core.types import Hit, Image
from segsearch.media.sources.paths import normal
from segsearch.storage.catalog.backend import Backend, Place
from segsearch.storage.catalog.backup import BackupMixin
from segsearch.storage.catalog.captions import CaptionMixin
from segsearch.storage.catalog.change_log import ChangeLogMixin
from segsearch.storage.catalog.collections import CollectionMixin
from segsearch.storage.catalog.copying import CopyMixin
from segsearch.storage.catalog.facets import FacetMixin
from segsearch.storage.catalog.files import FileMixin
from segsearch.storage.catalog.filtering import FilterMixin
from segsearch.storage.catalog.followers import FollowerMixin
from segsearch.storage.catalog.images import ImageMixin
from segsearch.storage.catalog.integrity import IntegrityMixin
from segsearch.storage.catalog.jobs import JobMixin
from segsearch.storage.catalog.listing import ListingMixin
from segsearch.storage.catalog.near_duplicates import NearDuplicateMixin
from segsearch.storage.catalog.portable import insert
from segsearch.storage.catalog.queue import QueueMixin
from segsearch.storage.catalog.recipes import RecipeMixin
from segsearch.storage.catalog.request_limits import RequestLimitMixin
from segsearch.storage.catalog.saved_searches import SavedSearchMixin
from segsearch.storage.catalog.segments import SegmentMixin
from segsearch.storage.catalog.shots import ShotMixin
from segsearch.storage.catalog.sqlite_file import SqliteFile
from segsearch.storage.catalog.tables import LIBRARY
from segsearch.storage.catalog.tags import TagMixin
from segsearch.storage.catalog.text_search import TextSearchMixin

PAGE_IMAGES = 50  # held in memory at once when regions are listed


class Catalog(
    RecipeMixin, FileMixin, QueueMixin, ImageMixin, SegmentMixin, FilterMixin, CollectionMixin,
    TagMixin, CaptionMixin, JobMixin, ChangeLogMixin, IntegrityMixin, BackupMixin,
    NearDuplicateMixin, ListingMixin, FacetMixin, SavedSearchMixin, TextSearchMixin,
    CopyMixin, FollowerMixin, RequestLimitMixin, ShotMixin,
):  # fmt: skip
    """A library's catalog; made, or brought to this schema, on opening.

    Raises LibraryVersionError for one of a later version,
    DamageError for what is none.
    """

    def __init__(self, place: Place) -> None:
        super().__init__(_backend(place))
        try:
            self._backend.prepare()
        except BaseException:
            self._backend.close()
            raise
        self.read_only = self._backend.read_only  # a server has been asked by now
        if self.read_only:
            return
        with self._reading() as db:
            known = set(db.execute(sa.select(LIBRARY.c.key)).scalars())
        missing = {"catalog_id", "timeline"} - known
        if missing:
            with self._writing() as db:
                for key in sorted(missing):
                    row = {"key": key, "value": uuid.uuid4().hex}
                    db.execute(insert(LIBRARY).values(row).on_conflict_do_nothing())

    def schema(self) -> str:
        """The revision that the database stands at."""
        return self._backend.revision() or ""

    def identity(self) -> str:
        """`catalog-id/timeline`: differs for another library and after a restore."""
        return self._since_written("identity", self._identity)

    def _identity(self) -> str:
        with self._reading() as db:
            values = {row.key: row.value for row in db.execute(sa.select(LIBRARY))}
            copy = self._backend.incarnation(db)
        return f"{values['catalog_id']}/{values['timeline']}{copy and f'-{copy}'}"

    def text_of(self, image_id: int) -> ReadPicture:
        """The text of an image, and the elements of a page, as they are read; NotFoundError where
        there is no such image."""
        self.image(image_id)
        elements = [segment for segment in self.segments_of(image_id) if segment.reading_order]
        return ReadPicture(
            image_id,
            self.reader_of(image_id),
            tuple(self.lines_of(image_id)),
            tuple(sorted(elements, key=lambda segment: segment.reading_order or 0)),
        )

    def regions(
        self,
        below: Sequence[str | Path] = (),
        *,
        image_ids: Sequence[int] | None = None,
        segment_ids: Sequence[int] | None = None,
    ) -> Iterator[Hit]:
        """Every segment by image and id, as hits with score 0.

        With `below`, of pictures at these paths or below them; NotFoundError when there is none.
        With `image_ids`, of these, ascending. With `segment_ids`, these, and all of `image_ids`
        besides. A few pictures at a time are read, and no others.
        """
        chosen, wholes = frozenset(segment_ids or ()), frozenset(image_ids or ())
        if segment_ids is not None:
            image_ids = sorted({*wholes, *self.images_of(segment_ids)})
        if below:
            image_ids = self.find_images([normal(path) for path in below])
            if not image_ids:
                raise NotFoundError(f"The library holds no image at {', '.join(map(str, below))}.")
        rank = 0
        for page in self._pages(image_ids):
            regions = self.segments_by_image([image.id for image in page])
            ids = [segment.id for segments in regions.values() for segment in segments]
            captions, lines = self.captions(ids), self.lines_by_segment(ids)
            for image in page:
                for segment in regions.get(image.id, ()):
                    is_whole = segment_ids is None or image.id in wholes
                    if not is_whole and segment.id not in chosen:
                        continue
                    rank += 1
                    said, theirs = captions.get(segment.id, ()), lines.get(segment.id, ())
                    yield Hit(rank, 0.0, segment, image, captions=said, lines=tuple(theirs))

    def _pages(self, image_ids: Sequence[int] | None) -> Iterator[list[Image]]:
        """Images by ascending id, a few at a time; all, or those of these ids that are there."""
        if image_ids is not None:
            for start in range(0, len(image_ids), PAGE_IMAGES):
                ids = image_ids[start : start + PAGE_IMAGES]
                yield self.images(ids=ids, limit=PAGE_IMAGES)
            return
        after = 0
        while page := self.images(after=after, limit=PAGE_IMAGES):
            yield page
            after = page[-1].id


def _backend(place: Place) -> Backend:
    if isinstance(place, Path):
        return SqliteFile(place)
    # Its driver is no part of what a library in a folder needs.
    from segsearch.storage.catalog.postgres.backend import PostgresDatabase

    return PostgresDatabase(place)
