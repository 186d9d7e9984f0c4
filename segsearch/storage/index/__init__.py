"""Vector indexes: nearest rows by inner product; each follows the catalog and is built from it."""
