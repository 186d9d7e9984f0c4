"""SegSearch: what command line, API and Python callers use; each call is whole or nothing."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Protocol, cast

from segsearch import curation, search
from segsearch.decode import Limits, decode, too_large
from segsearch.domain import (
    Hit,
    Image,
    IngestReport,
    PictureTerm,
    Pruned,
    Query,
    Recipe,
    Segment,
    SegmentTerm,
    Skipped,
    State,
    Status,
    Term,
    TextTerm,
)
from segsearch.errors import (
    LibraryMissingError,
    NotFoundError,
    PictureError,
    QueryError,
    RecipeError,
)
from segsearch.pipeline import Pipeline
from segsearch.ports import Catalog, Embedder, FileStamp, Pixels, Vector
from segsearch.projection import Projection
from segsearch.settings import Settings
from segsearch.sources.entries import Found
from segsearch.sources.names import normal
from segsearch.sources.reader import Sources
from segsearch.worker import Step, Worker

MAX_LANES = 8  # a lane holds a whole picture in memory
Report = Callable[[int, int, Step], None]  # pictures done, pictures in all, the last one


class Models(Protocol):
    """The models of one preset; each is loaded when first asked for, and once."""

    @property
    def recipe(self) -> Recipe:
        """What they and their settings amount to; known without loading them."""

    def embedder(self) -> Embedder: ...

    def pipeline(self) -> Pipeline: ...


class SegSearch:
    """One library: a catalog, an index that follows it, and the models that fill both.

    Use as a context manager, or call `close`. Calls may come from several threads.
    """

    def __init__(
        self,
        settings: Settings,
        catalog: Catalog,
        projection: Projection,
        models: Callable[[str | None], Models],
    ) -> None:
        self.settings = settings
        self._catalog = catalog
        self._projection = projection
        self._models = models
        self._limits = Limits(settings.max_bytes, settings.max_pixels)
        self._sources = Sources(settings)

    def __enter__(self) -> SegSearch:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the database."""
        self._catalog.close()

    # Filling a library

    def index(
        self,
        paths: Sequence[Path | str],
        *,
        report: Report | None = None,
        stop: threading.Event | None = None,
        rebuild: bool = False,
        retry_failed: bool = False,
    ) -> IngestReport:
        """Segment and embed every new picture at or below `paths`, and all that still waits.

        A path is a file, a folder, a tar archive, or a URL that fsspec or the settings allow.
        Unchanged files cost a look at their size and time; copies cost no model call. Files that
        give nothing are listed in the report with their reason. With `rebuild` every picture goes
        through the present models again, and searches switch over when all are done. Raises
        PathError, RecipeError (the library was made by other models), BusyError.
        """
        started = time.monotonic()
        found = self._sources.find(paths) if paths else Found({}, ())
        models, recipe_id = self._recipe_to_fill(rebuild)
        unreadable = self._record(found.files, recipe_id, stop or threading.Event())
        total = self._catalog.queue_all(recipe_id, retry_failed=retry_failed)
        steps = self._work(models, recipe_id, total, report, stop or threading.Event())
        self._finish_generation(recipe_id)
        self._catalog.note_missing([normal(path) for path in paths], found.listed)
        indexed = [step for step in steps if step.reason is None]
        # Paths of this run that gave nothing, now or in an earlier run.
        failed = self._failures(found.files)
        return IngestReport(
            files=len(found.files),
            indexed=len(indexed),
            unchanged=max(0, len(found.files) - len(steps) - len(unreadable)),
            segments=sum(step.segments for step in indexed),
            skipped=(*found.skipped, *unreadable, *failed),
            seconds=time.monotonic() - started,
        )

    def _recipe_to_fill(self, rebuild: bool) -> tuple[Models, int]:
        active = self._catalog.active_recipe()
        wanted = self.settings.preset or (active[1].preset if active else None)
        models = self._models(wanted)
        if active and active[1].fingerprint != models.recipe.fingerprint and not rebuild:
            raise RecipeError(
                f"The library was made with preset {active[1].preset!r} and other models or "
                f"settings than {models.recipe.preset!r} has here: run `segsearch index --rebuild` "
                "to put every picture through the present ones."
            )
        return models, self._catalog.register_recipe(models.recipe)

    def _record(
        self, files: dict[str, FileStamp], recipe_id: int, stop: threading.Event
    ) -> list[Skipped]:
        """Enter new and changed files into the catalog; those that cannot be read come back."""
        known = self._catalog.file_stamps()
        unreadable: list[Skipped] = []
        for path, stamp in files.items():
            if stamp.is_known and known.get(path) == stamp:
                continue
            if stop.is_set():
                break
            try:
                if stamp.size_bytes > self._limits.max_bytes:
                    raise too_large(stamp.size_bytes, self._limits.max_bytes)
                sha256, size = self._sources.digest(path)
            except PictureError as problem:
                unreadable.append(Skipped(path, str(problem)))
            else:
                held = stamp if stamp.is_known else FileStamp(size, stamp.mtime_ns)
                self._catalog.record_file(path, held, sha256, recipe_id)
        return unreadable

    def _work(
        self,
        models: Models,
        recipe_id: int,
        total: int,
        report: Report | None,
        stop: threading.Event,
    ) -> list[Step]:
        steps: list[Step] = []

        def note(step: Step) -> None:
            steps.append(step)
            if report:
                report(len(steps), max(total, len(steps)), step)

        worker = Worker(
            self._catalog,
            recipe_id,
            models.pipeline,
            read=self._sources.read,
            limits=self._limits,
            lease_seconds=self.settings.lease_seconds,
            lanes=self.settings.lanes or min(os.cpu_count() or 1, MAX_LANES),
        )
        worker.run(note, stop)
        return steps

    def _finish_generation(self, recipe_id: int) -> None:
        """Switch to a recipe once nothing waits under it, and write the index down."""
        active = self._catalog.active_recipe()
        if active and active[0] != recipe_id and self._catalog.waiting(recipe_id) == 0:
            self._catalog.switch_recipe(recipe_id)
        active = self._catalog.active_recipe()
        if active:
            self._projection.save(active)

    def _failures(self, files: Iterable[str]) -> list[Skipped]:
        ours = set(files)
        found: list[Skipped] = []
        after = 0
        while page := self._catalog.images(state=State.FAILED, after=after, limit=500):
            for image in page:
                reason = image.reason or "Unknown."
                found.extend(Skipped(path, reason) for path in image.paths if path in ours)
            after = page[-1].id
        return found

    def remove(self, *, paths: Sequence[Path | str] = (), image_ids: Sequence[int] = ()) -> int:
        """Forget images by id, by path, or below a folder; how many there were comes back.

        The files themselves are not touched. NotFoundError when nothing matches.
        """
        names = [normal(path) for path in paths]
        doomed = sorted({*image_ids, *self._catalog.find_images(names)})
        removed = self._catalog.remove_images(doomed)
        if not removed:
            wanted = ", ".join([*names, *map(str, image_ids)]) or "nothing"
            raise NotFoundError(f"The library holds no image at {wanted}.")
        self._projection.save(self._recipe_in_use())
        return removed

    def prune(self, *, only_look: bool = False) -> Pruned:
        """Forget files that vanished; see `curation.prune`."""
        pruned = curation.prune(self._catalog, self._sources, only_look=only_look)
        if pruned.images:
            self._projection.save(self._recipe_in_use())
        return pruned

    def tag(
        self,
        *,
        paths: Sequence[Path | str] = (),
        image_ids: Sequence[int] = (),
        add: Sequence[str] = (),
        remove: Sequence[str] = (),
    ) -> list[int]:
        """Tag images by id, path or folder, or take tags away; the ids; see `curation.tag`."""
        return curation.tag(self._catalog, paths, image_ids, add=add, remove=remove)

    # Asking

    def search(self, query: Query) -> list[Hit]:
        """Regions that answer a query, best first; empty when the library holds no segments.

        Raises QueryError, PictureError, NotFoundError for what the query names, RecipeError when
        the library's vectors come from an embedder that is not here.
        """
        search.check(query)
        recipe = self._recipe_in_use()
        vectors = [self._vector(recipe, term) for term in query.terms]
        wanted = search.combine(vectors, [term.weight for term in query.terms])
        shelf = search.Shelf(
            nearest=lambda k: self._projection.search(recipe, wanted, k),
            fetch=lambda ids: {one.id: one for one in self._catalog.segments(ids=ids)},
        )
        ranked = search.rank(shelf, query.limit, query.per_image)
        numbers = sorted({segment.image_id for _, segment in ranked})
        images = {one.id: one for one in self._catalog.images(ids=numbers, limit=len(numbers))}
        return [
            Hit(rank, score, segment, images[segment.image_id])
            for rank, (score, segment) in enumerate(ranked, start=1)
            if segment.image_id in images
        ]

    def search_text(self, text: str, *, limit: int = 10, per_image: int = 3) -> list[Hit]:
        """Regions that answer words."""
        return self.search(Query((TextTerm(text),), limit, per_image))

    def search_picture(self, data: bytes, *, limit: int = 10, per_image: int = 3) -> list[Hit]:
        """Regions that look like the picture in these bytes."""
        return self.search(Query((PictureTerm(data),), limit, per_image))

    def _recipe_in_use(self) -> tuple[int, Recipe]:
        active = self._catalog.active_recipe()
        if active is None:
            raise LibraryMissingError(
                f"The library {str(self.settings.library)!r} is empty: run `segsearch index` first."
            )
        return active

    def _vector(self, recipe: tuple[int, Recipe], term: Term) -> Vector:
        if isinstance(term, SegmentTerm):
            return self._projection.vector(recipe, term.segment_id)
        embedder = self._embedder(recipe[1])
        if isinstance(term, TextTerm):
            words = embedder.embed_texts([search.check_text(term.text)])
            return cast(Vector, words[0])
        pixels, _ = decode(term.data, self._limits)
        return cast(Vector, embedder.embed_pictures([pixels])[0])

    def _embedder(self, recipe: Recipe) -> Embedder:
        """The embedder that made the library's vectors; RecipeError when it is not here."""
        models = self._models(recipe.preset)
        here = models.recipe
        if (here.embedder, here.preprocessing) != (recipe.embedder, recipe.preprocessing):
            raise RecipeError(
                f"The library's vectors come from {recipe.embedder[:32]}..., here is "
                f"{here.embedder[:32]}...: run `segsearch index --rebuild` to make new ones."
            )
        return models.embedder()

    def warm(self) -> None:
        """Load what a search needs: the index and the embedder; nothing for an empty library."""
        active = self._catalog.active_recipe()
        if active:
            self._projection.ids(active)
            self._embedder(active[1]).embed_texts(["warm"])

    # Looking up

    def images(self, *, after: int = 0, limit: int = 100) -> list[Image]:
        """Images by ascending id, from the one behind `after` on."""
        if not 1 <= limit <= search.MAX_LIMIT:
            raise QueryError(f"The limit is {limit}, expected 1 to {search.MAX_LIMIT}.")
        return self._catalog.images(after=after, limit=limit)

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

    def picture(self, image_id: int) -> Pixels:
        """Upright RGB pixels (H, W, 3) of an image, from a path that still holds its bytes.

        NotFoundError when the file is gone or was changed since.
        """
        image = self.image(image_id)
        for path in image.paths:
            try:
                data = self._sources.read(path)
            except PictureError:
                continue
            if hashlib.sha256(data).hexdigest() == image.sha256:
                return decode(data, self._limits)[0]
        raise NotFoundError(
            f"The file of image {image_id} is gone or was changed since: {image.paths}."
        )

    def status(self) -> Status:
        """Counts over the whole library; loads no model."""
        active = self._catalog.active_recipe()
        folder = self.settings.library
        size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        return Status(
            **self._catalog.counts(),
            **self._catalog.note_counts(),
            preset=active[1].preset if active else None,
            bytes=size,
            library=str(folder),
            recipe=active[1].fingerprint if active else None,
            schema=self._catalog.schema(),
        )

    def verify(self) -> list[str]:
        """What is wrong with catalog, vectors and index, a sentence each; empty when all agree."""
        active = self._catalog.active_recipe()
        if active is None:
            return []
        return [*self._catalog.problems(active), *self._projection.problems(active)]
