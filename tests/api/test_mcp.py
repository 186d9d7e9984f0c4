"""An assistant uses a library through the real protocol: in this process, and over a pipe."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mcp import Client, StdioServerParameters
from PIL import Image

from segsearch.core.types import MAX_ID
from segsearch.library import SegSearch
from segsearch.masks.rle import decode
from segsearch_api.mcp import create_server
from tests.support.clips import write
from tests.support.small_models import Shape, open_small_service, paint

RED, BLUE = Shape("red", (10, 10, 40, 40)), Shape("blue", (60, 20, 100, 70), "disc")


@pytest.fixture
def service(tmp_path: Path) -> Iterator[SegSearch]:
    paint(tmp_path / "pictures" / "both.png", [RED, BLUE])
    paint(tmp_path / "pictures" / "red.png", [Shape("red", (50, 50, 90, 80))])
    with open_small_service(tmp_path / "library") as made:
        made.index([tmp_path / "pictures"])
        yield made


def call(service: SegSearch, tool: str, **arguments: Any) -> Any:
    async def ask() -> Any:
        async with Client(create_server(service)) as client:
            return await client.call_tool(tool, arguments)

    return asyncio.run(ask())


def documents(result: Any) -> Any:
    assert not result.is_error, result.content
    return result.structured_content["result"]


def picture(block: Any) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(block.data)))


def test_a_frame_of_a_video_is_shown(tmp_path: Path) -> None:
    film = write(tmp_path / "a.mp4")
    with open_small_service(tmp_path / "library") as made:
        made.index([film])
        with picture(call(made, "video_frame", video_id=1, seconds=2.0).content[0]) as frame:
            assert (frame.format, frame.size) == ("JPEG", (160, 96))
            shown = np.asarray(frame.convert("RGB")).astype(int)
        assert np.abs(shown[80:, 60:] - (40, 60, 200)).mean() < 20
        late = call(made, "video_frame", video_id=1, seconds=60.0)
        assert late.is_error
        assert "there is no second 60.00" in late.content[0].text


def test_words_find_regions_that_can_be_looked_at(service: SegSearch) -> None:
    (hit,) = documents(call(service, "search", words="blue", limit=1))
    assert hit["box"] == list(BLUE.box)
    assert "mask" not in hit
    crop, whole = call(service, "look", segment_id=hit["segment_id"]).content
    with picture(crop) as seen, picture(whole) as marked:
        assert seen.width == seen.height
        assert marked.size == (120, 90)
    mask = decode(service.catalog.segment(hit["segment_id"]).mask)
    with picture(call(service, "mask", segment_id=hit["segment_id"]).content[0]) as drawn:
        assert ((np.asarray(drawn) > 0) == mask).all()
    with picture(call(service, "cutout", segment_id=hit["segment_id"]).content[0]) as cut:
        assert cut.mode == "RGBA"
        assert (np.asarray(cut)[..., 3] > 0).sum() == mask.sum()


def test_more_like_a_region_and_what_lies_around_it(service: SegSearch) -> None:
    (red,) = documents(call(service, "search", words="red", limit=1))
    alike = documents(call(service, "more_like", segment_id=red["segment_id"], limit=2))
    assert len({hit["image_id"] for hit in alike}) == 2
    (blue,) = documents(call(service, "search", words="blue", limit=1))
    (near,) = documents(call(service, "surroundings", segment_id=blue["segment_id"]))
    assert near["this_is"] == ["right of"]


def test_pictures_are_no_larger_than_a_model_can_look_at(
    service: SegSearch, tmp_path: Path
) -> None:
    region = Shape("blue", (100, 100, 1900, 1300))
    large = paint(tmp_path / "large.png", [region], size=(2000, 1400))
    service.index([large])
    found = documents(call(service, "search", words="blue", limit=10))
    hit = next(hit for hit in found if hit["width"] == 2000)
    box = hit["box"]
    with picture(call(service, "mask", segment_id=hit["segment_id"]).content[0]) as drawn:
        assert drawn.size == (1024, 717)
        assert set(np.unique(np.asarray(drawn))) == {0, 255}
    with picture(call(service, "cutout", segment_id=hit["segment_id"]).content[0]) as cut:
        assert cut.mode == "RGBA"
        assert cut.width == 1024
        assert cut.height == pytest.approx(1024 * (box[3] - box[1]) / (box[2] - box[0]), abs=1)


def test_what_goes_wrong_is_told_in_a_sentence(service: SegSearch) -> None:
    for tool, arguments in (("look", {"segment_id": 999}), ("search", {"words": " "})):
        result = call(service, tool, **arguments)
        assert result.is_error
        assert result.content[0].text.endswith(".")
        assert "Traceback" not in result.content[0].text


BEYOND: list[tuple[str, dict[str, Any], str]] = [
    ("look", {"segment_id": MAX_ID + 1}, "segment_id"),
    ("surroundings", {"segment_id": 0}, "segment_id"),
    ("segment_at", {"image_id": MAX_ID + 1, "x": 1, "y": 1}, "image_id"),
    ("segment_at", {"image_id": 1, "x": "inf", "y": 1}, "x"),
    ("click_search", {"image_id": -1, "x": 1, "y": 1}, "image_id"),
    ("search", {"words": "red", "limit": 51}, "limit"),
    ("more_like", {"segment_id": 1, "per_image": 0}, "per_image"),
]


def test_arguments_out_of_bounds_are_refused_by_name(service: SegSearch) -> None:
    for tool, arguments, field in BEYOND:
        result = call(service, tool, **arguments)
        assert result.is_error
        assert f"1 validation error for {tool}Arguments\n{field}\n" in result.content[0].text


def test_every_tool_says_that_it_changes_nothing_and_takes_no_unknown_argument(
    service: SegSearch,
) -> None:
    async def ask() -> Any:
        async with Client(create_server(service)) as client:
            tools = (await client.list_tools()).tools
            odd = [await client.call_tool(tool.name, {"odd_one": 1}) for tool in tools]
            return tools, odd

    tools, refused = asyncio.run(ask())
    assert len(tools) == 11
    for tool, result in zip(tools, refused, strict=True):
        sent = tool.model_dump(by_alias=True)
        assert sent["annotations"]["readOnlyHint"] is True, tool.name
        assert sent["annotations"]["destructiveHint"] is False, tool.name
        assert sent["inputSchema"]["additionalProperties"] is False, tool.name
        assert result.is_error, tool.name
        assert "odd_one" in result.content[0].text, tool.name
    misspelt = call(service, "search", words="red", per_picture=1)
    assert misspelt.is_error
    assert "per_picture" in misspelt.content[0].text


def test_a_library_is_described(service: SegSearch) -> None:
    told = call(service, "describe_library").structured_content
    assert (told["images"], told["segments"]) == (2, 3)


def test_the_command_speaks_the_protocol_over_a_pipe(demo_library: SegSearch) -> None:
    base = [sys.executable, "-m", "segsearch", "--library", str(demo_library.settings.library)]
    server = StdioServerParameters(command=base[0], args=[*base[1:], "mcp"])

    async def ask() -> Any:
        async with Client(server) as client:
            names = {tool.name for tool in (await client.list_tools()).tools}
            return names, await client.call_tool("search", {"words": "a cat", "limit": 1})

    names, result = asyncio.run(ask())
    assert {"search", "more_like", "look", "cutout", "mask", "describe_library"} <= names
    (hit,) = documents(result)
    assert Path(hit["path"]).name.startswith("photo-cat")
    assert json.dumps(hit)
