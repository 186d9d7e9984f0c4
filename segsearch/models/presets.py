"""Presets: which segmenter, generator settings, crop rule and embedder go together."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from segsearch.core.errors import ModelError
from segsearch.core.mix import Mix
from segsearch.core.settings import USUAL_MIX
from segsearch.core.types import Recipe
from segsearch.masks.crops import CropRule
from segsearch.models.zoo.installed import InstalledModel


@dataclass(frozen=True, slots=True)
class Preset:
    """A named choice; together with the weights' sha256 it makes a recipe."""

    name: str
    summary: str
    segmenter: str
    embedder: str
    generator: dict[str, Any] = field(hash=False)
    crop: CropRule = field(default_factory=CropRule)
    mix: Mix = field(default_factory=lambda: Mix(*USUAL_MIX))

    @property
    def models(self) -> tuple[str, str]:
        """Names of the two models."""
        return self.segmenter, self.embedder


# Thresholds below the papers' own: a search ranks regions anyway, and a missed one stays missed.
# Their squares have 1,024 px: a larger picture tells them no more.
POINTS = {"points_per_side": 32, "stability_score_thresh": 0.92, "working_px": 1024}
SAM_POINTS = {**POINTS, "pred_iou_thresh": 0.86}
SAM2_POINTS = {**POINTS, "pred_iou_thresh": 0.8}
TIDY = {"box_nms_thresh": 0.7, "min_mask_region_area": 64}

# Learnt with the embedded models, by `training.things.fit`.
LITE_MIX = Mix(
    0.413,
    0.412,
    0.175,
    things=(
        0.2737,  # predicted_iou
        0.0093,  # stability
        -0.0183,  # log_share
        0.0003,  # log_share_squared
        -0.0182,  # sides_touched
        0.0267,  # log_holds
        -0.0108,  # log_lies_in
        -0.0727,  # box_filled
    ),
    offset=-0.1455,
)
DEMO = Preset(
    name="demo",
    summary="the small models that come with segsearch: no download, made for trying out",
    segmenter="sam-lite",
    embedder="clip-lite",
    generator={
        "points_per_side": 8,  # of the picture, and of each of its four crops
        "pred_iou_thresh": 0.25,
        "stability_score_thresh": 0.4,
        "stability_score_offset": 0.25,
        "box_nms_thresh": 0.8,
        "min_mask_region_area": 64,
        "crop_n_layers": 1,
        "crop_nms_thresh": 0.8,
        "edges_px": 128,
        "working_px": 640,  # its square has 256, and a crop is two thirds of the picture
    },
    mix=LITE_MIX,
)
PRESETS = {
    preset.name: preset
    for preset in (
        DEMO,
        replace(
            DEMO,
            name="demo-fast",
            summary="as demo, without a second look at four crops: quicker, misses small things",
            generator={
                **DEMO.generator,
                "points_per_side": 16,
                "pred_iou_thresh": 0.4,
                "stability_score_thresh": 0.55,
                "box_nms_thresh": 0.7,
                "crop_n_layers": 0,
            },
        ),
        Preset(
            name="fast",
            summary="the smallest real models: a laptop with a GPU, or patience",
            segmenter="sam2.1-tiny",
            embedder="clip-vit-b-32-256",
            generator={**SAM2_POINTS, **TIDY, "points_per_side": 16},
        ),
        Preset(
            name="balanced",
            summary="SAM 2.1 and SigLIP 2 at the size most people want: one GPU",
            segmenter="sam2.1-base-plus",
            embedder="siglip2-b-16-256",
            generator={**SAM2_POINTS, **TIDY},
        ),
        Preset(
            name="thorough",
            summary="the largest models, and a second look at four crops of each picture",
            segmenter="sam2.1-large",
            embedder="siglip2-l-16-256",
            generator={
                **SAM2_POINTS,
                **TIDY,
                "crop_n_layers": 1,
                "crop_n_points_downscale_factor": 2,
            },
        ),
    )
}
DEFAULT_PRESET = "demo"
BEST_FIRST = ("thorough", "balanced", "fast")


def preset(name: str) -> Preset:
    """The preset of a name, or of `SEGMENTER+EMBEDDER`; ModelError when there is none."""
    segmenter, plus, embedder = name.partition("+")
    if plus:
        points = SAM2_POINTS if segmenter.startswith(("sam2", "edgetam")) else SAM_POINTS
        generator = {**points, **TIDY}
        mix = Mix(*USUAL_MIX)
        if segmenter == DEMO.segmenter:
            generator = DEMO.generator
        if (segmenter, embedder) == DEMO.models:
            mix = DEMO.mix
        return Preset(name, "a choice of your own", segmenter, embedder, generator, mix=mix)
    if name not in PRESETS:
        raise ModelError(
            f"There is no preset {name!r}; known are {', '.join(sorted(PRESETS))}, and any two "
            "models as SEGMENTER+EMBEDDER."
        )
    return PRESETS[name]


def mix_of(name: str, shares: tuple[float, float, float] | None = None) -> Mix:
    """What rows of a preset's regions are made of, with other `shares` of the vectors if given;
    nothing is learnt of a preset that is not known here."""
    try:
        learnt = preset(name).mix
    except ModelError:
        learnt = Mix(*USUAL_MIX)
    if shares is None:
        return learnt
    context, masked, picture = shares
    return replace(learnt, context=context, masked=masked, picture=picture)


def best_present(is_here: Callable[[str], bool]) -> Preset:
    """The best preset whose models are here; `demo` always is."""
    for name in BEST_FIRST:
        if all(map(is_here, PRESETS[name].models)):
            return PRESETS[name]
    return PRESETS[DEFAULT_PRESET]


def advice(is_here: Callable[[str], bool]) -> str:
    """Which preset a new library takes, and what to run for the next better one."""
    best = best_present(is_here).name
    sentence = f"A new library takes {best}, the best preset whose models are here."
    better = BEST_FIRST[: BEST_FIRST.index(best)] if best in BEST_FIRST else BEST_FIRST
    if not better:
        return sentence
    missing = [model for model in PRESETS[better[-1]].models if not is_here(model)]
    return f"{sentence} For {better[-1]}, run `segsearch models pull {' '.join(missing)}`."


def check_kinds(chosen: Preset, kind_of: Callable[[str], str]) -> None:
    """ModelError unless the models of a preset are a segmenter and an embedder, in this order."""
    for name, kind in zip(chosen.models, ("segmenter", "embedder"), strict=True):
        if kind_of(name) != kind:
            raise ModelError(
                f"{name} is no {kind}: expected SEGMENTER+EMBEDDER, as in sam-lite+clip-lite."
            )


def recipe_of(chosen: Preset, find: Callable[[str], InstalledModel]) -> Recipe:
    """The recipe a preset stands for with the weights that are here; loads no model.

    `find` gives the model of a name; its ModelMissingError passes through. ModelError as
    `check_kinds`.
    """
    check_kinds(chosen, lambda name: find(name).kind)
    embedder = find(chosen.embedder)
    config = json.loads(embedder.path("config").read_text())
    return Recipe(
        preset=chosen.name,
        segmenter=find(chosen.segmenter).identity,
        embedder=embedder.identity,
        dimension=int(config["model_cfg"]["embed_dim"]),
        generator=dict(chosen.generator),
        crop=chosen.crop.document,
        preprocessing=dict(config["preprocess_cfg"]),
    )
