"""SegSearch: what command line, API and Python callers use; each call is whole or nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from segsearch import curation
from segsearch.core.errors import LibraryMissingError, NotFoundError, RecipeError
from segsearch.core.query import (
    PictureTerm,
    Pointed,
    Query,
    RegionTerm,
    SceneAnswer,
    SceneQuery,
    SearchAnswer,
    TextTerm,
)
from segsearch.core.settings import Settings
from segsearch.core.types import Hit, IngestReport, Recipe
from segsearch.ingest.job_log import JobLog
from segsearch.ingest.run import (
    Report,
    can_make,
    counted,
    failures,
    note_vanished,
    recipe_to_fill,
    record,
    work,
)
from segsearch.ingest.uploads import Uploads
from segsearch.ingest.worker import Step
from segsearch.looking import Looking
from segsearch.media.sources.base import SourceListing
from segsearch.media.sources.paths import normal
from segsearch.media.sources.reader import Sources
from segsearch.models.loading import PresetModels, best_here, kind_of
from segsearch.models.presets import check_kinds, preset
from segsearch.models.protocols import Embedder
from segsearch.models.segment.prompters import Prompters
from segsearch.search.engine import SearchEngine
from segsearch.search.scenes import answer_scene
from segsearch.search.vectors import Reading, TermVectors
from segsearch.storage.catalog.captions import Captions
from segsearch.storage.catalog.collections import Collections
from segsearch.storage.catalog.sql_catalog import Catalog
from segsearch.storage.index.synced import Mix, SyncedIndex
from segsearch.storage.maintenance import Maintenance

SWITCH_LOOK_SECONDS = 0.5  # between two looks whether others are done with their last pictures


class SegSearch(Looking):
    """One library: a catalog, an index that follows it, and the models that fill both.

    Use as a context manager, or call `close`. Calls may come from several threads.
    """

    def __init__(
        self,
        settings: Settings,
        catalog: Catalog,
        projection: SyncedIndex,
        models: Callable[[str | None], PresetModels],
    ) -> None:
        prompters = Prompters(models, settings.preset, settings.prompt_cache_bytes)
        super().__init__(settings, catalog, Sources(settings), prompters)
        self._projection = projection
        self._models = models
        reading = Reading(
            embedder=self._embedder,
            pipeline=lambda recipe: models(recipe.preset).pipeline(),
            stored=self._stored,
            open=lambda recipe, key, read: prompters.of(recipe).open(key, read),
            limits=self._limits,
        )
        self._terms = TermVectors(catalog, projection, reading)
        self._asking = SearchEngine(catalog, projection, self._terms)
        self.upkeep = Maintenance(catalog, projection, self._sources, settings.library)
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
        within: Sequence[Path] = (),
    ) -> IngestReport:
        """Segment and embed every new picture at or below `paths`, and all that still waits.

        A path is a file, a folder, a tar archive, or a URL that fsspec or the settings allow.
        Unchanged files cost a look at their size and time; copies cost no model call. Files that
        give nothing are listed in the report with their reason; those that are gone are marked.
        With `rebuild`, or another preset, every picture goes through the present models, and
        searches switch over when all are done; `keep_old` keeps what the models before have made.
        Pictures that other workers hold are then waited for, and taken over when those stop.
        `preset` counts instead of the settings'.
        `background` names a job that is one pass of many: the models run in processes that may
        die, and a pass that finds nothing to do leaves no trace. `within` are watched folders: of
        a path below one counts what a look at the whole folder would take.
        Raises PathError, RecipeError (the library was made by other models), BusyError.
        """
        started = time.monotonic()
        stop = stop or threading.Event()
        found = self._sources.find(paths, within=within) if paths else SourceListing({}, ())
        models, recipe_id = recipe_to_fill(
            self._catalog, self._models, preset or self.settings.preset, rebuild=rebuild
        )
        active = self._catalog.active_recipe()
        takes_over = active is not None and active[0] != recipe_id
        if takes_over:
            self._catalog.begin_generation(recipe_id, keep_old=keep_old)
        kind, quiet = background or "index", background is not None
        name = models.recipe.preset
        log = JobLog(self._catalog, self.settings.library, kind, name, paths, lazy=quiet)
        steps: list[Step] = []
        with log:
            known = self._catalog.file_stamps()
            here = (self._catalog, self._sources, known)
            unreadable, unread = record(*here, found.files, recipe_id, stop)
            note_vanished(*here, paths, found.listed)
            log.begin_work(self._catalog.queue_all(recipe_id, retry_failed=retry_failed))
            note = counted(log, steps, report)
            parts = (self._catalog, self.settings, models, recipe_id)
            while True:
                work(*parts, apart=quiet, note=note, stop=stop)
                if not takes_over or self._catalog.switch_recipe(recipe_id, keep_old=keep_old):
                    break
                # Others hold pictures: one of them switches, or leaves some that are taken over.
                if quiet or stop.wait(SWITCH_LOOK_SECONDS):
                    break
            left = unread + self._catalog.waiting(recipe_id)  # by a stop, or with other workers
            log.stopped = stop.is_set()
            self._save_index()
            # Paths of this run that gave nothing, now or in an earlier run.
            failed = failures(self._catalog, found.files)
            skipped = (*found.skipped, *unreadable, *failed)
            log.skip(skipped)
        indexed = [step for step in steps if step.reason is None]
        tried = {step.path for step in steps}
        earlier = sum(one.path not in tried for one in failed)
        return IngestReport(
            files=len(found.files),
            indexed=len(indexed),
            unchanged=max(0, len(found.files) - len(steps) - len(unreadable) - left - earlier),
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

    def _save_index(self) -> None:
        """Write the index of the recipe in use down."""
        active = self._catalog.active_recipe()
        if active:
            self._projection.save(active)

    def remove(self, *, paths: Sequence[Path | str] = (), image_ids: Sequence[int] = ()) -> int:
        """Forget images by id, and what is known at these paths or below; how many images went.

        By path, an image goes when no other path leads to it, and no file is touched. By id it
        goes whatever leads to it, with the file of an upload. NotFoundError when nothing matches.
        """
        names = [normal(path) for path in paths]
        removed = self.uploads.remove_images(image_ids)
        known = self._catalog.find_paths(names)
        if known:
            removed += self._catalog.forget_paths(known)
        elif not removed:
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

    def lacking(
        self, *, paths: Sequence[Path | str] = (), image_ids: Sequence[int] = ()
    ) -> list[str]:
        """Those of these paths and ids that `remove` and `tag` would pass by: nothing is there."""
        return curation.lacking(self._catalog, paths, image_ids)

    # Asking

    def ask(self, query: Query) -> SearchAnswer:
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

    def verify(self) -> list[str]:
        """What is wrong with catalog, vectors, index and files, a sentence each; else empty."""
        return self.upkeep.verify()


def open_library(settings: Settings, *, create: bool = False) -> SegSearch:
    """The library of these settings; LibraryMissingError when there is none and `create` is off.

    None is made for a preset that cannot be: ModelError.
    """
    from segsearch.storage.catalog.sql_catalog import Catalog  # loads sqlalchemy
    from segsearch.storage.index.faiss import FaissIndexFactory  # loads faiss

    file = settings.library / "catalog.sqlite"
    if not file.is_file() and not create:
        raise LibraryMissingError(
            f"There is no library in {str(settings.library)!r}: run `segsearch index` first, or "
            "name another folder with --library."
        )
    if not file.is_file() and settings.preset:
        check_kinds(preset(settings.preset), kind_of)
    try:
        settings.library.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise LibraryMissingError(
            f"The library folder {str(settings.library)!r} cannot be made: {problem.strerror}."
        ) from problem
    catalog = Catalog(file)
    mix = Mix(*settings.mix)
    projection = SyncedIndex(catalog, FaissIndexFactory(), settings.library / "index", mix)
    loaded: dict[str, PresetModels] = {}
    lock = threading.Lock()

    def models(name: str | None) -> PresetModels:
        chosen = preset(name) if name else best_here(settings)
        with lock:
            return loaded.setdefault(chosen.name, PresetModels(chosen, settings))

    return SegSearch(settings, catalog, projection, models)
