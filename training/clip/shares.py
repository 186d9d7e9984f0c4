"""Examines towers on the line from packed weights (0) to the last checkpoint (1).

A point in between can keep more of what was known before for little of what was learnt (Wortsman et
al. 2022); `training.clip.pack --share` takes one. Run `python -m training.clip.shares --start
PACKED --photographs DIR`: nothing that is held out there was taught.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from training.clip.model import EMBEDDED, build
from training.clip.pack import NAME, image_weights
from training.clip.run import ClipPlan, between, packed
from training.clip.tower import Tower
from training.clip.train import tables
from training.data.fetch import DEFAULT_CACHE
from training.length import Length

SHARES = (0.0, 0.5, 0.7, 0.85, 1.0)


def main() -> None:
    """Read the command line and print a line a share."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, default=DEFAULT_CACHE)
    parser.add_argument("--start", type=Path, default=EMBEDDED / NAME)
    parser.add_argument("--photographs", default="", help="folder of annotated ones")
    parser.add_argument("--shares", type=float, nargs="+", default=SHARES)
    parser.add_argument("--side", type=int, default=160, help="of the crops, in pixels")
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    cache = given.cache.expanduser()
    plan = ClipPlan(Length(0), (given.side,), 0.0, 0.0, 1.0, photographs=given.photographs)
    exam = tables(cache, plan, "cpu").exam()
    learnt = image_weights(cache / "clip" / "image.pt")
    start = build().visual
    start.load_state_dict(packed(given.start))
    for share in given.shares:
        visual = build().visual
        visual.load_state_dict(between(start, learnt, share))
        print(f"{share:.2f} {exam.report(Tower(visual).eval(), 'cpu', given.side)}", flush=True)


if __name__ == "__main__":
    main()
