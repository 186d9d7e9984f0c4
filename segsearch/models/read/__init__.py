"""Reads the lines of text that stand in pictures."""
