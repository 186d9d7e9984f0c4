"""Clips composed with known masks, and how well shots, tracks and moments are found in them."""
