"""SegSearch: what command line, API and Python callers use; joins the rooms, decides nothing."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from segsearch.core.answers import Pointed, SceneAnswer, SearchAnswer
from segsearch.core.errors import EngineError, LibraryMissingError, NotFoundError, QueryError
from segsearch.core.filters import Filters
from segsearch.core.mix import Mix
from segsearch.core.names import check_tag
from segsearch.core.picture_text import ReadPicture
from segsearch.core.query import (
    Query,
    RegionTerm,
    SceneQuery,
    SeenTerm,
    SegmentTerm,
    terms_of_words,
)
from segsearch.core.settings import Settings
from segsearch.core.status import Status
from segsearch.core.types import Hit, IngestReport, Job, Recipe
from segsearch.export.caption_pack import RegionSources
from segsearch.export.picture_facts import PictureFacts
from segsearch.export.questions import Questions, VisionAnswer
from segsearch.export.region_sources import sources_of
from segsearch.ingest.jobs import Jobs
from segsearch.ingest.overview import Overview
from segsearch.ingest.run import BY_HAND, IndexOptions, Ingest, Report, RunMode
from segsearch.ingest.uploads import Uploads
from segsearch.media.decode import Limits
from segsearch.media.ffmpeg import VideoLimits
from segsearch.media.sources.paths import normal
from segsearch.media.sources.reader import Sources
from segsearch.models.loading import PresetModels, best_here, kind_of
from segsearch.models.pipeline import ModelsOf
from segsearch.models.presets import check_kinds, mix_of, preset
from segsearch.models.segment.session import OpenPicture
from segsearch.search import recall
from segsearch.search.browse import Browser
from segsearch.search.calibration import WORDS
from segsearch.search.click import ClickedMask, masks_at
from segsearch.search.engine import SearchEngine
from segsearch.search.naming import FittingWord, Naming, likely_names
from segsearch.search.recall import Recall
from segsearch.search.region_map.maps import RegionMaps
from segsearch.search.region_page import RegionPage, page_of
from segsearch.search.scenes import answer_scene
from segsearch.search.selection import ALL_REGIONS, RegionSelection
from segsearch.search.vectors import QueryVectors
from segsearch.storage.catalog.sql_catalog import Catalog
from segsearch.storage.catalogs import is_made, open_catalog
from segsearch.storage.index.library_index import IndexReport, LibraryIndex
from segsearch.storage.indexes import open_index
from segsearch.storage.maintenance import Maintenance
from segsearch.storage.pictures import StoredPictures
from segsearch.storage.upload_files import upload_files

USUAL_LIMIT = 100  # regions that answer words, when nobody says how many


class SegSearch:
    """One library: a catalog, an index that follows it, and the models that fill both.

    `catalog` holds images, segments, tags, collections, captions and saved searches; `pictures`
    reads their files; `browser` pages through them; `uploads` takes pictures as bytes, `shown`
    those to search by; `ingest` indexes what waits; `runs` tells of jobs, cancels and resumes
    them, and tries pictures again; `maps` lays regions out in two dimensions; `questions` asks a
    vision model, and has it rerank answers; `maintenance` verifies, repairs, prunes, backs up and
    restores. Use as a context manager, or call `close`.
    Calls may come from several threads.
    """

    def __init__(
        self, settings: Settings, catalog: Catalog, index: LibraryIndex, models_of: ModelsOf
    ) -> None:
        sources = Sources(settings)
        limits = Limits.of(settings)
        self.settings = settings
        self.catalog = catalog
        self.pictures = StoredPictures(catalog, sources, limits, VideoLimits.of(settings))
        files = upload_files(settings)
        self.uploads = Uploads(catalog, files, settings, lambda: models_of(settings.preset).recipe)
        self.maintenance = Maintenance(catalog, index, sources, files, settings)
        self._index = index
        self.ingest = Ingest(settings, catalog, sources, index, models_of)
        self._vectors = QueryVectors(catalog, index, self.pictures, models_of, settings)
        self.shown = self._vectors.shown
        self._naming = Naming(index, self._vectors)
        self.maps = RegionMaps(catalog, self._vectors, index.mix)
        names_of = likely_names(lambda number: self.words(SegmentTerm(number), 2))
        facts = PictureFacts(
            catalog.segments_on_frame, catalog.captions, names_of, catalog.lines_of
        )
        self.questions = Questions(settings, catalog, self.pictures, facts)
        self.browser = Browser(catalog, self.maps)
        self._engine = SearchEngine(catalog, index, self._vectors, self.maps)
        self.runs = Jobs(catalog)
        self._overview = Overview(settings, catalog, index, models_of)

    def __enter__(self) -> SegSearch:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the processes of models and of a map, and let go of the database."""
        self.maps.close()
        self.questions.let_go()
        self.ingest.close()
        self.catalog.close()

    # Filling a library

    def index(  # noqa: PLR0913  what a person may choose of one run
        self,
        paths: Sequence[Path | str],
        *,
        report: Report | None = None,
        stop: threading.Event | None = None,
        rebuild: bool = False,
        retry_failed: bool = False,
        keep_old: bool = False,
        preset: str | None = None,
        mode: RunMode = BY_HAND,
        read_missing: bool = False,
    ) -> IngestReport:
        """Segment and embed every new picture at or below `paths`, and all that still waits.

        A path is a file, a folder, a tar archive, or a URL that fsspec or the settings allow.
        Unchanged files cost a look at their size and time; copies cost no model call. Files that
        give nothing are listed in the report with their reason; those that are gone are marked.
        `stop` ends the run between two pictures. `report` hears of each picture.
        With `rebuild`, or another preset, every picture goes through the present models, and
        searches switch over when all are done; `keep_old` keeps what the models before have made.
        Pictures that other workers hold are then waited for, and taken over when those stop.
        `preset` counts instead of the settings'. `mode` is for passes of a worker or a watch.
        `read_missing` also reads the text of those that were indexed without, or by another reader.
        Raises PathError, RecipeError (the library was made by other models), BusyError.
        """
        ended = stop or threading.Event()
        options = IndexOptions(
            report, ended, rebuild, retry_failed, keep_old, preset, mode, read_missing
        )
        return self.ingest.run(paths, options)

    def remove(self, *, paths: Sequence[Path | str] = (), image_ids: Sequence[int] = ()) -> int:
        """Forget images by id, and what is known at these paths or below; how many images went.

        By path, an image goes when no other path leads to it, and no file is touched. By id it
        goes whatever leads to it, with the file of an upload. NotFoundError when nothing matches.
        """
        names = [normal(path) for path in paths]
        removed = self.uploads.remove_images(image_ids)
        known = self.catalog.find_paths(names)
        if known:
            removed += self.catalog.forget_paths(known)
        elif not removed:
            named = ", ".join([*names, *map(str, image_ids)]) or "nothing"
            raise NotFoundError(f"The library holds no image at {named}.")
        self._index.save(self._recipe_in_use())
        return removed

    def tag(
        self,
        *,
        paths: Sequence[Path | str] = (),
        image_ids: Sequence[int] = (),
        add: Sequence[str] = (),
        remove: Sequence[str] = (),
    ) -> list[int]:
        """Add tags to images by id, by path, or below a folder, and take others away; their ids.

        QueryError for a tag that `check_tag` refuses and without any path or id, NotFoundError when
        nothing matches.
        """
        if not paths and not image_ids:
            raise QueryError("Name what to tag: paths, or ids of images.")
        added, removed = [check_tag(tag) for tag in add], [check_tag(tag) for tag in remove]
        ids = sorted({*image_ids, *self.catalog.find_images([normal(path) for path in paths])})
        known = self.catalog.tag_images(ids, add=added, remove=removed)
        if not known:
            named = ", ".join([*map(str, image_ids), *map(str, paths)])
            raise NotFoundError(f"The library holds no image at {named}.")
        return known

    def lacking(
        self, *, paths: Sequence[Path | str] = (), image_ids: Sequence[int] = ()
    ) -> list[str]:
        """Those of these paths and ids, as they were given, at which the library holds no image:
        `remove` and `tag` would pass them by."""
        known = {image.id for image in self.catalog.images(ids=image_ids, limit=len(image_ids))}
        nowhere = [str(path) for path in paths if not self.catalog.find_paths([normal(path)])]
        return [*nowhere, *(str(number) for number in image_ids if number not in known)]

    # Searching

    def search(self, query: Query) -> SearchAnswer:
        """One page of the regions that answer a query, best first, or a sentence that says why
        there are none.

        Raises QueryError, PictureError, NotFoundError for what the query names, RecipeError when
        the library's vectors come from an embedder that is not here, ModelError when a region is
        pointed at and the segmenter takes no prompts.
        """
        return self._engine.search(self._recipe_in_use(), query)

    def search_text(self, words: str, *, limit: int = 10, per_image: int = 3) -> SearchAnswer:
        """`search` for words as they are typed: `text:WORD` asks for what stands in pictures."""
        return self.search(Query(terms_of_words(words), limit=limit, per_image=per_image))

    def search_scene(self, query: SceneQuery) -> SceneAnswer:
        """Pictures that hold the things asked for in the places asked for; errors as `search`."""
        return answer_scene(self._engine, self._recipe_in_use(), query)

    def regions(
        self, filters: Filters, *, cursor: str | None = None, limit: int = USUAL_LIMIT
    ) -> RegionPage:
        """A page of the regions that pass filters, without a query: by ascending id. QueryError for
        a cursor that no page gave, or a limit out of range."""
        return page_of(self._engine, self.catalog, self._recipe_in_use(), filters, cursor, limit)

    def point(self, region: RegionTerm) -> Pointed:
        """The masks that a region could mean, best first, and which one a search would take."""
        return self._vectors.point(self._recipe_in_use(), region)

    def masks_at(self, image_id: int, x: float, y: float) -> list[ClickedMask]:
        """Masks of what stands at x, y in pixels of a stored image, best first, each with the
        stored region that is the same; errors as `click.masks_at`."""
        return masks_at(self.catalog, self.point, image_id, (x, y))

    def words(self, term: SeenTerm, limit: int = 6) -> tuple[FittingWord, ...]:
        """The everyday words that fit what a term stands for best, such as a stored region; errors
        as `search`."""
        recipe = self._recipe_in_use()
        return self._naming.words(recipe, self._vectors.vector(recipe, term)[0], limit)

    def ask(self, segment_id: int, question: str, *, keep: bool = False) -> VisionAnswer:
        """What a vision model says of a region; `questions.ask_region` says the rest, and
        `questions.ask_picture` asks about a whole picture."""
        return self.questions.ask_region(segment_id, question, keep=keep)

    def open_picture(self, picture: int | bytes | str) -> OpenPicture:
        """An image by its id, a file's bytes, or a kept picture by its id, for pointing at:
        `.segment(points=[[x, y]])`.

        It is encoded once, and kept within SEGSEARCH_PROMPT_CACHE_BYTES. NotFoundError,
        PictureError, ModelError when the segmenter takes no prompts.
        """
        return self._vectors.open_picture(self.recipe(), picture)

    def select(
        self,
        selection: RegionSelection = ALL_REGIONS,
        say: Callable[[str], object] = lambda _: None,
    ) -> Iterable[Hit]:
        """The regions of a selection: best first of words, else by image and id, with score 0.

        `say` hears why words have found nothing. Raises what `search` raises, NotFoundError for
        paths at which there is no picture.
        """
        if selection.limit is not None and selection.limit < 1:
            raise QueryError(f"The limit is {selection.limit}, expected 1 or more.")
        if selection.text is None:
            return itertools.islice(self.catalog.regions(selection.below), selection.limit)
        if selection.below:
            raise QueryError("Give words or --under, not both.")
        query = Query(
            terms_of_words(selection.text),
            limit=selection.limit or USUAL_LIMIT,
            per_image=selection.per_image,
            min_relevance=selection.min_relevance,
        )
        answer = self.search(query)
        if answer.message:
            say(answer.message)
        return answer.hits

    def region_sources(self) -> RegionSources:
        """Pixels and segments of the library's pictures, the latest two kept: regions of one
        picture follow each other."""
        return sources_of(self.catalog, self.pictures)

    def text_of(self, image_id: int) -> ReadPicture:
        """The text of an image; NotFoundError where there is no such image."""
        return self.catalog.text_of(image_id)

    def warm(self) -> None:
        """Load what a search needs: the index and the embedder; nothing for an empty library."""
        active = self.catalog.active_recipe()
        if active:
            self._index.open(active)
            self._vectors.words(active, ["warm"])

    def settle(self) -> None:
        """Put the index in the order that searches want, where that is to be done: a minute a
        million regions, in which searches go on. Nothing for a library that is empty, or that this
        process may not write."""
        active = self.catalog.active_recipe()
        if active and not self.catalog.read_only:
            self._index.settle(active)

    def index_state(self) -> IndexReport:
        """How the index stands; it is loaded for that. LibraryMissingError for an empty library."""
        return self._index.open(self._recipe_in_use())

    @property
    def engine(self) -> str:
        """What holds the rows of the index, as SEGSEARCH_INDEX names it."""
        return self._index.name

    def behind(self) -> int:
        """Changes of the catalog that the index in memory has not taken up, at most; the next
        search does. 0 for an empty library; EngineError where a server holds the index and is
        away."""
        active = self.catalog.active_recipe()
        if active is None:
            return 0
        glance, damage = self._index.glance(active)
        if damage is not None and self._index.is_elsewhere:
            raise EngineError(damage)
        return glance.behind

    def recall(self) -> tuple[Recall, ...]:
        """How much of what comparing with every region finds the index finds: asked by everyday
        words, and by regions of the library. LibraryMissingError for an empty library."""
        active = self._recipe_in_use()
        return recall.measured(self._index, active, self._vectors.words(active, WORDS))

    # What there is

    def recipe(self) -> Recipe | None:
        """What searches use; None for an empty library."""
        active = self.catalog.active_recipe()
        return active[1] if active else None

    def status(self) -> Status:
        """Counts over the whole library, who fills it, and what is wrong; loads nothing."""
        return self._overview.status()

    def jobs(
        self, *, before: int | None = None, limit: int = 50, running: bool = False
    ) -> list[Job]:
        """Runs that fill the library, as `Jobs.page`."""
        return self.runs.page(before=before, limit=limit, running=running)

    def job(self, job_id: int) -> Job:
        """One job; NotFoundError when there is none of this id."""
        return self.runs.get(job_id)

    def _recipe_in_use(self) -> tuple[int, Recipe]:
        active = self.catalog.active_recipe()
        if active is None:
            raise LibraryMissingError(
                f"The library {self.catalog.name!r} is empty: run `segsearch index` first."
            )
        return active


def open_library(settings: Settings, *, create: bool = False) -> SegSearch:
    """The library of these settings; LibraryMissingError when there is none and `create` is off.

    None is made for a preset that cannot be: ModelError.
    """
    if not is_made(settings) and create and settings.preset:
        check_kinds(preset(settings.preset), kind_of)
    catalog = open_catalog(settings, create=create)

    def rows_of(recipe: Recipe) -> Mix:
        return mix_of(recipe.preset, settings.mix)

    index = open_index(settings, catalog, rows_of)
    loaded: dict[str, PresetModels] = {}
    lock = threading.Lock()

    def models_of(name: str | None) -> PresetModels:
        name = name or settings.preset
        if name is not None and name in loaded:
            return loaded[name]
        chosen = preset(name) if name else best_here(settings)
        with lock:
            return loaded.setdefault(chosen.name, PresetModels(chosen, settings))

    return SegSearch(settings, catalog, index, models_of)
