"""Vector indexes: nearest rows by inner product. Each is a projection of the catalog."""
