"""A catalog in a database of a PostgreSQL server."""
