"""The catalog: the truth about a library, in a database."""
