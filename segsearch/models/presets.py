"""Presets: which segmenter, generator settings, crop rule and embedder go together."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any

from segsearch.crops import CropRule
from segsearch.domain import Recipe
from segsearch.errors import ModelError
from segsearch.models.registry import model


@dataclass(frozen=True, slots=True)
class Preset:
    """A named choice; together with the weights' sha256 it makes a recipe."""

    name: str
    summary: str
    segmenter: str
    embedder: str
    generator: dict[str, Any] = field(hash=False)
    crop: CropRule = field(default_factory=CropRule)


DEMO = Preset(
    name="demo",
    summary="the small models that come with segsearch: no download, made for trying out",
    segmenter="sam-lite",
    embedder="clip-lite",
    generator={
        "points_per_side": 16,
        "pred_iou_thresh": 0.4,
        "stability_score_thresh": 0.55,
        "stability_score_offset": 0.25,
        "box_nms_thresh": 0.7,
        "min_mask_region_area": 64,
    },
)
PRESETS = {
    preset.name: preset
    for preset in (
        DEMO,
        replace(
            DEMO,
            name="demo-fast",
            summary="as demo, in two passes: points only where the first found nothing",
            generator={**DEMO.generator, "coarse_points_per_side": 8},
        ),
        replace(
            DEMO,
            name="demo-thorough",
            summary="as demo, and once more on four overlapping crops: for small things",
            generator={**DEMO.generator, "crop_n_layers": 1, "crop_n_points_downscale_factor": 2},
        ),
    )
}
DEFAULT_PRESET = "demo"


def preset(name: str) -> Preset:
    """The preset of a name; ModelError with the known names otherwise."""
    if name not in PRESETS:
        raise ModelError(f"There is no preset {name!r}; known are {', '.join(sorted(PRESETS))}.")
    return PRESETS[name]


def recipe_of(chosen: Preset) -> Recipe:
    """The recipe a preset stands for with the weights that are here; loads no model."""
    embedder = model(chosen.embedder)
    config = json.loads(embedder.path("config").read_text())
    return Recipe(
        preset=chosen.name,
        segmenter=model(chosen.segmenter).identity,
        embedder=embedder.identity,
        dimension=int(config["model_cfg"]["embed_dim"]),
        generator=dict(chosen.generator),
        crop=chosen.crop.document,
        preprocessing=dict(config["preprocess_cfg"]),
    )
