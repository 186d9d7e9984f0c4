"""Builds EdgeTAM, a SAM 2 of mobile size, for `Sam2Segmenter`; it chooses no weights.

Prompt encoder and mask decoder are SAM 2's; its image encoder is a RepViT of timm's under the same
neck. The classes are those of transformers (models/edgetam).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import EdgeTamConfig, EdgeTamModel

from segsearch.models.checkpoint import fit, read_weights
from segsearch.models.segment.state_dict import sam2_to_hub

# As the published config.json has it: four stages, at a quarter to a 32nd of the input.
BACKBONE = {
    "model_type": "timm_wrapper",
    "architecture": "repvit_m1",
    "do_pooling": False,
    "num_classes": 0,
    "model_args": {"in_chans": 3, "features_only": True, "out_indices": [0, 1, 2, 3]},
}


def build_edgetam() -> Any:
    """An untrained EdgeTAM without its video half."""
    # A copy: the library takes entries out of what it is given.
    return EdgeTamModel(EdgeTamConfig(vision_config={"backbone_config": {**BACKBONE}})).eval()


def load_edgetam(path: Path) -> Any:
    """An EdgeTAM with the weights of the hub's safetensors, on the CPU; video tensors are left out.

    ModelError when the file is missing, damaged, or of another architecture.
    """
    weights = read_weights(path)
    model = build_edgetam()
    fit(model, sam2_to_hub(weights), path.name)
    return model
