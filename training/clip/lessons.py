"""What the image tower is taught and examined on, as read from disk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from training.clip.backgrounds import Backgrounds
from training.clip.captions import CaptionedPhotographs, captions_of
from training.clip.photographs import NamedPhotographs
from training.clip.pictures import Composer, Icons
from training.clip.regions import AnnotatedRegions, NamedRegion
from training.clip.tower import Tower
from training.data.annotated import AnnotatedPhotograph, validation_names
from training.data.named_photographs import NamedFile
from training.text.corpus import imagenet_space
from training.text.teacher import TEACHER_DIM

LARGE = 0.05  # of the photograph


@dataclass(frozen=True)
class Annotated:
    """What people annotated on photographs: things with boxes and masks, and captions."""

    regions: AnnotatedRegions
    captions: CaptionedPhotographs


@dataclass(frozen=True)
class Lessons:
    """Drawings, named and annotated photographs: what is taught, and what is held out.

    `names` are those of drawings first, then those of photographs alone; `meanings` and `spoken`
    (names, 384) as `train.Shows` has them.
    """

    icons: Icons
    unseen: Icons
    files: list[NamedFile]
    held_out: list[NamedFile]
    folder: Path | None
    taught: list[AnnotatedPhotograph]
    kept: list[AnnotatedPhotograph]
    names: list[str]
    meanings: Tensor
    spoken: Tensor

    def annotated(self, cache: Path) -> Annotated | None:
        """The things and captions of the folder of photographs, if there is one."""
        if self.folder is None:
            return None
        told = captions_of(self.folder, validation_names(self.folder))
        captions = CaptionedPhotographs(told, cache, imagenet_space(cache))
        return Annotated(AnnotatedRegions(self.taught, self.names), captions)

    def exam(self) -> Exam:
        """What is held out, ready to be asked for."""
        others = NamedPhotographs(self.held_out, self.names)
        regions = AnnotatedRegions(self.kept, self.names)
        return Exam(self.unseen, others, regions, self.meanings, self.spoken)

    def summary(self, more: Annotated | None) -> str:
        """How much there is."""
        things = f", {len(more.regions.regions)} annotated things" if more else ""
        told = f", {len(more.captions.pictures)} photographs with captions" if more else ""
        drawn = f"{len(self.icons.styles)} cutouts and drawings, {len(self.files)} photographs"
        return f"{drawn}{things}{told}, {len(self.names)} names"


@dataclass(frozen=True)
class Exam:
    """A quarter of a style, photographs and annotated things that are never trained on."""

    unseen: Icons
    photographs: NamedPhotographs
    regions: AnnotatedRegions
    meanings: Tensor
    spoken: Tensor

    @torch.inference_mode()
    def report(self, tower: Tower, device: str, side: int) -> str:
        """Top-1 and top-5 of a tower that lies on a device, by crops of `side` px."""
        lines = f"unseen style: {_tops(self._drawings(tower, device, side))}"
        lines += f"; photographs: {_tops(self._photographs(tower, device, side))}"
        if not self.regions.regions:
            return lines
        ranks, large = self.things(tower, side, device)
        return f"{lines}; things: {_tops(ranks)}; large ones: {_tops(ranks[large])}"

    def _drawings(self, tower: Tower, device: str, side: int) -> Tensor:
        composer = Composer(self.unseen, Backgrounds(1, count=100), seed=1)
        ranks = []
        for rows in torch.arange(0, len(self.unseen.things), 4).split(64):
            context, masked = (one.to(device) for one in composer.plain(rows, side))
            both = tower.late(tower.early(context)) + tower.late(tower.early(masked))
            scores = both[:, :TEACHER_DIM] @ self.meanings[: len(self.unseen.names)].T
            own = scores.gather(1, self.unseen.things[rows][:, None].to(device))
            ranks.append((scores > own).sum(1).cpu())
        return torch.cat(ranks)

    def _photographs(self, tower: Tower, device: str, side: int) -> Tensor:
        squares = self.photographs.middles(side).to(device)
        made = torch.cat([tower.late(tower.early(part)) for part in squares.split(64)])
        scores = made[:, :TEACHER_DIM].cpu() @ self.spoken.cpu().T
        best = scores.masked_fill(~self.photographs.shown, -1).max(1).values
        return (scores > best[:, None]).sum(1)

    def things(self, tower: Tower, side: int, device: str) -> tuple[Tensor, Tensor]:
        """Where each thing's name ranks (n,) among the names of all annotated things, by both of
        its crops as the product makes them; and which (n,) are large."""
        asked = [one for one in self.regions.regions if one.mask is not None]
        names = sorted({one.thing for one in self.regions.regions})
        rows = []
        for start in range(0, len(asked), 32):
            part = asked[start : start + 32]
            crops = [self.regions.cut(one, side) for one in part]
            crops += [self.regions.masked(one, side) for one in part]
            made = tower.late(tower.early(torch.cat(crops).to(device))).cpu()
            rows.append(made[: len(part)] + made[len(part) :])
        scores = torch.cat(rows)[:, :TEACHER_DIM] @ self.spoken[names].cpu().T
        own = torch.tensor([[names.index(one.thing)] for one in asked])
        ranks = (scores > scores.gather(1, own)).sum(1)
        return ranks, torch.tensor([self._share(one) > LARGE for one in asked])

    def _share(self, region: NamedRegion) -> float:
        height, width = self.regions.pictures[region.picture].shape[1:]
        return region.box.area / (height * width)


def _tops(ranks: Tensor) -> str:
    first, five = (ranks < 1).float().mean().item(), (ranks < 5).float().mean().item()
    return f"top-1 {first:.3f} top-5 {five:.3f}"
