"""Writes regions as a Parquet file: the fields of `search --json` as typed columns."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from segsearch.core.atomic import whole
from segsearch.core.types import Hit
from segsearch.export.documents import HitDocument

ROWS_IN_GROUP = 1000  # held in memory at once
TYPES = {
    "integer": pa.int64(), "number": pa.float64(), "string": pa.string(), "boolean": pa.bool_(),
}  # fmt: skip


def hit_schema() -> pa.Schema:
    """The columns of a hit's document, each described in the metadata."""
    document = HitDocument.model_json_schema(mode="serialization")
    definitions, columns = document.get("$defs", {}), document["properties"]
    described = {
        name: column["description"] for name, column in columns.items() if "description" in column
    }
    return pa.schema(_columns(columns, definitions), metadata=described)


def _columns(properties: dict[str, Any], definitions: dict[str, Any]) -> list[tuple[str, Any]]:
    return [(name, _column_type(schema, definitions)) for name, schema in properties.items()]


def _column_type(schema: dict[str, Any], definitions: dict[str, Any]) -> pa.DataType:
    """The type of a column that holds what a JSON schema describes."""
    match schema:
        case {"$ref": reference}:
            definition = definitions[reference.rpartition("/")[2]]
            return pa.struct(_columns(definition["properties"], definitions))
        case {"anyOf": [given, {"type": "null"}]}:
            return _column_type(given, definitions)
        case {"items": items, "minItems": least, "maxItems": most} if least == most:
            return pa.list_(_column_type(items, definitions), most)
        case {"items": items}:
            return pa.list_(_column_type(items, definitions))
        case _:
            return TYPES[schema["type"]]


def write_parquet(hits: Iterable[Hit], target: Path) -> int:
    """Write regions to a file, made or replaced when all are in it; how many they are.

    OSError when the disk refuses.
    """
    each, schema, written = iter(hits), hit_schema(), 0
    with whole(target) as partial, pq.ParquetWriter(partial, schema, compression="zstd") as file:
        while group := list(itertools.islice(each, ROWS_IN_GROUP)):
            rows = [HitDocument.of(hit).model_dump() for hit in group]
            file.write_table(pa.Table.from_pylist(rows, schema=schema))
            written += len(rows)
    return written
