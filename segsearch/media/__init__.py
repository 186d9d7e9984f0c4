"""Bytes anywhere -> upright sRGB pixels and what a file says of itself."""
