"""Which models there are, where their weights lie, and which belong together."""
