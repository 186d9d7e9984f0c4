"""A click on a stored picture means a region: for an assistant, with and without a prompter."""

from __future__ import annotations

import asyncio
import base64
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mcp import Client
from PIL import Image

from segsearch.core.arrays import Pixels
from segsearch.core.errors import InputError, NotFoundError
from segsearch.core.types import Origin
from segsearch.library import SegSearch
from segsearch.masks.rle import decode, iou
from segsearch.models.pipeline import Pipeline
from segsearch.models.protocols import PromptedMasks
from segsearch.models.segment.prompts import Prompts
from segsearch.search.click import stored_region_at
from segsearch_api.mcp import create_server
from tests.conftest import Truth
from tests.support.small_models import (
    ColourEmbedder,
    ColourSegmenter,
    Shape,
    SmallModels,
    nearest_colours,
    open_small_service,
    paint,
)

RED, BLUE = Shape("red", (10, 10, 40, 40)), Shape("blue", (60, 20, 100, 70), "disc")
ELSEWHERE = Shape("red", (50, 50, 90, 80))


@dataclass(frozen=True)
class Seen:
    """A picture's colours, ready to be pointed at."""

    colours: Any

    @property
    def size(self) -> tuple[int, int]:
        height, width = self.colours.shape
        return height, width

    mask_size = (8, 8)
    nbytes = 0


class PointingSegmenter(ColourSegmenter):
    """Cuts out what has the colour that is pointed at: surely all of it, less surely its left."""

    looks_closer = False

    def encode(self, pixels: Pixels) -> Seen:
        return Seen(nearest_colours(pixels))

    def answer(self, picture: Any, prompts: Prompts) -> PromptedMasks:
        height, width = picture.colours.shape[:2]
        x, y = np.minimum(prompts.points[0].astype(int), (width - 1, height - 1))
        whole = picture.colours == picture.colours[y, x]
        left = whole & (np.arange(whole.shape[1]) < 15)
        masks = np.stack([left, whole])[None]
        sure = np.array([[0.2, 0.9]], dtype=np.float32)
        return PromptedMasks(masks, sure, np.zeros((1, 2, 8, 8), dtype=np.float32))


class PointingModels(SmallModels):
    def pipeline(self) -> Pipeline:
        return Pipeline(PointingSegmenter(), ColourEmbedder(), self.crop)


@pytest.fixture(params=[PointingModels, SmallModels], ids=["prompted", "stored"])
def service(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SegSearch]:
    paint(tmp_path / "pictures" / "both.png", [RED, BLUE])
    paint(tmp_path / "pictures" / "red.png", [ELSEWHERE])
    with open_small_service(tmp_path / "library", models=request.param()) as made:
        made.index([tmp_path / "pictures"])
        yield made


def call(service: SegSearch, tool: str, **arguments: Any) -> Any:
    async def ask() -> Any:
        async with Client(create_server(service)) as client:
            return await client.call_tool(tool, arguments)

    return asyncio.run(ask())


def image_of(service: SegSearch, name: str) -> int:
    return next(one.id for one in service.catalog.images() if one.paths[0].endswith(name))


def test_a_click_finds_what_looks_like_what_was_clicked(service: SegSearch) -> None:
    both = image_of(service, "both.png")
    hits = call(service, "click_search", image_id=both, x=20, y=20, stored=True, limit=2)
    found = hits.structured_content["result"]
    assert {tuple(hit["box"]) for hit in found} == {RED.box, ELSEWHERE.box}
    assert (
        stored_region_at(service.catalog, service.point, both, (80, 45)).mask.box.as_tuple()
        == BLUE.box
    )


def test_a_click_on_nothing_is_said(service: SegSearch) -> None:
    both = image_of(service, "both.png")
    with pytest.raises(NotFoundError, match="No region"):
        stored_region_at(service.catalog, service.point, both, (119, 89))
    with pytest.raises(NotFoundError, match="No region"):
        stored_region_at(
            service.catalog, service.point, both, (120, 90)
        )  # on the edge, which /v1/segment takes, too
    for x, y in ((-1.0, 5.0), (120.5, 5.0), (5.0, float("nan"))):
        with pytest.raises(InputError, match="outside"):
            stored_region_at(service.catalog, service.point, both, (x, y))
    with pytest.raises(NotFoundError):
        stored_region_at(service.catalog, service.point, 99, (5, 5))
    assert call(service, "click_search", image_id=99, x=5, y=5).is_error


def test_what_stands_at_a_point_is_cut_out_best_first(tmp_path: Path) -> None:
    paint(tmp_path / "both.png", [RED, BLUE])
    with open_small_service(tmp_path / "library", models=PointingModels()) as service:
        service.index([tmp_path / "both.png"])
        text, shown = call(service, "segment_at", image_id=1, x=12, y=12).content
        whole, left = json.loads(text.text)
        assert whole["box"] == list(RED.box)
        assert whole["predicted_iou"] == pytest.approx(0.9)
        stored = service.catalog.segment(whole["segment_id"])
        assert stored.mask.box.as_tuple() == RED.box
        assert (left["box"], left["segment_id"]) == ([10, 10, 15, 40], None)
        with Image.open(io.BytesIO(base64.b64decode(shown.data))) as picture:
            assert picture.size == (120, 90)
        best = service.masks_at(1, 12, 12)[0]
        assert (decode(best.mask) == decode(stored.mask)).all()


def test_a_segmenter_that_takes_no_points_is_said(tmp_path: Path) -> None:
    paint(tmp_path / "both.png", [RED])
    with open_small_service(tmp_path / "library") as service:
        service.index([tmp_path / "both.png"])
        told = call(service, "segment_at", image_id=1, x=12, y=12)
        assert told.is_error
        assert "takes no points" in told.content[0].text


def test_answers_show_what_was_said_of_regions(service: SegSearch) -> None:
    origin = Origin("eye-1", "localhost", "0" * 64)
    blue = service.search_text("blue", limit=1).hits[0].segment.id
    service.catalog.add_caption(blue, "A round window", origin)
    found = call(service, "search", words="window", captions="only")
    (hit,) = found.structured_content["result"]
    assert (hit["segment_id"], hit["captions"]) == (blue, ["A round window"])
    joined = call(service, "search", words="window", captions="join", limit=1)
    assert joined.structured_content["result"][0]["segment_id"] == blue
    red = service.search_text("red", limit=2).hits
    (both,) = [hit for hit in red if hit.image.paths[0].endswith("both.png")]
    (near,) = call(service, "surroundings", segment_id=both.segment.id).structured_content["result"]
    assert near["captions"] == ["A round window"]


def test_with_the_embedded_models_a_click_means_the_thing_clicked(
    demo_library: SegSearch, truth: Truth
) -> None:
    images = {Path(one.paths[0]).name: one.id for one in demo_library.catalog.images(limit=100)}
    right = 0
    things = [named[0] for named in list(truth.things.values())[:40]]
    for name, mask in things:
        box = mask.box
        x, y = (box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2
        try:
            found = stored_region_at(demo_library.catalog, demo_library.point, images[name], (x, y))
        except NotFoundError:
            continue
        right += iou(found.mask, mask) > 0.5
    assert right > len(things) / 2, right
