"""Loads a server with many callers at once: searches by words over many stored segments.

    python -m benchmarks.load --segments 100000 --clients 32

A server process of its own (`segsearch serve`), and this process with so many clients that each ask
again as soon as they are answered; both share the machine's cores. The vectors are random unit
rows, the words go through the embedded CLIP. "cached" repeats a few queries, "uncached" never asks
the same words twice.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np

from benchmarks.large_library import PER_PICTURE, RegionVectors, fill
from segsearch.core.settings import Settings
from segsearch.models.loading import find_model
from segsearch.models.presets import preset, recipe_of
from segsearch.storage.catalog.sql_catalog import Catalog

THINGS = ("umbrella", "dog", "bicycle", "boat", "lamp", "chair", "kite", "cup", "tree", "clock")
LOOKS = ("red", "blue", "green", "small", "old", "round", "wooden", "striped", "bright", "broken")
PLACES = ("on a beach", "in a room", "beside a road", "under a bridge", "in the snow", "on a table")
CACHED_QUERIES = 20


def phrases() -> Iterator[str]:
    """Words that never repeat."""
    for number in itertools.count():
        for look, thing, place in itertools.product(LOOKS, THINGS, PLACES):
            yield f"a {look} {thing} {place} {number}"


@contextmanager
def serving(library: Path) -> Iterator[str]:
    """The URL of a server that is ready."""
    command = [sys.executable, "-m", "segsearch", "--library", str(library), "serve"]
    with subprocess.Popen(
        [*command, "--port", "0", "--json", "--no-worker"], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            if process.stdout is None:
                raise SystemExit("the server says nothing")
            url = json.loads(process.stdout.readline())["url"]
            while httpx.get(f"{url}/readyz").status_code != 200:
                time.sleep(0.2)
            yield url
        finally:
            process.terminate()


async def load(
    url: str, words: Iterator[str], clients: int, requests: int
) -> tuple[list[float], Counter[str], float]:
    """Milliseconds of each answer, what went wrong by status, and seconds in all."""
    times: list[float] = []
    errors: Counter[str] = Counter()
    left = iter(range(requests))

    async def caller(client: httpx.AsyncClient) -> None:
        for _ in left:
            body = {"text": next(words), "limit": 10, "min_relevance": 0}
            started = time.perf_counter()
            try:
                answer = await client.post("/v1/search", json=body)
            except httpx.HTTPError as problem:
                errors[type(problem).__name__] += 1
                continue
            if answer.status_code != 200 or len(answer.json()["hits"]) != 10:
                errors[str(answer.status_code)] += 1
            times.append((time.perf_counter() - started) * 1000)

    limits = httpx.Limits(max_connections=clients, max_keepalive_connections=clients)
    async with httpx.AsyncClient(base_url=url, timeout=120, limits=limits) as client:
        started = time.perf_counter()
        await asyncio.gather(*(caller(client) for _ in range(clients)))
        return times, errors, time.perf_counter() - started


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--segments", type=int, default=100_000)
    options.add_argument("--clients", type=int, default=32)
    options.add_argument("--requests", type=int, default=2_000)
    options.add_argument("--library", type=Path, help="Kept between runs; else made anew.")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        library = chosen.library or Path(folder)
        prepare(library, chosen.segments)
        with serving(library) as url:
            measure(url, chosen.segments, chosen.clients, chosen.requests)


def prepare(library: Path, segments: int) -> None:
    """A library of random segments under the demo models' recipe, unless there is one."""
    if (library / "catalog.sqlite").exists():
        return
    library.mkdir(parents=True, exist_ok=True)
    settings = Settings(library=library)
    catalog = Catalog(library / "catalog.sqlite")
    recipe = recipe_of(preset("demo"), lambda name: find_model(settings, name))
    fill(catalog, recipe, RegionVectors.random(recipe.dimension), segments // PER_PICTURE)
    catalog.close()


def measure(url: str, segments: int, clients: int, requests: int) -> None:
    """Ask with cached and uncached words; prints a table."""
    cores = len(os.sched_getaffinity(0))
    print(f"{segments:,} segments, {clients} clients, {requests:,} requests, {cores} cores")
    print(f"{'words':10}{'p50 ms':>9}{'p95 ms':>9}{'p99 ms':>9}{'a second':>10}{'errors':>8}")
    few = list(itertools.islice(phrases(), CACHED_QUERIES))
    fresh = phrases()
    for _ in range(CACHED_QUERIES):
        next(fresh)
    asyncio.run(load(url, itertools.cycle(few), clients, clients * 2))  # warm
    failed = 0
    for name, words in (("cached", itertools.cycle(few)), ("uncached", fresh)):
        times, errors, seconds = asyncio.run(load(url, words, clients, requests))
        p50, p95, p99 = np.percentile(times, [50, 95, 99])
        rate = len(times) / seconds
        print(f"{name:10}{p50:9.0f}{p95:9.0f}{p99:9.0f}{rate:10.1f}{errors.total():8}")
        failed += errors.total()
        for status, count in errors.items():
            print(f"  {count} answers of {status}")
    if failed:
        raise SystemExit(f"{failed} requests failed")


if __name__ == "__main__":
    main()
