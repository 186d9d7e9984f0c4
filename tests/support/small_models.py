"""Small models that see nothing but colours: pictures painted here are cut and found exactly.

They satisfy the same ports as SAM and CLIP, so a whole service runs on them in milliseconds. What
needs to know about things instead of colours is tested with the embedded models.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage

from segsearch.core.arrays import BoolArray, Pixels, Vectors
from segsearch.core.errors import ModelError
from segsearch.core.mix import Mix
from segsearch.core.text import Line
from segsearch.core.types import Proposal, Recipe
from segsearch.masks.crops import CropRule
from segsearch.masks.rle import encode
from segsearch.models.pipeline import Pipeline
from segsearch.models.protocols import Embedder

if TYPE_CHECKING:
    from segsearch.library import SegSearch
    from segsearch.storage.catalog.sql_catalog import Catalog
    from segsearch.storage.index.library_index import LibraryIndex, MixOf

COLOURS = {
    "red": (220, 20, 20),
    "green": (20, 160, 40),
    "blue": (30, 60, 220),
    "yellow": (250, 220, 20),
    "purple": (140, 30, 160),
    "cyan": (20, 200, 210),
    "black": (0, 0, 0),
    "white": (255, 255, 255),
}
TABLE = np.array(list(COLOURS.values()), dtype=np.int32)
NAMES = tuple(COLOURS)
BACKGROUND = "white"
MIN_AREA_PX = 9
CHUNK_PIXELS = 65_536  # looked at in one step, in the processor's cache


@dataclass(frozen=True, slots=True)
class Shape:
    """A thing to paint: `box` is half-open pixels x0, y0, x1, y1; a disc fills its box."""

    colour: str
    box: tuple[int, int, int, int]
    kind: str = "rectangle"

    def mask(self, width: int, height: int) -> BoolArray:
        """The true pixels (H, W) of the thing, on its own."""
        frame = Image.new("L", (width, height))
        self.draw(ImageDraw.Draw(frame), 255)
        return np.asarray(frame) > 0

    def draw(self, on: ImageDraw.ImageDraw, fill: int | tuple[int, int, int]) -> None:
        x0, y0, x1, y1 = self.box
        corners = (x0, y0, x1 - 1, y1 - 1)  # Pillow's boxes include their far edge
        if self.kind == "disc":
            on.ellipse(corners, fill=fill)
        else:
            on.rectangle(corners, fill=fill)


def paint(
    path: Path, shapes: Sequence[Shape], *, size: tuple[int, int] = (120, 90), **save: Any
) -> Path:
    """Write a white picture of `size` (width, height) with shapes on it; later ones lie on top.

    The suffix picks the format; PNG and the like keep the colours exactly.
    """
    picture = Image.new("RGB", size, COLOURS[BACKGROUND])
    pen = ImageDraw.Draw(picture)
    for shape in shapes:
        shape.draw(pen, COLOURS[shape.colour])
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path, **save)
    return path


class ColourSegmenter:
    """Cuts a picture into connected patches of one named colour; the white ground is no patch."""

    identity = "colour-segmenter@1"

    @property
    def settings(self) -> dict[str, Any]:
        return {"min_area_px": MIN_AREA_PX}

    def propose(self, pixels: Pixels) -> list[Proposal]:
        nearest = nearest_colours(pixels)
        found: list[Proposal] = []
        for number, name in enumerate(NAMES):
            if name == BACKGROUND:
                continue
            is_there = nearest == number
            if not is_there.any():
                continue
            labels, count = ndimage.label(is_there)
            for label in range(1, count + 1):
                mask = encode(labels == label)
                if mask is not None and mask.area >= MIN_AREA_PX:
                    found.append(Proposal(mask, 0.95, 0.9))
        return sorted(found, key=lambda one: -one.mask.area)


class ColourEmbedder:
    """Pictures and words by the named colours in them: one axis a colour, one for all the rest."""

    identity = "colour-embedder@1"
    dimension = len(NAMES) + 1

    @property
    def preprocessing(self) -> dict[str, Any]:
        return {"colours": len(NAMES)}

    def embed_pictures(self, pictures: Sequence[Pixels]) -> Vectors:
        """(n, d): a picture's share of each colour; the ground counts a tenth."""
        rows = np.zeros((len(pictures), self.dimension), dtype=np.float32)
        for row, pixels in zip(rows, pictures, strict=True):
            row[:-1] = np.bincount(nearest_colours(pixels).ravel(), minlength=len(NAMES))
            row[NAMES.index(BACKGROUND)] *= 0.1
        return unit_rows(rows)

    def embed_texts(self, texts: Sequence[str]) -> Vectors:
        """(n, d): each colour word counts one; a text without any points along the last axis."""
        rows = np.zeros((len(texts), self.dimension), dtype=np.float32)
        for row, text in zip(rows, texts, strict=True):
            for word in text.lower().split():
                if word in COLOURS:
                    row[NAMES.index(word)] += 1
        return unit_rows(rows)


def nearest_colours(pixels: Pixels) -> NDArray[np.int64]:
    """The number of the nearest named colour for each pixel (H, W)."""
    flat = pixels.reshape(-1, 3)
    nearest = np.zeros(len(flat), dtype=np.int64)
    for start in range(0, len(flat), CHUNK_PIXELS):
        part = flat[start : start + CHUNK_PIXELS].T.astype(np.int32)
        best = np.full(part.shape[1], np.iinfo(np.int32).max, dtype=np.int32)
        for number, colour in enumerate(TABLE):
            # The squared distance, less the square of the pixel, which all colours have in common.
            apart = colour @ colour - 2 * np.einsum("c,cn->n", colour, part)
            np.copyto(nearest[start : start + CHUNK_PIXELS], number, where=apart < best)
            np.minimum(best, apart, out=best)
    return nearest.reshape(pixels.shape[:2])


def unit_rows(rows: Vectors) -> Vectors:
    rows[~rows.any(axis=1), -1] = 1.0
    unit: Vectors = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit.astype(np.float32)


DARK, PALE = 10, 230  # the greys that stripes of a line begin at
NIBBLE_PX = 2  # width of the stripe of half a letter


class StripeReader:
    """Reads what `paint_line` paints: letters as stripes of grey, from left to right. Dark ones are
    patches of black to `ColourSegmenter`, pale ones belong to its white ground."""

    identity = "stripe-reader@1"

    def __init__(self) -> None:
        self.asked = 0

    def read(self, pixels: Pixels) -> list[Line]:
        self.asked += 1
        grey = np.where((pixels == pixels[..., :1]).all(axis=-1), pixels[..., 0], 0)
        found = []
        for first in (DARK, PALE):
            labels, count = ndimage.label((grey >= first) & (grey < first + 16))
            for rows, columns in ndimage.find_objects(labels)[:count]:
                signs = grey[rows.start, columns.start : columns.stop : NIBBLE_PX] - first
                text = bytes(16 * high + low for high, low in signs.reshape(-1, 2)).decode("ascii")
                x0, x1, y0, y1 = columns.start, columns.stop, rows.start, rows.stop
                found.append(Line(((x0, y0), (x1, y0), (x1, y1), (x0, y1)), text, 0.9))
        return sorted(found, key=lambda line: line.corners[0][1])


def paint_line(
    path: Path, text: str, at: tuple[int, int], *, height: int = 6, dark: bool = False
) -> None:
    """Add a line of ASCII text for `StripeReader` to a picture; x, y of its top left corner."""
    with Image.open(path) as stored:
        pixels = np.array(stored.convert("RGB"))
    x, y = at
    nibbles = [nibble for code in text.encode("ascii") for nibble in divmod(code, 16)]
    stripes = np.repeat(np.array(nibbles, np.uint8) + (DARK if dark else PALE), NIBBLE_PX)
    pixels[y : y + height, x : x + stripes.size] = stripes[:, None]
    Image.fromarray(pixels).save(path)


class SmallModels:
    """The two models as `SegSearch` asks for them, and `StripeReader` where they are to read."""

    crop = CropRule()
    reads = False

    @property
    def reader(self) -> str | None:
        return StripeReader.identity if self.reads else None

    @property
    def recipe(self) -> Recipe:
        segmenter, embedder = ColourSegmenter(), ColourEmbedder()
        return Recipe(
            preset="small",
            segmenter=segmenter.identity,
            embedder=embedder.identity,
            dimension=embedder.dimension,
            generator=segmenter.settings,
            crop=self.crop.document,
            preprocessing=embedder.preprocessing,
        )

    def embedder(self) -> Embedder:
        return ColourEmbedder()

    def pipeline(self) -> Pipeline:
        reader = StripeReader() if self.reads else None
        return Pipeline(ColourSegmenter(), ColourEmbedder(), self.crop, reader=reader)

    def builder(self) -> Callable[[], Pipeline]:
        return reading_pipeline if self.reads else small_pipeline


def small_pipeline() -> Pipeline:
    """The two models, built where it is called: a model process takes it by name."""
    return SmallModels().pipeline()


class ReadingModels(SmallModels):
    """The same with the reader."""

    reads = True


def reading_pipeline() -> Pipeline:
    """The three models, as `small_pipeline` gives the two."""
    return ReadingModels().pipeline()


def open_small_service(
    folder: Path,
    *,
    models: SmallModels | None = None,
    others: Sequence[SmallModels] = (),
    mix: Mix | None = None,
    address: str | None = None,
    engine: str = "exact",
    make_index: Callable[[Catalog, Path, MixOf], LibraryIndex] | None = None,
    **settings: Any,
) -> SegSearch:
    """A whole service over the library in `folder`, made when needed, with the small models; its
    catalog is in the PostgreSQL database at an address, where one is given, its index on one of
    `index_engines.ENGINES`, or what `make_index` gives."""
    # Here, so that a model process need not load them.
    from segsearch.core.settings import USUAL_MIX, Settings
    from segsearch.library import SegSearch
    from segsearch.storage.catalog.backend import Server
    from segsearch.storage.catalog.sql_catalog import Catalog
    from tests.support.index_engines import ENGINES

    folder.mkdir(parents=True, exist_ok=True)
    chosen = Settings(library=folder, **settings)
    catalog = Catalog(Server(address, folder) if address else folder / "catalog.sqlite")
    made = mix or Mix(*(chosen.mix or USUAL_MIX))
    projection = (make_index or ENGINES[engine].open)(catalog, folder, lambda _: made)
    present = {one.recipe.preset: one for one in (*others, models or SmallModels())}
    usual = (models or SmallModels()).recipe.preset

    def models_of(name: str | None) -> SmallModels:
        if (name or usual) not in present:
            raise ModelError(f"There is no preset {name!r}.")
        return present[name or usual]

    return SegSearch(chosen, catalog, projection, models_of)
