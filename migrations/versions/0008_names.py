"""Names in one form: what paths are compared by, and tags and collections without doubles. Paths
that the globs of the last run left out are marked."""

from __future__ import annotations

from unicodedata import normalize

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("source", sa.Column("folded", sa.Text, nullable=False, server_default=""))
    op.add_column("source", sa.Column("excluded_since", sa.Float))
    db = op.get_bind()
    paths = db.execute(sa.text("SELECT path FROM source")).scalars().all()
    names = [{"path": path, "folded": _folded(path)} for path in paths]
    if names:
        db.execute(sa.text("UPDATE source SET folded = :folded WHERE path = :path"), names)
    _compose_tags(db)
    _compose_collections(db)


def _folded(path: str) -> str:
    return normalize("NFC", normalize("NFC", path).casefold())


def _compose_tags(db: sa.Connection) -> None:
    for tag in db.execute(sa.text("SELECT DISTINCT tag FROM image_tag")).scalars().all():
        composed = normalize("NFC", tag)
        if composed != tag:
            names = {"old": tag, "new": composed}
            # Where the image has both, the row that cannot be renamed goes.
            rename = "UPDATE OR IGNORE image_tag SET tag = :new WHERE tag = :old"
            db.execute(sa.text(rename), names)
            db.execute(sa.text("DELETE FROM image_tag WHERE tag = :old"), names)


def _compose_collections(db: sa.Connection) -> None:
    for number, name in db.execute(sa.text("SELECT id, name FROM collection")).all():
        composed = normalize("NFC", name)
        if composed == name:
            continue
        same = sa.text("SELECT id FROM collection WHERE name = :name")
        other = db.execute(same, {"name": composed}).scalar()
        if other is None:
            rename = sa.text("UPDATE collection SET name = :name WHERE id = :id")
            db.execute(rename, {"name": composed, "id": number})
            continue
        ids = {"old": number, "new": other}
        move = "UPDATE OR IGNORE collection_image SET collection_id = :new"
        db.execute(sa.text(f"{move} WHERE collection_id = :old"), ids)
        db.execute(sa.text("DELETE FROM collection_image WHERE collection_id = :old"), ids)
        db.execute(sa.text("DELETE FROM collection WHERE id = :old"), ids)


def downgrade() -> None:
    for name in ("folded", "excluded_since"):
        op.drop_column("source", name)
