"""Measures an index against the search that compares with every row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from segsearch.core.arrays import Vector, Vectors
from segsearch.search.vectors import Active
from segsearch.storage.index.allowed import Allowed
from segsearch.storage.index.library_index import LibraryIndex

BEST = 10
REGIONS = 100  # that are looked for again, evenly from all
BEYOND = 24  # words that are asked with a filter
SLACK = 1e-5  # two ways to work out one product differ by rounding


@dataclass(frozen=True, slots=True)
class Recall:
    """Of the ten best rows for each of some queries: the share that the index finds, on average
    and for the worst of them."""

    asked: str
    queries: int
    mean: float
    worst: float


def measured(index: LibraryIndex, recipe: Active, words: Vectors) -> tuple[Recall, ...]:
    """For queries by some words (m, d), by regions of the library, and by words where a filter
    takes away the tenth of the regions that is nearest; nothing where there are no regions."""
    mix = index.mix(recipe[1])
    ids = index.ids(recipe)
    if ids.size == 0:
        return ()
    chosen = ids[np.linspace(0, ids.size - 1, min(REGIONS, ids.size)).astype(np.int64)]
    regions = [mix.asked(index.vector(recipe, number), 0.0) for number in chosen.tolist()]
    asked = {"words": mix.asked(words, 1.0), "regions": np.array(regions, np.float32)}
    found = [_recall(index, recipe, name, queries) for name, queries in asked.items()]
    return (*found, _recall_beyond(index, recipe, asked["words"][:: -(-len(words) // BEYOND)]))


def _recall(index: LibraryIndex, recipe: Active, asked: str, queries: Vectors) -> Recall:
    shares = []
    for query, (scores, _) in zip(queries, index.exact(recipe, queries, BEST), strict=True):
        found, _ = index.search(recipe, query, BEST)
        shares.append(_share(found, scores))
    return Recall(asked, len(shares), float(np.mean(shares)), float(np.min(shares)))


def _recall_beyond(index: LibraryIndex, recipe: Active, queries: Vectors) -> Recall:
    ids = index.ids(recipe)
    nearest = ids.size // 10
    shares = []
    for query, (scores, best) in zip(
        queries, index.exact(recipe, queries, nearest + BEST), strict=True
    ):
        allowed = np.setdiff1d(ids, best[:nearest], assume_unique=True)
        found, _ = index.search(recipe, query, BEST, Allowed.of_ids(allowed))
        shares.append(_share(found, scores[nearest:]))
    asked = "words without the nearest tenth"
    return Recall(asked, len(shares), float(np.mean(shares)), float(np.min(shares)))


def _share(found: Sequence[float], exact: Vector) -> float:
    """The share of the exact scores (k,) that were found; a row that scores as much as the last of
    them is as good as that."""
    good = sum(score >= exact[-1] - SLACK for score in found)
    return min(1.0, good / exact.size) if exact.size else 1.0
