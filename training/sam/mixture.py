"""Batches of prompted crops: scenes, and a share of annotated photographs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from training.sam.annotated_batches import AnnotatedSampler
from training.sam.batches import Prompted, Sampler


@dataclass(frozen=True)
class Mixture:
    """What a batch is made of: so many crops of a size, a share of them of photographs."""

    cache: Path
    side_px: int
    images: int
    photograph_share: float = 0.0


class Batches(IterableDataset[list[Prompted]]):
    """Endless batches for a `DataLoader`; each of its processes draws others.

    While no scene is composed, all are photographs.
    """

    def __init__(self, mixture: Mixture, seed: list[int]) -> None:
        self.mixture, self.seed = mixture, seed

    def __iter__(self) -> Iterator[list[Prompted]]:
        info = get_worker_info()
        rng = np.random.default_rng([*self.seed, info.id if info else 0])
        given = (self.mixture.cache, self.mixture.side_px, rng)
        scenes, photographs = Sampler(*given), AnnotatedSampler(*given)
        while True:
            batch = []
            for _ in range(self.mixture.images):
                real = self.mixture.photograph_share > rng.random()
                scene = None if real else scenes.prompted()
                batch.append(photographs.prompted() if scene is None else scene)
            yield batch


def batches(mixture: Mixture, seed: list[int], processes: int) -> Iterator[list[Prompted]]:
    """Endless batches, made ahead in that many processes; 0 makes each when it is asked for."""
    return iter(DataLoader(Batches(mixture, seed), batch_size=None, num_workers=processes))
