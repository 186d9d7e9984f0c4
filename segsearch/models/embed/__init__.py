"""Embedders: pictures and words into one space of unit vectors."""
