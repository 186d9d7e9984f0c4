"""What a library holds, looked up: images, segments, pixels, jobs, counts."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

from segsearch.core.arrays import Pixels
from segsearch.core.errors import LibraryMissingError, NotFoundError, QueryError
from segsearch.core.query import MAX_LIMIT
from segsearch.core.settings import Settings
from segsearch.core.types import Hit, Image, Job, JobState, Recipe, Segment, State, Status
from segsearch.media.decode import Limits, decode
from segsearch.media.sources.reader import Sources
from segsearch.media.sources.verified import read_original
from segsearch.models.segment.prompters import Prompters, picture_key
from segsearch.models.segment.session import OpenPicture
from segsearch.storage.catalog import listing
from segsearch.storage.catalog.sql_catalog import Catalog
from segsearch.storage.owners import as_it_is

FOOTPRINT_SECONDS = 60  # a library of many uploads takes a while to walk, and pages ask often


class Looking:
    """The part of `service.SegSearch` that changes nothing and ranks nothing."""

    def __init__(
        self, settings: Settings, catalog: Catalog, sources: Sources, prompters: Prompters
    ) -> None:
        self.settings = settings
        self._catalog = catalog
        self._sources = sources
        self._prompters = prompters
        self._limits = Limits(settings.max_bytes, settings.max_pixels)
        self._measured = (-math.inf, 0)  # when, and how many bytes the folder took

    def images(
        self,
        *,
        after: int = 0,
        limit: int = 100,
        state: State | None = None,
        collection: str | None = None,
    ) -> list[Image]:
        """Images by ascending id, from the one behind `after` on."""
        if not 1 <= limit <= MAX_LIMIT:
            raise QueryError(f"The limit is {limit}, expected 1 to {MAX_LIMIT}.")
        if collection is not None:
            self._catalog.collection(collection)
        return self._catalog.images(after=after, limit=limit, state=state, collection=collection)

    def image(self, image_id: int) -> Image:
        """One image; NotFoundError when there is none of this id."""
        found = self._catalog.images(ids=[image_id], limit=1)
        if not found:
            raise NotFoundError(f"There is no image {image_id} in the library.")
        return found[0]

    def segments(self, image_id: int) -> list[Segment]:
        """Every segment of an image by ascending id; NotFoundError when there is no such image."""
        self.image(image_id)
        return self._catalog.segments(image_id=image_id)

    def segment(self, segment_id: int) -> Segment:
        """One segment; NotFoundError when there is none of this id."""
        found = self._catalog.segments(ids=[segment_id])
        if not found:
            raise NotFoundError(f"There is no segment {segment_id} in the library.")
        return found[0]

    def everything(self, below: Sequence[str | Path] = ()) -> Iterator[Hit]:
        """Every segment of the library by image and id, as hits with score 0.

        With `below`, of pictures at these paths or below them; NotFoundError when there is none.
        """
        return listing.everything(self._catalog, below)

    def picture(self, image_id: int) -> Pixels:
        """Upright RGB pixels (H, W, 3) of an image; NotFoundError as `original`."""
        return decode(self.original(image_id), self._limits)[0]

    def original(self, image_id: int) -> bytes:
        """The bytes of an image's file; NotFoundError when it is gone or was changed since."""
        return read_original(self.image(image_id), self._sources.read)

    def open_picture(self, picture: int | bytes) -> OpenPicture:
        """An image by its id, or a file's bytes, for pointing at: `.segment(points=[[x, y]])`.

        It is encoded once, and kept within SEGSEARCH_PROMPT_CACHE_BYTES. NotFoundError,
        PictureError, ModelError when the segmenter takes no prompts.
        """
        if isinstance(picture, bytes):
            key, read = picture_key(picture), lambda: decode(picture, self._limits)[0]
        else:
            key, read = self.image(picture).sha256, lambda: self.picture(picture)
        return self._prompters.of(self.recipe()).open(key, read)

    def recipe(self) -> Recipe | None:
        """What searches use; None for an empty library."""
        active = self._catalog.active_recipe()
        return active[1] if active else None

    def _stored(self, image_id: int) -> tuple[str, Pixels]:
        return self.image(image_id).sha256, self.picture(image_id)

    def status(self) -> Status:
        """Counts over the whole library; loads no model."""
        active = self._catalog.active_recipe()
        return Status(
            **cast(Any, self._catalog.counts()),
            preset=active[1].preset if active else None,
            bytes=self._footprint(),
            library=str(self.settings.library),
            recipe=active[1].fingerprint if active else None,
            schema=self._catalog.schema(),
            jobs=tuple(self.jobs(running=True)),
        )

    def _footprint(self) -> int:
        """Bytes of the library's folder; looked up again when the last look is a minute old."""
        measured, size = self._measured
        if time.monotonic() - measured > FOOTPRINT_SECONDS:
            size = 0
            for file in self.settings.library.rglob("*"):
                with suppress(FileNotFoundError):  # gone since it was listed
                    size += file.stat().st_size if file.is_file() else 0
            self._measured = time.monotonic(), size
        return size

    def jobs(
        self, *, before: int | None = None, limit: int = 50, running: bool = False
    ) -> list[Job]:
        """Runs that fill the library, newest first; those `before` an id, or only running ones.

        One whose process has died counts as lost.
        """
        if not 1 <= limit <= MAX_LIMIT:
            raise QueryError(f"The limit is {limit}, expected 1 to {MAX_LIMIT}.")
        found = map(as_it_is, self._catalog.jobs(before=before, limit=limit, running=running))
        return [one for one in found if not running or one.state is JobState.RUNNING]

    def job(self, job_id: int) -> Job:
        """One job; NotFoundError when there is none of this id."""
        found = self._catalog.jobs(job_id=job_id)
        if not found:
            raise NotFoundError(f"There is no job {job_id} in the library.")
        return as_it_is(found[0])

    def _recipe_in_use(self) -> tuple[int, Recipe]:
        active = self._catalog.active_recipe()
        if active is None:
            raise LibraryMissingError(
                f"The library {str(self.settings.library)!r} is empty: run `segsearch index` first."
            )
        return active
