"""The maps of one library: how they stand, making them beside everything else, and which regions
lie in an area or a cluster of one."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Literal

import numpy as np

from segsearch.core.arrays import Ids, Vectors
from segsearch.core.errors import (
    LibraryMissingError,
    ModelError,
    NotFoundError,
    OverloadError,
    QueryError,
    ReadOnlyError,
    RecipeError,
    SegSearchError,
)
from segsearch.core.filters import Filters
from segsearch.core.names import folded
from segsearch.core.types import Collection
from segsearch.search.naming import NAMES
from segsearch.search.region_map.making import MapTask, Say, keep_map, map_name, serve_task
from segsearch.search.vectors import Active, QueryVectors
from segsearch.storage.catalog.backend import Version
from segsearch.storage.catalog.sql_catalog import Catalog
from segsearch.storage.index.library_index import MixOf
from segsearch.storage.region_maps import MapFolder, MapOrigin, RegionMap

LOG = logging.getLogger(__name__)
State = Literal["none", "making", "ready", "failed"]


@dataclass(frozen=True, slots=True, eq=False)
class MapState:
    """How the map of a library or a collection stands.

    `made` is the newest whole one, also while another is being made or could not be; `stale` when
    regions have come or gone since. `step` and `progress` (0 to 1) tell of the one that is being
    made, `message` why it could not be.
    """

    state: State
    stale: bool = False
    progress: float | None = None
    step: str | None = None
    message: str | None = None
    made: RegionMap | None = None


class _Job:
    """One map that a process of ours makes; a thread waits for it."""

    def __init__(self, name: str, before: str | None, prepare: Callable[[], MapTask]) -> None:
        self.name = name
        self.before = before  # digest of the map that there was
        self.seen = ("starting", 0.0)  # the last that was heard of it
        self.message: str | None = None
        self.is_over = False
        self._stop = threading.Event()
        self._starting = threading.Lock()
        self._process: SpawnProcess | None = None
        self._thread = threading.Thread(target=self._run, args=[prepare], name="map")
        self._thread.start()

    def end(self) -> None:
        """End the process, whatever it is at, and see that it is gone."""
        with self._starting:
            self._stop.set()
            if self._process is not None:
                self._process.terminate()
        self._thread.join()

    def _run(self, prepare: Callable[[], MapTask]) -> None:
        try:
            self.message = self._made(prepare())
        except SegSearchError as problem:
            self.message = str(problem)
        except Exception as problem:  # whoever asks has to hear of it
            LOG.exception("The map failed.", extra={"action": "map.failed"})
            self.message = f"{type(problem).__name__}: {problem}"
        finally:
            if self.message and not self._stop.is_set():
                LOG.warning("No map: %s", self.message, extra={"action": "map.failed"})
            self.is_over = True

    def _made(self, task: MapTask) -> str | None:
        """Why there is no map; None when there is."""
        context = get_context("spawn")
        ours, theirs = context.Pipe(duplex=False)
        with self._starting:
            if self._stop.is_set():
                return "The server ends."
            process = context.Process(target=serve_task, args=(theirs, task), daemon=True)
            process.start()
            self._process = process
        theirs.close()
        process.join()
        return _why(ours, process.exitcode or 0)


def _why(connection: Connection, exit_code: int) -> str | None:
    """What a process has sent before it ended, or how it ended; None when all went well."""
    if exit_code == 0:
        return None
    with contextlib.suppress(EOFError, OSError):
        if connection.poll():
            return str(connection.recv())
    how = f"signal {-exit_code}" if exit_code < 0 else f"exit code {exit_code}"
    return f"The process that made the map ended by {how}."


class RegionMaps:
    """The maps of one library. Thread-safe; one map is made at a time, in a process of its own."""

    def __init__(self, catalog: Catalog, vectors: QueryVectors, mix_of: MixOf) -> None:
        self._catalog = catalog
        self._vectors = vectors
        self._mix_of = mix_of
        self._folder = MapFolder(catalog.folder)
        self._lock = threading.Lock()
        self._job: _Job | None = None
        self._origins: dict[str, tuple[Version, MapOrigin]] = {}

    def close(self) -> None:
        """End the process that makes a map, if there is one; it leaves no half map."""
        with self._lock:
            job, self._job = self._job, None
        if job is not None:
            job.end()

    def state(self, collection: str | None = None) -> MapState:
        """How the map of the library, or of a collection, stands; NotFoundError for a collection
        that does not exist."""
        chosen, name = self._named(collection)
        recipe = self._catalog.active_recipe()
        if recipe is None:
            return MapState("none")
        with self._lock:
            job = self._job
        made = self._of_recipe(recipe, name)
        stale = made is not None and made.origin != self._origin(recipe, chosen, name)
        under_way = self._folder.progress()
        if under_way is not None and under_way.name == name:
            if job is not None:
                job.seen = under_way.step, under_way.done
            return MapState("making", stale, under_way.done, under_way.step, made=made)
        if job is not None and job.name == name:
            if not job.is_over:
                step, done = job.seen
                return MapState("making", stale, done, step, made=made)
            if job.message and job.before == _digest(made):
                return MapState("failed", stale, message=job.message, made=made)
        return MapState("none" if made is None else "ready", stale, made=made)

    def start(self, collection: str | None = None) -> MapState:
        """Begin to make a map in a process beside this one; nothing new where it is being made.

        OverloadError while another one is, ReadOnlyError where nothing can be written,
        LibraryMissingError for an empty library.
        """
        recipe = self._recipe()
        chosen, name = self._named(collection)
        self._refuse_read_only()
        under_way = self._folder.progress()
        with self._lock:
            running = self._job if self._job and not self._job.is_over else None
            other = running.name if running else under_way.name if under_way else name
            if other != name:
                raise OverloadError(
                    "Another map of this library is being made: try again when it is ready."
                )
            if running is None and under_way is None:
                before = _digest(self._of_recipe(recipe, name))
                self._job = _Job(name, before, lambda: self._task(recipe, chosen, name))
        return self.state(collection)

    def make(self, collection: str | None, say: Say) -> RegionMap:
        """Make a map in this process; `say` hears of each step and the share that is done.

        BusyError while another process makes one, ReadOnlyError where nothing can be written,
        LibraryMissingError for an empty library.
        """
        recipe = self._recipe()
        chosen, name = self._named(collection)
        self._refuse_read_only()
        keep_map(self._catalog, self._task(recipe, chosen, name), say)
        made = self._folder.read(name)
        if made is None:
            raise NotFoundError("The map has been removed meanwhile.")
        return made

    def newest(self, collection: str | None = None) -> RegionMap:
        """The newest map of the library, or of a collection; NotFoundError without one."""
        _, name = self._named(collection)
        recipe = self._catalog.active_recipe()
        made = None if recipe is None else self._of_recipe(recipe, name)
        if made is None:
            raise NotFoundError(_no_map(collection))
        return made

    def asked(self, recipe: Active, filters: Filters) -> RegionMap:
        """The map that filters mean: of the one collection that they name, else of the library.
        QueryError where there is none, or no such cluster on it."""
        collection = filters.collections[0] if len(filters.collections) == 1 else None
        _, name = self._named(collection)
        made = self._of_recipe(recipe, name)
        if made is None:
            raise QueryError(f"The filters ask for a map. {_no_map(collection)}")
        cluster = filters.map_cluster
        if cluster is not None and cluster not in {known.cluster for known in made.clusters}:
            raise QueryError(f"The map has no cluster {cluster}.")
        return made

    def _recipe(self) -> Active:
        active = self._catalog.active_recipe()
        if active is None:
            raise LibraryMissingError(
                f"The library {self._catalog.name!r} is empty: run `segsearch index` first."
            )
        return active

    def _named(self, collection: str | None) -> tuple[Collection | None, str]:
        if collection is None:
            return None, map_name(None)
        form = folded(collection)
        for known in self._catalog.collections():
            if folded(known.name) == form:
                return known, map_name(known.id)
        raise NotFoundError(f"There is no collection {collection[:120]!r} in the library.")

    def _of_recipe(self, recipe: Active, name: str) -> RegionMap | None:
        """A map of the regions that these models have made: others are gone."""
        made = self._folder.read(name)
        return made if made is not None and made.origin.recipe == _generation(recipe) else None

    def _origin(self, recipe: Active, collection: Collection | None, name: str) -> MapOrigin:
        """What a map that is made now is made of; looked up again when something was written."""
        version = self._catalog.version()
        kept = self._origins.get(name)
        if kept is not None and version is not None and kept[0] == version:
            return kept[1]
        collection_id = None if collection is None else collection.id
        tally = self._catalog.segment_tally(recipe[0], collection_id)
        mix = self._mix_of(recipe[1])
        shares = (mix.context, mix.masked, mix.picture)
        origin = MapOrigin(self._catalog.identity(), _generation(recipe), shares, tally)
        if version is not None:
            self._origins[name] = (version, origin)
        return origin

    def _task(self, recipe: Active, collection: Collection | None, name: str) -> MapTask:
        return MapTask(
            library=self._catalog.folder,
            place=self._catalog.place,
            name=name,
            collection=None if collection is None else collection.name,
            recipe_id=recipe[0],
            origin=self._origin(recipe, collection, name),
            mix=self._mix_of(recipe[1]),
            words=NAMES,
            word_rows=self._word_rows(recipe),
        )

    def _word_rows(self, recipe: Active) -> Vectors:
        """The everyday words' vectors (m, d); none where the embedder is not here: a map can be
        made without its clusters having names."""
        try:
            return self._vectors.lasting_words(recipe, NAMES)
        except (ModelError, RecipeError) as problem:
            LOG.warning("The map's clusters get no names: %s", problem)
            return np.empty((0, recipe[1].dimension), np.float32)

    def _refuse_read_only(self) -> None:
        if self._catalog.read_only:
            raise ReadOnlyError(
                f"The library {self._catalog.name!r} is read-only for this user: no map can "
                "be kept in it."
            )


def ids_within(made: RegionMap, filters: Filters) -> Ids:
    """Ids (n,) of the regions that lie where filters say on a map, ascending; some may be gone."""
    points = made.points
    inside = np.ones(len(points), dtype=bool)
    if filters.map_cluster is not None:
        inside &= points.cluster == filters.map_cluster
    if filters.map_area is not None:
        inside &= points.within(filters.map_area)
    return points.ids[inside]


def _digest(made: RegionMap | None) -> str | None:
    return None if made is None else made.digest


def _generation(recipe: Active) -> str:
    return f"{recipe[0]}/{recipe[1].fingerprint}"


def _no_map(collection: str | None) -> str:
    whose = "the library" if collection is None else f"the collection {collection[:120]!r}"
    return f"There is no map of {whose} yet: POST /v1/map or `segsearch map` makes one."
