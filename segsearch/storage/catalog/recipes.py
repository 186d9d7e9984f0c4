"""Recipes: which one searches use, and which is to take over once every picture is through it."""

from __future__ import annotations

import json
from typing import cast

import sqlalchemy as sa

from segsearch.core.types import Recipe
from segsearch.storage.catalog.captions import carry_captions
from segsearch.storage.catalog.counters import tallies
from segsearch.storage.catalog.database import Database
from segsearch.storage.catalog.portable import insert
from segsearch.storage.catalog.postgres.row_tables import drop_others
from segsearch.storage.catalog.queue import queue_new, unfinished
from segsearch.storage.catalog.reading import queue_unread
from segsearch.storage.catalog.rows import recipe_from
from segsearch.storage.catalog.tables import LIBRARY, RECIPE

UNDER_WAY = "generation_under_way"


class RecipeMixin(Database):
    """The part of the catalog that holds recipes."""

    def active_recipe(self) -> tuple[int, Recipe] | None:
        """Id and recipe that searches use; None for a new library."""
        return self._since_written("active_recipe", self._active_recipe)

    def _active_recipe(self) -> tuple[int, Recipe] | None:
        with self._reading() as db:
            row = db.execute(sa.select(RECIPE).where(RECIPE.c.active)).first()
        return (row.id, recipe_from(row.document)) if row else None

    def register_recipe(self, recipe: Recipe) -> int:
        """Id of a recipe; the first one registered becomes the active one."""
        same = sa.select(RECIPE.c.id).where(RECIPE.c.fingerprint == recipe.fingerprint)
        with self._writing() as db:
            known = db.execute(same).scalar()
            if known is not None:
                return cast(int, known)
            first = not db.execute(sa.select(sa.exists().where(RECIPE.c.active))).scalar()
            values = {
                "fingerprint": recipe.fingerprint,
                "document": json.dumps(recipe.document),
                "active": first,
            }
            added = sa.insert(RECIPE).values(values).returning(RECIPE.c.id)
            return cast(int, db.execute(added).scalar_one())

    def begin_generation(self, recipe_id: int, *, keep_old: bool) -> None:
        """Note that a recipe is to take over once every picture has been through its models."""
        row = {"key": UNDER_WAY, "value": json.dumps([recipe_id, keep_old])}
        with self._writing() as db:
            upsert = insert(LIBRARY).values(row)
            db.execute(upsert.on_conflict_do_update(index_elements=["key"], set_=row))

    def generation_under_way(self) -> tuple[int, Recipe, bool] | None:
        """Id, recipe and `keep_old` of what `begin_generation` noted, until the switch."""
        with self._reading() as db:
            value = db.execute(sa.select(LIBRARY.c.value).where(LIBRARY.c.key == UNDER_WAY))
            recipe_id, keep_old = json.loads(value.scalar() or "[null, null]")
            row = db.execute(sa.select(RECIPE).where(RECIPE.c.id == recipe_id)).first()
        return (row.id, recipe_from(row.document), keep_old) if row else None

    def switch_recipe(self, recipe_id: int, *, keep_old: bool = False) -> bool:
        """Make a recipe the active one; the segments of every other go, unless they are kept.

        False, with nothing switched, while an image waits or runs under it; images without a
        state are queued. Captions of the active recipe's segments are given to those that match.
        """
        with self._writing() as db:
            in_use = sa.select(RECIPE.c.id).where(RECIPE.c.active, RECIPE.c.id == recipe_id)
            if db.execute(in_use).first():
                return True  # whoever finished at the same time was faster
            # Pictures may have come in under the recipe in use while this one was filled.
            queue_new(db, recipe_id)
            if unfinished(db, recipe_id):
                return False
            db.execute(sa.delete(LIBRARY).where(LIBRARY.c.key == UNDER_WAY))
            carry_captions(db, recipe_id)
            before = db.execute(sa.select(RECIPE.c.id).where(RECIPE.c.active)).scalar()
            if tallies(db, before).get("reading"):
                queue_unread(db, recipe_id)  # where no reader is here, they wait for one
            if keep_old:
                db.execute(sa.update(RECIPE).values(active=RECIPE.c.id == recipe_id))
                return True
            drop_others(db, recipe_id)
            # Not in the change log: a recipe's id is given out once, so no index asks for them.
            db.execute(sa.delete(RECIPE).where(RECIPE.c.id != recipe_id))
            db.execute(sa.update(RECIPE).values(active=True))
        return True
