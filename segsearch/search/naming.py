"""Names a region by the everyday words that fit it best, judged fairly.

Some words fit everything a little, others nothing. So a word counts by how far its cosine with the
region stands above the median of its cosines with the library's regions, in its lower spreads, as
`relevance.Background` has them. On the demo's drawings the right word is among the first three for
four things out of five; see docs/lab-notes.md ("Words for a region").
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segsearch.core.arrays import Vector, Vectors
from segsearch.core.errors import SegSearchError
from segsearch.core.query import MIN_RELEVANCE
from segsearch.search.calibration import WORDS
from segsearch.search.relevance import LEAST_SPREAD, LOWER, MIN_SPREAD_SAMPLE, background
from segsearch.search.vectors import Active, QueryVectors
from segsearch.storage.index.library_index import LibraryIndex

# Beside `calibration.WORDS`: what people photograph, draw and own. Benchmarks do not choose them.
_MORE = """
    person man woman boy girl child face eye nose mouth ear hair beard foot crowd dog cat puppy
    kitten lion tiger elephant panda deer donkey hedgehog hamster rat bat seal dolphin octopus fish
    jellyfish lobster bird swan goose pigeon gull peacock turkey hen butterfly dragonfly ant beetle
    snake dinosaur dragon unicorn
    flower rose tulip sunflower daisy tree palm pine bush grass moss seaweed garden lawn field hill
    lake sea wave waterfall island cave rock sand sky sun moon star rainbow lightning ice icicle
    snowman smoke ash
    apple pear banana orange peach plum strawberry raspberry pineapple watermelon melon mango
    avocado coconut onion garlic pepper cucumber pumpkin broccoli cabbage lettuce corn pea bean nut
    pizza hamburger sausage pasta noodles sushi salad meat steak bacon butter honey chocolate candy
    cookie cupcake pie pancake ice-cream coffee tea milk juice wine beer
    cup mug glass bowl fork spoon pan pot kettle teapot jug jar can box bag backpack suitcase purse
    umbrella chair stool bench desk shelf cupboard drawer wardrobe pillow blanket carpet curtain
    towel sink toilet bathtub shower soap toothbrush stove oven fridge microwave toaster fan heater
    vase picture statue
    toy puzzle dice cards chessboard teddy robot balloon yarn needle button thread rope chain
    screw nail saw axe drill shovel rake broom brush paint ruler compass magnet battery
    light torch lantern bulb plug cable switch camera microscope telescope computer laptop mouse
    printer radio speaker headphones microphone watch calculator remote phone
    envelope letter stamp map flag poster sign paper calendar coin banknote ticket
    piano violin trumpet flute saxophone harp bell whistle
    dress skirt trousers jeans jacket coat sweater suit tie scarf socks boots sandal belt cap helmet
    crown mask glasses sunglasses ring earring
    bicycle motorcycle scooter bus van taxi ambulance train tram airplane rocket balloon sailboat
    ship canoe anchor wheel tyre engine parachute
    house hut tent barn garage tower skyscraper temple mosque palace ruin wall roof chimney stairs
    balcony gate street pavement crossing tunnel harbour airport station fountain grave
    football basketball tennis racket skateboard ski snowboard surfboard sledge swing slide trophy
    medal gift ribbon candle firework ghost angel skeleton skull heart arrow
    """
NAMES = tuple(dict.fromkeys((*WORDS, *_MORE.split())))
SAME_WORD = 0.75  # the cosine from which on two words are the same answer given twice
MAX_NAMES = 50


@dataclass(frozen=True, slots=True)
class FittingWord:
    """A word that fits a region. `score` is their cosine; `relevance` in [0, 1] is how unlikely it
    is that any region of the library fits the word so well by chance, None where the library is
    too small to tell."""

    text: str
    score: float
    relevance: float | None


def likely_names(words: Callable[[int], Sequence[FittingWord]]) -> Callable[[int], list[str]]:
    """What a region may be called, by its id, from the words that fit it: without chance finds, as
    far as the library tells, and nothing where the models that tell are not here."""

    def names_of(segment_id: int) -> list[str]:
        try:
            fitting = words(segment_id)
        except SegSearchError:
            return []
        known = ((word.text, word.relevance) for word in fitting)
        return [text for text, chance in known if chance is None or chance >= MIN_RELEVANCE]

    return names_of


@dataclass(frozen=True, slots=True)
class _Usual:
    """How the words fit the library's regions: unit rows (n, d) of a sample of these, and each
    word's median and lower spread (m,), None where the sample is too small."""

    sample: Vectors
    rows: Vectors
    words: Vectors
    middles: NDArray[np.float64] | None
    spreads: NDArray[np.float64] | None


class Naming:
    """Names regions of one library. The words are embedded once for each model, and compared with
    the library again when its sample changes."""

    def __init__(self, index: LibraryIndex, vectors: QueryVectors) -> None:
        self._index = index
        self._vectors = vectors
        self._kept: tuple[str, _Usual] | None = None

    def words(self, recipe: Active, region: Vector, limit: int) -> tuple[FittingWord, ...]:
        """The words that fit a region (d,), given at unit length, the best first; of words that
        mean the same, the better one."""
        sample, count = self._index.sample(recipe)
        usual = self._usual(recipe, sample)
        # Not `@`, whose threads wait for each other where cores are busy.
        scores = np.einsum("md,d->m", usual.words, region).astype(np.float64)
        fits = scores
        if usual.middles is not None and usual.spreads is not None:
            fits = (scores - usual.middles) / usual.spreads
        chosen: list[int] = []
        for number in np.argsort(-fits, kind="stable").tolist():
            if len(chosen) == limit:
                break
            if not chosen or (usual.words[chosen] @ usual.words[number]).max() < SAME_WORD:
                chosen.append(number)
        return tuple(
            FittingWord(NAMES[number], float(scores[number]), relevance)
            for number, relevance in zip(
                chosen, self._relevances(usual, chosen, scores, count), strict=True
            )
        )

    def _relevances(
        self, usual: _Usual, chosen: Sequence[int], scores: NDArray[np.float64], count: int
    ) -> list[float | None]:
        products = np.einsum("nd,md->nm", usual.rows, usual.words[list(chosen)])
        known = [background(column, count) for column in products.T]
        return [
            chance.relevance(float(scores[number])) if chance else None
            for number, chance in zip(chosen, known, strict=True)
        ]

    def _usual(self, recipe: Active, sample: Vectors) -> _Usual:
        fingerprint, kept = recipe[1].fingerprint, self._kept
        if kept is not None and kept[0] == fingerprint and kept[1].sample is sample:
            return kept[1]
        words = self._vectors.lasting_words(recipe, NAMES)
        rows = _unit(sample[:, : recipe[1].dimension])  # without what traits add
        middles = spreads = None
        if len(rows) >= MIN_SPREAD_SAMPLE:
            low, middles = np.quantile((rows @ words.T).astype(np.float64), [LOWER, 0.5], axis=0)
            spreads = np.maximum(middles - low, LEAST_SPREAD)
        usual = _Usual(sample, rows, words, middles, spreads)
        self._kept = (fingerprint, usual)
        return usual


def _unit(rows: Vectors) -> Vectors:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(lengths, LEAST_SPREAD), np.float32)
