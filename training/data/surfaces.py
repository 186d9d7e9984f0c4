"""Turns the patterns of GIMP into named surfaces: patches of wood, stone, leaves, water and others.

From `gimp-data` and `gimp-data-extras` of Debian (GPL-3+ and GPL-2+). A thing has an outline of
its own; a surface is whatever a region of it happens to be, so each pattern is cut into several
random shapes, which lie beside the other cutouts as one more style.
Run `python -m training.data.surfaces`; it needs `apt-get`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from training.data import shapes
from training.data.cutouts import SURFACES, Cutout, keep
from training.data.fetch import parser
from training.data.photographs import PhotographSource, unpacked
from training.data.render import RGBA, SIDE_PX, Drawings, load_drawings

SOURCES = (
    PhotographSource("apt-get", "gimp-data", "2.10.34-1+deb12u10", "GPL-3.0-or-later", ("*.pat",)),
    PhotographSource("apt-get", "gimp-data-extras", "1:2.0.2-1.1", "GPL-2.0-or-later", ("*.pat",)),
)
VARIANTS = 6
NAMES = {  # looked through by eye: what each pattern shows, and other words for it
    "leather": "leather", "leopard": "fur|leopard", "burlap": "cloth|burlap",
    "java": "coffee beans|coffee", "crinklepaper": "paper|crumpled paper",
    "leaves": "leaves|plants", "leaves3": "leaves|ivy", "leaves4": "dry leaves|autumn",
    "leaves6": "leaves|plants", "clovers": "clover|plants", "lightning": "lightning|storm",
    "sky": "clouds|sky", "starfield": "stars|night sky|galaxy|space", "Craters": "craters|moon",
    "Moonfoot": "craters|moon", "brick": "brick wall|bricks", "cracked": "cracks|wall",
    "ground1": "dry ground|desert|soil", "drymud": "dry mud|soil|ground", "dirt": "gravel|ground",
    "granite1": "granite|stone", "granite2": "granite|stone", "marble1": "marble|stone",
    "marble2": "marble|tiles", "marble3": "marble|tiles", "pink_marble": "marble|stone",
    "rock": "stone wall|stones|rocks", "stone33": "stone wall|stones|rocks",
    "slate": "slate|stone", "terra": "tiles|floor", "floor_tile": "tiles|floor",
    "startile": "tiles|paving", "blackwhitefloor": "checkerboard|floor",
    "pool": "water|swimming pool", "electric": "water|swimming pool", "water3": "water|lake",
    "waves": "water|waves|sea", "ice": "ice|frost", "ice2": "ice|glacier",
    "bark": "bark|tree trunk", "corkboard": "cork|corkboard", "pine": "wood|planks",
    "walnut": "wood|walnut", "wood1": "wood|board", "wood2": "wood|board", "wood3": "wood|board",
    "wood4": "wood|board", "wood5": "wood|board", "burlwood": "wood|board",
    "parque1": "parquet|wooden floor|wood", "parque2": "parquet|wooden floor|wood",
    "parque3": "parquet|wooden floor|wood", "chains": "chain|metal",
    "circuit": "circuit board|electronics", "coins": "coins|money",
    "money": "money|banknotes|dollars", "cashew": "nuts|food", "cow": "fur|cow",
    "rust": "rust|metal", "green_curtains": "curtain|cloth", "woodblind": "blinds|window",
    "worn_metal_chex": "metal", "orangebrown": "fire|flames", "crystals": "crystal",
}  # fmt: skip


def fetch(cache: Path) -> None:
    """Unpack both packages and keep the named patterns as a style of cutouts."""
    drawings = load_drawings(cache)
    with tempfile.TemporaryDirectory() as name:
        for index, source in enumerate(SOURCES):
            part = Path(name, str(index))
            part.mkdir()
            unpacked(source, part)
        files = sorted(path for path in Path(name).rglob("*.pat") if path.stem in NAMES)
        found = [cutout for path in files for cutout in _cut(path, drawings)]
    keep(cache, SURFACES, found, SOURCES)


def pattern(path: Path) -> NDArray[np.uint8]:
    """(H, W, 3) of a file in GIMP's pattern format: six big-endian numbers, a name, the pixels."""
    data = path.read_bytes()
    start, _, width, height, depth, _ = np.frombuffer(data[:24], ">u4").tolist()
    pixels = np.frombuffer(data, np.uint8, width * height * depth, start)
    pixels = pixels.reshape(height, width, depth)
    return pixels[..., :3] if depth >= 3 else np.repeat(pixels[..., :1], 3, axis=2)


def _cut(path: Path, drawings: Drawings) -> Iterator[Cutout]:
    name, *words = NAMES[path.stem].split("|")
    rng = np.random.default_rng(list(path.stem.encode()))
    for _ in range(VARIANTS):
        yield Cutout(name, tuple(words), _shaped(rng, pattern(path), drawings))


def _shaped(rng: np.random.Generator, pixels: NDArray[np.uint8], drawings: Drawings) -> RGBA:
    """The pattern repeated, enlarged at random, inside a random shape or all over the square."""
    wanted = int(SIDE_PX / rng.uniform(1.0, 2.5))
    times = (-(-wanted // pixels.shape[0]), -(-wanted // pixels.shape[1]), 1)
    sheet = np.tile(pixels, times)[:wanted, :wanted]
    sheet = cv2.resize(sheet, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_CUBIC).astype(np.uint8)
    alpha = np.ones((SIDE_PX, SIDE_PX), np.float32)
    if rng.random() < 0.7:
        outline = shapes.outline(rng, drawings, SIDE_PX)
        size = (SIDE_PX, SIDE_PX)
        alpha = cv2.resize(outline, size, interpolation=cv2.INTER_LINEAR).astype(np.float32)
    return np.dstack([sheet, (alpha * 255).astype(np.uint8)])


def main() -> None:
    """Command line."""
    fetch(parser(__doc__).parse_args().cache.expanduser())


if __name__ == "__main__":
    main()
