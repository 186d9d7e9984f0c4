"""Compares a find by words with what everyday words find by chance in the same library.

A query's own scores cannot tell whether what it asks for is there: in a library of cats "a dog" has
its tail, too. So the best region of a query is compared with the best regions of words that nobody
asked for: relevance is their mean chance to find nothing as good among so many regions. A floor of
f turns away about a share f of words that are as far from the library as these, and more of rarer
ones.

Some regions answer everything, and their scores say less: a region's score is divided by a power of
how far its scores with the everyday words spread (the spread itself trusts dim and tiny regions too
much). What both gain beside the query's own scores, and what was tried beside them, is measured in
docs/lab-notes.md ("Nothing matches").

It takes a space in which a word and a picture that have nothing to do with each other score around
0, as in the embedded one. Models trained by contrast alone keep pictures in a cone of their own;
there words differ in what they score with anything, and a query is compared with itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from segsearch.core.arrays import Vector, Vectors
from segsearch.search.relevance import MIN_SAMPLE, background
from segsearch.search.vectors import Active, QueryVectors
from segsearch.storage.index.library_index import LibraryIndex

# Things of every kind; no word that benchmarks/photographs asks for is among them.
_WORDS = """
    horse cow sheep goat pig rabbit squirrel mouse bear wolf fox monkey giraffe zebra kangaroo
    camel owl eagle parrot duck penguin chicken frog turtle lizard spider bee snail crab whale
    shark apple lemon grapes cherry carrot potato tomato mushroom onion bread cake egg cheese
    sandwich soup rice knife plate bottle bucket basket candle lamp clock mirror sofa bed table
    door window ladder hammer scissors key pencil book newspaper telephone television keyboard
    guitar drum trumpet ball kite doll hat shoe glove shirt necklace car truck tractor boat
    helicopter bridge castle church lighthouse windmill fence road river mountain beach desert
    forest cactus leaf cloud fire snow baby dancer doctor hand
    """
WORDS = tuple(_WORDS.split())
PROBE = WORDS[::14]  # enough to see where unrelated pairs lie
CENTRED = 1.5  # the mean of unrelated pairs lies so many of their spreads from 0 at most
BEST = 10  # scores of a word, from which its tail is drawn
TAIL_ENDS = 2.0  # in distances from the tenth best score to the best: nothing reaches further
WEIGHED = 0.8  # the power of a region's spread by which its scores are divided
STEPS = 1024  # of the scores at which relevance is worked out
CURVES = 32  # kept: one for each number of regions that filters let pass

RelevanceOfRows = Callable[[NDArray[np.float32], Vectors], NDArray[np.float64]]
RelevanceOfIds = Callable[[Sequence[int]], Sequence[float | None]]


def is_centred(words: Vectors, sample: Vectors) -> bool:
    """Whether words (m, d) and the rows (n, d) of a library score around 0 with each other."""
    scores = sample @ words.T
    return bool(abs(scores.mean()) <= CENTRED * scores.std())


class EverydayScores:
    """How everyday words score in a library.

    `words` (m, w) are they, as asked for, `sample` (n, w) rows of the library's regions; ValueError
    when these are fewer than `relevance.MIN_SAMPLE`.
    """

    def __init__(self, words: Vectors, sample: Vectors) -> None:
        if len(sample) < MIN_SAMPLE:
            raise ValueError(f"expected {MIN_SAMPLE} regions or more, found {len(sample)}")
        self._words = words
        scores = sample @ words.T
        self._usual = max(float(np.median(scores.std(axis=1))), 1e-6)
        weighed = np.sort(scores * self._weights(scores)[:, None], axis=0).astype(np.float64)
        least, best = weighed[0].min(), weighed[-1].max()
        reach = max(TAIL_ENDS * (best - weighed[-BEST - 1].min()), 1e-3)
        self._levels = np.linspace(least, best + reach, STEPS)
        self._shares = np.stack([_shares(column, self._levels) for column in weighed.T])
        self._curve = lru_cache(CURVES)(self._curve_among)

    def relevance(self, count: int) -> RelevanceOfRows:
        """How relevant regions are among `count`: their scores (n,) with a query and their rows
        (n, d) -> (n,) in [0, 1]."""
        curve = self._curve(count)

        def of(scores: NDArray[np.float32], rows: Vectors) -> NDArray[np.float64]:
            # Not `@`: its threads wait milliseconds for those of the index's search before it.
            others = np.einsum("nd,md->nm", rows, self._words)
            return np.asarray(np.interp(scores * self._weights(others), self._levels, curve))

        return of

    def _curve_among(self, count: int) -> NDArray[np.float64]:
        """The words' mean chance (STEPS,) to find nothing that reaches a level among `count`."""
        return np.asarray(((1 - self._shares) ** count).mean(axis=0))

    def _weights(self, scores: NDArray[np.float32]) -> NDArray[np.float32]:
        """What the scores (n,) of regions count, from those with the words (n, m): 1 for a usual
        one."""
        spreads = np.maximum(scores.std(axis=1), self._usual / 10)
        return np.asarray((self._usual / spreads) ** WEIGHED, np.float32)


class Calibration:
    """Judges finds by words beside everyday words, for the library's active recipe.

    The words are embedded once for each model, and scored again when the library's sample changes.
    """

    def __init__(self, index: LibraryIndex, vectors: QueryVectors) -> None:
        self._index = index
        self._vectors = vectors
        self._words: dict[str, Vectors] = {}  # by fingerprint
        self._kept: tuple[Vectors, float, EverydayScores | None] | None = None

    def relevances(
        self, recipe: Active, sample: Vectors, query: tuple[Vector, float], count: int
    ) -> RelevanceOfIds | None:
        """What gives the relevances of segments, by id, for a query among `count` regions, of
        which `sample` (n, w) are some.

        A query is its vector (w,) and how much the regions' traits count in it.

        None where the library is too small, or its models keep words and pictures apart. A segment
        that is gone has None.
        """
        if len(sample) < MIN_SAMPLE:
            return None
        vector, things = query
        kept = self._kept
        if kept is None or kept[0] is not sample or kept[1] != things:
            kept = self._kept = (sample, things, self._scores(recipe, sample, things))
        if kept[2] is None:
            return None
        relevance = kept[2].relevance(count)
        known: dict[int, float] = {}

        def relevances(ids: Sequence[int]) -> Sequence[float | None]:
            new = [segment_id for segment_id in ids if segment_id not in known]
            if new:
                held, rows = self._index.rows(recipe, np.array(new, dtype=np.int64))
                new_relevances = relevance(rows @ vector, rows).tolist()
                known.update(zip(held.tolist(), new_relevances, strict=True))
            return [known.get(segment_id) for segment_id in ids]

        return relevances

    def by_themselves(
        self, recipe: Active, sample: Vectors, vector: Vector, count: int
    ) -> RelevanceOfIds:
        """The same for a query (w,) beside its own scores, where everyday words tell nothing."""
        chance = background(np.asarray(np.einsum("nw,w->n", sample, vector)), count)

        def relevances(ids: Sequence[int]) -> Sequence[float | None]:
            scores, held = self._index.scores(recipe, vector, np.unique(np.array(ids, np.int64)))
            by_id = dict(zip(held, scores, strict=True)) if chance else {}
            return [
                chance.relevance(by_id[segment_id]) if chance and segment_id in by_id else None
                for segment_id in ids
            ]

        return relevances

    def _scores(self, recipe: Active, sample: Vectors, things: float) -> EverydayScores | None:
        """How everyday words score in a `sample` (n, w); None where a few show that they tell
        nothing in it. That is found out for each sample: what is relevant must not hang on how
        large the library was when a process started."""
        mix, fingerprint = self._index.mix(recipe[1]), recipe[1].fingerprint
        probe = self._vectors.lasting_words(recipe, PROBE)
        if not is_centred(mix.asked(probe), sample):
            return None
        if fingerprint not in self._words:
            self._words[fingerprint] = self._vectors.lasting_words(recipe, WORDS)
        return EverydayScores(mix.asked(self._words[fingerprint], things), sample)


def _shares(ascending: NDArray[np.float64], levels: NDArray[np.float64]) -> NDArray[np.float64]:
    """The share of regions that reach each level (k,) by chance, from a word's scores (n,).

    Counted up to the ten best, from there on with the exponential tail that these ten have; where
    the word means what is there, the chance that `relevance.Background` allows is smaller, and
    taken.
    """
    threshold = ascending[-BEST - 1]
    scale = max(float((ascending[-BEST:] - threshold).mean()), 1e-6)
    counted = 1 - np.searchsorted(ascending, levels) / ascending.size
    beyond = np.exp(np.minimum((threshold - levels) / scale, 0)) * BEST / ascending.size
    shares = np.where(levels > threshold, beyond, counted)
    chance = background(ascending.astype(np.float32), 1)
    return shares if chance is None else np.minimum(shares, chance.shares(levels))
