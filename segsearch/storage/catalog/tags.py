"""Tags: what people call their images."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import sqlalchemy as sa

from segsearch.core.names import composed
from segsearch.storage.catalog.database import Database, portions
from segsearch.storage.catalog.portable import insert
from segsearch.storage.catalog.tables import IMAGE, IMAGE_TAG


class TagMixin(Database):
    """The part of the catalog that holds tags."""

    def tag_images(
        self, image_ids: Sequence[int], *, add: Collection[str] = (), remove: Collection[str] = ()
    ) -> list[int]:
        """Give tags to images and take some away, in their one form; the ids of those that exist
        come back."""
        known, _ = self.change_tags(image_ids, add=add, remove=remove)
        return known

    def change_tags(
        self, image_ids: Sequence[int], *, add: Collection[str] = (), remove: Collection[str] = ()
    ) -> tuple[list[int], int]:
        """As `tag_images`, and how many images have other tags now, in one transaction."""
        tagged: list[int] = []
        changed: set[int] = set()
        add, remove = set(map(composed, add)), set(map(composed, remove))
        with self._editing() as db:
            for portion in portions(image_ids):
                known = sa.select(IMAGE.c.id).where(IMAGE.c.id.in_(portion)).order_by(IMAGE.c.id)
                ids = db.execute(known).scalars().all()
                gone = IMAGE_TAG.c.image_id.in_(ids) & IMAGE_TAG.c.tag.in_(remove)
                taken = sa.delete(IMAGE_TAG).where(gone).returning(IMAGE_TAG.c.image_id)
                changed.update(db.execute(taken).scalars())
                for tag in sorted(add):
                    given = sa.select(IMAGE.c.id, sa.literal(tag)).where(IMAGE.c.id.in_(ids))
                    put = insert(IMAGE_TAG).from_select(["image_id", "tag"], given)
                    new = put.on_conflict_do_nothing().returning(IMAGE_TAG.c.image_id)
                    changed.update(db.execute(new).scalars())
                tagged += ids
        return tagged, len(changed)
