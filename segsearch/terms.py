"""Turns a query's terms into unit vectors: words, pictures, what is stored, what is pointed at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from segsearch import search
from segsearch.decode import Limits, decode
from segsearch.domain import Recipe
from segsearch.errors import NotFoundError
from segsearch.pipeline import Pipeline
from segsearch.ports import Catalog, Embedder, Pixels, Vector
from segsearch.projection import Projection
from segsearch.prompting import OpenPicture
from segsearch.queries import (
    ImageTerm,
    PictureTerm,
    Pointed,
    RegionTerm,
    SegmentTerm,
    Term,
    TextTerm,
    VectorTerm,
)
from segsearch.regions import Pointable, point, region_vector

Active = tuple[int, Recipe]


@dataclass(frozen=True, slots=True)
class Reading:
    """What terms are read with: models of a recipe, a stored picture's pixels, and a stored
    picture or a file's bytes opened for pointing at."""

    embedder: Callable[[Recipe], Embedder]
    pipeline: Callable[[Recipe], Pipeline]
    pixels: Callable[[int], Pixels]
    open: Callable[[int | bytes], OpenPicture]
    limits: Limits


class Terms:
    """The vectors of terms, under the active recipe of one library."""

    def __init__(self, catalog: Catalog, projection: Projection, reading: Reading) -> None:
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

    def _plain(self, recipe: Active, term: Term) -> Vector:
        if isinstance(term, SegmentTerm):
            return self.stored(recipe, term.segment_id)
        if isinstance(term, VectorTerm):
            return search.check_vector(term, recipe[1].dimension)
        if isinstance(term, ImageTerm):
            vector = self._catalog.picture_vector(recipe[0], term.image_id)
            if vector is None:
                raise NotFoundError(f"There is no described image {term.image_id} in the library.")
            return vector
        embedder = self._reading.embedder(recipe[1])
        if isinstance(term, TextTerm):
            words = embedder.embed_texts([search.check_text(term.text)])
            return cast(Vector, words[0])
        pixels, _ = decode(cast(PictureTerm, term).data, self._reading.limits)
        return cast(Vector, embedder.embed_pictures([pixels])[0])

    def _point(self, recipe: Recipe, term: RegionTerm) -> tuple[Pointed, Pixels]:
        self._reading.embedder(recipe)  # RecipeError first, before a long look at the picture
        image = term.image
        if isinstance(image, bytes):
            pixels, _ = decode(image, self._reading.limits)
        else:
            pixels = self._reading.pixels(image)
        return point(Pointable(pixels, lambda: self._reading.open(image)), term), pixels
