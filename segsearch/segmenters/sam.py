"""Turns pictures into mask proposals with any SAM built from segment_anything's modules.

Preprocessing is that of segment_anything's SamPredictor; generation is `generator`, decoding is
`decoder`. It neither downloads nor chooses weights.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file
from segment_anything.modeling import PromptEncoder, Sam
from torch import Tensor, nn

from segsearch.domain import Proposal
from segsearch.errors import ModelError
from segsearch.ports import Pixels
from segsearch.segmenters.decoder import ExactDecoder
from segsearch.segmenters.decoder_parts import is_upstream
from segsearch.segmenters.generator import GeneratorSettings, generate
from segsearch.segmenters.upsampling import Upsampling

# Prompts (B, m, C) and a least predicted IoU to logits (k, h, w) and predicted IoU (k,).
Decode = Callable[[Tensor, float], tuple[Tensor, Tensor]]


@dataclass(frozen=True, slots=True)
class SamView:
    """A picture that a SAM has encoded: answers points with logits.

    `scale` (x, y) is what a pixel of the picture measures in the model's square input.
    """

    prompt_encoder: PromptEncoder
    decode: Decode
    scale: tuple[float, float]
    upsampling: Upsampling
    threshold: float

    def candidates(self, points: NDArray[np.float64], min_iou: float) -> tuple[Tensor, Tensor]:
        """Logits (k, h, w) and predicted IoU (k,) of the masks above `min_iou`, by prompt."""
        device = self.upsampling.device
        prompts = torch.as_tensor(points * self.scale, device=device)[:, None]
        labels = torch.ones(prompts.shape[:2], dtype=torch.int, device=device)
        sparse, _ = self.prompt_encoder(points=(prompts, labels), boxes=None, masks=None)
        return self.decode(sparse, min_iou)


class SamSegmenter:
    """The Segmenter port over one SAM: every mask the generator finds in a picture."""

    def __init__(
        self, model: Sam, *, identity: str, settings: GeneratorSettings, device: str = "cpu"
    ) -> None:
        self._model = model.to(device).eval().requires_grad_(requires_grad=False)
        self._fast = ExactDecoder(model.mask_decoder) if is_upstream(model.mask_decoder) else None
        self._identity = identity
        self._settings = settings

    @property
    def identity(self) -> str:
        return self._identity

    @property
    def settings(self) -> dict[str, Any]:
        return self._settings.document

    def propose(self, pixels: Pixels) -> list[Proposal]:
        """Regions of one picture (H, W, 3), best first; empty when nothing stands out."""
        return generate(pixels, self.look, self._settings)

    @torch.inference_mode()
    def look(self, pixels: Pixels) -> SamView:
        """Encode a picture or crop (H, W, 3) uint8 RGB."""
        height, width = pixels.shape[:2]
        square = int(self._model.image_encoder.img_size)
        inside = fit_into_square(height, width, square)
        resized = Image.fromarray(pixels).resize(inside[::-1], Image.Resampling.BILINEAR)
        image = torch.from_numpy(np.array(resized)).to(self._model.device).permute(2, 0, 1)
        embedding = self._model.image_encoder(self._model.preprocess(image[None]))
        rows, columns = embedding.shape[-2:]
        low = (4 * rows, 4 * columns)  # the decoder's two up-convolutions double it twice
        upsampling = Upsampling.through_square(low, square, inside, (height, width))
        return SamView(
            self._model.prompt_encoder,
            self._decode_in(embedding),
            (inside[1] / width, inside[0] / height),
            upsampling.to(embedding.device),
            float(self._model.mask_threshold),
        )

    def _decode_in(self, embedding: Tensor) -> Decode:
        """The decoder bound to one encoded picture (1, C, gh, gw)."""
        prompt_encoder = self._model.prompt_encoder
        place = prompt_encoder.get_dense_pe()
        no_mask = prompt_encoder.no_mask_embed.weight
        if self._fast is None:
            return partial(decode_plainly, self._model.mask_decoder, (embedding, place, no_mask))
        return partial(self._fast.decode, self._fast.prepare(embedding, place, no_mask))


def decode_plainly(
    decoder: nn.Module, image: tuple[Tensor, Tensor, Tensor], prompts: Tensor, min_iou: float
) -> tuple[Tensor, Tensor]:
    """What any mask decoder with upstream's interface answers, filtered by predicted IoU.

    `image` is the embedding and the positional encoding (1, C, gh, gw), and the vector (1, C)
    that stands for no mask prompt.
    """
    embedding, place, no_mask = image
    logits, predicted_iou = decoder(
        image_embeddings=embedding,
        image_pe=place,
        sparse_prompt_embeddings=prompts,
        dense_prompt_embeddings=no_mask[..., None, None].expand_as(embedding),
        multimask_output=True,
    )
    keep = predicted_iou > min_iou
    return logits[keep], predicted_iou[keep]


def fit_into_square(height: int, width: int, side: int) -> tuple[int, int]:
    """(h, w) in pixels with the longer one `side`, as near the same shape as can be.

    Upstream's rule (utils/transforms.py, get_preprocess_shape), but never below one pixel.
    """
    scale = side / max(height, width)
    return max(1, int(height * scale + 0.5)), max(1, int(width * scale + 0.5))


def load_sam(build: Callable[[], Sam], path: Path) -> Sam:
    """A SAM of `build()`'s shape with the weights of a safetensors file, as float32, for inference.

    ModelError when the file is missing, damaged or of another shape.
    """
    model = build()
    try:
        weights = {name: tensor.float() for name, tensor in load_file(path).items()}
        model.load_state_dict(weights)
    except (OSError, RuntimeError, SafetensorError) as problem:
        raise ModelError(f"The weights in {path} do not load: {problem}") from problem
    return model.eval().requires_grad_(requires_grad=False)
