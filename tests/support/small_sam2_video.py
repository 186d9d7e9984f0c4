"""The video half of a tiny, seeded SAM 2: tensors named as on the hub."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import Sam2VideoConfig, Sam2VideoModel

from segsearch.models.tracking.propagation import with_video
from tests.support.small_sam2 import IMAGE, small_sam2

WIDTH = 128  # of features: pointers to things are two tokens of the 64 that memories have
NAMED = "small2.pt"


def small_pictures(seed: int = 0) -> Any:
    """A small SAM 2 that thinks everything it is shown is there."""
    sam2 = small_sam2(seed, WIDTH)
    sam2.mask_decoder.pred_obj_score_head.proj_out.bias += 4.0
    return sam2


def small_video(seed: int = 0) -> dict[str, Tensor]:
    """Random numbers, so large that what is remembered of a thing changes its mask."""
    pictures = small_pictures(seed)
    config = Sam2VideoConfig(
        vision_config=pictures.config.vision_config.to_dict(),
        prompt_encoder_config={"hidden_size": WIDTH, "image_size": IMAGE},
        mask_decoder_config={"hidden_size": WIDTH, "num_attention_heads": 4},
        image_size=IMAGE,
        memory_attention_hidden_size=WIDTH,
        memory_encoder_hidden_size=WIDTH,
        mask_downsampler_embed_dim=WIDTH,
        memory_fuser_embed_dim=WIDTH,
    )
    torch.manual_seed(seed)
    tensors = Sam2VideoModel(config).state_dict()
    known = pictures.state_dict()
    return {
        name: tensor + 0.2 * torch.randn_like(tensor)
        for name, tensor in tensors.items()
        if name not in known
    }


def small_propagating(seed: int = 0) -> Any:
    """A Sam2VideoModel of both, which looks back at 4 frames and at pointers of 6."""
    model = with_video(small_pictures(seed), small_video(seed), NAMED)
    model.config.max_object_pointers_in_encoder = 6
    return model
