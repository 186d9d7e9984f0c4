"""Measures what `benchmarks.sizing` reckons with, and writes `benchmarks/measured_bytes.json`.

    python -m benchmarks.measured_bytes --library COPY --lists LARGE

COPY is a library of photographs with a SQLite catalog (it is upgraded when it is older: name a
copy), LARGE one whose index lies by lists. The library is moved to a PostgreSQL of its own with
`migrate-store`'s code; tables and indexes are weighed on both engines, less what empty ones weigh.
Rows of pgvector are made of the library's own vectors, indexed at several widths and sizes; what a
search reads there is counted in pages, not in seconds. Operations of the models are counted on
their shapes alone, with no weights and no GPU.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import psycopg
import torch
from pydantic import SecretStr
from torch.utils.flop_counter import FlopCounterMode

from segsearch.core.arrays import Vectors
from segsearch.core.settings import Settings
from segsearch.storage.catalog.sql_catalog import Catalog
from segsearch.storage.catalogs import move_library
from tools.postgres_server import PostgresServer, make_template

WRITTEN = Path(__file__).with_suffix(".json")
WIDTHS = (528, 784, 1040)  # of demo, balanced and thorough: the embedder's, and 16
WIDTH_ROWS = 4_000
HALVINGS = 3  # of the library's rows, in each of which searches are counted
QUERIES, BEST, EF_SEARCH = 20, 10, 100
OF_REGIONS = ("segment", "segment_by_image", "segment_by_recipe", "segment_pkey")
OF_VECTORS = ("segment_vector",)
BOUNDED = ("change_log", "sqlite_schema", "sqlite_sequence")  # grow to a bound, or not at all
GIGA = 1e9


def weighed(
    tables: dict[str, int], empty: dict[str, int], regions: int, pictures: int
) -> dict[str, float]:
    """Bytes of a region and a picture, from those of tables and indexes by their names."""
    grown = {name: size - empty.get(name, 0) for name, size in tables.items()}
    region = sum(size for name, size in grown.items() if name in OF_REGIONS)
    vectors = sum(size for name, size in grown.items() if name.startswith(OF_VECTORS))
    rest = sum(
        size
        for name, size in grown.items()
        if name not in (*OF_REGIONS, *BOUNDED) and not name.startswith(OF_VECTORS)
    )
    return {
        "region": round(region / regions, 1),
        "vectors": round(vectors / regions, 1),
        "picture": round(rest / pictures, 1),
    }


def sqlite_sizes(path: Path) -> dict[str, int]:
    """Bytes of each table and index; SQLite must have `dbstat`."""
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as db:
        return dict(db.execute("SELECT name, sum(pgsize) FROM dbstat GROUP BY name"))


def postgres_sizes(address: str) -> dict[str, int]:
    """The same, with what lies beside rows (TOAST) counted to their table."""
    query = (
        "SELECT relname, CASE relkind WHEN 'r' THEN pg_table_size(oid) ELSE pg_relation_size(oid) "
        "END FROM pg_class WHERE relkind IN ('r', 'i') AND relnamespace = 'public'::regnamespace"
    )
    with psycopg.connect(address, autocommit=True) as db:
        db.execute("VACUUM")
        return dict(db.execute(query).fetchall())


def fill_rows(db: psycopg.Connection[Any], rows: Vectors, width: int) -> None:
    """A table of halfvec(`width`) with these rows, filled up with zeros, and its HNSW index."""
    padded = np.zeros((len(rows), width), np.float32)
    padded[:, : min(width, rows.shape[1])] = rows[:, :width]
    db.execute("DROP TABLE IF EXISTS made")
    db.execute(f"CREATE TABLE made(id bigint PRIMARY KEY, row halfvec({width}))".encode())
    with db.cursor() as cursor, cursor.copy("COPY made FROM STDIN") as copied:
        for number, row in enumerate(padded):
            copied.write_row((number, "[" + ",".join(f"{value:.4g}" for value in row) + "]"))
    db.execute("CREATE INDEX by_row ON made USING hnsw (row halfvec_ip_ops)")


def pgvector_bytes(db: psycopg.Connection[Any], rows: Vectors) -> dict[str, Any]:
    """Bytes a row of the table and of the index, at each width."""
    found = {}
    for width in WIDTHS:
        fill_rows(db, rows[:WIDTH_ROWS], width)
        sizes = db.execute(
            "SELECT pg_table_size('made') + pg_relation_size('made_pkey'), "
            "pg_relation_size('by_row')"
        ).fetchone()
        if sizes is None:
            raise SystemExit("The server says no size.")
        count = min(WIDTH_ROWS, len(rows))
        found[str(width)] = {"table": round(sizes[0] / count), "hnsw": round(sizes[1] / count)}
    return found


def pages_read(db: psycopg.Connection[Any], rows: Vectors) -> dict[str, float]:
    """How many pages of 8 KiB a search looks at, by how many rows there are."""
    found = {}
    for halving in range(HALVINGS, -1, -1):
        some = rows[:: 2**halving]
        fill_rows(db, some, WIDTHS[0])
        db.execute(f"SET hnsw.ef_search = {EF_SEARCH}".encode())
        db.execute("SET enable_seqscan = off")
        read = []
        for query in rows[:: max(1, len(rows) // QUERIES)][:QUERIES]:
            text = "[" + ",".join(f"{value:.4g}" for value in (*query, *[0.0] * 16)) + "]"
            plan = db.execute(
                "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) SELECT id FROM made "  # noqa: S608  numbers
                f"ORDER BY row <#> '{text}'::halfvec LIMIT {BEST}".encode()
            ).fetchone()
            if plan is None:
                raise SystemExit("The server explains nothing.")
            top = plan[0][0]["Plan"]
            read.append(top["Shared Hit Blocks"] + top["Shared Read Blocks"])
        found[str(len(some))] = round(float(np.mean(read)), 1)
    return found


def operations() -> dict[str, float]:
    """10^9 floating-point operations of the parts of the real presets' models."""
    from segsearch.models.segment.sam2 import build_sam2

    def counted(call: Callable[[], object]) -> float:
        with FlopCounterMode(display=False) as counter:
            call()
        return round(float(counter.get_total_flops()) / GIGA, 2)

    import open_clip

    found = {}
    with torch.device("meta"):  # shapes, no numbers
        for size in ("hiera-tiny", "hiera-base-plus", "hiera-large"):
            model = build_sam2(size)
            picture = torch.empty(1, 3, 1024, 1024)
            found[size] = counted(lambda: model.get_image_embeddings(picture))  # noqa: B023
            if size == "hiera-tiny":  # the decoder is the same in all
                seen = model.get_image_embeddings(picture)
                points, labels = torch.empty(1, 64, 1, 2), torch.ones(1, 64, 1, dtype=torch.int)
                found["decoder"] = round(
                    counted(
                        lambda: model(  # noqa: B023
                            image_embeddings=seen,  # noqa: B023
                            input_points=points,  # noqa: B023
                            input_labels=labels,  # noqa: B023
                        )
                    )
                    / 64,
                    2,
                )
        for name in ("ViT-B-32-256", "ViT-B-16-SigLIP2-256", "ViT-L-16-SigLIP2-256"):
            clip: Any = open_clip.create_model(name, pretrained=None, device="meta")
            found[name] = counted(lambda: clip.encode_image(torch.empty(1, 3, 256, 256)))  # noqa: B023
    return found


def region_vectors(catalog: Catalog) -> Iterator[Vectors]:
    active = catalog.active_recipe()
    if active is None:
        raise SystemExit("The library is empty.")
    for part in catalog.vectors(active[0]):
        yield np.asarray(part.context, np.float32)


def measure(library: Path, lists: Path) -> dict[str, Any]:
    with TemporaryDirectory() as folder, PostgresServer() as server:
        Catalog(Path(folder) / "catalog.sqlite").close()
        empty = sqlite_sizes(Path(folder) / "catalog.sqlite")
        catalog = Catalog(library / "catalog.sqlite")
        rows = np.concatenate(list(region_vectors(catalog)))
        pictures = catalog.counts()["images"]
        catalog.close()
        make_template(server)
        address = server.create_database("moved")
        moved = Settings(library=Path(folder) / "node", catalog=SecretStr(address))
        move_library(Settings(library=library), moved)
        of_server = postgres_sizes(address)
        server.create_database("plain")
        plain = postgres_sizes(server.address("segsearch_made"))
        with psycopg.connect(server.address("plain"), autocommit=True) as db:
            db.execute("CREATE EXTENSION vector")
            db.execute("SET maintenance_work_mem = '1GB'")
            vectors, read = pgvector_bytes(db, rows), pages_read(db, rows)
    files = list((lists / "index").glob("*.rows")) + list((lists / "index").glob("*.ivf"))
    count = max(file.stat().st_size for file in files) // (2 * WIDTHS[0] + 8)
    return {
        "regions": len(rows), "pictures": pictures, "dimension": int(rows.shape[1]),
        "sqlite": weighed(
            sqlite_sizes(library / "catalog.sqlite"), empty, len(rows), pictures
        ),
        "postgres": weighed(of_server, plain, len(rows), pictures),
        "faiss_lists": {
            file.suffix[1:]: round(file.stat().st_size / count, 1) for file in files
        } | {"rows_counted": count},
        "pgvector": vectors, "pgvector_pages": read, "operations": operations(),
    }  # fmt: skip


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--library", type=Path, required=True)
    options.add_argument("--lists", type=Path, required=True)
    chosen = options.parse_args()
    WRITTEN.write_text(json.dumps(measure(chosen.library, chosen.lists), indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
