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
from segsearch.storage.catalog.counters import tallies
from segsearch.storage.catalog.database import Database, portions
from segsearch.storage.catalog.rows import TENTHS, image_from
from segsearch.storage.catalog.tables import (
    ACTIVE_RECIPE,
    IMAGE,
    IMAGE_TAG,
    INGEST,
    NEAR_DUPLICATE,
    SEGMENT,
    SOURCE,
)  # fmt: skip

OF_ALL = ("near_duplicates", "missing", "excluded")  # counted whatever the recipe


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
        with self._reading() as db:
            kept = tallies(db, db.execute(sa.select(ACTIVE_RECIPE)).scalar())
        by_state = kept.get("state", Counter())
        return {
            "images": kept.get("images", Counter()).total(),
            "segments": kept.get("segments", Counter()).total(),
            "pending": by_state[State.PENDING] + by_state[State.RUNNING],
            "failed": by_state[State.FAILED],
            "quarantined": by_state[State.QUARANTINED],
            **{name: kept.get(name, Counter()).total() for name in OF_ALL},
        }

    def statistics(self) -> dict[str, Any]:
        """Of the active recipe: `images`, `segments`, `states` and `formats` (counts of images),
        and `area_shares` (ten counts of segments, by tenths of their picture's area)."""
        with self._reading() as db:
            kept = tallies(db, db.execute(sa.select(ACTIVE_RECIPE)).scalar())
        by_tenth = kept.get("segments", Counter())
        return {
            "images": kept.get("images", Counter()).total(),
            "segments": by_tenth.total(),
            "states": dict(kept.get("state", Counter())),
            "formats": dict(kept.get("format", Counter())),
            "area_shares": [by_tenth[str(number)] for number in range(TENTHS)],
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
