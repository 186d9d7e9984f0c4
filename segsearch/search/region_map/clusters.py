"""Puts a map's regions into clusters, and names each by everyday words and by examples."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segsearch.core.arrays import Ids, Vectors
from segsearch.search.region_map.layout import SEED, Places
from segsearch.storage.index.neighbours import group_centres, nearest_rows

LEAST_CLUSTERS, MOST_CLUSTERS = 8, 60
# Clusters are the root of the regions' number, divided by this. Of 121 regions of the demo pictures
# whose name is an everyday word, 53 lay in a cluster that carries it (3.8 by chance); with half as
# many clusters 30, with a third more 59. Of the names that `naming` has, 80 of 284 (3.1 by chance).
REGIONS_APART = 1.25
LEAST_REGIONS = 4  # of a cluster, where a library has hardly any
MOST_WORDS = 3
NEARLY = 0.75  # of what the best word stands out by, a third one has to stand out by
EXAMPLES = 4
CANDIDATES = 32  # for examples: of these, some are from the same picture


@dataclass(frozen=True, slots=True, eq=False)
class Clustering:
    """What tells to which cluster a region belongs: its components and its place on the map,
    together.

    By components alone, clusters of the 22,022 regions of 382 photographs lay scattered over the
    map (0.126 of its width from their middle on average, 0.052 by places alone), by places alone
    they held less of one kind (length of their mean vector 0.718, by components 0.744). Both with
    the same variance give 0.068 and 0.738. HDBSCAN over the places left 47 % of the regions in no
    cluster, 19 % of those of the demo pictures.
    """

    centres: Vectors
    component_scale: float
    place_scale: float

    def joint(self, reduced: Vectors, places: Places) -> Vectors:
        """Components (n, m) and places (n, 2) as they are compared with the centres (n, m + 2)."""
        parts = (reduced * self.component_scale, places * self.place_scale)
        return np.concatenate(parts, axis=1).astype(np.float32)

    def of(self, reduced: Vectors, places: Places) -> NDArray[np.uint16]:
        """The numbers (n,) of the clusters of regions with these components and places."""
        _, nearest = nearest_rows(self.centres, self.joint(reduced, places), 1)
        return nearest[:, 0].astype(np.uint16)


def clustering(reduced: Vectors, places: Places) -> Clustering:
    """Clusters of landmarks with components (n, m) and places (n, 2)."""
    scales = [
        1 / max(float(np.sqrt(values.var(axis=0).sum())), 1e-9) for values in (reduced, places)
    ]
    count = int(np.clip(np.sqrt(len(reduced)) / REGIONS_APART, LEAST_CLUSTERS, MOST_CLUSTERS))
    count = max(1, min(count, len(reduced) // LEAST_REGIONS))
    open_ended = Clustering(np.empty((0, reduced.shape[1] + 2), np.float32), *scales)
    centres = group_centres(open_ended.joint(reduced, places), count, SEED)
    return Clustering(centres, *scales)


def words_of_clusters(
    vectors: Vectors, members: NDArray[np.uint16], words: Sequence[str], word_rows: Vectors
) -> dict[int, tuple[str, ...]]:
    """For each cluster the two or three words that fit its regions (n, d) most beyond what they fit
    regions in general, in spreads of each word (m, d)'s scores: a word that everything answers
    names nothing."""
    if len(word_rows) == 0:
        return {}
    scores = vectors @ word_rows.T
    usual, spread = scores.mean(axis=0), np.maximum(scores.std(axis=0), 1e-6)
    named = {}
    for cluster in np.unique(members).tolist():
        beyond = (scores[members == cluster].mean(axis=0) - usual) / spread
        best = np.argsort(-beyond, kind="stable")[:MOST_WORDS].tolist()
        named[cluster] = tuple(
            words[word]
            for place, word in enumerate(best)
            if place < MOST_WORDS - 1 or beyond[word] >= NEARLY * beyond[best[0]]
        )
    return named


def nearest_to_middles(
    groups: Clustering, joint: Vectors, members: NDArray[np.uint16]
) -> Iterable[tuple[int, Ids]]:
    """For each cluster that has any, the places in the rows (n, m + 2) of its members that lie
    nearest to its middle, nearest first."""
    for cluster in np.unique(members).tolist():
        inside = np.flatnonzero(members == cluster)
        distances = ((joint[inside] - groups.centres[cluster]) ** 2).sum(axis=1)
        yield cluster, inside[np.argsort(distances, kind="stable")[:CANDIDATES]]


def examples_of(candidates: Sequence[int], image_of: Mapping[int, int]) -> tuple[int, ...]:
    """The first segments, each from another picture; those without a picture are gone."""
    chosen: dict[int, int] = {}
    for segment_id in candidates:
        if segment_id in image_of:
            chosen.setdefault(image_of[segment_id], segment_id)
    return tuple(chosen.values())[:EXAMPLES]
