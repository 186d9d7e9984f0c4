"""What the image tower is asked for: names among other names, and a yes or no for each.

Softmax over the names ranks them for one picture. A search ranks pictures for one name, and asks
whether any shows it at all, so every pair of a picture and a name is judged by itself as well
(sigmoid loss, Zhai et al. 2023), with one level for all that is learnt along with the tower.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.text.teacher import COLOUR_WEIGHT, TEACHER_DIM
from training.text.words import COLOURS

ALIKE = 0.8  # names whose meanings are closer than this are no wrong answers for each other
SMOOTHING = 0.05
SHARPNESS = 20.0
FIRST_LEVEL = 0.62  # 300 trial steps from here ended at 0.625
PART_WEIGHT = 0.3  # of naming a part, beside naming a whole
SEARCH_WEIGHT = 0.5  # of finding the whole for its name, beside naming it
LIKELY_SHARE = 0.01  # of all names, those that a picture nobody named may well show


class Level(nn.Module):
    """The cosine from which a picture shows what a name means rather than not."""

    def __init__(self) -> None:
        super().__init__()
        self.cosine = nn.Parameter(torch.tensor(FIRST_LEVEL))

    def forward(self, made: Tensor, meanings: Tensor) -> Tensor:
        """Vectors (n, 512) and meanings (names, 384) -> logits (n, names)."""
        turned = functional.normalize(made[:, :TEACHER_DIM], dim=-1)
        return SHARPNESS * (turned @ meanings.T - self.cosine)


def wrong_names(things: Tensor, meanings: Tensor) -> Tensor:
    """(n, names) bool: which names are clearly not what these things (n,) are called."""
    return meanings[things] @ meanings.T < ALIKE


def naming_loss(made: Tensor, things: Tensor, colours: Tensor, meanings: Tensor) -> Tensor:
    """Cross-entropy over all things' text vectors, plus the distance to the whole target."""
    logits = SHARPNESS * made[:, :TEACHER_DIM] @ meanings.T
    naming = _named_wrongly(logits, things, wrong_names(things, meanings))
    wanted = torch.zeros_like(made)
    wanted[:, :TEACHER_DIM] = meanings[things]
    wanted[:, TEACHER_DIM : TEACHER_DIM + len(COLOURS)] = COLOUR_WEIGHT * colours
    cosine = (made * functional.normalize(wanted, dim=-1)).sum(-1)
    return naming + 1.5 * (1 - cosine).mean()


def photograph_loss(made: Tensor, things: Tensor, wrong: Tensor, meanings: Tensor) -> Tensor:
    """The same for photographs, whose colour is no matter; `wrong` (n, names) leaves out whatever
    else they show."""
    turned = functional.normalize(made[:, :TEACHER_DIM], dim=-1)
    naming = _named_wrongly(SHARPNESS * turned @ meanings.T, things, wrong)
    return naming + (1 - (turned * meanings[things]).sum(-1)).mean()


def region_loss(
    made: Tensor, wholes: int, things: Tensor, shown: Tensor, meanings: Tensor
) -> Tensor:
    """Whole things (the first `wholes` of `made`) are named; and among all crops of the batch the
    name finds the whole before parts of it, and before what is something else.

    Parts (the others) are named, too, but less: a head is more an elephant than a car.
    """
    turned = functional.normalize(made[:, :TEACHER_DIM], dim=-1)
    logits = SHARPNESS * turned @ meanings.T
    wrong = wrong_names(things, meanings) & ~shown
    telling = _named_wrongly(logits[:wholes], things[:wholes], wrong[:wholes])
    telling = telling + (1 - (turned[:wholes] * meanings[things[:wholes]]).sum(-1)).mean()
    if wholes < len(made):
        rest = slice(wholes, None)
        telling = telling + PART_WEIGHT * _named_wrongly(logits[rest], things[rest], wrong[rest])
    asked = things[:wholes]
    lesser = wrong[:, asked]  # (crops, asked names)
    lesser[wholes:] |= things[wholes:, None] == asked
    lesser[torch.arange(wholes), torch.arange(wholes)] = True
    found = logits[:, asked].masked_fill(~lesser, -1e4).log_softmax(0).diagonal().mean()
    return telling - SEARCH_WEIGHT * found


def caption_loss(made: Tensor, told: Tensor) -> Tensor:
    """Captions (n, 384) and their pictures (n, 512) find each other among the batch."""
    turned = functional.normalize(made[:, :TEACHER_DIM], dim=-1)
    logits = SHARPNESS * turned @ told.T
    both = logits.log_softmax(1).diagonal().mean() + logits.log_softmax(0).diagonal().mean()
    return (1 - (turned * told).sum(-1)).mean() - both / 2


def pair_loss(logits: Tensor, things: Tensor, wrong: Tensor) -> Tensor:
    """Each picture shows its thing and none of the wrong names; all (n, names) but things (n,)."""
    shown = functional.softplus(-logits.gather(1, things[:, None])).mean()
    return shown + (functional.softplus(logits) * wrong).sum(1).mean()


def stranger_loss(logits: Tensor, remembered: Tensor, meanings: Tensor) -> Tensor:
    """Pictures that nobody named show none of the names but those that the start finds likely."""
    opinions = functional.normalize(remembered[:, :TEACHER_DIM], dim=-1) @ meanings.T
    likely = max(1, round(LIKELY_SHARE * len(meanings)))
    least = opinions.topk(likely, dim=1).values[:, -1:]
    return (functional.softplus(logits) * (opinions < least)).sum(1).mean()


def _named_wrongly(logits: Tensor, things: Tensor, wrong: Tensor) -> Tensor:
    """Smoothed cross-entropy of logits (n, names) among the right name and the wrong ones."""
    counted = wrong.scatter(1, things[:, None], value=True)
    chances = logits.masked_fill(~counted, -1e4).log_softmax(1)
    told = chances.gather(1, things[:, None]).mean()
    smooth = ((chances * counted).sum(1) / counted.sum(1)).mean()
    return -(1 - SMOOTHING) * told - SMOOTHING * smooth
