"""SegSearch: what command line, API and Python callers use; each call is whole or nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

from segsearch import curation, listing, search
from segsearch.asking import Asking
from segsearch.captions import Captions
from segsearch.claimed import read_original
from segsearch.collecting import Collections
from segsearch.decode import Limits, decode
from segsearch.domain import (
    Hit,
    Image,
    IngestReport,
    Job,
    JobState,
    Recipe,
    Segment,
    State,
    Status,
)
from segsearch.errors import (
    LibraryMissingError,
    NotFoundError,
    QueryError,
    RecipeError,
)
from segsearch.ingest import (
    Models,
    Report,
    can_make,
    counted,
    failures,
    note_vanished,
    recipe_to_fill,
    record,
    work,
)
from segsearch.jobs import JobLog, as_it_is
from segsearch.pointing import Prompters, picture_key
from segsearch.ports import Catalog, Embedder, Pixels
from segsearch.projection import Projection
from segsearch.prompting import OpenPicture
from segsearch.queries import (
    Answer,
    PictureTerm,
    Pointed,
    Query,
    RegionTerm,
    SceneAnswer,
    SceneQuery,
    TextTerm,
)
from segsearch.settings import Settings
from segsearch.sources.entries import Found
from segsearch.sources.names import normal
from segsearch.sources.reader import Sources
from segsearch.staging import answer_scene
from segsearch.terms import Reading, Terms
from segsearch.upkeep import Upkeep
from segsearch.uploads import Uploads
from segsearch.worker import Step


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
        self._prompters = Prompters(models, settings.preset, settings.prompt_cache_bytes)
        reading = Reading(
            embedder=self._embedder,
            pipeline=lambda recipe: models(recipe.preset).pipeline(),
            pixels=self.picture,
            open=self.open_picture,
            limits=self._limits,
        )
        self._terms = Terms(catalog, projection, reading)
        self._asking = Asking(catalog, projection, self._terms)
        self._sources = Sources(settings)
        self.upkeep = Upkeep(catalog, projection, self._sources, settings.library)
        self.collections: Collections = catalog
        self.captions: Captions = catalog
        recipe = lambda: models(settings.preset).recipe  # noqa: E731
        self.uploads = Uploads(catalog, settings.library, self._limits, recipe)

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
        keep_old: bool = False,
        preset: str | None = None,
        background: str | None = None,
    ) -> IngestReport:
        """Segment and embed every new picture at or below `paths`, and all that still waits.

        A path is a file, a folder, a tar archive, or a URL that fsspec or the settings allow.
        Unchanged files cost a look at their size and time; copies cost no model call. Files that
        give nothing are listed in the report with their reason; those that are gone are marked.
        With `rebuild`, or another preset, every picture goes through the present models, and
        searches switch over when all are done; `keep_old` keeps what the models before have made.
        `preset` counts instead of the settings'.
        `background` names a job that is one pass of many: the models run in processes that may
        die, and a pass that finds nothing to do leaves no trace.
        Raises PathError, RecipeError (the library was made by other models), BusyError.
        """
        started = time.monotonic()
        stop = stop or threading.Event()
        found = self._sources.find(paths) if paths else Found({}, ())
        models, recipe_id = recipe_to_fill(
            self._catalog, self._models, preset or self.settings.preset, rebuild=rebuild
        )
        active = self._catalog.active_recipe()
        if active and active[0] != recipe_id:
            self._catalog.begin_generation(recipe_id, keep_old=keep_old)
        kind, quiet = background or "index", background is not None
        name = models.recipe.preset
        log = JobLog(self._catalog, self.settings.library, kind, name, paths, lazy=quiet)
        steps: list[Step] = []
        with log:
            unreadable = record(self._catalog, self._sources, found.files, recipe_id, stop)
            note_vanished(self._catalog, self._sources, paths, found.listed)
            log.begin_work(self._catalog.queue_all(recipe_id, retry_failed=retry_failed))
            note = counted(log, steps, report)
            parts = (self._catalog, self.settings, models, recipe_id)
            work(*parts, apart=quiet, note=note, stop=stop)
            log.stopped = stop.is_set()
            self._finish_generation(recipe_id, keep_old)
            skipped = (
                *found.skipped,
                *unreadable,
                # Paths of this run that gave nothing, now or in an earlier run.
                *failures(self._catalog, found.files),
            )
            log.skip(skipped)
        indexed = [step for step in steps if step.reason is None]
        return IngestReport(
            files=len(found.files),
            indexed=len(indexed),
            unchanged=max(0, len(found.files) - len(steps) - len(unreadable)),
            segments=sum(step.segments for step in indexed),
            skipped=skipped,
            seconds=time.monotonic() - started,
        )

    def index_waiting(self, stop: threading.Event) -> bool:
        """Deal with what waits under the recipe in use, or the one that is to take over from it.

        Whether there was anything.
        """
        active = self._catalog.active_recipe()
        if active is None:
            return False
        if self._catalog.waiting(active[0]):
            name = active[1].preset
            return self.index((), stop=stop, preset=name, background="worker").indexed > 0
        coming = self._catalog.generation_under_way()
        if coming is None or not can_make(self._models, coming[1]):
            return False
        _, recipe, keep_old = coming
        report = self.index(
            (), stop=stop, preset=recipe.preset, rebuild=True, keep_old=keep_old,
            background="worker",
        )  # fmt: skip
        return report.indexed > 0

    def _finish_generation(self, recipe_id: int, keep_old: bool) -> None:
        """Switch to a recipe once nothing waits under it, and write the index down."""
        active = self._catalog.active_recipe()
        # Pictures may have come in under the recipe in use while this one was filled.
        if active and active[0] != recipe_id and self._catalog.queue_all(recipe_id) == 0:
            self._catalog.switch_recipe(recipe_id, keep_old=keep_old)
        active = self._catalog.active_recipe()
        if active:
            self._projection.save(active)

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

    def ask(self, query: Query) -> Answer:
        """One page of the regions that answer a query, best first, or a sentence that says why
        there are none.

        Raises QueryError, PictureError, NotFoundError for what the query names, RecipeError when
        the library's vectors come from an embedder that is not here, ModelError when a region is
        pointed at and the segmenter takes no prompts.
        """
        return self._asking.ask(self._recipe_in_use(), query)

    def search(self, query: Query) -> list[Hit]:
        """The hits of `ask`; empty when nothing matches."""
        return list(self.ask(query).hits)

    def ask_scene(self, query: SceneQuery) -> SceneAnswer:
        """Pictures that hold the things asked for in the places asked for; errors as `ask`."""
        return answer_scene(self._asking, self._recipe_in_use(), query)

    def point(self, region: RegionTerm) -> Pointed:
        """The masks that a region could mean, best first, and which one a search would take."""
        return self._terms.point(self._recipe_in_use(), region)

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

    def images(
        self,
        *,
        after: int = 0,
        limit: int = 100,
        state: State | None = None,
        collection: str | None = None,
    ) -> list[Image]:
        """Images by ascending id, from the one behind `after` on."""
        if not 1 <= limit <= search.MAX_LIMIT:
            raise QueryError(f"The limit is {limit}, expected 1 to {search.MAX_LIMIT}.")
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

    def everything(self, below: Sequence[Path] = ()) -> Iterator[Hit]:
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
        prompter = self._prompters.of(self.recipe())
        if isinstance(picture, bytes):
            return prompter.open(picture_key(picture), lambda: decode(picture, self._limits)[0])
        image = self.image(picture)
        return prompter.open(image.sha256, lambda: self.picture(image.id))

    def recipe(self) -> Recipe | None:
        """What searches use; None for an empty library."""
        active = self._catalog.active_recipe()
        return active[1] if active else None

    def status(self) -> Status:
        """Counts over the whole library; loads no model."""
        active = self._catalog.active_recipe()
        folder = self.settings.library
        size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        return Status(
            **cast(Any, self._catalog.counts()),
            preset=active[1].preset if active else None,
            bytes=size,
            library=str(folder),
            recipe=active[1].fingerprint if active else None,
            schema=self._catalog.schema(),
            jobs=tuple(self.jobs(running=True)),
        )

    def jobs(
        self, *, before: int | None = None, limit: int = 50, running: bool = False
    ) -> list[Job]:
        """Runs that fill the library, newest first; those `before` an id, or only running ones.

        One whose process has died counts as lost.
        """
        if not 1 <= limit <= search.MAX_LIMIT:
            raise QueryError(f"The limit is {limit}, expected 1 to {search.MAX_LIMIT}.")
        found = map(as_it_is, self._catalog.jobs(before=before, limit=limit, running=running))
        return [one for one in found if not running or one.state is JobState.RUNNING]

    def job(self, job_id: int) -> Job:
        """One job; NotFoundError when there is none of this id."""
        found = self._catalog.jobs(job_id=job_id)
        if not found:
            raise NotFoundError(f"There is no job {job_id} in the library.")
        return as_it_is(found[0])

    def verify(self) -> list[str]:
        """What is wrong with catalog, vectors, index and files, a sentence each; else empty."""
        return self.upkeep.verify()
