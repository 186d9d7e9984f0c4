"""Fills a library with real JPEG files and made-up regions, which everyday words find: in seconds
rather than the hours that the models would take.

The files are cuts of the demo pictures, no two alike. In each picture the n-th region answers the
n-th of WORDS: its vector lies near theirs.
"""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

import segsearch.cli.demo
from segsearch.core.arrays import DescribedPicture, DescribedSegment, Pixels, Vectors
from segsearch.core.settings import Settings
from segsearch.core.types import FileStamp, PictureInfo, Proposal
from segsearch.masks.rle import encode
from segsearch.models.loading import PresetModels
from segsearch.models.presets import preset
from segsearch.storage.catalog.sql_catalog import Catalog

WORDS = (
    "a red umbrella", "a dog", "a bicycle", "a boat", "a lamp", "a chair", "a kite", "a cup",
    "a tree", "a clock", "a horse", "a guitar",
)  # fmt: skip
DEMO = Path(segsearch.cli.demo.__file__).parent / "pictures"
SIDES_PX = (700, 1200)  # least and largest longer side
NOISE = 0.8  # length of what is added to the unit vector of the words


def fill_with_pictures(folder: Path, pictures: int) -> None:
    """A library in `folder` with so many pictures, unless there is one."""
    settings = Settings(library=folder / "library")
    if (settings.library / "catalog.sqlite").exists():
        return
    settings.library.mkdir(parents=True)
    (folder / "pictures").mkdir()
    models = PresetModels(preset("demo"), settings)
    words = models.embedder().embed_texts(WORDS)
    catalog = Catalog(settings.library / "catalog.sqlite")
    recipe_id = catalog.register_recipe(models.recipe)
    sources = sorted(DEMO.glob("*.jpg"))
    for number in range(pictures):
        rng = np.random.default_rng(number)
        pixels, data = _cut(rng, sources[number % len(sources)])
        path = folder / "pictures" / f"{number:05}.jpg"
        path.write_bytes(data)
        stamp = FileStamp(len(data), path.stat().st_mtime_ns)
        catalog.record_file(str(path), stamp, hashlib.sha256(data).hexdigest(), recipe_id)
        claim = catalog.claim(recipe_id, "benchmark", 600)
        if claim is None:
            raise SystemExit("The queue is empty.")
        catalog.commit(claim, _described(rng, pixels, words))
    catalog.close()


def _cut(rng: np.random.Generator, source: Path) -> tuple[Pixels, bytes]:
    """A part of a picture, mirrored or not, at some size and shape; its pixels, and as JPEG."""
    with Image.open(source) as opened:
        picture = opened.convert("RGB")
    width, height = (int(side * rng.uniform(0.5, 1)) for side in picture.size)
    left, top = (
        int(rng.integers(0, n)) for n in (picture.width - width + 1, picture.height - height + 1)
    )
    picture = picture.crop((left, top, left + width, top + height))
    if rng.random() < 0.5:
        picture = ImageOps.mirror(picture)
    scale = rng.integers(*SIDES_PX) / max(width, height)
    picture = picture.resize((max(round(width * scale), 1), max(round(height * scale), 1)))
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=85)
    return np.asarray(picture), buffer.getvalue()


def _described(rng: np.random.Generator, pixels: Pixels, words: Vectors) -> DescribedPicture:
    """Ellipses of all sizes, one for each of the words."""
    height, width = pixels.shape[:2]
    segments = []
    for vector in words:
        w, h = (int(side * rng.uniform(0.05, 0.7)) + 1 for side in (width, height))
        origin = int(rng.integers(0, width - w)), int(rng.integers(0, height - h))
        across, down = np.meshgrid(np.linspace(-1, 1, w), np.linspace(-1, 1, h))
        mask = encode(across**2 + down**2 <= 1, origin=origin, size=(height, width))
        if mask is None:
            raise SystemExit("an ellipse has pixels")
        near = _near(rng, vector)
        segments.append(DescribedSegment(Proposal(mask, 0.95, 0.95), near, near))
    info = PictureInfo(width, height, "JPEG")
    return DescribedPicture(info, _near(rng, words.mean(axis=0)), tuple(segments))


def _near(rng: np.random.Generator, vector: Vectors) -> Vectors:
    noise = rng.standard_normal(len(vector))
    row = vector + NOISE * noise / np.linalg.norm(noise)
    return np.asarray(row / np.linalg.norm(row), np.float32)
