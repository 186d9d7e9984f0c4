"""Tells a find from a chance find: how high regions score by chance in a library of this size.

Most regions of a library have nothing to do with a query, so the query's own scores over a fixed
sample of them are its background. Its upper tail is close to exponential: the share of regions
that reach a score s by chance is about TAIL * exp(-(s - start) / scale), and the chance that none
of n does is (1 - share) ** n: the relevance. On benchmarks/regions the relevance of the best region
for absent things is spread nearly evenly over [0, 1], as it should be. Below `start`, which counts
where filters leave a handful of regions, the share is drawn through median and lower spread.

Where what is asked for is common, its own regions fill the tail. Start and scale are therefore
bounded by the lower half of the scores, in which it has no part. Median and lower spread alone,
as a normal distribution, underestimate the tail: skewed scores then call everything relevant.

Queries by words alone are judged beside other words, too, where models allow it: `calibration`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MIN_SAMPLE = 100  # regions: below this there is no tail to look at
MIN_SPREAD_SAMPLE = 30  # ... and below this no median worth the name
TAIL = 0.1  # share of the background above `start`
CENSORED = 0.01  # its highest part, which may be what was asked for, is only counted
# In lower spreads (median - 16th percentile); about the 95th percentile of absent queries.
MOST_START = 1.8
MOST_SCALE = 0.8
LOWER = 0.16
LEAST_SPREAD = 1e-6


@dataclass(frozen=True, slots=True)
class Background:
    """How a query scores by chance; `count` is how many regions were searched.

    `middle` is the median and `spread` the distance from it down to the 16th percentile, of the
    query's cosines with the sample. `is_known` is False where the sample is too small for a tail.
    """

    middle: float
    spread: float
    start: float
    scale: float
    count: int
    is_known: bool = True

    def relevance(self, score: float) -> float | None:
        """How unlikely a chance find of this score is, in [0, 1]; None when nobody can know."""
        if not self.is_known:
            return None
        return float((1 - self.shares(np.array([score]))[0]) ** self.count)

    def shares(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """The share of regions (n,) that reach each of some scores (n,) by chance."""
        levels = [self.middle - 3 * self.spread, self.middle - self.spread, self.middle]
        low = np.interp(scores, [*levels, self.start], [1, 1 - LOWER, 0.5, TAIL])
        tail = TAIL * np.exp(np.minimum((self.start - scores) / self.scale, 0))
        return np.where(scores < self.start, low, tail)

    def spreads(self, score: float) -> float:
        """How far a score lies above the median, in lower spreads; unlike the relevance it does
        not fall as the library grows."""
        return (score - self.middle) / self.spread


def background(scores: NDArray[np.float32], count: int) -> Background | None:
    """The background of a query from its cosines (m,) with the sample, for `count` regions.

    None when the sample is too small for a median.
    """
    if scores.size < MIN_SPREAD_SAMPLE:
        return None
    levels = np.quantile(scores.astype(np.float64), [LOWER, 0.5, 1 - TAIL, 1 - CENSORED])
    low, middle, start, censored = levels.tolist()
    spread = max(middle - low, LEAST_SPREAD)
    above = scores[scores > start].astype(np.float64)
    inside = max(1, int(np.count_nonzero(above < censored)))
    # Maximum likelihood for an exponential tail of which the highest values are censored.
    scale = float((np.minimum(above, censored) - start).sum()) / inside if above.size else 0.0
    return Background(
        middle=middle,
        spread=spread,
        start=min(start, middle + MOST_START * spread),
        scale=max(min(scale, MOST_SCALE * spread), 1e-6),
        count=count,
        is_known=scores.size >= MIN_SAMPLE,
    )


def spread_of(scores: NDArray[np.float32]) -> float | None:
    """The lower spread of a query's cosines (m,) with a sample, as `Background` has it; None when
    the sample is too small."""
    if scores.size < MIN_SPREAD_SAMPLE:
        return None
    low, middle = np.quantile(scores.astype(np.float64), [LOWER, 0.5])
    return max(float(middle - low), LEAST_SPREAD)


def rounded(relevance: float) -> str:
    """A relevance below a floor with two digits, rounded down: never the floor itself."""
    return f"{math.floor(100 * relevance) / 100:.2f}"
