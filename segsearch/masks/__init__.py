"""Regions as geometry: run lengths, crops, relations, polygons, refinement."""
