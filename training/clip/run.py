"""What a training run of the image tower holds, how it begins, is saved, and goes on."""

from __future__ import annotations

import copy
import math
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from training import parallel
from training.clip.head import classifier_state, start_image_tower
from training.clip.losses import Level
from training.clip.memory import Memory
from training.clip.model import build, trunk_name
from training.clip.patches import Patches
from training.clip.pictures import Icons
from training.clip.tower import Tower
from training.data.cutouts import CARTOONS, CLIP_ART, STAMPS, SURFACES
from training.length import Length
from training.text.corpus import imagenet_space

REMEMBERED = 40_000  # patches
STYLE_SHARES = {STAMPS: 0.25, CLIP_ART: 0.12, SURFACES: 0.08, CARTOONS: 0.08}  # icons: the rest
WARMUP_STEPS = 30
AVERAGE_DECAY = 0.99


@dataclass(frozen=True)
class ClipPlan:
    """How to train: how long, sides of the crops, learning rate, weights of the past.

    One step in `fresh_every` replays new patches, the others what was shown before. Where there is
    no checkpoint, a run begins at the packed weights `start`, if they are given. `photographs` is a
    folder of annotated ones.
    """

    length: Length
    sides: tuple[int, ...]
    rate: float
    remember: float
    from_share: float
    seed: int = 0
    fresh_every: int = 1
    start: str = ""
    photographs: str = ""
    past: float = 1.0


@dataclass
class ClipRun:
    """Everything a training run holds; it began at step `first`, and went on for `seconds` before
    it was stopped."""

    tower: Tower
    start: Tower
    patches: Patches
    memory: Memory
    classifier: Tensor
    average: dict[str, Tensor]
    level: Level
    optimizer: torch.optim.Optimizer
    device: str
    chances: Tensor
    step: int = 0
    first: int = 0
    seconds: float = 0.0


def prepare(cache: Path, plan: ClipPlan, device: str, icons: Icons) -> ClipRun:
    """The tower as a stopped run of this plan left it, or between its start and the last
    checkpoint; and a frozen copy of the start."""
    model = build()
    start_image_tower(model, cache, imagenet_space(cache))
    start = copy.deepcopy(Tower(model.visual)).requires_grad_(False)
    path = cache / "clip" / "image.pt"
    state = torch.load(path, weights_only=True, map_location="cpu") if path.exists() else {}
    stopped = state if state.get("stopped") == asdict(plan) else None
    if stopped:
        model.visual.load_state_dict(stopped["tower"])
    elif state or plan.start:
        learnt = state["average"] if state else packed(Path(plan.start))
        model.visual.load_state_dict(between(start.visual, learnt, plan.from_share))
    tower = Tower(model.visual).to(device)
    trunk = [p for p in tower.visual.trunk.parameters() if p.requires_grad]
    head = list(tower.visual.head.parameters())
    level = Level().to(device)
    head += list(level.parameters())
    groups = [{"params": trunk, "factor": 1.0}, {"params": head, "factor": 2.5}]
    optimizer = torch.optim.AdamW(groups, lr=plan.rate, weight_decay=1e-3, betas=(0.9, 0.99))
    average = {name: value.clone() for name, value in tower.visual.state_dict().items()}
    weight = classifier_state(trunk_name())["classifier.weight"].to(device)
    verdicts = weight - weight.mean(0)
    capacity = REMEMBERED // parallel.processes()
    memory = Memory(capacity, max(plan.sides), verdicts.shape[1])
    known = (Patches(cache), memory, verdicts)
    held = (tower, start.to(device), *known, average, level, optimizer)
    step = state.get("step", 0)
    run = ClipRun(*held, device=device, chances=chances_of(icons), step=step, first=step)
    if stopped:
        _go_on(run, stopped)
    return run


def _go_on(run: ClipRun, stopped: dict[str, Any]) -> None:
    """Take over what a stopped run held beside the tower."""
    run.average = {name: value.to(run.device) for name, value in stopped["average"].items()}
    run.level.load_state_dict(stopped["level"])
    run.optimizer.load_state_dict(stopped["optimizer"])
    run.first, run.seconds = stopped["first"], stopped["seconds"]


def between(start: nn.Module, learnt: dict[str, Tensor], share: float) -> dict[str, Tensor]:
    """Weights on the line from the start (0) to what was learnt (1)."""
    return {
        name: value.lerp(learnt[name], share) if value.is_floating_point() else value
        for name, value in start.state_dict().items()
    }


def packed(path: Path) -> dict[str, Tensor]:
    """The image tower's weights out of a file that ships."""
    tensors = {
        name.removeprefix("visual."): value
        for name, value in load_file(path).items()
        if name.startswith("visual.")
    }
    return {k: v.float() if v.is_floating_point() else v for k, v in tensors.items()}


def chances_of(icons: Icons) -> Tensor:
    """(n,) how often each icon is shown: `STYLE_SHARES`, and icons of a style alike."""
    counts = Counter(icons.styles)
    rest = sum(count for style, count in counts.items() if style not in STYLE_SHARES)
    left = 1 - sum(STYLE_SHARES.values())
    return torch.tensor([
        STYLE_SHARES[style] / counts[style] if style in STYLE_SHARES else left / rest
        for style in icons.styles
    ])  # fmt: skip


@torch.no_grad()
def average(run: ClipRun) -> None:
    for name, value in run.tower.visual.state_dict().items():
        if value.is_floating_point():
            run.average[name].lerp_(value, 1 - min(AVERAGE_DECAY, run.step / (run.step + 9)))


def averaged(run: ClipRun) -> Tower:
    """The tower with its averaged weights."""
    tower = copy.deepcopy(run.tower)
    tower.visual.load_state_dict(run.average)
    return tower


def set_rate(run: ClipRun, plan: ClipPlan, steps: int, share: float) -> None:
    warm = min(1.0, (steps + 1) / WARMUP_STEPS)
    level = warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * share)))
    for group in run.optimizer.param_groups:
        group["lr"] = plan.rate * group["factor"] * level


def save(run: ClipRun, path: Path, stopped: ClipPlan | None) -> None:
    """Write the averaged weights, and all that a run of this plan needs to go on, if it is one."""
    content: dict[str, Any] = {"average": run.average, "step": run.step}
    if stopped is not None:
        content |= {
            "stopped": asdict(stopped),
            "tower": run.tower.visual.state_dict(),
            "level": run.level.state_dict(),
            "optimizer": run.optimizer.state_dict(),
            "first": run.first,
            "seconds": run.seconds,
        }
    partial = path.with_suffix(".partial")
    torch.save(content, partial)
    partial.replace(path)
