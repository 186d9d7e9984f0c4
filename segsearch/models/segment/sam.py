"""Turns pictures into mask proposals with any SAM built from segment_anything's modules.

Preprocessing is that of segment_anything's SamPredictor; generation is `automatic`, decoding is
`fast_decoder`. It neither downloads nor chooses weights.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from segment_anything import sam_model_registry
from segment_anything.modeling import PromptEncoder, Sam
from torch import Tensor, nn

from segsearch.core.arrays import Pixels
from segsearch.core.errors import ModelError
from segsearch.models.checkpoint import fit, read_weights
from segsearch.models.device import CPU, Placement
from segsearch.models.protocols import PromptedMasks
from segsearch.models.segment.automatic import GeneratorSettings
from segsearch.models.segment.base import BaseSegmenter
from segsearch.models.segment.fast_decoder.decoder import Decode, ExactDecoder
from segsearch.models.segment.fast_decoder.parts import is_known_decoder
from segsearch.models.segment.prompt_decoding import EncodedPicture, answer_sam
from segsearch.models.segment.prompts import Prompts
from segsearch.models.segment.state_dict import sam_from_hub
from segsearch.models.segment.upsampling import Upsampling

SMALL_SQUARE_PX = 512  # half of what SAM was made for


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

    def answer(self, points: NDArray[np.float64], min_iou: float) -> tuple[Tensor, Tensor]:
        """Logits (k, h, w) and predicted IoU (k,) of the masks above `min_iou`, by prompt."""
        device = self.upsampling.device
        exact = torch.float32 if device.type == "mps" else torch.float64  # mps knows no float64
        prompts = torch.as_tensor(points * self.scale, dtype=exact, device=device)[:, None]
        labels = torch.ones(prompts.shape[:2], dtype=torch.int, device=device)
        sparse, _ = self.prompt_encoder(points=(prompts, labels), boxes=None, masks=None)
        return self.decode(sparse, min_iou)


class SamSegmenter(BaseSegmenter):
    """`Segmenter` and `Promptable` over one SAM."""

    def __init__(
        self, model: Sam, *, identity: str, settings: GeneratorSettings, place: Placement = CPU
    ) -> None:
        super().__init__(model, identity=identity, settings=settings, place=place)
        self._fast = (
            ExactDecoder(model.mask_decoder) if is_known_decoder(model.mask_decoder) else None
        )

    @property
    def looks_closer(self) -> bool:
        """Whether clicks are worth a look at crops: where the model's square is small."""
        return int(self._model.image_encoder.img_size) < SMALL_SQUARE_PX

    @torch.inference_mode()
    def look(self, pixels: Pixels, grid: tuple[int, int] | None = None) -> SamView:
        """See `BaseSegmenter.look`."""
        picture = self.encode(pixels)
        (embedding,), inside = picture.features, picture.inside
        height, width = grid or picture.size
        upsampling = Upsampling.through_square(
            picture.mask_size, picture.square, inside, (height, width)
        )
        return SamView(
            self._model.prompt_encoder,
            self._decode_in(embedding),
            (inside[1] / width, inside[0] / height),
            upsampling.to(embedding.device),
            float(self._model.mask_threshold),
        )

    @torch.inference_mode()
    def encode(self, pixels: Pixels) -> EncodedPicture:
        """The image encoder's embedding (1, C, gh, gw) of a picture (H, W, 3) uint8 RGB."""
        height, width = pixels.shape[:2]
        square = int(self._model.image_encoder.img_size)
        inside = fit_into_square(height, width, square)
        resized = Image.fromarray(pixels).resize(inside[::-1], Image.Resampling.BILINEAR)
        image = torch.from_numpy(np.array(resized)).to(self._model.device).permute(2, 0, 1)
        with self._place.computing():
            embedding = self._model.image_encoder(self._model.preprocess(image[None]))
        return EncodedPicture((height, width), inside, square, (embedding.float().contiguous(),))

    @torch.inference_mode()
    def answer(self, picture: EncodedPicture, prompts: Prompts) -> PromptedMasks:
        """Masks of B things, B one or the number of boxes."""
        return answer_sam(self._model, picture, prompts)

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


def build_sam(architecture: str) -> Sam:
    """An untrained SAM: `vit_b`, `vit_l` or `vit_h`; ModelError for another."""
    if architecture not in ("vit_b", "vit_l", "vit_h"):
        raise ModelError(f"There is no SAM of architecture {architecture!r}.")
    return sam_model_registry[architecture]()


def load_sam(build: Callable[[], Sam], path: Path) -> Sam:
    """A SAM of `build()`'s shape with a file's weights, as float32, for inference.

    The file is Meta's .pth, or safetensors with Meta's names or the hub's. ModelError when it is
    missing, damaged or of another shape, UnsafeWeightsError when it is a pickle that wants more.
    """
    weights = read_weights(path)
    model = build()
    fit(model, sam_from_hub(weights), path.name)
    return model.eval().requires_grad_(requires_grad=False)
