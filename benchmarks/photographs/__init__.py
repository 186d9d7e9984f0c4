"""Photographs: free words and outlines on those that packages ship; annotated ones asked for."""
