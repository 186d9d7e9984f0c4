"""Teaches the image tower drawings while it keeps what the ImageNet backbone knows of photographs.

Only the last stage and the head learn, from stored features (`training.clip_features`): they are
to meet the text vector of the thing drawn, and on pictures of nothing in particular to go on
answering like their own start. Run `python -m training.train_clip --epochs 12`.
"""

from __future__ import annotations

import argparse
import copy
import math
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.clip_backgrounds import Backgrounds
from training.clip_features import SIDE, Features, read
from training.clip_head import start_image_tower
from training.clip_model import build
from training.clip_pictures import Composer, Icons, load_icons
from training.clip_targets import thing_meanings
from training.clip_tower import Tower
from training.fetch import DEFAULT_CACHE, HELD_OUT
from training.render import load_drawings
from training.text_corpus import load
from training.text_teacher import COLOUR_WEIGHT, TEACHER_DIM
from training.words import COLOURS

BATCH = 240
TRUNK_RATE, HEAD_RATE = 6e-4, 1e-3
SHARPNESS = 20.0
WARMUP_STEPS = 30
REPLAY_WEIGHT = 3.0
AVERAGE_DECAY = 0.99


@dataclass
class Run:
    """Everything a training run holds."""

    tower: Tower
    start: Tower
    average: dict[str, Tensor]
    optimizer: torch.optim.Optimizer
    step: int = 0


def prepare(cache: Path) -> Run:
    """The tower at its start, and a frozen copy that remembers it."""
    model = build()
    start_image_tower(model, cache, load(cache).space)
    tower = Tower(model.visual)
    start = copy.deepcopy(tower).requires_grad_(False)
    trunk = [p for p in tower.visual.trunk.parameters() if p.requires_grad]
    head = list(tower.visual.head.parameters())
    groups = [{"params": trunk, "rate": TRUNK_RATE}, {"params": head, "rate": HEAD_RATE}]
    optimizer = torch.optim.AdamW(groups, lr=TRUNK_RATE, weight_decay=1e-3, betas=(0.9, 0.99))
    average = {name: value.clone() for name, value in tower.visual.state_dict().items()}
    return Run(tower, start, average, optimizer)


def naming_loss(made: Tensor, things: Tensor, colours: Tensor, meanings: Tensor) -> Tensor:
    """Cross-entropy over all things' text vectors, plus the distance to the whole target."""
    logits = SHARPNESS * made[:, :TEACHER_DIM] @ meanings.T
    naming = functional.cross_entropy(logits, things, label_smoothing=0.05)
    wanted = torch.zeros_like(made)
    wanted[:, :TEACHER_DIM] = meanings[things]
    wanted[:, TEACHER_DIM : TEACHER_DIM + len(COLOURS)] = COLOUR_WEIGHT * colours
    cosine = (made * functional.normalize(wanted, dim=-1)).sum(-1)
    return naming + 1.5 * (1 - cosine).mean()


def learn(run: Run, features: Features, rows: Tensor, meanings: Tensor) -> float:
    """One step on these rows of the stored features; returns its loss."""
    states = features.states[rows].float().contiguous(memory_format=torch.channels_last)
    things = features.things[rows]
    made = run.tower.late(states)
    drawn, nothing = things >= 0, things < 0
    loss = naming_loss(made[drawn], things[drawn], features.colours[rows][drawn], meanings)
    if nothing.any():
        remembered = run.start.late(states[nothing])
        loss = loss + REPLAY_WEIGHT * (1 - (made[nothing] * remembered).sum(-1)).mean()
    run.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(run.tower.parameters(), 2.0)
    run.optimizer.step()
    run.step += 1
    with torch.no_grad():
        for name, value in run.tower.visual.state_dict().items():
            if value.is_floating_point():
                run.average[name].lerp_(value, 1 - min(AVERAGE_DECAY, run.step / (run.step + 9)))
    return loss.item()


@torch.inference_mode()
def unseen_features(tower: Tower, icons: Icons, seed: int) -> tuple[Tensor, Tensor]:
    """(context, masked) early features of every other drawing of the held-out style."""
    composer = Composer(icons, Backgrounds(seed, count=100), seed)
    made = [composer.plain(rows, SIDE) for rows in torch.arange(0, len(icons.things), 2).split(64)]
    context = torch.cat([tower.early(pair[0]) for pair in made])
    return context, torch.cat([tower.early(pair[1]) for pair in made])


@torch.inference_mode()
def validate(run: Run, unseen: tuple[Tensor, Tensor], things: Tensor, meanings: Tensor) -> str:
    """Top-1 and top-5 of the averaged tower on a style never trained on, by text vectors."""
    tower = copy.deepcopy(run.tower)
    tower.visual.load_state_dict(run.average)
    scores = (tower.late(unseen[0]) + tower.late(unseen[1]))[:, :TEACHER_DIM] @ meanings.T
    ranks = (scores > scores.gather(1, things[:, None])).sum(1)
    first, five = (ranks < 1).float().mean().item(), (ranks < 5).float().mean().item()
    return f"unseen style: top-1 {first:.3f} top-5 {five:.3f}"


def train(cache: Path, epochs: int, seed: int) -> None:
    """Go `epochs` times through the stored features and write the averaged tower."""
    torch.manual_seed(seed)
    drawings = load_drawings(cache)
    names = sorted(drawings.things)
    held_out = load_icons(drawings, (HELD_OUT,), names, cache)
    things = [drawings.things[name] for name in names]
    meanings = torch.from_numpy(thing_meanings(cache, load(cache).space, things))
    run, features = prepare(cache), read(cache)
    unseen = unseen_features(run.tower, held_out, seed=1)
    total = epochs * (len(features.things) // BATCH)
    began = time.monotonic()
    for epoch in range(epochs):
        for rows in torch.randperm(len(features.things)).split(BATCH)[:-1]:
            _set_rate(run, total)
            loss = learn(run, features, rows, meanings)
        score = validate(run, unseen, held_out.things[::2], meanings)
        print(f"{epoch} {time.monotonic() - began:.0f}s loss {loss:.3f} {score}", flush=True)
        _save(run, cache / "clip" / "image.pt")


def _set_rate(run: Run, total: int) -> None:
    warm = min(1.0, (run.step + 1) / WARMUP_STEPS)
    level = warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, run.step / total))))
    for group in run.optimizer.param_groups:
        group["lr"] = group["rate"] * level


def _save(run: Run, path: Path) -> None:
    partial = path.with_suffix(".partial")
    torch.save({"average": run.average, "step": run.step}, partial)
    partial.replace(path)


def main() -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, default=DEFAULT_CACHE)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    train(given.cache.expanduser(), given.epochs, given.seed)


if __name__ == "__main__":
    main()
