"""Makes a map from the vectors that the catalog keeps: no model runs, and no more than some
thousand vectors beside those of the landmarks are in memory at once."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing import connection as connections
from multiprocessing import parent_process
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segsearch.core.arrays import Ids, Vectors
from segsearch.core.errors import SegSearchError
from segsearch.core.filters import Filters
from segsearch.core.map_points import MapPoints
from segsearch.core.mix import Mix
from segsearch.search.region_map.clusters import (
    Clustering,
    clustering,
    examples_of,
    nearest_to_middles,
    words_of_clusters,
)
from segsearch.search.region_map.layout import (
    Components,
    Places,
    Progress,
    landmark_places,
    placed_among,
    principal_components,
)
from segsearch.storage.catalog.backend import Place
from segsearch.storage.catalog.sql_catalog import Catalog
from segsearch.storage.index.sample import spread_over
from segsearch.storage.region_maps import (
    LIBRARY_MAP,
    MapCluster,
    MapFolder,
    MapOrigin,
    MapProgress,
    RegionMap,
)

LANDMARKS = 50_000
ROWS_AT_ONCE = 5_000
NICENESS = 19  # searches come first
TOLD_SECONDS = 0.5  # between two words to other processes
READ, PLACED = 0.05, 0.95  # shares of the whole by then
LANDMARK_COST = 4.0  # time for one to be laid out, in that for another region to be placed

Say = Callable[[str, float], None]  # what is being done, and the share that is done of all


@dataclass(frozen=True, slots=True, eq=False)
class MapTask:
    """What a process needs to make a map: of which library, recipe and collection (None for all),
    and the everyday words with their vectors (m, d). `name` is the map's in its folder."""

    library: Path
    place: Place  # of the catalog
    name: str
    collection: str | None
    recipe_id: int
    origin: MapOrigin
    mix: Mix
    words: tuple[str, ...]
    word_rows: Vectors


@dataclass(frozen=True, slots=True, eq=False)
class Landmarks:
    """The regions that are laid out themselves; all others lie among them.

    Their ids (n,), vectors (n, d), components (n, m) and places (n, 2).
    """

    ids: Ids
    vectors: Vectors
    reduced: Vectors
    places: Places
    components: Components
    groups: Clustering
    method: str

    def place(self, vectors: Vectors) -> tuple[Places, NDArray[np.uint16]]:
        """Where others (n, d) lie (n, 2), and in which clusters (n,)."""
        reduced = self.components.of(vectors)
        where = placed_among(self.reduced, self.places, reduced)
        return where, self.groups.of(reduced, where)


def make_map(catalog: Catalog, task: MapTask, say: Say) -> RegionMap:
    """The map of a library or a collection as it is now."""
    say("reading vectors", 0.0)
    names = () if task.collection is None else (task.collection,)
    ids = catalog.select_segments(task.recipe_id, Filters(collections=names))
    made_at = datetime.now(UTC).isoformat(timespec="seconds")
    chosen = spread_over(ids, LANDMARKS)
    laid_out = _laid_out(chosen.size, ids.size - chosen.size)
    landmarks = _landmarks(catalog, task, chosen, lambda step, done: say(step, done * laid_out))
    if landmarks is None:
        nothing = np.empty(0, np.float32)
        points = MapPoints(nothing, nothing, np.empty(0, np.uint16), np.empty(0, np.int64))
        return RegionMap(task.origin, "pca", made_at, (), points)

    def placing(share: float) -> None:
        say("placing the other regions", laid_out + (PLACED - laid_out) * share)

    points = _all_points(catalog, task, landmarks, ids, placing)
    say("naming clusters", PLACED)
    clusters = tuple(_clusters(catalog, task, landmarks, points))
    return RegionMap(task.origin, landmarks.method, made_at, clusters, points)


def _laid_out(landmarks: int, others: int) -> float:
    """The share of the whole that is done once the landmarks are laid out."""
    cost = LANDMARK_COST * landmarks
    return PLACED * cost / max(cost + others, 1.0)


def _landmarks(catalog: Catalog, task: MapTask, chosen: Ids, say: Say) -> Landmarks | None:
    """The landmarks, laid out, of which `say` hears the share; None where there are none."""
    held: list[Ids] = []
    rows: list[Vectors] = []
    for some, vectors in _vectors(catalog, task, chosen):
        held.append(some)
        rows.append(vectors)
        say("reading vectors", READ * sum(map(len, held)) / chosen.size)
    if not held:
        return None
    vectors = np.concatenate(rows)
    say("laying out landmarks", READ)
    components = principal_components(vectors)
    reduced = components.of(vectors)

    def progress(share: float) -> None:
        say("laying out landmarks", READ + (1 - READ) * share)

    places, method = landmark_places(reduced, progress)
    groups = clustering(reduced, places)
    return Landmarks(np.concatenate(held), vectors, reduced, places, components, groups, method)


def _all_points(
    catalog: Catalog, task: MapTask, landmarks: Landmarks, ids: Ids, say: Progress
) -> MapPoints:
    others = np.setdiff1d(ids, landmarks.ids, assume_unique=True)
    held, places = [landmarks.ids], [landmarks.places]
    clusters = [landmarks.groups.of(landmarks.reduced, landmarks.places)]
    for some, vectors in _vectors(catalog, task, others):
        where, which = landmarks.place(vectors)
        held.append(some)
        places.append(where)
        clusters.append(which)
        say((sum(map(len, held)) - landmarks.ids.size) / others.size)
    all_ids, all_places = np.concatenate(held), np.concatenate(places)
    order = np.argsort(all_ids, kind="stable")
    x, y = all_places[order].T
    return MapPoints(x, y, np.concatenate(clusters)[order], all_ids[order])


def _clusters(
    catalog: Catalog, task: MapTask, landmarks: Landmarks, points: MapPoints
) -> Iterator[MapCluster]:
    groups = landmarks.groups
    joint = groups.joint(landmarks.reduced, landmarks.places)
    members = groups.of(landmarks.reduced, landmarks.places)
    words = words_of_clusters(landmarks.vectors, members, task.words, task.word_rows)
    middles = dict(nearest_to_middles(groups, joint, members))
    candidates = {cluster: landmarks.ids[near].tolist() for cluster, near in middles.items()}
    near_middles = [number for numbers in candidates.values() for number in numbers]
    image_of = {segment.id: segment.image_id for segment in catalog.segments(near_middles)}
    for cluster, numbers in candidates.items():
        inside = points.cluster == cluster
        yield MapCluster(
            cluster=cluster,
            words=words.get(cluster, ()),
            regions=int(inside.sum()),
            x=round(float(np.median(points.x[inside])), 5),
            y=round(float(np.median(points.y[inside])), 5),
            examples=examples_of(numbers, image_of),
        )


def _vectors(catalog: Catalog, task: MapTask, ids: Ids) -> Iterator[tuple[Ids, Vectors]]:
    """Ids (k,) and unit vectors (k, d) of segments, some thousand at a time, each in a short
    transaction of its own; those that are gone meanwhile are left out."""
    for start in range(0, ids.size, ROWS_AT_ONCE):
        for rows in catalog.vectors(task.recipe_id, ids[start : start + ROWS_AT_ONCE]):
            blended = task.mix.blend(rows)
            lengths = np.linalg.norm(blended, axis=1, keepdims=True)
            yield rows.ids, (blended / np.maximum(lengths, 1e-9)).astype(np.float32)


def keep_map(catalog: Catalog, task: MapTask, report: Say) -> None:
    """Make a map and keep it in its library's folder; BusyError while another one is being made
    there, DiskFullError."""
    folder = MapFolder(task.library)
    with folder.making(task.name):
        told = 0.0

        def say(step: str, done: float) -> None:
            nonlocal told
            report(step, done)
            if done == 0 or time.monotonic() - told >= TOLD_SECONDS:
                told = time.monotonic()
                folder.say(MapProgress(task.name, step, round(done, 3)))

        made = make_map(catalog, task, say)
        names = {map_name(collection.id) for collection in catalog.collections()}
        folder.keep_only({LIBRARY_MAP, task.name, *names})
        folder.write(task.name, made)


def map_name(collection_id: int | None) -> str:
    """The name under which the map of a collection is kept, or of the library. An id is given out
    once, so no map is taken for one of another collection of that name."""
    return LIBRARY_MAP if collection_id is None else f"collection-{collection_id}"


def serve_task(connection: Connection, task: MapTask) -> None:
    """The inside of a process that makes one map, and sends why it could not, if so.

    It lets everything else on the machine go first, and ends with its parent.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides when to end
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.nice(NICENESS)
    try:
        catalog = Catalog(task.place)
        try:
            keep_map(catalog, task, lambda _step, _done: None)
        finally:
            catalog.close()
    except SegSearchError as problem:
        with contextlib.suppress(OSError):
            connection.send(str(problem))
        sys.exit(problem.exit_code)


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        connections.wait([parent.sentinel])
        os._exit(1)
