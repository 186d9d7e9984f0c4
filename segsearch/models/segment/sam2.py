"""Turns pictures into mask proposals and answers prompts with SAM 2 or 2.1.

The modules are those of transformers (models/sam2), used one by one: image encoder once a picture,
mask decoder a prompt; automatic masks take `fast_decoder`, which reads the same weights.
Preprocessing is Meta's: both sides to 1024 pixels, whatever the shape.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision.transforms.v2 import functional as images  # type: ignore[import-untyped]  # no types
from transformers import Sam2Config, Sam2Model

from segsearch.core.arrays import Pixels
from segsearch.core.errors import ModelError
from segsearch.core.types import Mask
from segsearch.models.checkpoint import fit, read_weights
from segsearch.models.device import CPU, Placement
from segsearch.models.protocols import PromptedMasks
from segsearch.models.segment.automatic import GeneratorSettings
from segsearch.models.segment.base import BaseSegmenter
from segsearch.models.segment.fast_decoder.decoder import Decode, ExactDecoder
from segsearch.models.segment.prompt_decoding import EncodedPicture, bilinear, finished
from segsearch.models.segment.prompts import Prompts
from segsearch.models.segment.state_dict import sam2_to_hub, sam2_video_to_hub
from segsearch.models.segment.upsampling import Upsampling

if TYPE_CHECKING:
    from segsearch.models.tracking.propagation import PropagatedFollower, Sam2Propagator

PIXEL_MEAN = (0.485, 0.456, 0.406)  # of pixels in [0, 1], as ImageNet's
PIXEL_STD = (0.229, 0.224, 0.225)

# What differs between the sizes (sam2/configs/sam2.1/*.yaml); all else is the library's default.
BACKBONES: dict[str, dict[str, Any]] = {
    "hiera-tiny": {},
    "hiera-small": {"blocks_per_stage": [1, 2, 11, 2], "global_attention_blocks": [7, 10, 13]},
    "hiera-base-plus": {
        "hidden_size": 112,
        "embed_dim_per_stage": [112, 224, 448, 896],
        "num_attention_heads": 2,
        "num_attention_heads_per_stage": [2, 4, 8, 16],
        "blocks_per_stage": [2, 3, 16, 3],
        "global_attention_blocks": [12, 16, 20],
        "window_positional_embedding_background_size": [14, 14],
    },
    "hiera-large": {
        "hidden_size": 144,
        "embed_dim_per_stage": [144, 288, 576, 1152],
        "num_attention_heads": 2,
        "num_attention_heads_per_stage": [2, 4, 8, 16],
        "blocks_per_stage": [2, 6, 36, 4],
        "global_attention_blocks": [23, 33, 43],
        "window_positional_embedding_background_size": [7, 7],
        "window_size_per_stage": [8, 4, 16, 8],
    },
}


@dataclass(frozen=True, slots=True)
class Sam2View:
    """A picture that a SAM 2 has encoded: answers points with logits."""

    prompt_encoder: Any
    decode: Decode
    picture: EncodedPicture
    upsampling: Upsampling
    threshold: float = 0.0

    def answer(self, points: NDArray[np.float64], min_iou: float) -> tuple[Tensor, Tensor]:
        """Logits (k, h, w) and predicted IoU (k,) of the masks above `min_iou`, by prompt."""
        where = self.picture.scaled(points)[None, :, None].to(self.upsampling.device)
        labels = torch.ones(where.shape[:3], dtype=torch.int64, device=where.device)
        sparse, _ = self.prompt_encoder(
            input_points=where, input_labels=labels, input_boxes=None, input_masks=None
        )
        return self.decode(sparse[0], min_iou)


class Sam2Segmenter(BaseSegmenter):
    """`Segmenter` and `Promptable` over one SAM 2 or 2.1."""

    def __init__(
        self,
        model: Any,
        *,
        identity: str,
        settings: GeneratorSettings,
        place: Placement = CPU,
        video: Mapping[str, Tensor] | None = None,
    ) -> None:
        """`video` are the tensors of the video half by the hub's names, where there are any."""
        super().__init__(model, identity=identity, settings=settings, place=place)
        self._fast = ExactDecoder(self._model.mask_decoder)
        self._video = video or {}
        self._propagator: Sam2Propagator | None = None

    @property
    def has_video(self) -> bool:
        """Whether it can carry masks through a video."""
        return bool(self._video)

    def follow(self, pixels: Pixels, masks: Sequence[Mask]) -> PropagatedFollower:
        """Carry masks of a keyframe (H, W, 3) u8 RGB through the frames that come after it.

        ModelError where the weights hold no video half, or a damaged one.
        """
        from segsearch.models.tracking.propagation import PropagatedFollower  # late: for videos

        return PropagatedFollower(self._propagating(), pixels, masks)

    def _propagating(self) -> Sam2Propagator:
        from segsearch.models.tracking.propagation import Sam2Propagator, with_video

        with self._lock:
            if self._propagator is None:
                source = f"The model {self._identity.partition('@')[0]}"
                model = with_video(self._model, self._video, source)
                self._propagator = Sam2Propagator(model, place=self._place)
            return self._propagator

    @torch.inference_mode()
    def look(self, pixels: Pixels, grid: tuple[int, int] | None = None) -> Sam2View:
        """See `BaseSegmenter.look`."""
        picture = self.encode(pixels)
        if grid is not None:
            picture = replace(picture, size=grid)
        (rows, columns), size = picture.mask_size, picture.size
        upsampling = Upsampling.through_square((rows, columns), rows, (rows, columns), size)
        shared = self._fast.prepare(
            picture.features[-1],
            self._model.get_image_wide_positional_embeddings(),
            self._model.prompt_encoder.no_mask_embed.weight,
            details=(picture.features[0], picture.features[1]),
        )
        return Sam2View(
            self._model.prompt_encoder,
            partial(self._fast.decode, shared),
            picture,
            upsampling.to(torch.device(self._model.device)),
        )

    @torch.inference_mode()
    def encode(self, pixels: Pixels) -> EncodedPicture:
        """The image encoder's features of a picture (H, W, 3) uint8 RGB, at three resolutions."""
        side = int(self._model.prompt_encoder.input_image_size)
        batch = squared(pixels, side, self._model.device)
        with self._place.computing():
            features = self._model.get_image_embeddings(batch)
        inside = (side, side)
        kept = tuple(tensor.float() for tensor in features)
        return EncodedPicture((pixels.shape[0], pixels.shape[1]), inside, side, kept)

    @torch.inference_mode()
    def answer(self, picture: EncodedPicture, prompts: Prompts) -> PromptedMasks:
        """Masks of B things, B one or the number of boxes."""
        prompt = _tensors(self._model, picture, prompts)
        logits, predicted_iou = decode(
            self._model, picture, prompt, self._place, multimask=prompts.multimask
        )
        return finished(bilinear(logits, picture.size), logits, predicted_iou, 0.0)


def squared(pixels: Pixels, side: int, device: torch.device) -> Tensor:
    """A picture (H, W, 3) uint8 RGB as the image encoder takes it: (1, 3, side, side) float32."""
    image = torch.from_numpy(np.array(pixels)).to(device).permute(2, 0, 1)
    # On whole numbers, as transformers does it; Meta resizes after the division by 255.
    resized = images.resize(image, [side, side], antialias=True).float()
    mean, std = (torch.tensor(rgb).view(3, 1, 1) * 255 for rgb in (PIXEL_MEAN, PIXEL_STD))
    return cast(Tensor, ((resized - mean.to(resized)) / std.to(resized))[None])


@torch.inference_mode()
def decode(
    model: Any,
    picture: EncodedPicture,
    prompt: dict[str, Tensor],
    place: Placement,
    *,
    multimask: bool = True,
) -> tuple[Tensor, Tensor]:
    """Logits (B, k, h, w) and predicted IoU (B, k) of B prompts of one picture, float32.

    `prompt` holds `input_points` (1, B, n, 2) with `input_labels` (1, B, n), `input_boxes`
    (1, B, 4), `input_masks` (1, 1, h, w), or some of them, in pixels of the model's input.
    """
    with place.computing():
        sparse, dense = model.prompt_encoder(
            input_points=prompt.get("input_points"),
            input_labels=prompt.get("input_labels"),
            input_boxes=prompt.get("input_boxes"),
            input_masks=prompt.get("input_masks"),
        )
        logits, predicted_iou, _, _ = model.mask_decoder(
            image_embeddings=picture.features[-1],
            image_positional_embeddings=model.get_image_wide_positional_embeddings(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=multimask,
            high_resolution_features=list(picture.features[:-1]),
        )
    return logits[0].float(), predicted_iou[0].float()


def build_sam2(architecture: str) -> Any:
    """An untrained SAM 2 of a size in `BACKBONES`; ModelError for another."""
    if architecture not in BACKBONES:
        raise ModelError(f"There is no SAM 2 of size {architecture!r}: {', '.join(BACKBONES)}.")
    backbone = {"model_type": "sam2_hiera_det_model", **BACKBONES[architecture]}
    widths = backbone.get("embed_dim_per_stage", [96, 192, 384, 768])
    vision = {"backbone_config": backbone, "backbone_channel_list": widths[::-1]}
    return Sam2Model(Sam2Config(vision_config=vision)).eval()


def load_sam2(build: Callable[[], Any], path: Path) -> Any:
    """`load_with_video` without the video half."""
    return load_with_video(build, path)[0]


def load_with_video(build: Callable[[], Any], path: Path) -> tuple[Any, dict[str, Tensor]]:
    """A SAM 2 of `build()`'s shape with the weights of Meta's .pt or the hub's safetensors, on the
    CPU; and the tensors of its video half by the hub's names, none in a file of pictures alone.

    ModelError when the file is missing, damaged, or of another architecture.
    """
    weights = read_weights(path)
    model = build()
    fit(model, sam2_to_hub(weights), path.name)
    return model, sam2_video_to_hub(weights)


def _tensors(model: Any, picture: EncodedPicture, prompts: Prompts) -> dict[str, Tensor]:
    """Prompts as the modules take them; without point and box, upstream's empty point."""
    device = model.device
    things = max(1, len(prompts.boxes))
    tensors: dict[str, Tensor] = {}
    if len(prompts.points):
        where = picture.scaled(prompts.points).to(device)
        tensors["input_points"] = where.expand(1, things, -1, -1)
        labels = torch.as_tensor(prompts.labels, device=device)
        tensors["input_labels"] = labels.expand(1, things, -1)
    if len(prompts.boxes):
        corners = picture.scaled(prompts.boxes.reshape(-1, 2, 2)).to(device)
        tensors["input_boxes"] = corners.reshape(1, -1, 4)
    if not tensors:
        tensors["input_points"] = torch.zeros(1, 1, 1, 2, device=device)
        tensors["input_labels"] = torch.full((1, 1, 1), -1, device=device)
    if prompts.mask_input is not None:
        tensors["input_masks"] = torch.as_tensor(prompts.mask_input, device=device)[None, None]
    return tensors
