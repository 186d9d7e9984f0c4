"""Runs crops of drawings through the frozen stages of the backbone once and keeps what comes out.

The frozen stages cost ten times what the learning ones do, so each composed crop is paid for once
and learnt from many times. Writes parts of 2,000 crops; run again to add more.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from training.clip_backgrounds import Backgrounds
from training.clip_model import build
from training.clip_pictures import Composer, Crops, load_icons
from training.clip_head import start_image_tower
from training.clip_tower import Tower
from training.fetch import DEFAULT_CACHE, TRAINED_STYLES
from training.render import load_drawings
from training.text_corpus import load

PART = 2000
BATCH = 50
REPLAY = 10  # pictures of nothing in particular beside each batch
SIDE = 160


@dataclass(frozen=True)
class Features:
    """What the frozen stages made of many crops.

    `states` (n, 192, 5, 5) f16 and `things` (n,) i64, -1 for a picture of nothing in particular;
    `colours` (n, 11) f32.
    """

    states: Tensor
    things: Tensor
    colours: Tensor


def replayed(crops: Crops, composer: Composer) -> Tensor:
    """Pictures of nothing in particular: grounds, and grounds mixed with faint drawings."""
    side = crops.pixels.shape[-1]
    grounds = composer.backgrounds.sample(REPLAY, side, composer.random)
    share = torch.rand(REPLAY, 1, 1, 1, generator=composer.random) * 0.5
    others = crops.pixels[torch.randperm(len(crops.pixels), generator=composer.random)[:REPLAY]]
    return grounds * (1 - share) + others * share


def folder(cache: Path) -> Path:
    """Where the parts lie."""
    return cache / "clip" / "features"


def read(cache: Path) -> Features:
    """All parts that are there."""
    parts = [torch.load(path, weights_only=True) for path in sorted(folder(cache).glob("*.pt"))]
    keys = ("states", "things", "colours")
    return Features(*(torch.cat([part[key] for part in parts]) for key in keys))


def write(cache: Path, parts: int, seed: int) -> None:
    """Compose and run `parts` more parts."""
    model = build()
    start_image_tower(model, cache, load(cache).space)
    tower = Tower(model.visual)
    drawings = load_drawings(cache)
    icons = load_icons(drawings, TRAINED_STYLES, sorted(drawings.things), cache)
    folder(cache).mkdir(parents=True, exist_ok=True)
    for _ in range(parts):
        number = len(list(folder(cache).glob("*.pt")))
        began = time.monotonic()
        composer = Composer(icons, Backgrounds(seed + number, count=300), seed + number)
        made = [_batch(tower, composer) for _ in range(PART // BATCH)]
        part = {key: torch.cat([batch[key] for batch in made]) for key in made[0]}
        partial = folder(cache) / f"{number:03}.partial"
        torch.save(part, partial)
        partial.replace(partial.with_suffix(".pt"))
        print(f"part {number}: {time.monotonic() - began:.0f} s", flush=True)


def _batch(tower: Tower, composer: Composer) -> dict[str, Tensor]:
    rows = torch.randint(len(composer.icons.things), (BATCH,), generator=composer.random)
    crops = composer.batch(rows, SIDE)
    states = tower.early(torch.cat([crops.pixels, replayed(crops, composer)]))
    nothing = torch.full((REPLAY,), -1)
    return {
        "states": states.half().contiguous(),
        "things": torch.cat([crops.things, nothing]),
        "colours": torch.cat([crops.colours, torch.zeros(REPLAY, crops.colours.shape[1])]),
    }


def main() -> None:
    """Read the command line and write features."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, default=DEFAULT_CACHE)
    parser.add_argument("--parts", type=int, default=12)
    parser.add_argument("--seed", type=int, default=100)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    write(given.cache.expanduser(), given.parts, given.seed)


if __name__ == "__main__":
    main()
