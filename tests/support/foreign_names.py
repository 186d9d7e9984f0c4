"""Weights under the names of the other side: what `state_dict` translates, made for tests."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from segsearch.models.segment.state_dict import (
    BLOCK_MLP,
    PROMPT_GRID,
    SAM,
    SAM2,
    SAM2_VIDEO,
    WHOLE_GRID,
    head_from_hub,
    head_to_hub,
    rename,
)


def sam_to_hub(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The hub's names for a SAM with Meta's."""
    renamed: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        new = head_to_hub(rename(name, SAM)).replace(".point_embeddings.", ".point_embed.")
        renamed[new.replace("vision_encoder.blocks.", "vision_encoder.layers.")] = tensor
    return renamed | {WHOLE_GRID: renamed[PROMPT_GRID]}


def sam2_from_hub(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Meta's names for a SAM 2 of the hub."""
    renamed: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        if name == "prompt_encoder.point_embed.weight":
            for row in range(len(tensor)):
                label = f"sam_prompt_encoder.point_embeddings.{row}.weight"
                renamed[label] = tensor[row : row + 1]
        elif name != WHOLE_GRID:
            old = re.sub(r"neck\.convs\.(\d+)\.", r"neck.convs.\1.conv.", name)
            old = re.sub(BLOCK_MLP + r"proj_in\.", r"\1layers.0.", old)
            old = re.sub(BLOCK_MLP + r"proj_out\.", r"\1layers.1.", old)
            renamed[head_from_hub(rename(old, SAM2, back=True))] = tensor
    return renamed


def sam2_video_from_hub(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Meta's names for the video half of a SAM 2 of the hub."""
    return {rename(name, SAM2_VIDEO, back=True): tensor for name, tensor in weights.items()}
