"""Facets: the albums, tags, cameras, collections, months and formats of a library, and its pictures
with text, counted."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from segsearch.core.browsing import Facets
from segsearch.media.sources.paths import album_of
from segsearch.storage.catalog.backend import Backend
from segsearch.storage.catalog.database import Database
from segsearch.storage.catalog.recent import Recent
from segsearch.storage.catalog.tables import (
    COLLECTION,
    COLLECTION_IMAGE,
    IMAGE,
    IMAGE_TAG,
    LISTING,
    PICTURE_TEXT,
    SOURCE,
)  # fmt: skip

MOST_OF_A_KIND = 1_000


class FacetMixin(Database):
    """The part of the catalog that counts by what pictures can be told apart."""

    def __init__(self, backend: Backend) -> None:
        super().__init__(backend)
        self._counted_facets: Recent[Facets] = Recent(self.mark, most=2)

    def facets(self, recipe_id: int) -> Facets:
        """Of the pictures that are done under a recipe. All of them are read, by one caller at a
        time, and not again until something is written, nor within 5 seconds unless a person has
        changed something here."""
        return self._counted_facets.value(recipe_id, lambda: self._facets(recipe_id))

    def _facets(self, recipe_id: int) -> Facets:
        of_album = sa.Function[str]("album_of", SOURCE.c.path)
        of_month = sa.func.substr(LISTING.c.date, 1, 7)
        in_collection = LISTING.join(
            COLLECTION_IMAGE, COLLECTION_IMAGE.c.image_id == LISTING.c.image_id
        ).join(COLLECTION, COLLECTION.c.id == COLLECTION_IMAGE.c.collection_id)
        places: dict[str, tuple[Any, Any]] = {
            "albums": (of_album, LISTING.join(SOURCE, SOURCE.c.image_id == LISTING.c.image_id)),
            "tags": (
                IMAGE_TAG.c.tag,
                LISTING.join(IMAGE_TAG, IMAGE_TAG.c.image_id == LISTING.c.image_id),
            ),
            "cameras": (IMAGE.c.camera, LISTING.join(IMAGE, IMAGE.c.id == LISTING.c.image_id)),
            "collections": (COLLECTION.c.name, in_collection),
            "formats": (IMAGE.c.format, LISTING.join(IMAGE, IMAGE.c.id == LISTING.c.image_id)),
            "months": (of_month, LISTING),
        }
        found: dict[str, tuple[tuple[str, int], ...]] = {}
        with self._reading() as db:
            if db.dialect.name == "sqlite":  # PostgreSQL has it in its schema
                driver: Any = db.connection.driver_connection
                driver.create_function("album_of", 1, album_of, deterministic=True)
            for kind, (value, joined) in places.items():
                pictures: sa.ColumnElement[int] = sa.func.count()
                if kind == "albums":  # a picture may lie in one twice
                    pictures = sa.func.count(LISTING.c.image_id.distinct())
                query = sa.select(value.label("name"), pictures.label("pictures"))
                query = query.select_from(joined).where(LISTING.c.recipe_id == recipe_id)
                query = query.where(value.is_not(None), value != "").group_by(value)
                name: sa.ColumnElement[str] = sa.literal_column("name")
                order = [name.desc()] if kind == "months" else [pictures.desc(), name]
                rows = db.execute(query.order_by(*order).limit(MOST_OF_A_KIND)).all()
                found[kind] = tuple((str(row.name), int(row.pictures)) for row in rows)
            read = LISTING.join(
                PICTURE_TEXT,
                (PICTURE_TEXT.c.image_id == LISTING.c.image_id)
                & (PICTURE_TEXT.c.recipe_id == LISTING.c.recipe_id),
            )
            counted = sa.select(sa.func.count()).select_from(read)
            with_text = db.execute(counted.where(LISTING.c.recipe_id == recipe_id)).scalar_one()
        return Facets(**found, with_text=with_text)
