"""Drawn pages and signs with known lines, and how well and at what cost they are read."""
