"""Measures what the weights of a segment's three vectors are worth, on scenes whose truth is known.

    python -m benchmarks.mix

Indexes the demo pictures once with the embedded models, then scores every segment for "a NAME" of
every drawn thing under each mix. The scenes are drawn in a style no model was trained on. A query
is right when the best segment of all pictures overlaps the named thing with IoU of 0.5 or more.
"found" is the share of things that some segment overlaps so at all: no mix can do better.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import segsearch.cli.demo
from segsearch.core.arrays import VectorRows
from segsearch.core.settings import Settings
from segsearch.core.types import Mask
from segsearch.library import open_library
from segsearch.masks.rle import from_coco, iou
from segsearch.models.loading import build_embedder
from segsearch.models.presets import preset
from segsearch.storage.catalog.sql_catalog import Catalog

DEMO = Path(segsearch.cli.demo.__file__).parent
STEPS = 10
Truth = dict[str, list[tuple[str, Mask]]]


def load_truth() -> Truth:
    """Every named thing of the drawn scenes: where it is, and its true mask."""
    document = json.loads((DEMO / "truth.json").read_text())
    files = {image["id"]: image["file_name"] for image in document["images"]}
    names = {category["id"]: category["name"] for category in document["categories"]}
    truth: Truth = defaultdict(list)
    for row in document["annotations"]:
        place = (files[row["image_id"]], from_coco(row["segmentation"]))
        truth[names[row["category_id"]]].append(place)
    return dict(truth)


def right_answers(catalog: Catalog, truth: Truth) -> tuple[VectorRows, NDArray[np.bool_]]:
    """The vectors of all n segments, and which names (n, names) each answers rightly."""
    parts = list(catalog.vectors(1))
    rows = VectorRows(
        *(np.concatenate([getattr(part, name) for part in parts])
          for name in ("ids", "context", "masked", "picture", "traits"))
    )  # fmt: skip
    images = {image.id: Path(image.paths[0]).name for image in catalog.images(limit=1000)}
    places = [(images[one.image_id], one.mask) for one in catalog.segments()]
    answers = [
        [
            any(there == file and iou(mask, true) >= 0.5 for there, true in truth[name])
            for name in sorted(truth)
        ]
        for file, mask in places
    ]
    return rows, np.array(answers)


def mixes() -> Iterator[tuple[float, float, float]]:
    for context in range(STEPS + 1):
        for masked in range(STEPS + 1 - context):
            yield context / STEPS, masked / STEPS, (STEPS - context - masked) / STEPS


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--library", type=Path, help="keep the library here, or use this one")
    chosen = options.parse_args()
    truth = load_truth()
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(library=chosen.library or Path(folder))
        with open_library(settings, create=True) as service:
            report = service.index([DEMO / "pictures"])
        catalog = Catalog(settings.library / "catalog.sqlite")
        rows, right = right_answers(catalog, truth)
        catalog.close()
    embedder = build_embedder(preset("demo"), Settings(device="cpu"))
    words = embedder.embed_texts([f"a {n}" for n in sorted(truth)])
    print(f"{right.shape[1]} names, {right.shape[0]} segments, {report.seconds:.0f} s of indexing")
    print(f"found: {right.any(axis=0).mean():.1%}")
    table = []
    for context, masked, picture in mixes():
        vectors = context * rows.context + masked * rows.masked + picture * rows.picture
        scores = vectors @ words.T  # (n, names)
        order = np.argsort(-scores, axis=0)
        hits = np.take_along_axis(right, order, axis=0)
        table.append((hits[0].mean(), hits[:5].any(axis=0).mean(), context, masked, picture))
    print(f"{'context':>8}{'masked':>8}{'picture':>9}{'first':>8}{'in 5':>8}")
    shown = sorted(table, reverse=True)[:12] + [
        row for row in table if max(row[2:]) == 1.0 or row[2:] == (0.5, 0.5, 0.0)
    ]
    for first, five, context, masked, picture in shown:
        print(f"{context:8.1f}{masked:8.1f}{picture:9.1f}{first:8.1%}{five:8.1%}")


if __name__ == "__main__":
    main()
