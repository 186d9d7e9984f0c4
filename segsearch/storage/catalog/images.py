"""Images: what is known of each, how many there are, and how they go."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any, cast

import sqlalchemy as sa

from segsearch.core.errors import NotFoundError
from segsearch.core.types import Image, State
from segsearch.core.video import FORMAT
from segsearch.storage.catalog.change_log import log_change
from segsearch.storage.catalog.collections import members_of, refuse_unknown
from segsearch.storage.catalog.counters import tallies
from segsearch.storage.catalog.database import Database, portions
from segsearch.storage.catalog.portable import AMONG_IDS, TEXT, WIDE, ids_parameter
from segsearch.storage.catalog.rows import IMAGE_COLUMNS, TENTHS, image_from
from segsearch.storage.catalog.shots import shots_of
from segsearch.storage.catalog.tables import (
    ACTIVE_RECIPE,
    IMAGE,
    IMAGE_TAG,
    INGEST,
    NEAR_DUPLICATE,
    SEGMENT,
    SOURCE,
)  # fmt: skip

# Built once: a search would take longer to build them than SQLite takes to answer.
_IMAGES = (
    sa.select(*(IMAGE.c[name] for name in IMAGE_COLUMNS), INGEST.c.state, INGEST.c.reason)
    .select_from(
        IMAGE.outerjoin(
            INGEST, (INGEST.c.image_id == IMAGE.c.id) & (INGEST.c.recipe_id == ACTIVE_RECIPE)
        )
    )
    .where(IMAGE.c.id > sa.bindparam("after"))
    .order_by(IMAGE.c.id)
    .limit(sa.bindparam("most"))
)
_IMAGES_OF_IDS = _IMAGES.where(IMAGE.c.id.in_(AMONG_IDS))
OF_ALL = ("near_duplicates", "missing", "excluded", "videos")  # counted whatever the recipe


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
        query = _IMAGES if ids is None else _IMAGES_OF_IDS
        if state is not None:
            query = query.where(INGEST.c.state == state)
        if collection is not None:
            query = query.where(IMAGE.c.id.in_(members_of(collection)))
        with self._reading() as db:
            refuse_unknown(db, [] if collection is None else [collection])
            page = {"after": after, "most": limit, **ids_parameter(ids or ())}
            rows = db.execute(query, page).all()
            shown = [row.id for row in rows]
            said = _said_of(db, shown)
            shots = shots_of(db, [row.id for row in rows if row.format == FORMAT])
        return [
            image_from(row, *(said[kind, row.id] for kind in KINDS), shot=shots.get(row.id))
            for row in rows
        ]

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

    def images_with(self, digests: Sequence[str]) -> dict[str, int]:
        """Ids of the images whose bytes have one of these sha256, by sha256."""
        query = sa.select(IMAGE.c.sha256, IMAGE.c.id)
        with self._reading() as db:
            return {
                sha256: image_id
                for portion in portions(digests)
                for sha256, image_id in db.execute(query.where(IMAGE.c.sha256.in_(portion)))
            }

    def paths_of(self, image_ids: Sequence[int]) -> list[str]:
        """The paths of these images; unknown ids are passed by."""
        query = sa.select(SOURCE.c.path)
        with self._reading() as db:
            return [
                path
                for portion in portions(image_ids)
                for path in db.execute(query.where(SOURCE.c.image_id.in_(portion))).scalars()
            ]

    def remove_images(self, image_ids: Sequence[int]) -> int:
        """Forget images with their paths, segments and vectors; how many there were."""
        with self._editing() as db:
            return sum(
                drop_images(db, sa.select(IMAGE.c.id).where(IMAGE.c.id.in_(portion)))
                for portion in portions(image_ids)
            )

    def counts(self) -> dict[str, int]:
        """`images`, `segments`, `pending` (with running ones), `failed` and `quarantined` of the
        active recipe; images whose text was `read`, is `to_read` or was `unreadable`, and the
        `lines` found there; images with `near_duplicates`, `missing` and `excluded` paths, and
        `videos`."""
        with self._reading() as db:
            kept = tallies(db, db.execute(sa.select(ACTIVE_RECIPE)).scalar())
        by_state, reading = kept.get("state", Counter()), kept.get("reading", Counter())
        return {
            "images": kept.get("images", Counter()).total(),
            "segments": kept.get("segments", Counter()).total(),
            "pending": by_state[State.PENDING] + by_state[State.RUNNING],
            "failed": by_state[State.FAILED],
            "quarantined": by_state[State.QUARANTINED],
            "read": reading[State.DONE],
            "to_read": reading[State.PENDING] + reading[State.RUNNING],
            "unreadable": reading[State.FAILED] + reading[State.QUARANTINED],
            "lines": kept.get("lines", Counter()).total(),
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


def _said_of(db: sa.Connection, image_ids: Sequence[int]) -> dict[tuple[str, int], list[Any]]:
    """What other tables say of images, by `KINDS` and image id, in one statement."""
    values: dict[tuple[str, int], list[Any]] = defaultdict(list)
    if image_ids:
        for kind, image_id, text, number, _ in db.execute(_SAID_OF, ids_parameter(image_ids)).all():
            values[kind, image_id].append(number if text is None else text)
    return values


def _of_kind(kind: str, column: sa.Column[Any], order: sa.Column[Any] | None) -> sa.Select[Any]:
    """Kind, image, what is said as text or as a number, and its place among the others."""
    of_image = column.table.c.image_id
    nothing = (sa.cast(sa.null(), TEXT), sa.cast(sa.null(), WIDE))
    said = (nothing[0], column) if isinstance(column.type, sa.Integer) else (column, nothing[1])
    place = sa.literal_column("0") if order is None else order
    query = sa.select(sa.literal_column(f"'{kind}'"), of_image, *said, place.label("place"))
    return query.where(of_image.in_(AMONG_IDS))


KINDS = ("path", "tag", "near")
_SAID_OF = sa.union_all(
    _of_kind("path", SOURCE.c.path, None),
    _of_kind("tag", IMAGE_TAG.c.tag, None),
    _of_kind("near", NEAR_DUPLICATE.c.other_id, NEAR_DUPLICATE.c.bits),
).order_by(sa.text("5"), sa.text("3"), sa.text("4"))
