"""docs/sizing.md says what its measurements and its arithmetic give."""

from __future__ import annotations

import math

import pytest

from benchmarks.sizing import (
    DOCUMENT,
    GRAPH_SHARE,
    MACHINE_BYTES,
    PER_PICTURE,
    PRESETS,
    Measured,
    by_gpu,
    by_query,
    by_size,
    filled,
    load,
    shown,
)

BALANCED, FAST = PRESETS["balanced"], PRESETS["fast"]


@pytest.fixture(scope="module")
def measured() -> Measured:
    return Measured(load("measured_bytes.json"), load("service_times.json"))


def cells(lines: list[str], first: str) -> list[str]:
    (line,) = (line for line in lines if line.startswith(f"| {first} |"))
    return [cell.strip() for cell in line.strip("|").split("|")][1:]


def test_the_tables_are_those_of_the_measurements(measured: Measured) -> None:
    text = DOCUMENT.read_text("utf-8")
    assert filled(text, measured) == text


def test_what_was_measured_is_no_less_than_what_is_in_it(measured: Measured) -> None:
    """Two float16 vectors a region, one a picture; a graph holds each row once more."""
    found = measured.found
    payload = 2 * found["dimension"] * 2
    for engine in ("sqlite", "postgres"):
        assert payload < found[engine]["vectors"] < 1.5 * payload
        assert found[engine]["region"] > 100
        assert found[engine]["picture"] > 2 * found["dimension"]
    for width, sizes in found["pgvector"].items():
        assert 2 * int(width) < sizes["hnsw"] < 4 * int(width)
        assert 2 * int(width) < sizes["table"] < 4 * int(width)
    for preset in PRESETS.values():
        assert str(preset.width) in found["pgvector"]
        assert {preset.encoder, preset.embedder} < set(found["operations"])


def test_a_library_that_was_filled_takes_what_the_arithmetic_says(measured: Measured) -> None:
    """2.64 GB of catalog and 1.60 of index for the million of benchmarks/RESULTS.md."""
    assert measured.catalog("sqlite", FAST) * 1e6 == pytest.approx(2.64e9, rel=0.02)
    lists = measured.codes(FAST) + measured.flat(FAST)
    assert lists * 1e6 == pytest.approx(1.60e9, rel=0.01)


def test_sizes_are_products_and_machines_are_rounded_up(measured: Measured) -> None:
    lines = list(by_size(measured))
    bytes_each = measured.catalog("postgres", BALANCED)
    assert cells(lines, "catalog, PostgreSQL") == [shown(n * bytes_each) for n in (1e6, 1e8, 1e9)]
    graph = measured.found["pgvector"]["784"]["hnsw"]
    wanted = [math.ceil(n * graph / (MACHINE_BYTES * GRAPH_SHARE)) for n in (1e6, 1e8, 1e9)]
    assert cells(lines, "machines of 256 GB for that") == [str(count) for count in wanted]


def test_hours_of_a_gpu_are_operations_by_its_rate(measured: Measured) -> None:
    counted = measured.found["operations"]
    work = (
        counted["hiera-base-plus"]
        + 32 * 32 * counted["decoder"]
        + 101 * counted["ViT-B-16-SigLIP2-256"]
    )
    assert BALANCED.operations(counted) == pytest.approx(work)
    hours = 1e8 / PER_PICTURE * work * 1e9 / (312e12 / 3) / 3600
    assert cells(list(by_gpu(measured)), "`balanced`, A100")[3] == f"{hours:,.0f}"


def test_a_search_of_a_graph_reads_more_pages_the_more_rows_there_are(measured: Measured) -> None:
    for rows, pages in measured.found["pgvector_pages"].items():
        assert measured.pages(int(rows)) == pytest.approx(pages, rel=0.02)
    assert measured.pages(10**6) < measured.pages(10**9) < 2 * measured.pages(10**6)
    small, large = (cells(list(by_query(measured)), f"10^{power}") for power in (6, 9))
    assert float(large[0].replace(",", "")) == 1000 * float(small[0].replace(",", ""))


@pytest.mark.parametrize(
    ("value", "text"),
    [(5, "5.0 B"), (999, "999 B"), (1_530, "1.5 kB"), (796e6, "796 MB"), (5.4e12, "5.4 TB"),
     (4.1e15, "4100 TB")],
)  # fmt: skip
def test_bytes_are_shown_in_a_fitting_unit(value: float, text: str) -> None:
    assert shown(value) == text
