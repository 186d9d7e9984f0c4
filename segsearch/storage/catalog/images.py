"""Images: what is known of each, how many there are, and how they go."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any, cast

import sqlalchemy as sa

from segsearch.core.errors import NotFoundError
from segsearch.core.types import Image, State
from segsearch.storage.catalog.change_log import log_change
from segsearch.storage.catalog.collections import members_of, refuse_unknown
from segsearch.storage.catalog.database import Database, portions
from segsearch.storage.catalog.rows import image_from
from segsearch.storage.catalog.tables import (
    ACTIVE_RECIPE,
    IMAGE,
    IMAGE_TAG,
    INGEST,
    NEAR_DUPLICATE,
    SEGMENT,
    SOURCE,
)  # fmt: skip

TENTHS = 10


class ImageMixin(Database):
    """The part of the catalog that holds images."""

    def images(
        self,
        *,
        after: int = 0,
        limit: int = 100,
        ids: Sequence[int] | None = None,
        state: State | None = None,
        collection: str | None = None,
    ) -> list[Image]:
        """Images by ascending id, `after` an id; with `ids`, only these.

        NotFoundError for a `collection` that is not there.
        """
        joined = IMAGE.outerjoin(
            INGEST, (INGEST.c.image_id == IMAGE.c.id) & (INGEST.c.recipe_id == ACTIVE_RECIPE)
        )
        query = sa.select(IMAGE, INGEST.c.state, INGEST.c.reason).select_from(joined)
        query = query.where(IMAGE.c.id > after).order_by(IMAGE.c.id).limit(limit)
        if ids is not None:
            query = query.where(IMAGE.c.id.in_(ids))
        if state is not None:
            query = query.where(INGEST.c.state == state)
        if collection is not None:
            query = query.where(IMAGE.c.id.in_(members_of(collection)))
        with self._reading() as db:
            refuse_unknown(db, [] if collection is None else [collection])
            rows = db.execute(query).all()
            shown = [row.id for row in rows]
            paths = _grouped(db, SOURCE.c.path, shown)
            tags = _grouped(db, IMAGE_TAG.c.tag, shown)
            nearest_first = (NEAR_DUPLICATE.c.bits, NEAR_DUPLICATE.c.other_id)
            near = _grouped(db, NEAR_DUPLICATE.c.other_id, shown, *nearest_first)
        return [image_from(row, paths[row.id], tags[row.id], near[row.id]) for row in rows]

    def image(self, image_id: int) -> Image:
        """One image; NotFoundError when there is none of this id."""
        images = self.images(ids=[image_id], limit=1)
        if not images:
            raise NotFoundError(f"There is no image {image_id} in the library.")
        return images[0]

    def image_with(self, sha256: str) -> int | None:
        """Id of the image whose file has this sha256."""
        with self._reading() as db:
            image_id = db.execute(sa.select(IMAGE.c.id).where(IMAGE.c.sha256 == sha256)).scalar()
        return cast("int | None", image_id)

    def digests(self, image_ids: Sequence[int]) -> list[str]:
        """The sha256 of these images' bytes as hex, sorted; unknown ids are passed by."""
        digests: list[str] = []
        with self._reading() as db:
            for portion in portions(image_ids):
                query = sa.select(IMAGE.c.sha256).where(IMAGE.c.id.in_(portion))
                digests += db.execute(query).scalars()
        return sorted(digests)

    def remove_images(self, image_ids: Sequence[int]) -> int:
        """Forget images with their paths, segments and vectors; how many there were."""
        with self._writing() as db:
            return sum(
                drop_images(db, sa.select(IMAGE.c.id).where(IMAGE.c.id.in_(portion)))
                for portion in portions(image_ids)
            )

    def counts(self) -> dict[str, int]:
        """`images`, `segments`, `pending` (with running ones), `failed` and `quarantined` of the
        active recipe, images with `near_duplicates`, and `missing` and `excluded` paths."""
        states = (
            sa.select(INGEST.c.state, sa.func.count())
            .where(INGEST.c.recipe_id == ACTIVE_RECIPE)
            .group_by(INGEST.c.state)
        )
        in_use = sa.select(sa.func.count()).where(SEGMENT.c.recipe_id == ACTIVE_RECIPE)
        gone = sa.select(sa.func.count()).where(SOURCE.c.missing_since.is_not(None))
        left_out = sa.select(sa.func.count()).where(SOURCE.c.excluded_since.is_not(None))
        alike = sa.select(sa.func.count(NEAR_DUPLICATE.c.image_id.distinct()))
        with self._reading() as db:
            by_state = _counts(db, states)
            return {
                "images": db.execute(sa.select(sa.func.count(IMAGE.c.id))).scalar_one(),
                "segments": db.execute(in_use).scalar_one(),
                "pending": by_state[State.PENDING] + by_state[State.RUNNING],
                "failed": by_state[State.FAILED],
                "quarantined": by_state[State.QUARANTINED],
                "near_duplicates": db.execute(alike).scalar_one(),
                "missing": db.execute(gone).scalar_one(),
                "excluded": db.execute(left_out).scalar_one(),
            }

    def statistics(self) -> dict[str, Any]:
        """Of the active recipe: `images`, `segments`, `states` and `formats` (counts of images),
        and `area_shares` (ten counts of segments, by tenths of their picture's area)."""
        states = sa.select(INGEST.c.state, sa.func.count())
        states = states.where(INGEST.c.recipe_id == ACTIVE_RECIPE).group_by(INGEST.c.state)
        formats = sa.select(IMAGE.c.format, sa.func.count()).where(IMAGE.c.format != "")
        pixels = IMAGE.c.width * IMAGE.c.height
        tenth = sa.cast(SEGMENT.c.area * TENTHS / sa.func.max(pixels, 1), sa.Integer)
        shares = (
            sa.select(sa.func.min(tenth, TENTHS - 1).label("tenth"), sa.func.count())
            .select_from(SEGMENT.join(IMAGE, IMAGE.c.id == SEGMENT.c.image_id))
            .where(SEGMENT.c.recipe_id == ACTIVE_RECIPE)
            .group_by("tenth")
        )
        with self._reading() as db:
            by_tenth = _counts(db, shares)
            return {
                "images": db.execute(sa.select(sa.func.count(IMAGE.c.id))).scalar_one(),
                "segments": sum(by_tenth.values()),
                "states": dict(_counts(db, states)),
                "formats": dict(_counts(db, formats.group_by(IMAGE.c.format))),
                "area_shares": [by_tenth[number] for number in range(TENTHS)],
            }


def without_path() -> sa.Select[int]:
    """Ids of images that no path leads to."""
    return sa.select(IMAGE.c.id).where(~sa.exists().where(SOURCE.c.image_id == IMAGE.c.id))


def drop_images(db: sa.Connection, image_ids: sa.Select[int]) -> int:
    """Forget images with all that hangs on them; how many there were comes back."""
    log_change(db, "remove", sa.select(SEGMENT.c.id).where(SEGMENT.c.image_id.in_(image_ids)))
    return db.execute(sa.delete(IMAGE).where(IMAGE.c.id.in_(image_ids))).rowcount


def _grouped(
    db: sa.Connection, column: sa.Column[Any], image_ids: Sequence[int], *order: sa.Column[Any]
) -> dict[int, list[Any]]:
    """What another table's column says of images, by image id."""
    of_image = column.table.c.image_id
    query = sa.select(of_image, column).where(of_image.in_(image_ids)).order_by(*order)
    values: dict[int, list[Any]] = defaultdict(list)
    for image_id, value in db.execute(query):
        values[image_id].append(value)
    return values


def _counts(db: sa.Connection, query: sa.Select[Any, int]) -> Counter[Any]:
    return Counter({row[0]: row[1] for row in db.execute(query)})
