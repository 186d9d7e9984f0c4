"""Turns a query's terms into unit vectors: words, pictures, what is stored, what is pointed at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache, partial
from typing import cast

import numpy as np
from numpy.typing import NDArray

from segsearch.core.answers import MaskCandidate, Pointed
from segsearch.core.arrays import Pixels, Vector, Vectors
from segsearch.core.errors import QueryError, RecipeError
from segsearch.core.heap import give_back
from segsearch.core.query import (
    MAX_TEXT_CHARACTERS,
    ImageTerm,
    KeptPictureTerm,
    PictureTerm,
    RegionTerm,
    SeenTerm,
    SegmentTerm,
    Term,
    TextTerm,
    VectorTerm,
)
from segsearch.core.settings import Settings
from segsearch.core.types import Recipe, Segment
from segsearch.media.decode import check_decoded, decode
from segsearch.models.pipeline import ModelsOf
from segsearch.models.protocols import Embedder, KeepsTexts
from segsearch.models.segment.session import EncodingCache, OpenPicture, PixelCache, promptable
from segsearch.search.click import stored_region_at
from segsearch.search.regions import point, region_vector
from segsearch.search.shown_pictures import QueryPicture, ShownPictures
from segsearch.storage.catalog.sql_catalog import Catalog
from segsearch.storage.index.library_index import LibraryIndex
from segsearch.storage.pictures import StoredPictures
from segsearch.storage.shared_pictures import query_pictures

Active = tuple[int, Recipe]
# Rocchio's feedback with the usual weights (Manning et al., Introduction to Information
# Retrieval, section 9.1.1): what was judged right pulls, what was judged wrong pushes less.
LIKE_WEIGHT = 0.75
UNLIKE_WEIGHT = -0.15


class QueryVectors:
    """The vectors of a query's terms, under the active recipe of one library.

    Pictures that are pointed at are read and encoded once, and kept within `kept_bytes`: their
    pixels in a quarter of it. Of a file's bytes at most `max_pixels` are decoded. `shown` has the
    pictures that queries bring along.
    """

    def __init__(
        self,
        catalog: Catalog,
        index: LibraryIndex,
        pictures: StoredPictures,
        models_of: ModelsOf,
        settings: Settings,
    ) -> None:
        self._catalog = catalog
        self._index = index
        self._pictures = pictures
        self._models_of = models_of
        kept_bytes = settings.prompt_cache_bytes
        self._pixels = PixelCache(kept_bytes // 4)
        self._encodings = EncodingCache(kept_bytes - kept_bytes // 4)
        self._max_pixels = settings.max_query_pixels
        kept = query_pictures(settings, read_only=catalog.read_only)
        self.shown = ShownPictures(catalog, kept, pictures.limits, self._max_pixels)

    def vector(self, recipe: Active, term: SeenTerm) -> tuple[Vector, Pointed | None]:
        """A term's unit vector (d,), and for a region the masks it could have meant.

        QueryError, PictureError, NotFoundError, RecipeError, ModelError: what the term names
        cannot be used.
        """
        if isinstance(term, RegionTerm) and term.stored:
            segment = self.stored_region(recipe, term)
            clicked = MaskCandidate(segment.mask, segment.predicted_iou)
            return self.stored(recipe, segment.id), Pointed((clicked,), 0)
        if isinstance(term, RegionTerm):
            sha256, read = self._source(term.image)
            prompt = replace(term, image=0, weight=1.0)
            key = (recipe[1].fingerprint, sha256, prompt)
            return self.shown.regions.get(key, lambda: self._region(recipe[1], sha256, read, term))
        return self._plain(recipe, term), None

    def is_stored(self, term: Term) -> bool:
        """Whether a term is stored as it is, or, of a picture, one that looks almost the same."""
        if isinstance(term, PictureTerm | KeptPictureTerm):
            return self.shown.is_stored(_picture_of(term))
        is_region = isinstance(term, RegionTerm) and term.stored
        return is_region or isinstance(term, SegmentTerm | ImageTerm)

    def point(self, recipe: Active, term: RegionTerm) -> Pointed:
        """The masks a region term could mean, and which one it takes."""
        return self._point(recipe[1], *self._source(term.image), term)

    def stored_region(self, recipe: Active, term: RegionTerm) -> Segment:
        """The stored region that a click means; see `click.stored_region_at`."""
        image_id = term.image
        if not isinstance(image_id, int) or len(term.points) != 1 or term.box or term.mask:
            raise QueryError("A stored region is one point of a stored image.")
        (point,) = term.points
        return stored_region_at(self._catalog, partial(self.point, recipe), image_id, point)

    def stored(self, recipe: Active, segment_id: int) -> Vector:
        """The unit vector (d,) of a stored segment."""
        return self._index.vector(recipe, segment_id)

    def words(self, recipe: Active, texts: Sequence[str]) -> Vectors:
        """The unit rows (n, d) of some texts."""
        return self._embedder(recipe[1]).embed_texts(texts)

    def lasting_words(self, recipe: Active, texts: Sequence[str]) -> Vectors:
        """`words` for texts that are the same for every library: kept where models keep them."""
        embedder = self._embedder(recipe[1])
        if isinstance(embedder, KeepsTexts):
            return embedder.embed_lasting_texts(texts)
        return embedder.embed_texts(texts)

    def open_picture(self, recipe: Recipe | None, picture: int | QueryPicture) -> OpenPicture:
        """A stored image by its id, a file's bytes, or a kept picture by its id, for pointing at.

        `recipe` None is that of a library without pictures. NotFoundError, PictureError,
        ModelError when the segmenter takes no prompts.
        """
        return self._open(recipe.preset if recipe else None, *self._source(picture))

    def _plain(self, recipe: Active, term: SeenTerm) -> Vector:
        if isinstance(term, SegmentTerm):
            return self.stored(recipe, term.segment_id)
        if isinstance(term, VectorTerm):
            return check_vector(term, recipe[1].dimension)
        if isinstance(term, ImageTerm):
            return self._index.picture_vector(recipe, term.image_id)
        if isinstance(term, TextTerm):
            return cast(Vector, self.words(recipe, [check_text(term.text)])[0])
        picture = _picture_of(cast(PictureTerm | KeptPictureTerm, term))
        embed = self._embedder(recipe[1]).embed_pictures
        return self.shown.vector(recipe[1].fingerprint, picture, embed)

    def _region(
        self, recipe: Recipe, sha256: str, read: Callable[[], Pixels], term: RegionTerm
    ) -> tuple[Vector, Pointed]:
        pointed = self._point(recipe, sha256, read, term)
        mask = pointed.candidates[pointed.chosen].mask
        pipeline = self._models_of(recipe.preset).pipeline()
        return region_vector(pipeline, self._index.mix(recipe), read(), mask), pointed

    def _point(
        self, recipe: Recipe, sha256: str, read: Callable[[], Pixels], term: RegionTerm
    ) -> Pointed:
        self._embedder(recipe)  # RecipeError first, before a long look at the picture
        return point(read, lambda: self._open(recipe.preset, sha256, read), term)

    def _open(self, preset: str | None, sha256: str, read: Callable[[], Pixels]) -> OpenPicture:
        segmenter = self._models_of(preset).pipeline().segmenter
        return self._encodings.open(promptable(segmenter), sha256, read)

    def _source(self, picture: int | QueryPicture) -> tuple[str, Callable[[], Pixels]]:
        """The sha256 of a file as hex, the same for a stored image and its bytes, and what reads
        its pixels (H, W, 3)."""
        if isinstance(picture, int):
            sha256, load = self._pictures.sha256(picture), lambda: self._pictures.pixels(picture)
        else:
            sha256, load = self.shown.use(picture), lambda: self._decoded(self.shown.data(picture))
        return sha256, cache(lambda: self._pixels.read(sha256, load))

    def _decoded(self, picture: bytes) -> Pixels:
        check_decoded(picture, self._max_pixels, self._pictures.limits)
        pixels = decode(picture, self._pictures.limits)[0]
        give_back()
        return pixels

    def _embedder(self, recipe: Recipe) -> Embedder:
        """The embedder that made the library's vectors; RecipeError when it is not here."""
        models = self._models_of(recipe.preset)
        present = models.recipe
        if (present.embedder, present.preprocessing) != (recipe.embedder, recipe.preprocessing):
            raise RecipeError(
                f"The library's vectors come from {recipe.embedder[:32]}..., here is "
                f"{present.embedder[:32]}...: run `segsearch index --rebuild` to make new ones."
            )
        return models.embedder()


def _picture_of(term: PictureTerm | KeptPictureTerm) -> QueryPicture:
    return term.data if isinstance(term, PictureTerm) else term.picture_id


def check_text(text: str) -> str:
    """The words without surrounding space; QueryError when nothing is left, or far too much."""
    words = " ".join(text.split())
    if not words:
        raise QueryError("The query is empty: give words to look for.")
    if len(words) > MAX_TEXT_CHARACTERS:
        raise QueryError(
            f"The query has {len(words)} characters, expected at most {MAX_TEXT_CHARACTERS}."
        )
    return words


def check_vector(term: VectorTerm, dimension: int) -> Vector:
    """The term's vector (d,) at unit length; QueryError for one without direction."""
    if len(term.values) != dimension:
        raise QueryError(
            f"The vector has {len(term.values)} numbers, the library's embedder makes {dimension}."
        )
    vector = np.array(term.values, dtype=np.float64)
    length = float(np.linalg.norm(vector))
    if not np.isfinite(length) or length == 0:
        raise QueryError("The vector has no direction: expected finite numbers, not all 0.")
    return (vector / length).astype(np.float32)


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
