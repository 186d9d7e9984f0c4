"""Tiny, seeded SAM 2 and EdgeTAM of transformers' own modules, whose masks are not all alike."""

from __future__ import annotations

from typing import Any

import torch
from transformers import EdgeTamConfig, EdgeTamModel, Sam2Config, Sam2Model

from segsearch.models.segment.edgetam import BACKBONE

IMAGE = 128  # px, the side of its input


def small_sam2(seed: int = 0, width: int = 32) -> Any:
    """Random weights; every other part as in the large ones, four backbone stages included."""
    torch.manual_seed(seed)
    grid = IMAGE // 16
    config = Sam2Config(
        vision_config={
            "backbone_config": {
                "model_type": "sam2_hiera_det_model",
                "image_size": [IMAGE, IMAGE],
                "hidden_size": 8,
                "embed_dim_per_stage": [8, 16, 32, 64],
                "num_attention_heads_per_stage": [1, 2, 4, 8],
                "blocks_per_stage": [1, 1, 2, 1],
                "global_attention_blocks": [3],
                "window_size_per_stage": [8, 4, 4, 4],
            },
            "backbone_channel_list": [64, 32, 16, 8],
            "backbone_feature_sizes": [[4 * grid] * 2, [2 * grid] * 2, [grid] * 2],
            "fpn_hidden_size": width,
        },
        prompt_encoder_config={"hidden_size": width, "image_size": IMAGE},
        mask_decoder_config={
            "hidden_size": width,
            "mlp_dim": 64,
            "num_attention_heads": 4,
            "iou_head_hidden_dim": width,
        },
    )
    model = Sam2Model(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.2 * torch.randn_like(parameter)
        # One matrix in every real checkpoint, for prompts and for the whole picture.
        grid_of = model.prompt_encoder.shared_embedding.positional_embedding
        model.shared_image_embedding.positional_embedding.copy_(grid_of)
    return model.requires_grad_(requires_grad=False)


def small_edgetam(seed: int = 0) -> Any:
    """EdgeTAM with its real backbone, random weights, and a narrow prompt encoder and decoder."""
    torch.manual_seed(seed)
    grid = IMAGE // 16
    config = EdgeTamConfig(
        vision_config={
            "backbone_config": {**BACKBONE},
            "backbone_feature_sizes": [[4 * grid] * 2, [2 * grid] * 2, [grid] * 2],
            "fpn_hidden_size": 32,
        },
        prompt_encoder_config={"hidden_size": 32, "image_size": IMAGE},
        mask_decoder_config={
            "hidden_size": 32,
            "mlp_dim": 64,
            "num_attention_heads": 4,
            "iou_head_hidden_dim": 32,
        },
    )
    model = EdgeTamModel(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "backbone" not in name:
                parameter += 0.2 * torch.randn_like(parameter)
        grid_of = model.prompt_encoder.shared_embedding.positional_embedding
        model.shared_image_embedding.positional_embedding.copy_(grid_of)
    return model.requires_grad_(requires_grad=False)
