"""Alembic's steps from an empty catalog to this version's; the only way the schema changes.

`new_catalog.sql` is what they come to, for a catalog that is new: `python -m tools.new_catalog`.
"""
