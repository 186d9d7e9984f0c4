"""The HTTP API as Python calls; needs no model and no index."""
