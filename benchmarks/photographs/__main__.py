"""Prints how photographs are searched and cut: `python -m benchmarks.photographs`.

Words: the queries of packaged_photographs.json through a library of these photographs, the best
region's picture counted, how well the best scores of present and absent words part (AUC), and how
many of both the default floor of relevance turns away. Masks: the things outlined by hand in
outlines.json, by automatic masks and by a click in their middle, as the product answers it.
"""

from __future__ import annotations

import argparse
import tempfile
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.looks import click
from segsearch.core.query import MIN_RELEVANCE, Query, TextTerm
from segsearch.core.settings import Settings
from segsearch.core.types import Hit
from segsearch.export.render import overlay_png
from segsearch.library import open_library
from segsearch.masks.rle import iou
from segsearch.models.loading import build_segmenter
from segsearch.models.presets import DEFAULT_PRESET, preset
from segsearch.models.protocols import Promptable
from segsearch.models.segment.session import EncodingCache
from segsearch.search.evaluation.truth import read_truth
from training.data.packaged_photographs import Photograph, absent, photographs, queries

OUTLINES = Path(__file__).with_name("outlines.json")
RIGHT_IOU = 0.5
KEPT_BYTES = 1 << 30


def words(shown: list[Photograph]) -> str:
    """Index the photographs, ask all queries, tell which went wrong."""
    names = {str(one.path): one.name for one in shown}
    known = set(names.values())
    asked = {text: right for text, right in queries().items() if set(right) & known}
    with (
        tempfile.TemporaryDirectory() as folder,
        open_library(Settings(library=Path(folder) / "library"), create=True) as service,
    ):
        service.index([one.path for one in shown])
        # What is measured is which comes first, however unlikely.
        hits = {
            text: service.search(Query((TextTerm(text),), limit=1, min_relevance=0.0)).hits[0]
            for text in [*asked, *absent()]
        }
    firsts = {text: names[hits[text].image.paths[0]] for text in asked}
    wrong = [
        f"{text} -> {firsts[text]}" for text, right in asked.items() if firsts[text] not in right
    ]
    found = [text for text, right in asked.items() if firsts[text] in right]
    away = [
        sum(_relevance(hits[text]) < MIN_RELEVANCE for text in texts) for texts in (found, absent())
    ]
    parted = {
        kind: _auc([of(hits[text]) for text in asked], [of(hits[text]) for text in absent()])
        for kind, of in (("score", _score), ("relevance", _relevance))
    }
    return (
        f"{len(shown)} photographs: {len(asked) - len(wrong)} of {len(asked)} queries right first, "
        f"AUC present against absent by score {parted['score']:.3f}, by relevance "
        f"{parted['relevance']:.3f}; below a relevance of {MIN_RELEVANCE:g} stay {away[0]} of the "
        f"{len(found)} and {away[1]} of {len(absent())} absent ones\n  wrong: {', '.join(wrong)}"
    )


def _score(hit: Hit) -> float:
    return hit.score


def _relevance(hit: Hit) -> float:
    return hit.relevance or 0.0


def _auc(high: list[float], low: list[float]) -> float:
    """The chance that a value of `high` exceeds one of `low`; ties count half."""
    one, other = np.array(high)[:, None], np.array(low)[None]
    return float((one > other).mean() + 0.5 * (one == other).mean())


def masks(shown: list[Photograph], overlays: Path | None) -> str:
    """Best automatic mask and first-ranked clicked mask of every outlined thing."""
    settings = Settings()
    segmenter = build_segmenter(preset(DEFAULT_PRESET), settings)
    if not isinstance(segmenter, Promptable):
        raise SystemExit("The default segmenter takes no points.")
    files = {one.name: one for one in shown}
    automatic, clicked, missed = [], [], []
    for picture in read_truth(OUTLINES, OUTLINES.parent):
        if picture.path.name not in files:
            continue
        pixels = np.asarray(files[picture.path.name].open())
        found = [one.mask for one in segmenter.propose(pixels)]
        opened = EncodingCache(KEPT_BYTES).open(
            segmenter, picture.path.name, partial(np.asarray, pixels)
        )
        for thing in picture.things:
            automatic.append(max((iou(thing.mask, mask) for mask in found), default=0.0))
            offered = click(opened, thing.mask)
            clicked.append(iou(thing.mask, offered[0].mask) if offered else 0.0)
            if automatic[-1] < RIGHT_IOU:
                missed.append(f"{picture.path.name} {thing.name} {automatic[-1]:.2f}")
        if overlays is not None:
            overlays.mkdir(parents=True, exist_ok=True)
            drawn = sorted(found, key=lambda mask: -mask.area)
            (overlays / f"{picture.path.name}.png").write_bytes(overlay_png(pixels, drawn))
    shares = [np.mean(np.array(rows) >= RIGHT_IOU) for rows in (automatic, clicked)]
    return (
        f"{len(automatic)} things outlined by hand: automatic masks reach IoU {RIGHT_IOU} for "
        f"{shares[0]:.1%} (mean {np.mean(automatic):.3f}), a click in the middle for "
        f"{shares[1]:.1%} (mean {np.mean(clicked):.3f})\n  missed: {', '.join(missed)}"
    )


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--overlays", type=Path, help="draw all automatic masks into this folder")
    chosen = options.parse_args()
    shown = photographs()
    print(words(shown))
    print(masks(shown, chosen.overlays))


if __name__ == "__main__":
    main()
