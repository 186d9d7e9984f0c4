"""Weights that ship with segsearch."""
