"""What the SAM is taught: masks by focal and dice, their quality, and which cells belong together.

Shapes: P prompts, M = 4 masks a prompt (0 is the single-mask token), h x w low-resolution cells.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

FOCAL_WEIGHT, DICE_WEIGHT = 20.0, 1.0  # section A of "Segment Anything" (Kirillov et al. 2023)
QUALITY_WEIGHT, AFFINITY_WEIGHT = 1.0, 0.5
PAIRED_CELLS = 320


def mask_losses(logits: Tensor, wanted: Tensor) -> Tensor:
    """(P, M, h, w) logits against (P, h, w) bool -> (P, M) losses, focal and dice weighed."""
    truth = wanted[:, None].float()
    cross = functional.binary_cross_entropy_with_logits(
        logits, truth.expand_as(logits), reduction="none"
    )
    share = torch.sigmoid(logits)
    hit = share * truth + (1 - share) * (1 - truth)
    focal = (cross * (1 - hit) ** 2).mean((2, 3))
    overlap = (share * truth).sum((2, 3))
    dice = 1 - (2 * overlap + 1) / (share.sum((2, 3)) + truth.sum((2, 3)) + 1)
    return FOCAL_WEIGHT * focal + DICE_WEIGHT * dice


@torch.no_grad()
def overlaps(logits: Tensor, wanted: Tensor) -> Tensor:
    """(P, M): IoU of every mask, cut at zero, with (P, h, w) bool."""
    cut, truth = logits > 0, wanted[:, None]
    both = (cut & truth).sum((2, 3)).float()
    return both / (cut | truth).sum((2, 3)).clamp(min=1)


def prompt_loss(
    logits: Tensor, quality: Tensor, part: Tensor, whole: Tensor, rated: float = 1.0
) -> Tensor:
    """The sum of all that one image's prompts teach.

    The best of the three masks is taught the region, the best for the whole is taught the whole;
    the single mask always the whole. Prompts that nothing answers teach the quality alone, which
    is the IoU with whichever region fits better; it counts `rated` times.
    """
    rating = QUALITY_WEIGHT * rated * quality_loss(logits, quality, part, whole)
    answered = part.any(2).any(1)
    if not answered.any():
        return rating
    logits, part, whole = logits[answered], part[answered], whole[answered]
    by_part = mask_losses(logits, part)
    differs = (part != whole).any(2).any(1)
    by_whole = by_part.index_put((differs,), mask_losses(logits[differs], whole[differs]))
    best = by_part[:, 1:].amin(1) + differs * by_whole[:, 1:].amin(1)
    masks = (best / (1 + differs.float())).mean() + 0.5 * by_whole[:, 0].mean()
    return masks + rating


def quality_loss(logits: Tensor, quality: Tensor, part: Tensor, whole: Tensor) -> Tensor:
    """How far the predicted IoUs (P, M) are off: squared, over all masks."""
    differs = (part != whole).any(2).any(1)
    fit = overlaps(logits, part)
    fit[differs] = torch.maximum(fit[differs], overlaps(logits[differs], whole[differs]))
    return functional.mse_loss(quality, fit)


class Affinity(nn.Module):
    """Scores pairs of embedding cells by whether one region owns both; used in training only.

    Pairs teach the encoder much more an image than a few prompts do.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.project = nn.Conv2d(width, 32, 1)
        self.scale = nn.Parameter(torch.tensor([8.0, -4.0]))

    def forward(self, embedding: Tensor, cells: Tensor) -> Tensor:
        """(B, C, h, w) and owners (B, h, w), 255 for none -> mean balanced cross entropy."""
        vectors = functional.normalize(self.project(embedding).flatten(2), dim=1)  # (B, 32, hw)
        owners = cells.flatten(1)  # (B, hw)
        picked = torch.randint(owners.shape[1], (PAIRED_CELLS,), device=owners.device)
        vectors, owners = vectors[:, :, picked], owners[:, picked]
        score = self.scale[0] * vectors.transpose(1, 2) @ vectors + self.scale[1]
        same = (owners[:, :, None] == owners[:, None]).float()
        known = ((owners[:, :, None] != 255) & (owners[:, None] != 255)).float()
        cross = functional.binary_cross_entropy_with_logits(score, same, reduction="none")
        alike, apart = same * known, (1 - same) * known
        means = [(cross * w).sum() / w.sum().clamp(min=1) for w in (alike, apart)]
        return 0.5 * (means[0] + means[1])
