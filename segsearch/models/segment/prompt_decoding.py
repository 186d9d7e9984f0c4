"""Answers points, boxes and masks with segment_anything's own modules, from one encoding.

The way from prompts to logits is SamPredictor's (segment_anything/predictor.py).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from segment_anything.modeling import Sam
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - the name torch's own documentation uses

from segsearch.models.protocols import PromptedMasks
from segsearch.models.segment.prompts import Prompts


@dataclass(frozen=True, slots=True)
class EncodedPicture:
    """A picture (H, W) after the image encoder.

    `features` lie on the model's device, coarsest last; `inside` (h, w) is the part of the square
    input of side `square` that the picture fills. `mask_size` is that of the model's logits.
    """

    size: tuple[int, int]
    inside: tuple[int, int]
    square: int
    features: tuple[Tensor, ...]

    @property
    def nbytes(self) -> int:
        """What the features take in memory."""
        return sum(tensor.nbytes for tensor in self.features)

    @property
    def mask_size(self) -> tuple[int, int]:
        """(h, w) of logits: the decoder's up-convolutions double the coarsest features twice."""
        rows, columns = self.features[-1].shape[-2:]
        return 4 * rows, 4 * columns

    def scaled(self, coordinates: NDArray[np.float64]) -> Tensor:
        """x, y pairs (..., 2) of the picture as float32 in pixels of the model's input."""
        scale = (self.inside[1] / self.size[1], self.inside[0] / self.size[0])
        return torch.as_tensor(coordinates * scale, dtype=torch.float32)


def answer_sam(model: Sam, picture: EncodedPicture, prompts: Prompts) -> PromptedMasks:
    """Masks of B things, B one or the number of boxes."""
    (embedding,) = picture.features
    device = embedding.device
    things = max(1, len(prompts.boxes))
    points = None
    if len(prompts.points):
        where = picture.scaled(prompts.points).to(device).expand(things, -1, -1)
        labels = torch.as_tensor(prompts.labels, dtype=torch.int, device=device)
        points = (where, labels.expand(things, -1))
    boxes = None
    if len(prompts.boxes):
        boxes = picture.scaled(prompts.boxes.reshape(-1, 2, 2)).reshape(-1, 4).to(device)
    masks = None
    if prompts.mask_input is not None:
        masks = torch.as_tensor(prompts.mask_input, device=device).expand(things, 1, -1, -1)
    sparse, dense = model.prompt_encoder(points=points, boxes=boxes, masks=masks)
    logits, predicted_iou = model.mask_decoder(
        image_embeddings=embedding,
        image_pe=model.prompt_encoder.get_dense_pe(),
        sparse_prompt_embeddings=sparse,
        dense_prompt_embeddings=dense,
        multimask_output=prompts.multimask,
    )
    # In two steps also where nothing is cut away: one alone gives other edges.
    square = bilinear(logits, (picture.square, picture.square))
    full = bilinear(square[..., : picture.inside[0], : picture.inside[1]], picture.size)
    return finished(full, logits, predicted_iou, float(model.mask_threshold))


def finished(
    full: Tensor, logits: Tensor, predicted_iou: Tensor, threshold: float
) -> PromptedMasks:
    """Logits at the picture's size (b, k, H, W) and as decoded (b, k, h, w), and predicted IoU
    (b, k), as an answer in NumPy arrays."""
    return PromptedMasks(
        (full > threshold).cpu().numpy(),
        predicted_iou.float().cpu().numpy(),
        logits.float().cpu().numpy(),
    )


def bilinear(logits: Tensor, size: tuple[int, int]) -> Tensor:
    """Logits (b, k, h, w) at another size (b, k, H, W)."""
    if logits.shape[-2:] == size:
        return logits
    return F.interpolate(logits, size, mode="bilinear", align_corners=False)
