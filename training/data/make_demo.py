"""Paints the demo pictures and their truth in COCO format, in the style no model was trained on."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as run_lengths

from training.data.compose import background, place, put_down
from training.data.fetch import HELD_OUT, parser
from training.data.render import Drawings, load_drawings, render_svg
from training.data.scene import Canvas, Region, Scene, finished
from training.data.textures import Size

SEED = 7_001
PICTURES = 40
FINE_PX = 512  # drawings are rendered larger than for training: demo pictures are larger
QUALITY = 84
FOLDER = Path(__file__).parents[2] / "segsearch" / "cli" / "demo"
SIZES: tuple[Size, ...] = (
    (480, 640), (600, 800), (640, 480), (540, 720), (512, 512), (600, 900), (720, 540), (480, 720),
)  # fmt: skip
ODD_SIZES: tuple[Size, ...] = ((320, 900), (900, 360), (483, 871), (240, 320))
SIDES = (0.14, 0.46)
SMALLEST_SHARE = 0.004  # of the picture, that must be seen of a thing
VISIBLE_SHARE = 0.6  # of the thing
CONTRAST = 0.16  # mean colour distance between a thing and what surrounds it
NAMES = (
    "airplane", "alarm clock", "ambulance", "anchor", "automobile", "avocado", "backpack",
    "balloon", "banana", "basketball", "bear", "bell", "bicycle", "bird", "birthday cake", "bread",
    "broccoli", "bus", "butterfly", "cactus", "camera", "candle", "carrot", "castle", "cat",
    "chair", "cheese wedge", "cherries", "christmas tree", "cookie", "couch and lamp", "cow",
    "crab", "crown", "cupcake", "dog", "dolphin", "door", "doughnut", "dress", "drum", "duck",
    "elephant", "envelope", "fire engine", "fish", "flamingo", "fox", "frog", "game die",
    "giraffe", "glasses", "grapes", "green apple", "guitar", "hamburger", "hammer", "helicopter",
    "horse", "hot beverage", "hot dog", "house", "ice cream", "key", "kite", "ladder", "laptop",
    "lemon", "light bulb", "lion", "mobile phone", "motorcycle", "mouse", "mushroom", "octopus",
    "owl", "palm tree", "panda", "parrot", "pear", "pencil", "penguin", "pineapple", "pizza",
    "pumpkin", "rabbit", "rainbow", "red apple", "rocket", "rose", "sailboat", "sandwich",
    "scissors", "shark", "snail", "snake", "snowman", "soccer ball", "socks", "spider", "spoon",
    "star", "strawberry", "sunflower", "sunglasses", "sushi", "t shirt", "taxi", "teapot",
    "teddy bear", "television", "tent", "tiger", "toilet", "tomato", "toothbrush", "top hat",
    "tractor", "train", "trophy", "trumpet", "tulip", "turtle", "umbrella", "violin", "watch",
    "watermelon", "whale", "wine glass", "wrapped gift", "yarn", "zebra",
)  # fmt: skip


@dataclass(frozen=True)
class Painted:
    """A demo scene and how large each of its things would be if nothing lay over it."""

    scene: Scene
    full_areas: tuple[int, ...]


def make_demo(cache: Path, folder: Path) -> None:
    """Write `pictures/scene-NN.jpg` and `truth.json`; the same bytes every time."""
    drawings = finely_drawn(load_drawings(cache, styles=(HELD_OUT,)))
    (folder / "pictures").mkdir(parents=True, exist_ok=True)
    names = np.random.default_rng(SEED).permutation(sorted(drawings.rows[HELD_OUT])).tolist()
    scenes: dict[str, Scene] = {}
    for number in range(PICTURES):
        rng = np.random.default_rng([SEED, number])
        odd = number % 8 == 7
        size = ODD_SIZES[(number // 8) % len(ODD_SIZES)] if odd else SIZES[number % len(SIZES)]
        count = int(rng.integers(2, 5 if odd else 9))
        chosen = [names[(number * 5 + step) % len(names)] for step in range(count)]
        scenes[f"scene-{number:02d}.jpg"] = legible(rng, drawings, chosen, size)
    for name, scene in scenes.items():
        Image.fromarray(scene.pixels).save(
            folder / "pictures" / name, quality=QUALITY, optimize=True
        )
    truth = json.dumps(coco(scenes), indent=None, separators=(",", ":"))
    (folder / "truth.json").write_text(truth + "\n", "utf-8")


def finely_drawn(drawings: Drawings) -> Drawings:
    """The demo's things in the held-out style at FINE_PX."""
    drawn = [name for name in NAMES if name in drawings.rows[HELD_OUT]]
    table = np.stack([render_svg(drawings.things[n].icons[HELD_OUT], FINE_PX) for n in drawn])
    rows = {name: row for row, name in enumerate(drawn)}
    return Drawings(drawings.things, {HELD_OUT: table}, {HELD_OUT: rows})


def legible(rng: np.random.Generator, drawings: Drawings, names: list[str], size: Size) -> Scene:
    """Paint again until every thing can be recognised."""
    while True:
        painted = paint(rng, drawings, names, size)
        if is_legible(painted, len(names)):
            return painted.scene


def paint(rng: np.random.Generator, drawings: Drawings, names: list[str], size: Size) -> Painted:
    """One try: a background and the things on it."""
    canvas: Canvas = background(rng, size)
    widest = SIDES[1] * min(size) / max(size)  # in a narrow picture things must be smaller
    areas = []
    for name in names:
        sides = (min(SIDES[0], widest / 2), max(widest, SIDES[0]) if len(names) < 6 else 0.3)
        layer = place(rng, drawings, name, HELD_OUT, size=size, sides=sides)
        put_down(rng, canvas, layer, Region(name, HELD_OUT))
        areas.append(int((layer.alpha > 0.5).sum()))
    return Painted(finished(rng, canvas), tuple(areas))


def is_legible(painted: Painted, count: int) -> bool:
    """True when every thing is large enough, hardly covered, and stands out."""
    instances = painted.scene.instances
    if len(instances) != count:
        return False
    pixels = painted.scene.pixels
    return all(
        instance.mask.mean() >= SMALLEST_SHARE
        and instance.mask.sum() >= VISIBLE_SHARE * full
        and contrast(pixels, instance.mask) >= CONTRAST
        for instance, full in zip(instances, painted.full_areas, strict=True)
    )


def contrast(pixels: NDArray[np.uint8], mask: NDArray[np.bool_]) -> float:
    """Mean distance in 0..1 between the mask's pixels and the mean of a ring around it."""
    ring = cv2.dilate(mask.astype(np.uint8), np.ones((25, 25), np.uint8)).astype(bool) & ~mask
    if not ring.any():
        return 0.0
    away = pixels[mask].astype(np.float32) - pixels[ring].mean(0)
    return float(np.abs(away).mean() / 255)


def coco(scenes: dict[str, Scene]) -> dict[str, Any]:
    """Images, annotations (compressed run lengths of what is visible) and categories."""
    names = sorted({item.name for scene in scenes.values() for item in scene.instances})
    categories = {name: number for number, name in enumerate(names, 1)}
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for image_id, (file_name, scene) in enumerate(scenes.items(), 1):
        height, width = scene.labels.shape
        images.append({"id": image_id, "file_name": file_name, "width": width, "height": height})
        for instance in scene.instances:
            row = {"id": len(annotations) + 1, "image_id": image_id}
            row |= {"category_id": categories[instance.name], "iscrowd": 0}
            annotations.append(row | annotation(instance.mask))
    listed = [{"id": number, "name": name} for name, number in categories.items()]
    return {"images": images, "annotations": annotations, "categories": listed}


def annotation(mask: NDArray[np.bool_]) -> dict[str, Any]:
    """COCO's fields of a mask: segmentation, area and box (x, y, width, height)."""
    encoded = run_lengths.encode(np.asfortranarray(mask.astype(np.uint8)))
    counts = encoded["counts"].decode("ascii")
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    extent = int(columns[-1] - columns[0]) + 1, int(rows[-1] - rows[0]) + 1
    return {
        "segmentation": {"size": list(mask.shape), "counts": counts},
        "area": int(mask.sum()),
        "bbox": [int(columns[0]), int(rows[0]), *extent],
    }


def main() -> None:
    """Command line."""
    options = parser(__doc__)
    options.add_argument("--folder", type=Path, default=FOLDER)
    chosen = options.parse_args()
    cv2.setNumThreads(1)
    make_demo(chosen.cache, chosen.folder)


if __name__ == "__main__":
    main()
