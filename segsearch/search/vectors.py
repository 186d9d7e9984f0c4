"""Turns a query's terms into unit vectors: words, pictures, what is stored, what is pointed at."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from segsearch.core.arrays import Pixels, Vector, Vectors
from segsearch.core.errors import NotFoundError, QueryError
from segsearch.core.query import (
    ImageTerm,
    PictureTerm,
    Pointed,
    RegionTerm,
    SegmentTerm,
    Term,
    TextTerm,
    VectorTerm,
)
from segsearch.core.types import Recipe
from segsearch.media.decode import Limits, decode
from segsearch.models.pipeline import Pipeline
from segsearch.models.protocols import Embedder
from segsearch.models.segment.session import OpenPicture
from segsearch.search import validate
from segsearch.search.regions import Pointable, point, region_vector
from segsearch.storage.catalog.sql_catalog import Catalog
from segsearch.storage.index.synced import SyncedIndex

Active = tuple[int, Recipe]
# Rocchio's feedback with the usual weights (Manning et al., Introduction to Information
# Retrieval, section 9.1.1): what was judged right pulls, what was judged wrong pushes less.
LIKE_WEIGHT = 0.75
UNLIKE_WEIGHT = -0.15


@dataclass(frozen=True, slots=True)
class Reading:
    """What terms are read with: models of a recipe, a stored picture's sha256 and pixels, and
    `open`, which encodes the picture of a sha256 for a recipe's segmenter and keeps that."""

    embedder: Callable[[Recipe], Embedder]
    pipeline: Callable[[Recipe], Pipeline]
    stored: Callable[[int], tuple[str, Pixels]]
    open: Callable[[Recipe, str, Callable[[], Pixels]], OpenPicture]
    limits: Limits


class TermVectors:
    """The vectors of terms, under the active recipe of one library."""

    def __init__(self, catalog: Catalog, projection: SyncedIndex, reading: Reading) -> None:
        self._catalog = catalog
        self._projection = projection
        self._reading = reading

    def vector(self, recipe: Active, term: Term) -> tuple[Vector, Pointed | None]:
        """A term's unit vector (d,), and for a region the masks it could have meant.

        QueryError, PictureError, NotFoundError, RecipeError, ModelError: what the term names
        cannot be used.
        """
        if isinstance(term, RegionTerm):
            pointed, pixels = self._point(recipe[1], term)
            mask = pointed.candidates[pointed.chosen].mask
            pipeline = self._reading.pipeline(recipe[1])
            blend = self._projection.mix.blend
            return region_vector(pipeline, blend, pixels, mask), pointed
        return self._plain(recipe, term), None

    def point(self, recipe: Active, term: RegionTerm) -> Pointed:
        """The masks a region term could mean, and which one it takes."""
        return self._point(recipe[1], term)[0]

    def stored(self, recipe: Active, segment_id: int) -> Vector:
        """The unit vector (d,) of a stored segment."""
        return self._projection.vector(recipe, segment_id)

    def words(self, recipe: Active, texts: Sequence[str]) -> Vectors:
        """The unit rows (n, d) of some texts."""
        return self._reading.embedder(recipe[1]).embed_texts(texts)

    def _plain(self, recipe: Active, term: Term) -> Vector:
        if isinstance(term, SegmentTerm):
            return self.stored(recipe, term.segment_id)
        if isinstance(term, VectorTerm):
            return validate.check_vector(term, recipe[1].dimension)
        if isinstance(term, ImageTerm):
            vector = self._catalog.picture_vector(recipe[0], term.image_id)
            if vector is None:
                raise NotFoundError(f"There is no described image {term.image_id} in the library.")
            return vector
        if isinstance(term, TextTerm):
            return cast(Vector, self.words(recipe, [validate.check_text(term.text)])[0])
        embedder = self._reading.embedder(recipe[1])
        pixels, _ = decode(cast(PictureTerm, term).data, self._reading.limits)
        return cast(Vector, embedder.embed_pictures([pixels])[0])

    def _point(self, recipe: Recipe, term: RegionTerm) -> tuple[Pointed, Pixels]:
        self._reading.embedder(recipe)  # RecipeError first, before a long look at the picture
        if isinstance(term.image, bytes):
            sha256 = hashlib.sha256(term.image).hexdigest()
            pixels, _ = decode(term.image, self._reading.limits)
        else:
            sha256, pixels = self._reading.stored(term.image)
        picture = Pointable(pixels, lambda: self._reading.open(recipe, sha256, lambda: pixels))
        return point(picture, term), pixels


def combine(vectors: Sequence[Vector], weights: Sequence[float]) -> Vector:
    """The weighted sum of unit vectors (d,) at unit length; QueryError when terms cancel out."""
    shares = np.array(weights) / np.abs(weights).max()  # only their ratios count, however large
    total: NDArray[np.float64] = shares @ np.array(vectors, dtype=np.float64)
    length = float(np.linalg.norm(total))
    if length < 1e-6:
        raise QueryError("The query's terms cancel each other out.")
    return (total / length).astype(np.float32)


def with_feedback(
    terms: Sequence[Vector],
    weights: Sequence[float],
    liked: Sequence[Vector],
    unliked: Sequence[Vector],
) -> Vector:
    """A query's unit vector (d,) moved towards what was judged right, away from what was not.

    Its terms count 1 together; those that only steer away, as much as they weigh.
    """
    if any(weight > 0 for weight in weights):
        terms, weights = [combine(terms, weights)], [1.0]
    judged = [LIKE_WEIGHT / len(liked)] * len(liked) if liked else []
    judged += [UNLIKE_WEIGHT / len(unliked)] * len(unliked) if unliked else []
    return combine([*terms, *liked, *unliked], [*weights, *judged])
