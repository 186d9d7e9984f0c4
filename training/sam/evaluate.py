"""Measures a SAM on scenes in the held-out style, and draws its automatic masks on photographs.

`python -m training.sam.evaluate` judges the shipped weights with segment_anything's own predictor
and generator, and as the `demo` preset uses them: `looks_` are clicks with closer looks, `demo_`
its automatic masks. `--checkpoint FILE` judges a training checkpoint.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import load_file
from segment_anything import SamAutomaticMaskGenerator, SamPredictor
from segment_anything.modeling import Sam

from segsearch.masks.rle import decode
from segsearch.models.presets import DEMO
from segsearch.models.segment.automatic import GeneratorSettings
from segsearch.models.segment.multilook import find_masks
from segsearch.models.segment.sam import SamSegmenter
from segsearch.models.segment.sam_lite import IMAGE_SIZE, load_sam_lite
from segsearch.models.segment.session import EncodingCache
from training.data.compose import compose_scene
from training.data.fetch import HELD_OUT, parser
from training.data.render import load_drawings
from training.data.scene import Scene

SHIPPED = Path(__file__).parents[2] / "segsearch" / "models" / "embedded" / "sam-lite.safetensors"
SEED = 31_000
SCENE_SIZE = (480, 640)
CLICK_SMALLEST, AUTO_SMALLEST = 0.001, 0.01  # visible share of the picture that a thing needs
RIGHT_IOU = 0.7
KEPT_BYTES = 1 << 30
Automatic = Callable[[NDArray[np.uint8]], list[NDArray[np.bool_]]]
PHOTOGRAPHS = ("astronaut", "chelsea", "coffee", "rocket", "camera", "coins")


@dataclass(frozen=True)
class Thresholds:
    """The generator's settings."""

    points_per_side: int = 16
    pred_iou_thresh: float = 0.45
    stability_score_thresh: float = 0.6
    stability_score_offset: float = 0.25  # its logits are flatter than those of the large SAMs
    box_nms_thresh: float = 0.7
    crop_n_layers: int = 0

    def generator(self, sam: Sam) -> SamAutomaticMaskGenerator:
        """segment_anything's generator with these settings."""
        return SamAutomaticMaskGenerator(
            sam,
            points_per_side=self.points_per_side,
            pred_iou_thresh=self.pred_iou_thresh,
            stability_score_thresh=self.stability_score_thresh,
            stability_score_offset=self.stability_score_offset,
            box_nms_thresh=self.box_nms_thresh,
            crop_n_layers=self.crop_n_layers,
            points_per_batch=64,
        )


def held_out_scenes(cache: Path, count: int) -> list[Scene]:
    """The same scenes every time."""
    drawings = load_drawings(cache, styles=(HELD_OUT,))
    seeds = [np.random.default_rng([SEED, number]) for number in range(count)]
    return [compose_scene(rng, drawings, size=SCENE_SIZE, styles=(HELD_OUT,)) for rng in seeds]


def load(checkpoint: Path | None, side_px: int) -> Sam:
    """The averaged weights of a checkpoint, packed ones, or those that ship."""
    if checkpoint is None or checkpoint.suffix == ".safetensors":
        return load_sam_lite(load_file(checkpoint or SHIPPED), side_px)
    return load_sam_lite(torch.load(checkpoint, weights_only=True)["slow"], side_px)


def as_used(sam: Sam) -> SamSegmenter:
    """The model as the `demo` preset uses it."""
    settings = GeneratorSettings(**DEMO.generator)
    return SamSegmenter(sam, identity="evaluated", settings=settings)


def looks_scores(sam: Sam, scenes: list[Scene]) -> dict[str, float]:
    """Mean IoU of the first and the best candidate of a click on the deepest point."""
    segmenter, rows = as_used(sam), []
    for number, scene in enumerate(scenes):
        picture = EncodingCache(KEPT_BYTES).open(
            segmenter, number, partial(np.asarray, scene.pixels)
        )
        for item in scene.instances:
            if item.mask.mean() > CLICK_SMALLEST:
                x, y = deepest(item.mask)
                offered = find_masks(picture, [(x + 0.5, y + 0.5)])
                found = [iou(item.mask, decode(one.mask)) for one in offered] or [0.0]
                rows.append((found[0], max(found)))
    first, best = np.mean(rows, axis=0)
    return {"looks_click_first": float(first), "looks_click_best_of_3": float(best)}


def click_scores(sam: Sam, scenes: list[Scene]) -> dict[str, float]:
    """Mean IoU from one click: deepest point or any point, first-ranked mask or best of three."""
    predictor, rng = SamPredictor(sam), np.random.default_rng(SEED)
    rows: list[tuple[float, ...]] = []
    for scene in scenes:
        masks = [item.mask for item in scene.instances if item.mask.mean() > CLICK_SMALLEST]
        if not masks:
            continue
        predictor.set_image(scene.pixels)
        middles = _answers(predictor, [deepest(mask) for mask in masks])
        anywhere = _answers(predictor, [_any_point(rng, mask) for mask in masks])
        for mask, middle, other in zip(masks, middles, anywhere, strict=True):
            rows.append((*_ranked(mask, *middle), *_ranked(mask, *other)))
    names = ("click_first", "click_best_of_3", "click_quality_error",
             "any_click_first", "any_click_best_of_3", "any_click_quality_error")  # fmt: skip
    means = np.mean(rows, axis=0)
    scores = {name: float(mean) for name, mean in zip(names, means, strict=True)}
    return scores | {"things": float(len(rows))}


def _answers(
    predictor: SamPredictor, points: list[tuple[int, int]]
) -> Iterator[tuple[NDArray[np.bool_], NDArray[np.float32]]]:
    places = torch.tensor(points, dtype=torch.float32)[:, None]
    places = predictor.transform.apply_coords_torch(places, predictor.original_size)
    masks, quality, _ = predictor.predict_torch(places, torch.ones(len(points), 1))
    yield from zip(masks.numpy(), quality.numpy(), strict=True)


def _ranked(
    truth: NDArray[np.bool_], masks: NDArray[np.bool_], quality: NDArray[np.float32]
) -> tuple[float, float, float]:
    found = [iou(truth, mask) for mask in masks]
    first = int(np.argmax(quality))
    return found[first], max(found), abs(float(quality[first]) - found[first])


def upstream_masks(sam: Sam, thresholds: Thresholds) -> Automatic:
    """segment_anything's own generator."""
    generator = thresholds.generator(sam)
    return lambda pixels: [row["segmentation"] for row in generator.generate(pixels)]


def demo_masks(sam: Sam) -> Automatic:
    """The generator of the product, with the settings of the `demo` preset."""
    segmenter = as_used(sam)
    return lambda pixels: [decode(one.mask) for one in segmenter.propose(pixels)]


def auto_scores(generate: Automatic, scenes: list[Scene], name: str) -> dict[str, float]:
    """How many things some automatic mask finds, and how many masks and seconds that takes."""
    found, masks, began = [], 0, time.monotonic()
    for scene in scenes:
        made = generate(scene.pixels)
        masks += len(made)
        truths = [item.mask for item in scene.instances if item.mask.mean() > AUTO_SMALLEST]
        found += [max((iou(truth, mask) for mask in made), default=0.0) for truth in truths]
    best = np.array(found)
    return {
        f"{name}_recall_0.5": float((best >= 0.5).mean()),
        f"{name}_recall_0.7": float((best >= RIGHT_IOU).mean()),
        f"{name}_mean_best_iou": float(best.mean()),
        f"{name}_masks_a_picture": masks / len(scenes),
        f"{name}_seconds_a_picture": (time.monotonic() - began) / len(scenes),
    }


def iou(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """Intersection over union of two masks (H, W)."""
    union = int((one | other).sum())
    return int((one & other).sum()) / union if union else 0.0


def deepest(mask: NDArray[np.bool_]) -> tuple[int, int]:
    """x, y of the pixel furthest from the mask's edge."""
    padded = np.pad(mask.astype(np.uint8), 1)
    depth = cv2.distanceTransform(padded, cv2.DIST_L2, 3)[1:-1, 1:-1]
    row, column = divmod(int(depth.argmax()), mask.shape[1])
    return column, row


def _any_point(rng: np.random.Generator, mask: NDArray[np.bool_]) -> tuple[int, int]:
    found = np.flatnonzero(mask.ravel())
    row, column = divmod(int(found[int(rng.integers(len(found)))]), mask.shape[1])
    return column, row


def photographs() -> dict[str, NDArray[np.uint8]]:
    """Photographs that scikit-image ships; never trained on."""
    from skimage import data

    found = {}
    for name in PHOTOGRAPHS:
        pixels = np.asarray(getattr(data, name)())
        found[name] = pixels if pixels.ndim == 3 else np.stack([pixels] * 3, axis=2)
    return found


def overlay(pixels: NDArray[np.uint8], rows: list[dict[str, Any]]) -> NDArray[np.uint8]:
    """The picture with every mask tinted and outlined, large ones first."""
    drawn, rng = pixels.copy(), np.random.default_rng(0)
    for row in sorted(rows, key=lambda row: -row["area"]):
        mask = row["segmentation"].astype(np.uint8)
        tint = rng.integers(40, 256, 3)
        drawn[mask > 0] = (0.55 * drawn[mask > 0] + 0.45 * tint).astype(np.uint8)
        edges, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(drawn, edges, -1, tint.tolist(), 2)
    return drawn


def draw_photographs(sam: Sam, thresholds: Thresholds, folder: Path) -> None:
    """Write one overlay a photograph."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = thresholds.generator(sam)
    for name, pixels in photographs().items():
        rows = generator.generate(pixels)
        Image.fromarray(overlay(pixels, rows)).save(folder / f"{name}.png")
        print(f"{name}: {len(rows)} masks")


def main() -> None:
    """Command line."""
    options = parser(__doc__)
    options.add_argument("--checkpoint", type=Path)
    options.add_argument("--side", type=int, default=IMAGE_SIZE)
    options.add_argument("--scenes", type=int, default=60)
    options.add_argument("--auto-scenes", type=int, default=20)
    options.add_argument("--photographs", action="store_true")
    options.add_argument("--points", type=int, default=Thresholds.points_per_side)
    options.add_argument("--quality", type=float, default=Thresholds.pred_iou_thresh)
    options.add_argument("--stability", type=float, default=Thresholds.stability_score_thresh)
    options.add_argument("--crop-layers", type=int, default=Thresholds.crop_n_layers)
    chosen = options.parse_args()
    sam = load(chosen.checkpoint, chosen.side)
    scenes = held_out_scenes(chosen.cache, max(chosen.scenes, chosen.auto_scenes))
    thresholds = Thresholds(
        chosen.points, chosen.quality, chosen.stability, crop_n_layers=chosen.crop_layers
    )
    scores: dict[str, float] = {}
    if chosen.scenes:
        shown = scenes[: chosen.scenes]
        scores |= click_scores(sam, shown) | looks_scores(sam, shown)
    if chosen.auto_scenes:
        shown = scenes[: chosen.auto_scenes]
        scores |= auto_scores(upstream_masks(sam, thresholds), shown, "auto")
        scores |= auto_scores(demo_masks(sam), shown, "demo")
    for name, value in scores.items():
        print(f"{name} {value:.3f}")
    if chosen.photographs:
        draw_photographs(sam, thresholds, chosen.cache / "overlays")


if __name__ == "__main__":
    main()
