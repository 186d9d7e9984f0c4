"""Measures whether a search says so when nothing is there: `python -m benchmarks.absence`.

Indexes drawn scenes of `benchmarks.regions` with the embedded models (kept in `.benchmarks`), asks
"a NAME" for every name of the drawings, and asks which share of the names that are in no scene are
turned away at each floor of relevance, and what that costs the names that are. Recall at 10: some
of the first ten regions covers a thing of that name with IoU 0.5 or more. Many names are nearly
alike ("airplane", "airplane departure"); `strangers` are the absent ones that share no word with a
present one. Floors are chosen on `choose`, and reported on `test`: other scenes, other seeds.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segsearch.core.errors import RecipeError
from segsearch.core.query import MIN_RELEVANCE, Query, TextTerm
from segsearch.core.settings import Settings
from segsearch.core.types import Hit
from segsearch.library import SegSearch, open_library
from segsearch.masks.rle import iou
from segsearch.models.presets import DEFAULT_PRESET
from segsearch.search.evaluation.run import with_article
from segsearch.search.evaluation.truth import Thing, read_truth

FLOORS = (0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
ANSWERS = 10
RIGHT_IOU = 0.5
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Asked:
    """One name's query: whether it is there, shares a word with what is, was found, how relevant
    its best region is; `kept` is the highest relevance of a right region."""

    name: str
    is_there: bool
    is_stranger: bool
    is_found: bool
    best: float
    kept: float


def ask_all(service: SegSearch, folder: Path) -> list[Asked]:
    """Ask for every name of the drawings over an indexed library."""
    indexed = {Path(one.paths[0]).name for one in service.catalog.images(limit=1000)}
    things: dict[str, list[tuple[str, Thing]]] = defaultdict(list)
    for picture in read_truth(folder / "annotations.json", folder / "images"):
        for thing in picture.things if picture.path.name in indexed else ():
            things[thing.name].append((picture.path.name, thing))
    document = json.loads((folder / "annotations.json").read_text())
    used = {word for name in things for word in name.split()}
    asked = []
    for name in sorted(row["name"] for row in document["categories"]):
        query = Query((TextTerm(with_article(name)),), limit=ANSWERS, min_relevance=0)
        hits = service.search(query).hits
        right = [hit.relevance or 0.0 for hit in hits if covers(hit, things.get(name, []))]
        best = (hits[0].relevance or 0.0) if hits else 0.0
        stranger = not used & set(name.split())
        asked.append(
            Asked(name, name in things, stranger, bool(right), best, max(right, default=-1))
        )
    return asked


def covers(hit: Hit, things: list[tuple[str, Thing]]) -> bool:
    """Whether a hit covers one of these things."""
    file = Path(hit.image.paths[0]).name
    return any(
        there == file and iou(hit.segment.mask, thing.mask) >= RIGHT_IOU for there, thing in things
    )


def table(label: str, asked: list[Asked]) -> str:
    """Shares in percent at each floor; `hits` is recall when each hit must reach the floor."""
    there = [one for one in asked if one.is_there]
    gone = [one for one in asked if not one.is_there]
    strangers = [one for one in gone if one.is_stranger]
    lines = [
        f"{label}: {len(there)} names are there, {len(gone)} are not, {len(strangers)} of those "
        "are strangers",
        f"{'floor':>7}{'turned away':>13}{'strangers':>11}{'recall@10':>11}{'by hits':>9}",
    ]
    for floor in FLOORS:
        away = np.mean([one.best < floor for one in gone])
        strange = np.mean([one.best < floor for one in strangers])
        recall = np.mean([one.is_found and one.best >= floor for one in there])
        single = np.mean([one.kept >= floor for one in there])
        chosen = " <- default" if floor == MIN_RELEVANCE else ""
        lines.append(f"{floor:7.2f}{away:13.1%}{strange:11.1%}{recall:11.1%}{single:9.1%}{chosen}")
    return "\n".join(lines)


def main() -> None:
    """Command line."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--scenes", type=int, default=60, help="of each set")
    options.add_argument("--folder", type=Path, default=Path(".benchmarks/regions"))
    options.add_argument("--cache", type=Path, default=Path(".benchmarks/absence"))
    chosen = options.parse_args()
    for name in ("choose", "test"):
        folder = chosen.folder / name
        paths = sorted((folder / "images").glob("*.jpg"))[: chosen.scenes]
        settings = Settings(library=chosen.cache / name, preset=DEFAULT_PRESET)
        with open_library(settings, create=True) as service:
            try:
                service.index(paths)
            except RecipeError:  # the cache was filled with other models
                service.index(paths, rebuild=True)
            print(table(name, ask_all(service, folder)), flush=True)


if __name__ == "__main__":
    main()
