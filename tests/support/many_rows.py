"""Fills a catalog, on whichever engine, with many regions whose vectors lie in clumps, as those of
photographs do; by a few statements for each thousand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import sqlalchemy as sa

from segsearch.core.arrays import Vectors
from segsearch.core.types import State
from segsearch.storage.catalog.rows import pack
from segsearch.storage.catalog.sql_catalog import Catalog
from segsearch.storage.catalog.tables import IMAGE, INGEST, SEGMENT, SEGMENT_VECTOR, SOURCE
from tests.support.described import RECIPE

DIMENSION = 48
MANY = replace(RECIPE, dimension=DIMENSION)
CLUMPS = 150
PAGE = 100  # pictures


def clumped(count: int, seed: int) -> Vectors:
    """Unit rows (n, d), each near one of some middles."""
    rng = np.random.default_rng(seed)
    middles = np.random.default_rng(1).normal(size=(CLUMPS, DIMENSION))
    rows = middles[rng.integers(0, CLUMPS, count)] + 0.9 * rng.normal(size=(count, DIMENSION))
    unit: Vectors = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return unit


def fill(catalog: Catalog, pictures: int, segments: int) -> None:
    """Add pictures with so many regions each, under the recipe `MANY`; ids count up from 1."""
    recipe_id = catalog.register_recipe(MANY)
    for start in range(0, pictures, PAGE):
        numbers = range(start + 1, min(pictures, start + PAGE) + 1)
        whole = clumped(len(numbers), start)
        with catalog._writing() as db:
            db.execute(sa.insert(IMAGE), [
                {"sha256": f"{n:064x}", "width": 300, "height": 200, "format": "PNG"}
                for n in numbers
            ])  # fmt: skip
            db.execute(sa.insert(SOURCE), [
                {"path": f"/{n}.png", "folded": f"/{n}.png", "image_id": n, "size_bytes": 1,
                 "mtime_ns": n}
                for n in numbers
            ])  # fmt: skip
            db.execute(sa.insert(INGEST), [
                {"image_id": n, "recipe_id": recipe_id, "state": State.DONE,
                 "picture_vector": pack(vector)}
                for n, vector in zip(numbers, whole, strict=True)
            ])  # fmt: skip
            ids = [(n - 1) * segments + place + 1 for n in numbers for place in range(segments)]
            rng = np.random.default_rng(start)
            db.execute(sa.insert(SEGMENT), [
                {"image_id": 1 + (number - 1) // segments, "recipe_id": recipe_id,
                 "x0": number % 200, "y0": 5, "x1": number % 200 + 30, "y1": 90, "area": 2_000,
                 "counts": b"", "predicted_iou": float(rng.uniform(0.7, 1.0)), "stability": 0.9,
                 "area_tenth": 0}
                for number in ids
            ])  # fmt: skip
            vectors = clumped(2 * len(ids), start + 7)
            db.execute(sa.insert(SEGMENT_VECTOR), [
                {"segment_id": number, "context_vector": pack(one), "masked_vector": pack(other)}
                for number, one, other in zip(ids, vectors[::2], vectors[1::2], strict=True)
            ])  # fmt: skip
