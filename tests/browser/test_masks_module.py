"""The page's masks beside those of pycocotools, in the browser that draws them."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Page
from scipy import ndimage

from segsearch.core.arrays import BoolArray
from segsearch.masks.polygons import svg_path
from segsearch.masks.rle import encode, to_coco
from tests.support.page_modules import call
from tests.support.page_server import served
from tests.support.small_models import SmallModels

pytestmark = [pytest.mark.browser, pytest.mark.server]

BYTES = (
    "(bytes) => { let s = ''; for (const b of bytes) s += String.fromCharCode(b); return btoa(s); }"
)
SAMPLES = f"""({{sample}}, given) => given.map(([mask, width, height]) =>
  ({BYTES})(sample(mask, width, height)))"""
# The outline filled, drawn on a canvas a little larger on every side, and its opacity read back.
FILLED = f"""({{outline}}, given) => given.map(([mask, width, height]) => {{
  const context = new OffscreenCanvas(width + 8, height + 8).getContext("2d");
  context.translate(4, 4);
  context.fill(outline(mask, width, height));
  const {{data}} = context.getImageData(0, 0, width + 8, height + 8);
  return ({BYTES})(data.filter((_, at) => at % 4 === 3));
}})"""


@pytest.fixture(scope="module")
def blank(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """A page of the server's, for modules that need nothing on it."""
    for url in served(tmp_path_factory.mktemp("library"), None, SmallModels()):
        page = browser.new_page()
        page.goto(f"{url}/docs")
        yield page
        page.close()


def blob(seed: int, height: int, width: int) -> BoolArray:
    """A mask with holes, islands, thin lines and runs across columns."""
    rng = np.random.default_rng(seed)
    down, across = np.mgrid[:height, :width]
    frame = np.zeros((height, width), dtype=bool)
    for _ in range(rng.integers(1, 5)):
        y, x = rng.uniform(0, height), rng.uniform(0, width)
        ry, rx = rng.uniform(1, height), rng.uniform(1, width / 2)
        frame ^= ((down - y) / ry) ** 2 + ((across - x) / rx) ** 2 <= 1
    frame[:, rng.integers(0, width)] ^= True
    frame[rng.random((height, width)) < 0.02] ^= True
    return frame


EDGES: list[BoolArray] = [
    np.ones((7, 5), dtype=bool),
    np.eye(6, dtype=bool),
    np.arange(35).reshape(5, 7) == 0,
    np.arange(35).reshape(5, 7) == 34,
    np.indices((40, 60)).sum(axis=0) % 2 == 0,
]
FRAMES = EDGES + [blob(seed, 30 + 7 * seed, 90 - 5 * seed) for seed in range(12)]


def coco(frame: BoolArray) -> Any:
    mask = encode(frame)
    assert mask is not None
    return to_coco(mask)


def shrunk(frame: BoolArray, width: int, height: int) -> BoolArray:
    """What lies under the middle of each of width x height pixels."""
    rows = ((np.arange(height) + 0.5) * frame.shape[0] / height).astype(int)
    columns = ((np.arange(width) + 0.5) * frame.shape[1] / width).astype(int)
    return frame[np.ix_(rows, columns)]


def bytes_of(texts: list[str], shapes: list[tuple[int, int]]) -> list[np.ndarray]:
    return [
        np.frombuffer(base64.b64decode(text), dtype=np.uint8).reshape(shape)
        for text, shape in zip(texts, shapes, strict=True)
    ]


def sizes(frame: BoolArray) -> list[tuple[int, int]]:
    """Width, height: as it is, smaller, larger, and out of proportion."""
    height, width = frame.shape
    return [(width, height), (max(width // 3, 1), max(height // 3, 1)), (2 * width + 1, 3 * height)]


CASES = [(frame, width, height) for frame in FRAMES for width, height in sizes(frame)]
GIVEN = [[coco(frame), width, height] for frame, width, height in CASES]


def test_runs_end_where_they_do(blank: Page) -> None:
    given = [coco(frame) for frame in FRAMES]
    use = "({runEnds}, masks) => masks.map((mask) => [...runEnds(mask)])"
    for frame, ends in zip(FRAMES, call(blank, "app/masks.js", use, given), strict=True):
        flat = frame.ravel(order="F")
        changes = np.flatnonzero(np.diff(flat)) + 1
        expected = [0] * bool(flat[0]) + [*changes.tolist(), flat.size]
        assert ends == expected


def test_a_sample_is_what_lies_under_each_pixel(blank: Page) -> None:
    shapes = [(height, width) for _, width, height in CASES]
    samples = bytes_of(call(blank, "app/masks.js", SAMPLES, GIVEN), shapes)
    for (frame, width, height), found in zip(CASES, samples, strict=True):
        assert np.array_equal(found, shrunk(frame, width, height))


def test_a_filled_outline_covers_the_sample_and_nothing_else(blank: Page) -> None:
    """The loop cuts an eighth of a pixel off a corner, and a lone pixel is left with half of it."""
    shapes = [(height + 8, width + 8) for _, width, height in CASES]
    opacities = bytes_of(call(blank, "app/masks.js", FILLED, GIVEN), shapes)
    for (frame, width, height), opacity in zip(CASES, opacities, strict=True):
        expected = np.pad(shrunk(frame, width, height), 4)
        assert (opacity[expected] >= 110).all()
        assert (opacity[~expected] <= 145).all()
        clear = opacity[ndimage.binary_erosion(expected)]
        assert (clear == 255).all()


def rings(path: str) -> list[list[tuple[int, int]]]:
    """The corners of each loop, whichever it begins with."""
    found = []
    for loop in path.split("Z")[:-1]:
        x, y = 0, 0
        corners = []
        for step in re.findall(r"[MHV][^MHV]+", loop):
            numbers = [int(number) for number in step[1:].split()]
            x, y = {"M": numbers * 2, "H": [numbers[0], y], "V": [x, numbers[0]]}[step[0]][:2]
            corners.append((x, y))
        start = corners.index(min(corners))
        found.append(corners[start:] + corners[:start])
    return sorted(found)


def test_the_path_of_an_svg_is_the_servers(blank: Page) -> None:
    use = "({svgPath}, masks) => masks.map(svgPath)"
    found = call(blank, "app/masks.js", use, [coco(frame) for frame in FRAMES])
    for frame, path in zip(FRAMES, found, strict=True):
        mask = encode(frame)
        assert mask
        assert rings(path) == rings(svg_path(mask))


def test_an_empty_mask_has_no_outline_and_no_region(blank: Page) -> None:
    empty = {"size": [4, 3], "counts": "<"}
    use = """({outline, regionsAt, runEnds, sample}, mask) => [
      [...runEnds(mask)], [...sample(mask, 6, 8)].some(Boolean),
      new OffscreenCanvas(9, 9).getContext("2d").isPointInPath(outline(mask, 9, 9), 4, 4),
      regionsAt([{mask, box: [0, 0, 3, 4], area: 0}], 1, 1)]"""
    assert call(blank, "app/masks.js", use, empty) == [[12], False, False, []]


REGIONS = """({regionsAt}, {segments, points}) => points.map(([x, y]) =>
  regionsAt(segments, x, y).map(({segment_id}) => segment_id))"""


def test_regions_at_a_point_are_those_whose_masks_hold_it_the_smallest_first(blank: Page) -> None:
    frames = [blob(seed, 50, 70) for seed in range(8)]
    masks = [encode(frame) for frame in frames]
    segments = [
        {"segment_id": number, "mask": to_coco(mask), "box": mask.box.as_tuple(), "area": mask.area}
        for number, mask in enumerate(masks)
        if mask
    ]
    rng = np.random.default_rng(1)
    points = [[float(x), float(y)] for x, y in rng.uniform((-5, -5), (75, 55), (300, 2))]
    points += [[0, 0], [69.99, 49.99], [70, 10], [10, 50], [-0.5, 10]]
    given = {"segments": segments, "points": points}
    for (x, y), found in zip(points, call(blank, "app/masks.js", REGIONS, given), strict=True):
        column, row = int(np.floor(x)), int(np.floor(y))
        within = 0 <= column < 70 and 0 <= row < 50
        holding = [n for n, frame in enumerate(frames) if within and frame[row, column]]
        assert found == sorted(holding, key=lambda n: int(frames[n].sum()))
