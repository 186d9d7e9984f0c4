"""Translates tensor names: checkpoints of the hub for SAM, of Meta for SAM 2.

SAM runs on Meta's classes, SAM 2 on those of transformers, so each has a foreign side. Nothing but
names changes, save four embeddings that the hub keeps as the rows of one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

# What transformers keeps twice: for prompts, and for the grid of the whole picture.
PROMPT_GRID = "prompt_encoder.shared_embedding.positional_embedding"
WHOLE_GRID = "shared_image_embedding.positional_embedding"

Renames = tuple[tuple[str, str], ...]  # Meta's, the hub's; applied in this order

HEADS = r"(output_hypernetworks_mlps\.\d+|iou_prediction_head|pred_obj_score_head)"
BLOCK_MLP = r"((?:blocks|layers)\.\d+\.mlp\.)"
# Prompt encoder and mask decoder, alike in SAM and SAM 2.
SHARED: Renames = (
    ("mask_downscaling.0.", "mask_embed.conv1."),
    ("mask_downscaling.1.", "mask_embed.layer_norm1."),
    ("mask_downscaling.3.", "mask_embed.conv2."),
    ("mask_downscaling.4.", "mask_embed.layer_norm2."),
    ("mask_downscaling.6.", "mask_embed.conv3."),
    ("pe_layer.positional_encoding_gaussian_matrix", "shared_embedding.positional_embedding"),
    ("output_upscaling.0.", "upscale_conv1."),
    ("output_upscaling.1.", "upscale_layer_norm."),
    ("output_upscaling.3.", "upscale_conv2."),
    (".norm_final_attn.", ".layer_norm_final_attn."),
    *((f".norm{number}.", f".layer_norm{number}.") for number in range(1, 5)),
)
SAM: Renames = (
    ("image_encoder.", "vision_encoder."),
    ("patch_embed.proj.", "patch_embed.projection."),
    ("neck.0.", "neck.conv1."),
    ("neck.1.", "neck.layer_norm1."),
    ("neck.2.", "neck.conv2."),
    ("neck.3.", "neck.layer_norm2."),
    *SHARED,
)
SAM2: Renames = (
    ("image_encoder.trunk.", "vision_encoder.backbone."),
    ("image_encoder.neck.", "vision_encoder.neck."),
    ("sam_prompt_encoder.", "prompt_encoder."),
    ("sam_mask_decoder.", "mask_decoder."),
    ("patch_embed.proj.", "patch_embed.projection."),
    ("no_mem_embed", "no_memory_embedding"),
    (".out_proj.", ".o_proj."),
    *SHARED,
)
# The half of SAM 2 that carries masks through a video.
SAM2_VIDEO: Renames = (
    ("memory_encoder.out_proj.", "memory_encoder.projection."),
    ("memory_encoder.pix_feat_proj.", "memory_encoder.feature_projection."),
    ("memory_encoder.fuser.", "memory_encoder.memory_fuser."),
    (".dwconv.", ".depthwise_conv."),
    (".pwconv", ".pointwise_conv"),
    (".gamma", ".scale"),
    ("mask_downsampler.encoder.12.", "mask_downsampler.final_conv."),
    *(
        (
            f"mask_downsampler.encoder.{3 * layer + place}.",
            f"mask_downsampler.layers.{layer}.{name}.",
        )
        for layer in range(4)
        for place, name in enumerate(("conv", "layer_norm"))
    ),
    ("obj_ptr_tpos_proj.", "temporal_positional_encoding_projection_layer."),
    ("obj_ptr_proj.layers.0.", "object_pointer_proj.proj_in."),
    ("obj_ptr_proj.layers.1.", "object_pointer_proj.layers.0."),
    ("obj_ptr_proj.layers.2.", "object_pointer_proj.proj_out."),
    ("maskmem_tpos_enc", "memory_temporal_positional_encoding"),
    ("no_mem_pos_enc", "no_memory_positional_encoding"),
    ("no_obj_ptr", "no_object_pointer"),
    ("no_obj_embed_spatial", "occlusion_spatial_embedding_parameter"),
    (".out_proj.", ".o_proj."),
    (".norm", ".layer_norm"),
)
# Tensors of the video model, on either side; pictures don't need them.
VIDEO = re.compile(
    r"^(memory_|maskmem_|mask_downsample|obj_ptr_|no_obj_|no_mem_pos_enc|object_pointer_|no_object_"
    r"|temporal_|spatial_perceiver|occlusion_|no_memory_positional_|memory_temporal_)"
)


def sam_from_hub(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Meta's names for a SAM of the hub; a file that has them already comes back as it is."""
    if not any(name.startswith("vision_encoder.") for name in weights):
        return dict(weights)
    renamed: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        if name != WHOLE_GRID:
            old = head_from_hub(rename(name, SAM, back=True))
            old = re.sub(
                r"^image_encoder\.layers\.(\d+)\.layer_norm", r"image_encoder.blocks.\1.norm", old
            )
            old = old.replace("image_encoder.layers.", "image_encoder.blocks.")
            renamed[old.replace(".point_embed.", ".point_embeddings.")] = tensor
    return renamed


def sam2_to_hub(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The hub's names for a SAM 2, video tensors left out, whichever names the file has."""
    kept = {name: tensor for name, tensor in weights.items() if not VIDEO.match(name)}
    if not any(name.startswith("image_encoder.") for name in kept):
        for grid, other in ((PROMPT_GRID, WHOLE_GRID), (WHOLE_GRID, PROMPT_GRID)):
            if grid in kept:  # files may keep tensors that are shared only once
                kept.setdefault(other, kept[grid])
        return kept
    renamed: dict[str, Tensor] = {}
    rows: list[Tensor] = []
    for name, tensor in sorted(kept.items()):  # so that the rows come in their order
        if ".point_embeddings." in name:
            rows.append(tensor)
            continue
        new = re.sub(r"neck\.convs\.(\d+)\.conv\.", r"neck.convs.\1.", rename(name, SAM2))
        new = re.sub(BLOCK_MLP + r"layers\.0\.", r"\1proj_in.", new)
        new = re.sub(BLOCK_MLP + r"layers\.1\.", r"\1proj_out.", new)
        renamed[head_to_hub(new)] = tensor
    if rows:
        renamed["prompt_encoder.point_embed.weight"] = torch.cat(rows)
    if PROMPT_GRID in renamed:
        renamed[WHOLE_GRID] = renamed[PROMPT_GRID]
    return renamed


def sam2_video_to_hub(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The hub's names for the video tensors that `sam2_to_hub` leaves out, whichever names the
    file has; empty for a file of pictures alone."""
    video = {name: tensor for name, tensor in weights.items() if VIDEO.match(name)}
    return {rename(name, SAM2_VIDEO): tensor for name, tensor in video.items()}


def rename(name: str, renames: Renames, *, back: bool = False) -> str:
    """A tensor's name with every part renamed: Meta's by the hub's, or `back`."""
    for meta, hub in renames:
        name = name.replace(hub, meta) if back else name.replace(meta, hub)
    return name


def head_to_hub(name: str) -> str:
    """Three layers of a head: the first and the last have names of their own on the hub."""
    name = re.sub(HEADS + r"\.layers\.0\.", r"\1.proj_in.", name)
    name = re.sub(HEADS + r"\.layers\.1\.", r"\1.layers.0.", name)
    return re.sub(HEADS + r"\.layers\.2\.", r"\1.proj_out.", name)


def head_from_hub(name: str) -> str:
    """`head_to_hub`, back."""
    name = re.sub(HEADS + r"\.layers\.0\.", r"\1.layers.1.", name)
    name = re.sub(HEADS + r"\.proj_in\.", r"\1.layers.0.", name)
    return re.sub(HEADS + r"\.proj_out\.", r"\1.layers.2.", name)
