"""Writes regions as a Parquet file: the fields of `search --json` as typed columns."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from segsearch.core.atomic import whole
from segsearch.core.types import Hit
from segsearch.export.documents import hit_document

ROWS_IN_GROUP = 1000  # held in memory at once
CAPTION = pa.struct(
    [(name, pa.string()) for name in ("text", "model", "host", "prompt_sha256", "created_at")]
)
SCHEMA = pa.schema(
    [
        ("rank", pa.int64()),
        ("score", pa.float64()),
        ("relevance", pa.float64()),
        ("segment_id", pa.int64()),
        ("image_id", pa.int64()),
        ("path", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("box", pa.list_(pa.int32(), 4)),
        ("area", pa.int64()),
        ("mask", pa.struct([("size", pa.list_(pa.int32(), 2)), ("counts", pa.string())])),
        ("predicted_iou", pa.float64()),
        ("stability", pa.float64()),
        ("captions", pa.list_(CAPTION)),
    ],
    metadata={
        "box": "x0, y0, x1, y1 in pixels of the upright picture, half-open",
        "mask": "COCO compressed run lengths of the whole frame; size is H, W",
    },
)


def write_parquet(hits: Iterable[Hit], target: Path) -> int:
    """Write regions to a file, made or replaced when all are in it; how many they are.

    OSError when the disk refuses.
    """
    each, written = iter(hits), 0
    with whole(target) as partial, pq.ParquetWriter(partial, SCHEMA, compression="zstd") as file:
        while some := list(itertools.islice(each, ROWS_IN_GROUP)):
            rows = [hit_document(hit) for hit in some]
            file.write_table(pa.Table.from_pylist(rows, schema=SCHEMA))
            written += len(rows)
    return written
