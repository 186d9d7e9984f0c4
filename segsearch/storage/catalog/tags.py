"""Tags: what people call their images."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from segsearch.core.names import composed
from segsearch.storage.catalog.database import Database, portions
from segsearch.storage.catalog.tables import IMAGE, IMAGE_TAG


class TagMixin(Database):
    """The part of the catalog that holds tags."""

    def tag_images(
        self, image_ids: Sequence[int], *, add: Collection[str] = (), remove: Collection[str] = ()
    ) -> list[int]:
        """Give tags to images and take some away, in their one form; the ids of those that exist
        come back."""
        tagged: list[int] = []
        add, remove = set(map(composed, add)), set(map(composed, remove))
        with self._writing() as db:
            for portion in portions(image_ids):
                known = sa.select(IMAGE.c.id).where(IMAGE.c.id.in_(portion)).order_by(IMAGE.c.id)
                ids = db.execute(known).scalars().all()
                gone = IMAGE_TAG.c.image_id.in_(ids) & IMAGE_TAG.c.tag.in_(remove)
                db.execute(sa.delete(IMAGE_TAG).where(gone))
                rows = [{"image_id": image_id, "tag": tag} for image_id in ids for tag in add]
                if rows:
                    db.execute(insert(IMAGE_TAG).on_conflict_do_nothing(), rows)
                tagged += ids
        return tagged
