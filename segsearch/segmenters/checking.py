"""Says whether a file is the weights of a segmenter, without its numbers in a model."""

from __future__ import annotations

from pathlib import Path

import torch

from segsearch.segmenters.edgetam import build_edgetam
from segsearch.segmenters.keys import sam2_to_hub, sam_from_hub
from segsearch.segmenters.sam import build_sam
from segsearch.segmenters.sam2 import build_sam2
from segsearch.weights import check_fit, read_weights


def check_segmenter(architecture: str, file: Path) -> None:
    """ModelError or UnsafeWeightsError as loading the file into a model would raise them."""
    weights, is_first = read_weights(file), architecture.startswith("vit_")
    named = sam_from_hub(weights) if is_first else sam2_to_hub(weights)
    with torch.device("meta"):
        if architecture == "edgetam":
            model = build_edgetam()
        else:
            model = build_sam(architecture) if is_first else build_sam2(architecture)
    check_fit(model, named, file.name)
