"""Regions -> PNG, JSON, COCO, Parquet, caption packs, captions."""
