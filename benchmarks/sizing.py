"""Reckons how much a library of a million, a hundred million or a billion regions takes.

    python -m benchmarks.sizing            the tables of docs/sizing.md
    python -m benchmarks.sizing --write    puts them there

Bytes a row, pages a search and operations a picture come from `measured_bytes.json`, seconds from
`service_times.json` (`python -m benchmarks.measured_bytes`, `python -m benchmarks.capacity
measure`). All else is arithmetic on the constants below.
"""

from __future__ import annotations

import argparse
import json
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.capacity import Day, Fleet, ServiceTimes, simulate
from benchmarks.capacity import table as hours

BENCHMARKS = Path(__file__).parent
DOCUMENT = BENCHMARKS.parent / "docs" / "sizing.md"
SIZES = {"10^6": 10**6, "10^8": 10**8, "10^9": 10**9}  # regions
PER_PICTURE = 50  # regions; the embedded models find 57.6 on photographs
GIGA = 1e9
MACHINE_BYTES = 256e9  # memory of one that holds an HNSW graph
GRAPH_SHARE = 0.7  # of it for the graph; the rest for sessions, catalog pages, and growth
PARTITION_ROWS = 10_000_000  # whose graph is built in maintenance_work_mem of 32 GB
MILVUS_LINKS_BYTES = 2 * 16 * 4 + 8  # HNSW's lowest level with M 16, and a place; FAISS's own sum
TRAITS = 16  # numbers of a row beside the embedder's
LOOKED_AT = 1 / 16  # of the rows by lists: storage/index/inverted.py
PAGE_BYTES = 8192
DAY_SECONDS = 86_400

# NVIDIA's data sheets: dense bfloat16, 10^12 operations a second. What share of it small batches
# of small pictures reach was not measured: a third is what is usual for such encoders.
GPUS = {"A100": 312.0, "H100 SXM": 989.0}
REACHED = 1 / 3


@dataclass(frozen=True)
class PresetWork:
    """What a preset asks of a GPU: names are those of `measured_bytes.json`."""

    dimension: int
    encoder: str
    embedder: str
    points: int  # a side
    looks: int  # at the picture: itself, and its crops

    @property
    def width(self) -> int:
        """Numbers of a row of the index."""
        return self.dimension + TRAITS

    def operations(self, counted: dict[str, float]) -> float:
        """10^9 operations of one picture: encodings, prompts, and two crops a region."""
        prompts = self.points**2 * (1 if self.looks == 1 else 2)  # crops have a quarter each
        masks = self.looks * counted[self.encoder] + prompts * counted["decoder"]
        return masks + (2 * PER_PICTURE + 1) * counted[self.embedder]


PRESETS = {
    "fast": PresetWork(512, "hiera-tiny", "ViT-B-32-256", 16, 1),
    "balanced": PresetWork(768, "hiera-base-plus", "ViT-B-16-SigLIP2-256", 32, 1),
    "thorough": PresetWork(1024, "hiera-large", "ViT-L-16-SigLIP2-256", 32, 5),
}


def load(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((BENCHMARKS / name).read_text("utf-8"))
    return found


class Measured:
    """What was measured, for any preset."""

    def __init__(self, found: dict[str, Any], times: dict[str, Any]) -> None:
        self.found, self.times = found, times

    def vectors(self, engine: str, preset: PresetWork) -> float:
        """Bytes of a region's two vectors in the catalog: as many more a number as measured."""
        return float(self.found[engine]["vectors"] * preset.dimension / self.found["dimension"])

    def picture(self, engine: str, preset: PresetWork) -> float:
        """Bytes of a picture without its regions; its own vector, too."""
        longer: float = 2 * (preset.dimension - self.found["dimension"])
        return float(self.found[engine]["picture"]) + longer

    def catalog(self, engine: str, preset: PresetWork) -> float:
        """Bytes of a region, its share of its picture included."""
        own: float = self.found[engine]["region"]
        return own + self.vectors(engine, preset) + self.picture(engine, preset) / PER_PICTURE

    def flat(self, preset: PresetWork) -> float:
        """Bytes of a row that every search reads: float16, and an id."""
        return float(2 * preset.width + 8)

    def codes(self, preset: PresetWork) -> float:
        """Bytes of a row by lists that a search may read from memory: 8-bit codes, and a place."""
        beside: float = self.found["faiss_lists"]["ivf"] - (self.found["dimension"] + TRAITS)
        return beside + preset.width

    def table(self, preset: PresetWork) -> float:
        return float(self.found["pgvector"][str(preset.width)]["table"])

    def graph(self, preset: PresetWork) -> float:
        return float(self.found["pgvector"][str(preset.width)]["hnsw"])

    def milvus(self, preset: PresetWork) -> float:
        """Bytes of a row that a search may read: float32 (`FLOAT_VECTOR`), and its links."""
        return float(4 * preset.width + MILVUS_LINKS_BYTES)

    def pages(self, rows: float) -> float:
        """Pages that a search of an HNSW graph reads: a line over the logarithm of the rows."""
        known = self.found["pgvector_pages"]
        slope, start = np.polyfit([math.log2(int(n)) for n in known], list(known.values()), 1)
        return float(start + slope * math.log2(rows))


def shown(value: float) -> str:
    """Bytes in the unit that leaves one to three digits before the point."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if value < 1000 or unit == "TB":
            return f"{value:.0f} {unit}" if value >= 10 else f"{value:.1f} {unit}"
        value /= 1000
    raise AssertionError


def few_digits(value: float) -> str:
    return f"{value:,.2f}" if value < 10 else f"{value:,.0f}"


def rows(head: tuple[str, ...], lines: list[tuple[str, ...]]) -> Iterator[str]:
    """A table of Markdown."""
    yield f"| {' | '.join(head)} |"
    yield "|" + "---|" * len(head)
    yield from (f"| {' | '.join(line)} |" for line in lines)


def by_region(measured: Measured) -> Iterator[str]:
    """Bytes of one region in each place, by preset."""
    kinds: dict[str, Callable[[PresetWork], float]] = {
        "catalog, SQLite": lambda one: measured.catalog("sqlite", one),
        "catalog, PostgreSQL": lambda one: measured.catalog("postgres", one),
        "... of it its two vectors": lambda one: measured.vectors("postgres", one),
        "FAISS, flat: memory and disk": measured.flat,
        "FAISS, lists: read by searches": measured.codes,
        "FAISS, lists: beside that on disk": measured.flat,
        "pgvector: the rows": measured.table,
        "pgvector: the HNSW graph": measured.graph,
        "Milvus, HNSW, float32: memory": measured.milvus,
    }
    lines = [
        (kind, *(f"{size(one):,.0f}" for one in PRESETS.values())) for kind, size in kinds.items()
    ]
    head = (f"{name} ({one.dimension})" for name, one in PRESETS.items())
    yield from rows(("bytes a region", *head), lines)


def by_size(measured: Measured) -> Iterator[str]:
    """What libraries take with the preset `balanced`."""
    preset = PRESETS["balanced"]
    held = MACHINE_BYTES * GRAPH_SHARE

    def machines(count: int) -> str:
        return f"{math.ceil(count * measured.graph(preset) / held):,}"

    kinds: dict[str, Callable[[int], str]] = {
        "pictures": lambda n: f"{n // PER_PICTURE:,}",
        "catalog, SQLite": lambda n: shown(n * measured.catalog("sqlite", preset)),
        "catalog, PostgreSQL": lambda n: shown(n * measured.catalog("postgres", preset)),
        "FAISS on each node: disk": lambda n: shown(
            n * (measured.codes(preset) + measured.flat(preset))
        ),
        "... memory: the codes": lambda n: shown(n * measured.codes(preset)),
        "pgvector: rows and graph": lambda n: shown(
            n * (measured.table(preset) + measured.graph(preset))
        ),
        "... memory: the graph": lambda n: shown(n * measured.graph(preset)),
        "machines of 256 GB for that": machines,
        "partitions of 10^7 rows": lambda n: f"{math.ceil(n / PARTITION_ROWS):,}",
        "Milvus: memory of its query nodes": lambda n: shown(n * measured.milvus(preset)),
    }
    lines = [(kind, *(size(count) for count in SIZES.values())) for kind, size in kinds.items()]
    yield from rows(("`balanced`", *(f"{name} regions" for name in SIZES)), lines)


def by_gpu(measured: Measured) -> Iterator[str]:
    """GPU-hours by preset, GPU and size; hours of a processor's core for the embedded models."""
    counted = measured.found["operations"]
    lines = []
    for name, preset in PRESETS.items():
        work = preset.operations(counted)
        for gpu, peak in GPUS.items():
            seconds = work / (peak * 1000 * REACHED)
            hours = (few_digits(n / PER_PICTURE * seconds / 3600) for n in SIZES.values())
            lines.append((f"`{name}`, {gpu}", f"{work:,.0f}", f"{seconds:.3f}", *hours))
    seconds = float(np.median(measured.times["describe"]))
    hours = (few_digits(n / PER_PICTURE * seconds / 3600) for n in SIZES.values())
    lines.append(("`demo`, a core of a processor", "", f"{seconds:.2f}", *hours))
    head = ("hours", "10^9 operations a picture", "seconds a picture")
    yield from rows((*head, *(f"{name} regions" for name in SIZES)), lines)


def by_query(measured: Measured) -> Iterator[str]:
    """What one search reads."""
    preset = PRESETS["balanced"]
    lines: list[tuple[str, ...]] = []
    for name, count in SIZES.items():
        scanned = count * LOOKED_AT
        shards = math.ceil(count * measured.graph(preset) / (MACHINE_BYTES * GRAPH_SHARE))
        partitions = math.ceil(count / PARTITION_ROWS)
        pages = partitions * measured.pages(count / partitions)
        lines.append(
            (
                name, f"{scanned:,.0f}", shown(scanned * measured.codes(preset)),
                f"{measured.pages(count):,.0f}", f"{shards} x {partitions / shards:.0f}",
                f"{pages:,.0f}", shown(pages * PAGE_BYTES),
            )
        )  # fmt: skip
    head = (
        "regions", "FAISS, lists: rows looked at", "bytes", "one HNSW graph: pages",
        "machines x partitions", "pages of all partitions", "bytes",
    )  # fmt: skip
    yield from rows(head, lines)


def by_lock(measured: Measured) -> Iterator[str]:
    """What the writers' lock lets through: each picture takes it twice."""
    entered, stored = (float(np.median(measured.times[name])) for name in ("record", "commit"))
    rate = 1 / (entered + stored)
    cells = (
        f"{entered * 1000:.0f}", f"{stored * 1000:.0f}", f"{rate:.1f}", f"{rate * DAY_SECONDS:,.0f}"
    )  # fmt: skip
    head = ("entering a picture, ms", "storing it, ms", "pictures a second", "pictures a day")
    yield from rows(head, [cells])


def by_hour(measured: Measured) -> Iterator[str]:
    """The day of `make capacity`."""
    times = ServiceTimes(
        **{name: tuple(measured.times[name]) for name in ServiceTimes.__dataclass_fields__}
    )
    yield "```"
    yield from hours(simulate(Day(20_000, 100_000), Fleet(), times))
    yield "```"


TABLES: dict[str, Callable[[Measured], Iterator[str]]] = {
    "region": by_region, "size": by_size, "gpu": by_gpu, "query": by_query, "day": by_hour,
    "lock": by_lock,
}  # fmt: skip


def filled(text: str, measured: Measured) -> str:
    """The document with each table, between its marks, made anew."""
    for name, table in TABLES.items():
        lines = "\n".join(table(measured))
        marked = rf"(<!-- {name} -->\n)(?:.*?\n)??(<!-- end -->)"
        text, count = re.subn(marked, rf"\g<1>{lines}\n\g<2>", text, flags=re.DOTALL)
        if count != 1:
            raise SystemExit(f"{DOCUMENT.name} has no place for the table {name!r}.")
    return text


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--write", action="store_true", help="into docs/sizing.md")
    measured = Measured(load("measured_bytes.json"), load("service_times.json"))
    if options.parse_args().write:
        DOCUMENT.write_text(filled(DOCUMENT.read_text("utf-8"), measured), "utf-8")
        return
    for name, table in TABLES.items():
        print(f"\n{name}\n")
        print("\n".join(table(measured)))


if __name__ == "__main__":
    main()
