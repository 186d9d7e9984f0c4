"""Alembic's steps from an empty catalog to this version's; the only way the schema changes."""
