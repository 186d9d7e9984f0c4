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
import time
from dataclasses import astuple, dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from segsearch.core.settings import Settings
from segsearch.models.device import choose
from training import parallel
from training.clip.backgrounds import POOL_PX, Backgrounds
from training.clip.captions import labelled
from training.clip.lessons import Annotated, Lessons
from training.clip.losses import (
    caption_loss,
    naming_loss,
    pair_loss,
    photograph_loss,
    region_loss,
    stranger_loss,
    wrong_names,
)
from training.clip.memory import FIRST_ROWS
from training.clip.photographs import NamedPhotographs, split
from training.clip.pictures import Composer, load_icons
from training.clip.region_masks import with_masks
from training.clip.run import ClipPlan, ClipRun, average, averaged, prepare, save, set_rate
from training.clip.targets import thing_meanings
from training.data.annotated import annotated, validation_names
from training.data.cutouts import CUTOUT_STYLES, teachable, with_cutouts
from training.data.fetch import DEFAULT_CACHE, HELD_OUT, TRAINED_STYLES
from training.data.named_photographs import listed
from training.data.render import load_drawings
from training.data.things import DrawableThing
from training.length import length_of, with_length
from training.text.corpus import imagenet_space, names_vectors
from training.text.teacher import TEACHER_DIM

START_PX = 224  # the start sees replayed pictures at this side: it knows more than at the crops'
GROUND_PATCHES = 250  # beside the 900 made grounds
SAVE_SECONDS = 600
REPLAY_WEIGHT = 8.0
PHOTOGRAPH_WEIGHT = 0.7
REGION_WEIGHT, CAPTION_WEIGHT = 1.5, 0.5
VERDICT_WEIGHT = 2.0
PAIR_WEIGHT, STRANGER_WEIGHT = 0.2, 0.1


@dataclass(frozen=True)
class Counts:
    """Pictures of a step: drawings, named photographs, annotated things and parts of them,
    photographs with captions, and those replayed: patches of photographs, and made grounds."""

    drawn: int = 36
    named: int = 16
    wholes: int = 0
    parts: int = 0
    captioned: int = 0
    patches: int = 36
    grounds: int = 4

    def of_one(self) -> Counts:
        """What one of the processes makes."""
        return Counts(*(count // parallel.processes() for count in astuple(self)))


ALONE = Counts()
WITH_REGIONS = Counts(drawn=20, named=16, wholes=60, parts=16, captioned=12, patches=26, grounds=2)


@dataclass(frozen=True)
class Shows:
    """What is shown and named: `names` of drawings first, then those of photographs alone.

    `meanings` (all names, 384) of drawings have their keywords in them; `spoken` (all names, 384)
    are the names alone, as people ask for what is on photographs.
    """

    composer: Composer
    photographs: NamedPhotographs
    names: list[str]
    meanings: Tensor
    spoken: Tensor
    annotated: Annotated | None = None


def replayed(
    run: ClipRun, composer: Composer, side: int, every: int, counts: Counts
) -> tuple[Tensor, Tensor]:
    """Pictures (n, 3, side, side) that nobody named, patches of photographs and a few grounds, and
    what the start answers on them (n, 1280): new ones, or some that were shown before."""
    random, memory = composer.random, run.memory
    if memory.made < FIRST_ROWS or run.step % every == 0:
        made = composer.backgrounds.sample(counts.grounds, START_PX, random)
        patches = run.patches.mixed(counts.patches, START_PX, random)
        shown = torch.cat([patches, made]).to(run.device)
        with torch.no_grad(), torch.autocast(run.device, torch.bfloat16):
            old = run.start.pooled(run.start.early(shown)).float()
        if every > 1:
            memory.add(resized(shown, memory.pixels.shape[-1]), old)
    else:
        count = counts.patches + counts.grounds
        shown, old = (one.to(run.device) for one in memory.sample(count, random))
    return resized(shown, side), old


def resized(pixels: Tensor, side: int) -> Tensor:
    """Pixels (n, 3, side, side), of (n, 3, s, s)."""
    if pixels.shape[-1] == side:
        return pixels
    return functional.interpolate(pixels, size=(side, side), mode="bilinear", antialias=True)


def learn(run: ClipRun, shows: Shows, plan: ClipPlan) -> tuple[float, ...]:
    """One step; returns the losses of naming drawings, photographs and annotated things, and how
    far replayed vectors and verdicts are off."""
    side = plan.sides[run.step % len(plan.sides)]
    composer, random = shows.composer, shows.composer.random
    counts = (WITH_REGIONS if shows.annotated else ALONE).of_one()
    rows = torch.multinomial(run.chances, counts.drawn, generator=random)
    crops = composer.batch(rows, side).to(run.device)
    parts = shows.photographs.sample(counts.named, side, random)
    parts = replace(parts, pixels=composer.weathered(parts.pixels)).to(run.device)
    small, old = replayed(run, composer, side, plan.fresh_every, counts)
    pixels = [crops.pixels, parts.pixels, small]
    regions = told = None
    if shows.annotated:
        regions = shows.annotated.regions.sample(counts.wholes, counts.parts, side, random)
        told = shows.annotated.captions.sample(counts.captioned, side, random)
        pixels += [composer.weathered(regions.pixels), composer.weathered(told.pixels)]
    states = run.tower.early(torch.cat([one.to(run.device) for one in pixels]))
    pooled = run.tower.pooled(states)
    made = run.tower.headed(pooled)
    drawn, named, again, *annotated = made.split([len(one) for one in pixels])
    with torch.no_grad(), torch.autocast(run.device, torch.bfloat16):
        before = run.start.pooled(states[: counts.drawn]).float()
    with torch.no_grad():
        remembered = run.start.headed(old)
    naming = naming_loss(drawn, crops.things, crops.colours, shows.meanings[: len(shows.names)])
    wrong = wrong_names(parts.things, shows.spoken) & ~parts.shown
    telling = photograph_loss(named, parts.things, wrong, shows.spoken)
    replay = (1 - (again * remembered).sum(-1)).mean()
    pooled_again = pooled[len(drawn) + len(named) :][: len(again)]
    moved = _moved(pooled_again, old, run.classifier)
    loss = naming + PHOTOGRAPH_WEIGHT * telling
    loss = loss + plan.past * (REPLAY_WEIGHT * replay + VERDICT_WEIGHT * moved)
    other = wrong_names(crops.things, shows.meanings)
    pairs = pair_loss(run.level(drawn, shows.meanings), crops.things, other)
    logits = run.level(named, shows.spoken)
    pairs = pairs + PHOTOGRAPH_WEIGHT * pair_loss(logits, parts.things, wrong)
    pointing = torch.zeros(())
    if regions is not None and told is not None:
        regions, told = regions.to(run.device), told.to(run.device)
        cut, described = annotated
        asked = (regions.things, regions.shown)
        pointing = region_loss(cut, counts.wholes, *asked, shows.spoken)
        loss = loss + REGION_WEIGHT * pointing
        loss = loss + CAPTION_WEIGHT * caption_loss(described, told.meanings)
        own = slice(0, counts.wholes)
        wrong = wrong_names(regions.things[own], shows.spoken) & ~regions.shown[own]
        logits = run.level(cut[own], shows.spoken)
        pairs = pairs + REGION_WEIGHT * pair_loss(logits, regions.things[own], wrong)
    strange = stranger_loss(run.level(again, shows.spoken), remembered, shows.spoken)
    loss = loss + PAIR_WEIGHT * pairs + STRANGER_WEIGHT * strange
    loss = loss + plan.remember * _moved(pooled[: len(drawn)], before, run.classifier)
    run.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    parallel.average_gradients(p for group in run.optimizer.param_groups for p in group["params"])
    nn.utils.clip_grad_norm_(run.tower.parameters(), 2.0)
    run.optimizer.step()
    run.step += 1
    average(run)
    return naming.item(), telling.item(), pointing.item(), replay.item(), moved.item()


def _moved(pooled: Tensor, old: Tensor, classifier: Tensor) -> Tensor:
    """The squared change of the classifier's verdicts, as a share of the old verdicts' square."""
    return ((pooled - old) @ classifier.T).square().mean() / (old @ classifier.T).square().mean()


def tables(cache: Path, plan: ClipPlan, device: str) -> Lessons:
    """Everything that is shown, read from the cache and from the plan's folder of photographs."""
    drawings = with_cutouts(load_drawings(cache), cache)
    names = teachable(drawings)
    icons = load_icons(drawings, (*TRAINED_STYLES, *CUTOUT_STYLES), names, cache)
    unseen = load_icons(drawings, (HELD_OUT,), names, cache)
    files, held_out = split(listed(cache))
    folder = Path(plan.photographs) if plan.photographs else None
    taught = kept = []
    if folder is not None:
        held = validation_names(folder)
        files += labelled(folder, held)
        taught = with_masks(annotated(folder, validation=False), cache)
        kept = with_masks(annotated(folder, validation=True), cache)
    told = {name for one in [*files, *held_out] for name in one.names}
    told |= {row.name for one in [*taught, *kept] for row in one.annotations}
    every = [*names, *sorted(told - set(names))]
    space = imagenet_space(cache)
    things = [drawings.things.get(name) or DrawableThing(name, "", (), {}) for name in every]
    meanings = torch.from_numpy(thing_meanings(cache, space, things)).to(device)
    plain = names_vectors(cache, space, every)[:, :TEACHER_DIM]
    spoken = functional.normalize(torch.from_numpy(plain), dim=-1).to(device)
    return Lessons(icons, unseen, files, held_out, folder, taught, kept, every, meanings, spoken)


def train(cache: Path, plan: ClipPlan, device: str) -> None:
    """Train for the plan's length, writing a checkpoint every few minutes."""
    torch.manual_seed(plan.seed)
    with parallel.first_alone():
        lessons = tables(cache, plan, device)
        more = lessons.annotated(cache)
        run = prepare(cache, plan, device, lessons.icons)
    if parallel.rank() == 0:
        print(lessons.summary(more))
    own = plan.seed + 1000 * parallel.rank()
    random = torch.Generator().manual_seed(own)
    if more is not None:
        run.patches.pictures += more.captions.pictures
    grounds = Backgrounds(own, patches=run.patches.sample(GROUND_PATCHES, POOL_PX, random))
    composer = Composer(lessons.icons, grounds, own + run.step)
    every, spoken = lessons.names, lessons.spoken
    drawn = lessons.icons.names
    photographs = NamedPhotographs(lessons.files, every)
    shows = Shows(composer, photographs, drawn, lessons.meanings, spoken, more)
    exam = lessons.exam()
    first, began, saved = run.first, time.monotonic() - run.seconds, time.monotonic()
    share = 0.0
    while share < 1:
        set_rate(run, plan, run.step - first, share)
        losses = learn(run, shows, plan)
        share = plan.length.done(run.step - first, time.monotonic() - began)
        share = parallel.of_the_first(share)
        if parallel.rank() > 0:
            continue
        if run.step % 20 == 0:
            lost = "naming {:.3f} photographs {:.3f} regions {:.3f} replay {:.3f} moved {:.3f}"
            print(f"{run.step} {share:.2f} {lost.format(*losses)}", flush=True)
        if time.monotonic() - saved > SAVE_SECONDS or share >= 1:
            run.seconds = time.monotonic() - began
            save(run, cache / "clip" / "image.pt", None if share >= 1 else plan)
            print(exam.report(averaged(run), run.device, plan.sides[0]), flush=True)
            saved = time.monotonic()


def main() -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, default=DEFAULT_CACHE)
    with_length(parser, minutes=20)
    parser.add_argument("--sides", type=int, nargs="+", default=[128, 112])
    parser.add_argument("--rate", type=float, default=4e-4)
    parser.add_argument("--remember", type=float, default=0.0)
    parser.add_argument("--from-share", type=float, default=1.0)
    parser.add_argument("--start", default="", help="packed weights in place of a checkpoint")
    parser.add_argument("--photographs", default="", help="folder of annotated ones")
    parser.add_argument("--past", type=float, default=1.0, help="weight of what is replayed")
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
    places = (given.start, given.photographs, given.past)
    plan = ClipPlan(length, sides, *rates, given.seed, given.fresh_every, *places)
    parallel.start(train, given.processes, given.cache.expanduser(), plan, place.device)


if __name__ == "__main__":
    main()
