"""Builds EdgeTAM, a SAM 2 of mobile size, for `Sam2Segmenter`; it loads no weights.

Prompt encoder and mask decoder are SAM 2's; its image encoder is a RepViT of timm's under the same
neck. The classes are those of transformers (models/edgetam).
"""

from __future__ import annotations

from typing import Any

from transformers import EdgeTamConfig, EdgeTamModel

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
