"""Fills a library of any size through the product's own commits, from the regions of a real one.

    python -m benchmarks.large_library --like DEMO --library LARGE --regions 1000000

The pictures are made up, files of theirs there are none; their regions' vectors lie between those
of `--like` (three of them mixed at random, with noise), so that they gather as real ones do, and
words, clicks on the map and filters find what they would find. Goes on where it stopped.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segsearch.core.arrays import DescribedPicture, DescribedSegment, Vectors
from segsearch.core.types import FileStamp, PictureInfo, Proposal, Recipe
from segsearch.masks.rle import encode
from segsearch.storage.catalog.sql_catalog import Catalog

PER_PICTURE = 50
SIDE = 480
SHARES = (1.0, 0.5, 0.25)  # of three regions in one that is made up
NOISE = 0.35  # length of what is added, beside the mixture's 1
SAID_EACH = 1_000  # pictures


class RegionVectors:
    """Vectors (n, d) of regions with surroundings, masked and of their pictures, from which others
    are mixed."""

    def __init__(self, context: Vectors, masked: Vectors, picture: Vectors) -> None:
        self.context, self.masked, self.picture = context, masked, picture

    @classmethod
    def of(cls, catalog: Catalog, recipe_id: int) -> RegionVectors:
        """Those of a real library."""
        parts = list(catalog.vectors(recipe_id))
        if not parts:
            raise SystemExit("The library to take after has no regions.")
        names = ("context", "masked", "picture")
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))

    @classmethod
    def random(cls, dimension: int, count: int = 1_000) -> RegionVectors:
        """Some that have nothing to do with each other."""
        rng = np.random.default_rng(0)
        rows = rng.standard_normal((3, count, dimension), dtype=np.float32)
        return cls(*(rows / np.linalg.norm(rows, axis=2, keepdims=True)))

    def mixed(self, rng: np.random.Generator, count: int) -> tuple[Vectors, Vectors, Vectors]:
        """Rows (count, d) of unit length with surroundings and masked, and one (1, d) for the
        picture."""
        chosen = rng.integers(0, len(self.context), (len(SHARES), count))
        noise = rng.standard_normal((count, self.context.shape[1])).astype(np.float32)
        noise *= NOISE / np.linalg.norm(noise, axis=1, keepdims=True)
        return (
            _blend(self.context, chosen, noise),
            _blend(self.masked, chosen, noise),
            _blend(self.picture, chosen[:, :1], noise[:1]),
        )


def _blend(rows: Vectors, chosen: NDArray[np.int64], noise: Vectors) -> Vectors:
    mixed = sum(share * rows[some] for share, some in zip(SHARES, chosen, strict=True)) + noise
    return np.asarray(mixed / np.linalg.norm(mixed, axis=1, keepdims=True), np.float32)


def fill(catalog: Catalog, recipe: Recipe, regions: RegionVectors, pictures: int) -> int:
    """Store so many pictures of `PER_PICTURE` regions each; the recipe's id comes back."""
    recipe_id = catalog.register_recipe(recipe)
    while left := catalog.claim(recipe_id, "benchmark", 600):  # one was killed over it
        catalog.commit(left, _picture(np.random.default_rng(0), regions))
    started = catalog.counts()["images"]
    for number in range(started, pictures):
        rng = np.random.default_rng(number)
        stamp = FileStamp(1, number)
        folder = f"/made-up/{number // 1000}"
        catalog.record_file(f"{folder}/{number}.jpg", stamp, f"{number:064x}", recipe_id)
        claim = catalog.claim(recipe_id, "benchmark", 600)
        if claim is None:
            raise SystemExit("The queue is empty.")
        catalog.commit(claim, _picture(rng, regions))
        if number % SAID_EACH == 0:
            print(f"{number} of {pictures} pictures", flush=True)
    return recipe_id


def _picture(rng: np.random.Generator, regions: RegionVectors) -> DescribedPicture:
    context, masked, picture = regions.mixed(rng, PER_PICTURE)
    described = []
    sizes = np.exp(rng.uniform(np.log(12), np.log(SIDE * 0.8), (PER_PICTURE, 2))).astype(int)
    for number, (width, height) in enumerate(sizes.tolist()):
        x, y = int(rng.integers(0, SIDE - width)), int(rng.integers(0, SIDE - height))
        across, down = np.meshgrid(np.linspace(-1, 1, width), np.linspace(-1, 1, height))
        mask = encode(across**2 + down**2 <= 1, origin=(x, y), size=(SIDE, SIDE))
        if mask is None:
            raise SystemExit("an ellipse has pixels")
        proposal = Proposal(mask, float(rng.uniform(0.3, 1)), float(rng.uniform(0.7, 1)))
        described.append(DescribedSegment(proposal, context[number], masked[number]))
    return DescribedPicture(PictureInfo(SIDE, SIDE, "JPEG"), picture[0], tuple(described))


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--like", type=Path, required=True, help="a library with regions")
    options.add_argument("--library", type=Path, required=True, help="the one that is filled")
    options.add_argument("--regions", type=int, default=1_000_000)
    chosen = options.parse_args()
    real = Catalog(chosen.like / "catalog.sqlite")
    active = real.active_recipe()
    if active is None:
        raise SystemExit(f"{chosen.like} is empty.")
    chosen.library.mkdir(parents=True, exist_ok=True)
    catalog = Catalog(chosen.library / "catalog.sqlite")
    fill(catalog, active[1], RegionVectors.of(real, active[0]), -(-chosen.regions // PER_PICTURE))


if __name__ == "__main__":
    main()
