"""Drawings, scenes and photographs to learn from."""
