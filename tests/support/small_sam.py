"""A SAM of segment_anything's own modules, small and seeded, whose masks survive the thresholds."""

from __future__ import annotations

from typing import cast

import numpy as np
import torch
from segment_anything.modeling import MaskDecoder, PromptEncoder, Sam, TwoWayTransformer
from torch import Tensor, nn

from segsearch.core.arrays import Pixels


class PatchEncoder(nn.Module):
    """An image encoder of one convolution: neighbouring patches of one colour look alike."""

    def __init__(self, img_size: int, dim: int, grid: int) -> None:
        super().__init__()
        self.img_size = img_size
        self.project = nn.Conv2d(3, dim, kernel_size=img_size // grid, stride=img_size // grid)

    def forward(self, images: Tensor) -> Tensor:
        return cast(Tensor, self.project(images))


def small_decoder(dim: int = 64, mlp_dim: int = 96, heads: int = 8, seed: int = 0) -> MaskDecoder:
    """A mask decoder whose biases and norms are random too, with logits about as large as SAM's."""
    torch.manual_seed(seed)
    transformer = TwoWayTransformer(depth=2, embedding_dim=dim, num_heads=heads, mlp_dim=mlp_dim)
    decoder = MaskDecoder(
        transformer_dim=dim, transformer=transformer, iou_head_hidden_dim=dim
    ).eval()
    with torch.no_grad():
        for parameter in decoder.parameters():
            if parameter.dim() == 1:
                parameter += 0.1 * torch.randn_like(parameter)
        for attention in decoder.modules():
            if hasattr(attention, "q_proj"):
                attention.q_proj.weight *= 2.0
        for index, head in enumerate(decoder.output_hypernetworks_mlps):
            head.layers[-1].weight *= 120.0
            head.layers[-1].bias *= 40.0 * index
        last = decoder.iou_prediction_head.layers[-1]
        last.bias[:] = torch.tensor([0.9, 0.9, 0.9, 0.9])
    return decoder


class BlobDecoder(nn.Module):
    """Stands where a trained decoder would: each point answers with three blobs around itself.

    The blobs follow the colours under the point; random weights give no such local masks.
    """

    def forward(
        self,
        image_embeddings: Tensor,
        image_pe: Tensor,
        sparse_prompt_embeddings: Tensor,
        **_: object,
    ) -> tuple[Tensor, Tensor]:
        """Logits (n, 3, 4 gh, 4 gw) and predicted IoU (n, 3)."""
        point = sparse_prompt_embeddings[:, 0]  # (n, c)
        near = torch.einsum("nc,chw->nhw", point, image_pe[0]) / point.shape[1]
        look = torch.einsum("nhw,chw->nc", near.clamp(min=0) ** 8, image_embeddings[0])
        alike = torch.einsum("nc,chw->nhw", nn.functional.normalize(look), image_embeddings[0])
        sharpness = torch.tensor([40.0, 90.0, 160.0]).view(1, 3, 1, 1)
        small = sharpness * (near[:, None] + 0.03 * alike[:, None] - 0.25)
        logits = nn.functional.interpolate(small, scale_factor=4.0, mode="bicubic")
        spread = logits.flatten(2).amax(2)
        return logits, 0.85 + 0.12 * torch.sin(7 * spread)


def small_sam(
    img_size: int = 128, dim: int = 64, grid: int = 16, seed: int = 0, *, blobs: bool = False
) -> Sam:
    """A whole SAM with random weights, or with `blobs` in place of its mask decoder."""
    torch.manual_seed(seed + 1)
    prompts = PromptEncoder(
        embed_dim=dim,
        image_embedding_size=(grid, grid),
        input_image_size=(img_size, img_size),
        mask_in_chans=16,
    )
    decoder = BlobDecoder() if blobs else small_decoder(dim, seed=seed)
    model = Sam(PatchEncoder(img_size, dim, grid), prompts, decoder)
    return model.eval().requires_grad_(requires_grad=False)


def patchwork(height: int, width: int, seed: int = 0) -> Pixels:
    """A picture (H, W, 3) of coloured rectangles under noise."""
    random = np.random.default_rng(seed)
    cells = random.integers(0, 256, (5, 7, 3))
    y, x = (np.arange(side) * count // side for side, count in ((height, 5), (width, 7)))
    noise = random.integers(-20, 21, (height, width, 3))
    pixels: Pixels = np.clip(cells[y][:, x] + noise, 0, 255).astype(np.uint8)
    return pixels
