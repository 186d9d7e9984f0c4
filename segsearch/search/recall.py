"""Measures an index against the search that compares with every row."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from segsearch.core.arrays import Vectors
from segsearch.search.vectors import Active
from segsearch.storage.index.synced import SyncedIndex

BEST = 10
REGIONS = 100  # that are looked for again, evenly from all
SLACK = 1e-5  # two ways to work out one product differ by rounding


@dataclass(frozen=True, slots=True)
class Recall:
    """Of the ten best rows for each of some queries: the share that the index finds, on average
    and for the worst of them."""

    asked: str
    queries: int
    mean: float
    worst: float


def measured(index: SyncedIndex, recipe: Active, words: Vectors) -> tuple[Recall, ...]:
    """For queries by some words (m, d), and by regions of the library."""
    mix = index.mix(recipe[1])
    ids = index.ids(recipe)
    chosen = ids[np.linspace(0, ids.size - 1, min(REGIONS, ids.size)).astype(np.int64)]
    regions = [mix.asked(index.vector(recipe, number), 0.0) for number in chosen.tolist()]
    asked = {"words": mix.asked(words, 1.0), "regions": np.array(regions, np.float32)}
    return tuple(_recall(index, recipe, name, queries) for name, queries in asked.items())


def _recall(index: SyncedIndex, recipe: Active, asked: str, queries: Vectors) -> Recall:
    shares = []
    for query, (scores, _) in zip(queries, index.exact(recipe, queries, BEST), strict=True):
        found, _ = index.search(recipe, query, BEST)
        # A row that scores as much as the last of the ten is as good as that.
        good = sum(score >= scores[-1] - SLACK for score in found)
        shares.append(min(1.0, good / scores.size) if scores.size else 1.0)
    return Recall(asked, len(shares), float(np.mean(shares)), float(np.min(shares)))
