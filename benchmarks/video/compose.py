"""Composes the benchmark's clips and their truth: `python -m benchmarks.video.compose`.

Things move, turn, grow, cross, leave and come back over photographs that a camera pans over; shots
follow by cuts and by fades through black. Each clip is an H.264 file with its truth beside it: a
JSON file that says when its shots begin, what appears in each, and the mask of every thing in every
frame (COCO's compressed run lengths; a thing that is hidden or out of sight has none).

Needs the `training` extra and npm for the drawings, and a folder of annotated photographs in COCO's
format with a manifest (`training/README.md`). The same seeds give the same clips.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from av.video.frame import VideoFrame
from pycocotools import mask as run_lengths

from benchmarks.video.paths import CHANCES, KINDS, CameraPath, ThingPath, camera, thing_path
from benchmarks.video.things import Actor, Cast, enlarged
from segsearch.core.arrays import Pixels
from training.data.annotated import with_folder
from training.data.fetch import fetch, parser

SEED = 71_000
CLIPS, CHOOSING = 60, 24  # measured on, and chosen with: other seeds, names and photographs
SIZE = (360, 640)  # H, W
RATE = 20  # frames a second
ROOM = 1.3  # how much larger than the frame a ground is, at zoom 1
SIDES = (0.16, 0.5)  # a thing's longer side as a share of the frame's
VISIBLE_SHARE, SMALLEST_AREA = 0.35, 0.0015  # of a thing, and of the frame, to be seen
NOISE = 0.012  # of the camera, of 0..1


@dataclass(frozen=True, slots=True)
class ComposedShot:
    """A ground, a camera, things with their paths, and how many frames; out of black over the
    first `fade_in` of them, into it over the last `fade_out`. `shows` are names of what is in the
    ground, which no truth holds."""

    ground: Pixels
    shows: tuple[str, ...]
    camera: CameraPath
    things: tuple[tuple[Actor, ThingPath, str], ...]
    frames: int
    fade_in: int
    fade_out: int

    def paint(self, number: int) -> tuple[np.ndarray, list[np.ndarray]]:
        """Frame `number` (H, W, 3) f32 0..1, and of each thing the visible mask (H, W) bool."""
        progress = number / max(1, self.frames - 1)
        x, y, zoom = self.camera.at(progress)
        canvas = _ground(self.ground, x, y, zoom)
        labels = np.zeros(SIZE, np.uint8)
        full = []
        for label, (actor, path, _) in enumerate(self.things, 1):
            at_x, at_y, side, degrees = path.at(progress)
            place = ((at_x - x) * zoom, (at_y - y) * zoom)
            layer = _placed(actor, place, side * zoom, degrees)
            alpha = layer[..., 3:]
            canvas = canvas * (1 - alpha) + layer[..., :3]
            labels[alpha[..., 0] > 0.5] = label
            full.append((side * zoom * SIZE[1]) ** 2 * _fill(actor))
        light = 1.0
        if self.fade_in:
            light = min(light, number / self.fade_in)
        if self.fade_out:
            light = min(light, (self.frames - 1 - number) / self.fade_out)
        masks = [_if_seen(labels == label, area, light) for label, area in enumerate(full, 1)]
        return canvas * light, masks


def _if_seen(mask: np.ndarray, area: float, light: float) -> np.ndarray:
    """Nothing of a mask that shows too little to be asked for, or is too dark."""
    is_seen = bool(
        mask.sum() >= VISIBLE_SHARE * area and mask.mean() >= SMALLEST_AREA and light > 0.3
    )
    return mask if is_seen else np.zeros_like(mask)


def _fill(actor: Actor) -> float:
    """How much of the square of its longer side a thing covers."""
    height, width = actor.picture.shape[:2]
    return float(np.count_nonzero(actor.picture[..., 3] > 127) / max(height, width) ** 2)


def _ground(ground: Pixels, x: float, y: float, zoom: float) -> np.ndarray:
    """What a camera sees of a ground: (H, W, 3) f32 0..1."""
    height, width = SIZE
    middle_x, middle_y = (extent / 2 for extent in ground.shape[1::-1])
    matrix = np.array(
        [
            [zoom, 0, width / 2 - zoom * (middle_x + x * width)],
            [0, zoom, height / 2 - zoom * (middle_y + y * width)],
        ]
    )
    seen = cv2.warpAffine(ground, matrix, (width, height), borderMode=cv2.BORDER_REFLECT)
    return seen.astype(np.float32) / 255


def _placed(actor: Actor, place: tuple[float, float], side: float, degrees: float) -> np.ndarray:
    """A thing on an empty frame: (H, W, 4) f32 0..1, colours multiplied by alpha."""
    height, width = SIZE
    picture = actor.picture.astype(np.float32) / 255
    flat: Any = np.dstack([picture[..., :3] * picture[..., 3:], picture[..., 3]])
    scale = side * width / max(flat.shape[:2])
    if scale < 0.6:
        flat = cv2.resize(flat, None, fx=scale * 1.2, fy=scale * 1.2, interpolation=cv2.INTER_AREA)
        scale = side * width / max(flat.shape[:2])
    rows, columns = flat.shape[:2]
    matrix = cv2.getRotationMatrix2D(((columns - 1) / 2, (rows - 1) / 2), degrees, scale)
    matrix[0, 2] += width * (0.5 + place[0]) - (columns - 1) / 2
    matrix[1, 2] += height / 2 + width * place[1] - (rows - 1) / 2
    return np.asarray(cv2.warpAffine(flat, matrix, (width, height)))


def shots(rng: np.random.Generator, cast: Cast) -> list[ComposedShot]:
    """One to four shots, six to twenty seconds in all; no name twice in a clip."""
    length = rng.uniform(6, 20)
    count = int(np.clip(round(length / rng.uniform(3, 7)), 1, 4))
    shares = rng.uniform(0.6, 1.4, count)
    frames = [max(round(one), 30) for one in shares / shares.sum() * length * RATE]
    fades = [0, *(rng.random(count - 1) < 0.25), 0]
    spans = [int(rng.integers(6, 13)) for _ in range(count + 1)]
    taken: set[str] = set()
    made = []
    for number in range(count):
        size = tuple(int(extent * ROOM) for extent in SIZE)
        things = []
        for actor in cast.actors(rng, int(rng.integers(1, 5)), taken):
            kind = str(rng.choice(KINDS, p=CHANCES))
            side = float(np.exp(rng.uniform(*np.log(SIDES))))
            path = thing_path(rng, kind, side, SIZE[0] / SIZE[1] / 2)
            things.append((actor, path, kind))
        ground, shows = cast.ground()
        made.append(
            ComposedShot(
                enlarged(ground, size),
                tuple(shows),
                camera(rng),
                tuple(things),
                frames[number],
                spans[number] if fades[number] else 0,
                spans[number + 1] if fades[number + 1] else 0,
            )
        )
    return made


def write(rng: np.random.Generator, made: list[ComposedShot], path: Path) -> None:
    """A clip and its truth, `path` with `.json.gz` for its suffix."""
    document: dict[str, Any] = {"rate": RATE, "size": list(SIZE), "shots": [], "things": []}
    document["masks"] = []
    start = 0
    for number, shot in enumerate(made):
        row: dict[str, Any] = {"from": start / RATE, "to": (start + shot.frames) / RATE}
        row |= {"fade_in": shot.fade_in / RATE, "fade_out": shot.fade_out / RATE}
        row["ground"] = shot.shows
        document["shots"].append(row)
        for actor, _, kind in shot.things:
            thing = {"name": actor.name, "source": actor.source, "moves": kind, "shot": number}
            document["things"].append(thing)
        start += shot.frames
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE, options={"crf": "22", "g": "60"})
        stream.height, stream.width = SIZE
        stream.pix_fmt = "yuv420p"
        for number, (pixels, masks) in enumerate(_frames(rng, made)):
            document["masks"].append(masks)
            frame = VideoFrame.from_ndarray(pixels, "rgb24")
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with gzip.open(path.with_suffix(".json.gz"), "wt", encoding="utf-8") as file:
        json.dump(document, file, separators=(",", ":"))


def _frames(
    rng: np.random.Generator, made: list[ComposedShot]
) -> Iterator[tuple[Pixels, dict[str, str]]]:
    """Every frame, (H, W, 3) u8, and run lengths of what is seen in it, by a thing's number."""
    first = 0
    for shot in made:
        for number in range(shot.frames):
            surface, masks = shot.paint(number)
            grain = rng.standard_normal(SIZE, np.float32)[..., None] * NOISE
            pixels = (np.clip(surface + grain, 0, 1) * 255 + 0.5).astype(np.uint8)
            seen = {
                str(first + place): run_lengths.encode(np.asfortranarray(mask))["counts"].decode()
                for place, mask in enumerate(masks)
                if mask.any()
            }
            yield pixels, seen
        first += len(shot.things)


def compose(cast: Cast, folder: Path, *, count: int, seed: int) -> None:
    """Write `NNN.mp4` and `NNN.json.gz`; what is there already is not made again."""
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        rng = np.random.default_rng([seed, index])
        made = shots(rng, cast)
        path = folder / f"{index:03}.mp4"
        if not path.with_suffix(".json.gz").exists():
            write(rng, made, path)


def main() -> None:
    """Command line."""
    options = parser(__doc__)
    with_folder(options)
    options.add_argument("--into", type=Path, default=Path(".benchmarks/video"))
    options.add_argument("--choose", action="store_true", help="the clips to choose by instead")
    chosen = options.parse_args()
    cv2.setNumThreads(1)
    fetch(chosen.cache)
    seed, count, name = (SEED + 1, CHOOSING, "choose") if chosen.choose else (SEED, CLIPS, "test")
    cast = Cast(chosen.cache, chosen.photographs, seed=seed, trained=chosen.choose)
    compose(cast, chosen.into / name, count=count, seed=seed)
    print(chosen.into / name)


if __name__ == "__main__":
    main()
