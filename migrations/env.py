"""Runs the migrations over the connection that the catalog hands in, inside its transaction."""

from __future__ import annotations

from alembic import context

connection = context.config.attributes["connection"]
# SQLite alters little of a table: it is made anew.
is_sqlite = connection.dialect.name == "sqlite"
context.configure(connection=connection, render_as_batch=is_sqlite)
with context.begin_transaction():
    context.run_migrations()
