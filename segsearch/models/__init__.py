"""Pixels and words into masks and vectors; the only room that runs torch."""
