"""Lays vectors out in two dimensions: principal components, UMAP over landmarks, and the others
placed among these. Every step is seeded: the same vectors give the same layout."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray

from segsearch.core.arrays import Vectors
from segsearch.storage.index.neighbours import nearest_rows

Places = NDArray[np.float32]  # (n, 2): x, y
Progress = Callable[[float], None]  # 0 to 1

SEED = 20_261_130
LEAST_FOR_UMAP = 50  # fewer regions have too few neighbours
LEAST_SPREAD = 1e-6  # of unit vectors in a component: UMAP divides by it
COMPONENTS = 50  # of the principal ones, in which distances are taken
NEIGHBOURS = 15  # of each landmark, UMAP's usual number
EPOCHS, MANY_EPOCHS, MANY = 200, 500, 10_000  # as UMAP has them: more up to so many landmarks
SPREAD, LEAST_DISTANCE = 1.0, 0.1  # UMAP's usual ones
# Of the distances from the middle: the share that is left as it is, how much farther the map goes
# on unchanged, and how much farther still its farthest point is drawn.
MOST, FAR, BEYOND = 0.95, 1.1, 1.2
PLACED_BY = 8  # landmarks that say together where another region lies


@dataclass(frozen=True, slots=True)
class Components:
    """The principal components of some vectors: their mean (d,) and axes (m, d), the widest
    first."""

    mean: NDArray[np.float32]
    axes: NDArray[np.float32]

    def of(self, vectors: Vectors) -> Vectors:
        """Vectors (n, d) in these components (n, m)."""
        return np.asarray((vectors - self.mean) @ self.axes.T, np.float32)


def principal_components(vectors: Vectors, count: int = COMPONENTS) -> Components:
    """Those of vectors (n, d), `count` or as many as these have numbers. An axis points to where
    its largest number is positive, so that no map is another one's mirror image."""
    mean = vectors.mean(axis=0, dtype=np.float64)
    centred = (vectors - mean).astype(np.float32)
    _, axes = np.linalg.eigh((centred.T @ centred).astype(np.float64))
    widest = axes.T[::-1][:count]
    largest = np.abs(widest).argmax(axis=1)
    signs = np.where(widest[np.arange(len(widest)), largest] < 0, -1.0, 1.0)
    return Components(mean.astype(np.float32), (widest * signs[:, None]).astype(np.float32))


def has_umap() -> bool:
    """Whether the extra `map` is installed."""
    return find_spec("umap") is not None


def landmark_places(reduced: Vectors, say: Progress) -> tuple[Places, str]:
    """Where landmarks (n, m) lie in [-1, 1], and by what: umap, or pca where there is no UMAP, or
    where they are too few for it, or alike."""
    spread = np.ptp(reduced[:, :2], axis=0)
    if has_umap() and len(reduced) >= LEAST_FOR_UMAP and spread.min() > LEAST_SPREAD:
        places = umap_layout(reduced, say)
        if np.isfinite(places).all():
            return scaled(drawn_in(places)), "umap"
    return scaled(drawn_in(plane(reduced))), "pca"


def umap_layout(reduced: Vectors, say: Progress) -> Places:
    """Where landmarks (n, m) lie: UMAP (McInnes, Healy, Melville 2018) from their first two
    components on, over their exact neighbours."""
    from umap.umap_ import find_ab_params, fuzzy_simplicial_set, simplicial_set_embedding

    random = np.random.RandomState(SEED)
    distances, neighbours = nearest_rows(reduced, reduced, min(NEIGHBOURS, len(reduced)))
    graph, _, _ = fuzzy_simplicial_set(
        reduced, neighbours.shape[1], random, "euclidean",
        knn_indices=neighbours, knn_dists=np.sqrt(distances),
    )  # fmt: skip
    a, b = find_ab_params(SPREAD, LEAST_DISTANCE)
    epochs = MANY_EPOCHS if len(reduced) <= MANY else EPOCHS
    shown = {"disable": False, "file": _Epochs(epochs, say), "bar_format": "{n}", "mininterval": 0}
    places, _ = simplicial_set_embedding(
        reduced, graph, n_components=2, initial_alpha=1.0, a=a, b=b, gamma=1.0,
        negative_sample_rate=5, n_epochs=epochs, init=reduced[:, :2], random_state=random,
        metric="euclidean", metric_kwds={}, densmap=False, densmap_kwds={}, output_dens=False,
        parallel=False, tqdm_kwds=shown,
    )  # fmt: skip
    return np.asarray(places, np.float32)


class _Epochs:
    """A file to which UMAP's progress bar writes the number of the epoch that is done."""

    def __init__(self, epochs: int, say: Progress) -> None:
        self._epochs = epochs
        self._say = say

    def write(self, text: str) -> None:
        number = text.strip()
        if number.isdecimal():
            self._say(min(1.0, int(number) / self._epochs))

    def flush(self) -> None:
        """Nothing is held back."""


def plane(reduced: Vectors) -> Places:
    """The first two of some components (n, m); 0 for what one number does not have."""
    places = np.zeros((len(reduced), 2), np.float32)
    places[:, : reduced.shape[1]] = reduced[:, :2]
    return places


def placed_among(landmarks: Vectors, places: Places, reduced: Vectors) -> Places:
    """Where others (n, m) lie (n, 2): at the mean of the places (l, 2) of the landmarks (l, m)
    nearest to each, the nearer of which count more."""
    distances, nearest = nearest_rows(landmarks, reduced, min(PLACED_BY, len(landmarks)))
    weights = 1 / (np.sqrt(distances) + 1e-6)
    weights /= weights.sum(axis=1, keepdims=True)
    return np.asarray(np.einsum("nk,nkc->nc", weights, places[nearest]), np.float32)


def drawn_in(places: Places) -> Places:
    """Places (n, 2) with what lies far from the rest drawn nearer, in the same direction and order:
    an island of forty regions in a corner would leave the others a third of the map."""
    middle = np.median(places, axis=0)
    offsets = places - middle
    distances = np.linalg.norm(offsets, axis=1)
    reach = FAR * float(np.quantile(distances, MOST))
    farthest = float(distances.max())
    if not 0 < reach * BEYOND < farthest:
        return places
    nearer = reach * (1 + (BEYOND - 1) * (distances - reach) / (farthest - reach))
    shrunk = np.where(distances > reach, nearer / np.maximum(distances, 1e-9), 1.0)
    return np.asarray(middle + offsets * shrunk[:, None], np.float32)


def scaled(places: Places) -> Places:
    """Places moved and shrunk into [-1, 1], x and y alike, so that shapes stay as they are."""
    if len(places) == 0:
        return places
    low, high = places.min(axis=0), places.max(axis=0)
    reach = max(float((high - low).max()) / 2, 1e-9)
    moved: Places = np.clip((places - (low + high) / 2) / reach, -1, 1).astype(np.float32)
    return moved
