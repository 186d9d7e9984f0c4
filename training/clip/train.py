"""Teaches the image tower drawings while it keeps what the ImageNet backbone knows of photographs.

The early stages stay as they are; the late ones learn to meet the text vector of the thing drawn.
Each batch also holds named photographs, which are taught like drawings, and patches of all
photographs, cut and mixed hard, on which the tower must answer as its own start does on the same
patch at a higher resolution: the same vector, and the same verdicts of ImageNet's classifier
(learning without forgetting, Li and Hoiem 2016; from a handful of pictures, Asano and Saeed 2021).
No benchmark's photograph is among them. A run that was stopped goes on where it saved last, when
the same command is given again; any other run begins at a point between the start and the last
checkpoint (`--from-share`, Wortsman et al. 2022).
"""

from __future__ import annotations

import argparse
import copy
import math
import time
from collections import Counter
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from segsearch.core.settings import Settings
from segsearch.models.device import choose
from training import parallel
from training.clip.backgrounds import POOL_PX, Backgrounds
from training.clip.head import classifier_state, start_image_tower
from training.clip.losses import (
    Level,
    naming_loss,
    pair_loss,
    photograph_loss,
    stranger_loss,
    wrong_names,
)
from training.clip.memory import FIRST_ROWS, Memory
from training.clip.model import build, trunk_name
from training.clip.patches import Patches
from training.clip.photographs import NamedPhotographs, split
from training.clip.pictures import Composer, Icons, load_icons
from training.clip.targets import thing_meanings
from training.clip.tower import Tower
from training.data.cutouts import (
    CARTOONS,
    CLIP_ART,
    CUTOUT_STYLES,
    STAMPS,
    SURFACES,
    teachable,
    with_cutouts,
)
from training.data.fetch import DEFAULT_CACHE, HELD_OUT, TRAINED_STYLES
from training.data.named_photographs import listed
from training.data.render import load_drawings
from training.data.things import DrawableThing
from training.length import Length, length_of, with_length
from training.text.corpus import imagenet_space
from training.text.teacher import TEACHER_DIM

BATCH = 36
NAMED = 16  # photographs
PATCHES = 36
GROUNDS = 4
REMEMBERED = 40_000  # patches
STYLE_SHARES = {STAMPS: 0.25, CLIP_ART: 0.12, SURFACES: 0.08, CARTOONS: 0.08}  # icons: the rest
START_PX = 224  # the start sees replayed pictures at this side: it knows more than at the crops'
GROUND_PATCHES = 250  # beside the 900 made grounds
WARMUP_STEPS = 30
SAVE_SECONDS = 600
AVERAGE_DECAY = 0.99
REPLAY_WEIGHT = 8.0
PHOTOGRAPH_WEIGHT = 0.7
VERDICT_WEIGHT = 2.0
PAIR_WEIGHT, STRANGER_WEIGHT = 0.2, 0.1


@dataclass(frozen=True)
class ClipPlan:
    """How to train: how long, sides of the crops, learning rate, weight of the past.

    One step in `fresh_every` replays new patches, the others what was shown before.
    """

    length: Length
    sides: tuple[int, ...]
    rate: float
    remember: float
    from_share: float
    seed: int = 0
    fresh_every: int = 1


@dataclass(frozen=True)
class Shows:
    """What is shown and named: `names` of drawings first, then those of photographs alone;
    `meanings` (all names, 384)."""

    composer: Composer
    photographs: NamedPhotographs
    names: list[str]
    meanings: Tensor


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
    elif state:
        model.visual.load_state_dict(between(start.visual, state["average"], plan.from_share))
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


def chances_of(icons: Icons) -> Tensor:
    """(n,) how often each icon is shown: `STYLE_SHARES`, and icons of a style alike."""
    counts = Counter(icons.styles)
    rest = sum(count for style, count in counts.items() if style not in STYLE_SHARES)
    left = 1 - sum(STYLE_SHARES.values())
    return torch.tensor([
        STYLE_SHARES[style] / counts[style] if style in STYLE_SHARES else left / rest
        for style in icons.styles
    ])  # fmt: skip


def replayed(run: ClipRun, composer: Composer, side: int, every: int) -> tuple[Tensor, Tensor]:
    """Pictures (n, 3, side, side) that nobody named, patches of photographs and a few grounds, and
    what the start answers on them (n, 1280): new ones, or some that were shown before."""
    random, memory = composer.random, run.memory
    patches, grounds = PATCHES // parallel.processes(), GROUNDS // parallel.processes()
    if memory.made < FIRST_ROWS or run.step % every == 0:
        made = composer.backgrounds.sample(grounds, START_PX, random)
        shown = torch.cat([run.patches.mixed(patches, START_PX, random), made]).to(run.device)
        with torch.no_grad(), torch.autocast(run.device, torch.bfloat16):
            old = run.start.pooled(run.start.early(shown)).float()
        if every > 1:
            memory.add(resized(shown, memory.pixels.shape[-1]), old)
    else:
        shown, old = (one.to(run.device) for one in memory.sample(patches + grounds, random))
    return resized(shown, side), old


def resized(pixels: Tensor, side: int) -> Tensor:
    """Pixels (n, 3, side, side), of (n, 3, s, s)."""
    if pixels.shape[-1] == side:
        return pixels
    return functional.interpolate(pixels, size=(side, side), mode="bilinear", antialias=True)


def learn(run: ClipRun, shows: Shows, plan: ClipPlan) -> tuple[float, ...]:
    """One step; returns both naming losses, and how far replayed vectors and verdicts are off."""
    side = plan.sides[run.step % len(plan.sides)]
    composer, random = shows.composer, shows.composer.random
    drawn, named = BATCH // parallel.processes(), (BATCH + NAMED) // parallel.processes()
    rows = torch.multinomial(run.chances, drawn, generator=random)
    crops = composer.batch(rows, side).to(run.device)
    parts = shows.photographs.sample(named - drawn, side, random)
    parts = replace(parts, pixels=composer.weathered(parts.pixels)).to(run.device)
    small, old = replayed(run, composer, side, plan.fresh_every)
    states = run.tower.early(torch.cat([crops.pixels, parts.pixels, small]))
    pooled = run.tower.pooled(states)
    made = run.tower.headed(pooled)
    with torch.no_grad(), torch.autocast(run.device, torch.bfloat16):
        before = run.start.pooled(states[:drawn]).float()
    with torch.no_grad():
        remembered = run.start.headed(old)
    drawings = shows.meanings[: len(shows.names)]
    naming = naming_loss(made[:drawn], crops.things, crops.colours, drawings)
    wrong = wrong_names(parts.things, shows.meanings) & ~parts.shown
    telling = photograph_loss(made[drawn:named], parts.things, wrong, shows.meanings)
    replay = (1 - (made[named:] * remembered).sum(-1)).mean()
    moved = _moved(pooled[named:], old, run.classifier)
    loss = naming + PHOTOGRAPH_WEIGHT * telling + REPLAY_WEIGHT * replay + VERDICT_WEIGHT * moved
    logits = run.level(made, shows.meanings)
    other = wrong_names(crops.things, shows.meanings)
    pairs = pair_loss(logits[:drawn], crops.things, other)
    pairs = pairs + PHOTOGRAPH_WEIGHT * pair_loss(logits[drawn:named], parts.things, wrong)
    strange = stranger_loss(logits[named:], remembered, shows.meanings)
    loss = loss + PAIR_WEIGHT * pairs + STRANGER_WEIGHT * strange
    loss = loss + plan.remember * _moved(pooled[:drawn], before, run.classifier)
    run.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    parallel.average_gradients(p for group in run.optimizer.param_groups for p in group["params"])
    nn.utils.clip_grad_norm_(run.tower.parameters(), 2.0)
    run.optimizer.step()
    run.step += 1
    _average(run)
    return naming.item(), telling.item(), replay.item(), moved.item()


def _moved(pooled: Tensor, old: Tensor, classifier: Tensor) -> Tensor:
    """The squared change of the classifier's verdicts, as a share of the old verdicts' square."""
    return ((pooled - old) @ classifier.T).square().mean() / (old @ classifier.T).square().mean()


@torch.no_grad()
def _average(run: ClipRun) -> None:
    for name, value in run.tower.visual.state_dict().items():
        if value.is_floating_point():
            run.average[name].lerp_(value, 1 - min(AVERAGE_DECAY, run.step / (run.step + 9)))


@torch.inference_mode()
def validate(
    run: ClipRun, icons: Icons, unseen: NamedPhotographs, meanings: Tensor, side: int
) -> str:
    """Top-1 and top-5 of the averaged tower on a quarter of a style and on photographs never
    trained on."""
    tower = copy.deepcopy(run.tower)
    tower.visual.load_state_dict(run.average)
    composer = Composer(icons, Backgrounds(1, count=100), seed=1)
    ranks = []
    for rows in torch.arange(0, len(icons.things), 4).split(64):
        context, masked = (one.to(run.device) for one in composer.plain(rows, side))
        both = tower.late(tower.early(context)) + tower.late(tower.early(masked))
        scores = both[:, :TEACHER_DIM] @ meanings[: len(icons.names)].T
        own = scores.gather(1, icons.things[rows][:, None].to(run.device))
        ranks.append((scores > own).sum(1).cpu())
    squares = unseen.middles(side).to(run.device)
    made = torch.cat([tower.late(tower.early(part)) for part in squares.split(64)])
    scores = made[:, :TEACHER_DIM].cpu() @ meanings.cpu().T
    best = scores.masked_fill(~unseen.shown, -1).max(1).values
    told = (scores > best[:, None]).sum(1)
    return f"unseen style: {_tops(torch.cat(ranks))}; unseen photographs: {_tops(told)}"


def _tops(ranks: Tensor) -> str:
    first, five = (ranks < 1).float().mean().item(), (ranks < 5).float().mean().item()
    return f"top-1 {first:.3f} top-5 {five:.3f}"


def train(cache: Path, plan: ClipPlan, device: str) -> None:
    """Train for the plan's length, writing a checkpoint every few minutes."""
    torch.manual_seed(plan.seed)
    with parallel.first_alone():
        drawings = with_cutouts(load_drawings(cache), cache)
        names = teachable(drawings)
        icons = load_icons(drawings, (*TRAINED_STYLES, *CUTOUT_STYLES), names, cache)
        unseen = load_icons(drawings, (HELD_OUT,), names, cache)
        files, held_out = split(listed(cache))
        told = {name for one in [*files, *held_out] for name in one.names}
        every = [*names, *sorted(told - set(names))]
        things = [drawings.things.get(name) or DrawableThing(name, "", (), {}) for name in every]
        meanings = torch.from_numpy(thing_meanings(cache, imagenet_space(cache), things)).to(device)
        run = prepare(cache, plan, device, icons)
    if parallel.rank() == 0:
        counts = (len(icons.styles), len(files), len(every))
        print("{} cutouts and drawings, {} photographs, {} names".format(*counts))
    own = plan.seed + 1000 * parallel.rank()
    random = torch.Generator().manual_seed(own)
    grounds = Backgrounds(own, patches=run.patches.sample(GROUND_PATCHES, POOL_PX, random))
    composer = Composer(icons, grounds, own + run.step)
    shows = Shows(composer, NamedPhotographs(files, every), names, meanings)
    others = NamedPhotographs(held_out, every)
    first, began, saved = run.first, time.monotonic() - run.seconds, time.monotonic()
    share = 0.0
    while share < 1:
        _set_rate(run, plan, run.step - first, share)
        losses = learn(run, shows, plan)
        share = plan.length.done(run.step - first, time.monotonic() - began)
        share = parallel.of_the_first(share)
        if parallel.rank() > 0:
            continue
        if run.step % 20 == 0:
            lost = "naming {:.3f} photographs {:.3f} replay {:.3f} moved {:.3f}".format(*losses)
            print(f"{run.step} {share:.2f} {lost}", flush=True)
        if time.monotonic() - saved > SAVE_SECONDS or share >= 1:
            run.seconds = time.monotonic() - began
            _save(run, cache / "clip" / "image.pt", None if share >= 1 else plan)
            print(validate(run, unseen, others, meanings, plan.sides[0]), flush=True)
            saved = time.monotonic()


def _set_rate(run: ClipRun, plan: ClipPlan, steps: int, share: float) -> None:
    warm = min(1.0, (steps + 1) / WARMUP_STEPS)
    level = warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * share)))
    for group in run.optimizer.param_groups:
        group["lr"] = plan.rate * group["factor"] * level


def _save(run: ClipRun, path: Path, stopped: ClipPlan | None) -> None:
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


def main() -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, default=DEFAULT_CACHE)
    with_length(parser, minutes=20)
    parser.add_argument("--sides", type=int, nargs="+", default=[128, 112])
    parser.add_argument("--rate", type=float, default=4e-4)
    parser.add_argument("--remember", type=float, default=0.0)
    parser.add_argument("--from-share", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--fresh-every", type=int, default=1, help="steps; others replay old patches"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    parser.add_argument("--threads", type=int, default=1, help="of each process")
    parser.add_argument("--processes", type=int, default=1, help="each makes a part of every batch")
    given = parser.parse_args()
    place = choose(Settings(device=given.device, threads=given.threads))
    sides, length = tuple(given.sides), length_of(given)
    rates = (given.rate, given.remember, given.from_share)
    plan = ClipPlan(length, sides, *rates, given.seed, given.fresh_every)
    parallel.start(train, given.processes, given.cache.expanduser(), plan, place.device)


if __name__ == "__main__":
    main()
