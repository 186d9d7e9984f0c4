"""Learns which region is the thing that is meant: shares of the vectors, and what traits count.

The annotated photographs that are held out of all training are indexed as the product does, and
every name on them is asked for. A conditional logit (McFadden 1974) over all their regions then
says what each vector's cosine and each trait are worth, such that the right regions come first:
the loss is the mean over names of -log of the share of exp(score) that right regions have. Run
`python -m training.things.fit --photographs DIR`; it prints what `segsearch/models/presets.py`
holds, and how often the best region was right before and after, on photographs fitted and not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segsearch.core.arrays import VectorRows
from segsearch.core.errors import RecipeError
from segsearch.core.mix import TRAITS, Mix
from segsearch.core.settings import USUAL_MIX, Settings
from segsearch.core.types import Segment
from segsearch.library import SegSearch, open_library
from segsearch.masks.rle import iou
from segsearch.models.loading import build_embedder
from segsearch.models.presets import preset
from segsearch.search.evaluation.run import with_article
from training.data.annotated import AnnotatedPhotograph, Annotation, annotated, with_folder
from training.data.fetch import parser
from training.sam.box_looks import box_iou

RIGHT_IOU, RIGHT_BOX_IOU = 0.5, 0.65
SHRINKAGE = 0.02  # of squared standardised weights: few names, many regions
FOLDS = 2
ROUNDS = 60


@dataclass(frozen=True)
class AskedNames:
    """Names asked of n regions: `cosines` (names, n, 3) with the context, masked and picture
    vectors, `traits` (n, t), `right` (names, n) bool, `pictures` (n,) where each region lies."""

    cosines: Tensor
    traits: Tensor
    right: Tensor
    pictures: Tensor

    def of(self, chosen: Tensor) -> AskedNames:
        """The regions of some pictures alone (n,) bool, with the names that are right there."""
        right = self.right[:, chosen]
        names = right.any(1)
        cosines = self.cosines[names][:, chosen]
        return AskedNames(cosines, self.traits[chosen], right[names], self.pictures[chosen])

    def scores(self, mix: Mix) -> Tensor:
        """(names, n)."""
        shares = torch.tensor([mix.context, mix.masked, mix.picture])
        worth = torch.from_numpy(mix.worth(self.traits.numpy()))
        return self.cosines @ shares + worth


def fit(asked: AskedNames) -> Mix:
    """The mix under which right regions come first, as far as these tell."""
    spread = self_spread(asked.traits)
    middle = asked.traits.mean(0)
    known = (asked.traits - middle) / spread
    sharpness = torch.full((3,), 10.0, requires_grad=True)
    weights = torch.zeros(known.shape[1], requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [sharpness, weights], max_iter=ROUNDS, line_search_fn="strong_wolfe"
    )

    def loss() -> Tensor:
        optimizer.zero_grad()
        scores = asked.cosines @ sharpness.clamp(min=0) + known @ weights
        right = scores.masked_fill(~asked.right, -torch.inf).logsumexp(1)
        lost = (scores.logsumexp(1) - right).mean() + SHRINKAGE * weights.square().sum()
        lost.backward()
        return lost

    optimizer.step(loss)
    shares = sharpness.detach().clamp(min=0)
    total = float(shares.sum())
    things = weights.detach() / spread / total
    context, masked, picture = (shares / total).tolist()
    return Mix(context, masked, picture, tuple(things.tolist()), -float(things @ middle))


def self_spread(traits: Tensor) -> Tensor:
    """The standard deviation of each trait (t,), 1 where it never changes."""
    spread = traits.std(0)
    return torch.where(spread > 0, spread, torch.ones(()))


def first_right(asked: AskedNames, mix: Mix) -> float:
    """The share of names whose best region is right."""
    best = asked.scores(mix).argmax(1, keepdim=True)
    return asked.right.gather(1, best).float().mean().item()


def held_out(asked: AskedNames) -> tuple[float, float]:
    """`first_right` by the usual mix, and by one that was fitted on other photographs."""
    rows: list[tuple[float, float, int]] = []
    for fold in range(FOLDS):
        tested = asked.pictures % FOLDS == fold
        learnt, other = fit(asked.of(~tested)), asked.of(tested)
        usual = first_right(other, Mix(*USUAL_MIX))
        rows.append((usual, first_right(other, learnt), len(other.right)))
    counts = np.array([count for _, _, count in rows])
    before, after = (np.average([row[at] for row in rows], weights=counts) for at in (0, 1))
    return float(before), float(after)


def gather(library: SegSearch, photographs: Sequence[AnnotatedPhotograph]) -> AskedNames:
    """Every name on the photographs, asked of every region of the library that holds them."""
    recipe_id, recipe = library.catalog.active_recipe() or (0, None)
    if recipe is None:
        raise SystemExit("The library is empty.")
    parts = list(library.catalog.vectors(recipe_id))
    rows = VectorRows(
        *(np.concatenate([getattr(part, name) for part in parts])
          for name in ("ids", "context", "masked", "picture", "traits"))
    )  # fmt: skip
    segments = {segment.id: segment for segment in library.catalog.segments()}
    of_image = {
        image_id: photograph
        for photograph in photographs
        for image_id in library.catalog.find_images([str(photograph.path.resolve())])
    }
    names = sorted({row.name for one in photographs for row in one.annotations if not row.crowd})
    embedder = build_embedder(preset(recipe.preset), library.settings)
    words = embedder.embed_texts([with_article(name) for name in names])
    held = [segments[number] for number in rows.ids.tolist()]
    right = np.stack([
        right_names(segment, of_image[segment.image_id], names) for segment in held
    ], axis=1)  # fmt: skip
    vectors = np.stack([rows.context, rows.masked, rows.picture], axis=1)
    cosines = torch.from_numpy(np.einsum("nvd,md->mnv", vectors, words))
    told = right.any(axis=1)
    return AskedNames(
        cosines[torch.from_numpy(told)],
        torch.from_numpy(rows.traits),
        torch.from_numpy(right[told]),
        torch.tensor([segment.image_id for segment in held]),
    )


def right_names(
    segment: Segment, photograph: AnnotatedPhotograph, names: Sequence[str]
) -> NDArray[np.bool_]:
    """(names,) bool: which names a region answers rightly."""
    own = {row.name for row in photograph.annotations if _is_right(segment, row)}
    return np.array([name in own for name in names])


def _is_right(segment: Segment, row: Annotation) -> bool:
    if row.crowd:
        return False
    if row.mask is not None:
        return iou(segment.mask, row.mask) >= RIGHT_IOU
    return box_iou(segment.mask.box.as_tuple(), row.box) >= RIGHT_BOX_IOU


def main() -> None:
    """Command line."""
    options = parser(__doc__)
    with_folder(options)
    options.add_argument("--preset", default="demo")
    chosen = options.parse_args()
    photographs = annotated(chosen.photographs, validation=True)
    paths = [photograph.path for photograph in photographs]
    folder: Path = chosen.cache / "things" / chosen.preset
    with open_library(Settings(library=folder, preset=chosen.preset), create=True) as library:
        try:
            library.index(paths)
        except RecipeError:  # filled with other models
            library.index(paths, rebuild=True)
        asked = gather(library, photographs)
    before, after = held_out(asked)
    counts = (len(asked.right), len(photographs), len(asked.traits))
    print("{} names on {} photographs, {} regions".format(*counts))
    print(f"right region first: {before:.3f} before, {after:.3f} by weights of other photographs")
    mix = fit(asked)
    print(f"fitted on all: {first_right(asked, mix):.3f}")
    print(f"Mix({mix.context:.3f}, {mix.masked:.3f}, {mix.picture:.3f}, things=(")
    for name, weight in zip(TRAITS, mix.things, strict=True):
        print(f"    {weight:.4f},  # {name}")
    print(f"), offset={mix.offset:.4f})")


if __name__ == "__main__":
    main()
