"""What is drawn or told of a thing that moves takes mask and frame of the same moment."""

from __future__ import annotations

import base64
import io
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from segsearch.core.answers import Pointed
from segsearch.core.arrays import BoolArray
from segsearch.core.errors import ModelError, NotFoundError, QueryError
from segsearch.core.query import RegionTerm
from segsearch.core.text import Line, TextLine
from segsearch.core.types import Segment
from segsearch.export.caption_pack import write_caption_pack
from segsearch.export.captioning import CaptionOptions, caption
from segsearch.export.cutouts import write_cutouts
from segsearch.export.picture_facts import PictureFacts
from segsearch.export.region_views import RegionViews
from segsearch.library import SegSearch
from segsearch.masks.rle import decode
from segsearch.search.click import stored_region_at
from segsearch_api.mcp import Tools
from tests.support.moving_film import colour_inside, library_of_film, things_at, tracks
from tests.support.painted_film import Filmed, film
from tests.support.small_models import open_small_service
from tests.support.vision import endpoint, told, vision_endpoint

pytestmark = pytest.mark.server
STANDING = 3.75  # the second of the frame that stands for the first shot


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SegSearch]:
    with library_of_film(tmp_path_factory.mktemp("film")) as made:
        yield made


@pytest.fixture(scope="module")
def things(service: SegSearch) -> dict[str, Segment]:
    """The tracks by their colours; no two of the first shot are seen best at the same second as
    the frame that stands for it."""
    named = {}
    for one in tracks(service):
        pixels = service.pictures.pixels(one.image_id, one.seen_at)
        named[colour_inside(pixels, decode(one.mask))] = one
    assert {name: one.seen_at for name, one in named.items()} == {
        "red": 1.25, "blue": 1.25, "green": 8.75, "cyan": 10.5,
    }  # fmt: skip
    return named


def boxes_at(seconds: float) -> dict[str, tuple[int, int, int, int]]:
    """Where each thing is, as far as the frame goes."""
    return {
        thing.colour: (max(0, x0), y0, min(160, x1), y1)
        for thing in things_at(seconds)
        for x0, y0, x1, y1 in [thing.box]
    }


def test_a_shot_is_numbered_as_the_frame_that_stands_for_it_shows_it(
    service: SegSearch, things: dict[str, Segment]
) -> None:
    with vision_endpoint() as server:
        service.questions.ask_picture(things["red"].image_id, endpoint=endpoint(server))
    rows = re.findall(r"^\d\. box (\d+), (\d+), (\d+), (\d+)", told(server.asked[0]), re.MULTILINE)
    shown = boxes_at(STANDING)
    assert [tuple(map(int, row)) for row in rows] == [shown["red"], shown["blue"]]
    url = server.asked[0]["messages"][0]["content"][1]["image_url"]["url"]
    with Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))) as opened:
        sent = np.asarray(opened.convert("RGB"))
    for colour, (x0, y0, x1, y1) in shown.items():
        assert colour_inside(sent, around((y0 + y1) // 2, (x0 + x1) // 2, sent.shape)) == colour


def test_a_region_that_covers_another_frame_keeps_no_answer(tmp_path: Path) -> None:
    """What is said is said of the frame that stands for the shot, at two seconds."""
    covers, small = (0, 0, 60, 40), (0, 0, 10, 10)
    with open_small_service(tmp_path / "library") as made, vision_endpoint() as server:
        (image_id,) = film(
            made, "/films/a.mp4", [0, 4], [[Filmed("red", 0, 4, {0.5: covers, 2.0: small})]]
        )
        with pytest.raises(QueryError, match="No region covers image"):
            made.questions.ask_picture(image_id, keep=True, endpoint=endpoint(server))
    assert server.asked == []


def test_a_region_is_asked_about_beside_what_its_own_frame_shows(
    service: SegSearch, things: dict[str, Segment]
) -> None:
    beside = {"red": ["blue"], "blue": ["red"], "green": ["red"], "cyan": []}
    for colour, segment in things.items():
        with vision_endpoint() as server:
            answer = service.questions.ask_region(segment.id, "What?", endpoint=endpoint(server))
        assert answer.text == f"A {colour} thing on a white ground"
        found = re.findall(r"box (\d+, \d+, \d+, \d+)", told(server.asked[0]))
        assert segment.seen_at is not None
        shown = boxes_at(segment.seen_at)
        names = [colour, *beside[colour]]
        assert found == [", ".join(map(str, shown[name])) for name in names]


def test_an_assistant_hears_what_lies_around_a_thing_on_its_own_frame(
    service: SegSearch, things: dict[str, Segment]
) -> None:
    (near,) = Tools(service).surroundings(things["green"].id)
    assert (near["segment_id"], tuple(near["box"])) == (things["red"].id, boxes_at(8.75)["red"])


def around(row: int, column: int, shape: tuple[int, ...]) -> BoolArray:
    """A few pixels (H, W) of a picture."""
    few = np.zeros(shape[:2], bool)
    few[row - 2 : row + 2, column - 2 : column + 2] = True
    return few


def text_line(segment: Segment | None, text: str, image_id: int) -> TextLine:
    line = Line(((0, 0), (9, 0), (9, 9), (0, 9)), text, 0.9)
    return TextLine(1, image_id, segment.id if segment else None, 1, line)


def test_text_of_another_frame_is_told_of_the_thing_that_it_stands_on_alone(
    service: SegSearch, things: dict[str, Segment]
) -> None:
    """The lines of a shot were read on one frame, which here is not the region's."""
    red, image_id = things["red"], things["red"].image_id
    lines = [text_line(red, "24 hours", image_id), text_line(None, "a far sign", image_id)]
    catalog = service.catalog
    facts = PictureFacts(catalog.segments_on_frame, catalog.captions, lines_of=lambda _: lines)
    image = catalog.image(image_id)
    there = facts.of_region(image, red)
    assert 'Text in the region: "24 hours".' in there
    assert "a far sign" not in there
    read = next(one for one in catalog.segments_on_frame(image_id) if one.id == red.id)
    assert read.seen_at == STANDING
    assert 'Text elsewhere in the photograph: "a far sign".' in facts.of_region(image, read)


def test_captions_are_of_the_frame_of_the_mask(
    service: SegSearch, things: dict[str, Segment]
) -> None:
    with vision_endpoint() as server:
        caption(
            [hit for hit in service.select() if hit.image.shot],
            service.region_sources(),
            service.catalog,
            endpoint(server),
            CaptionOptions(),
        )
    said = service.catalog.captions([one.id for one in things.values()])
    assert {name: said[one.id][0].text for name, one in things.items()} == {
        name: f"A {name} thing on a white ground" for name in things
    }


def colour_of_cutout(data: bytes) -> str:
    with Image.open(io.BytesIO(data)) as opened:
        drawn = np.asarray(opened.convert("RGBA"))
    return colour_inside(drawn[..., :3], drawn[..., 3] > 0)


def test_cutouts_are_of_the_frame_of_the_mask(
    service: SegSearch, things: dict[str, Segment], tmp_path: Path
) -> None:
    hits = [hit for hit in service.select() if hit.image.shot]
    write_cutouts(hits, service.region_sources(), tmp_path / "cut.zip")
    with zipfile.ZipFile(tmp_path / "cut.zip") as pack:
        listed = map(json.loads, pack.read("regions.jsonl").splitlines())
        colours = {line["segment_id"]: colour_of_cutout(pack.read(line["file"])) for line in listed}
    assert colours == {one.id: name for name, one in things.items()}


def test_a_caption_pack_tells_of_one_moment(
    service: SegSearch, things: dict[str, Segment], tmp_path: Path
) -> None:
    hits = [hit for hit in service.select() if hit.image.shot]
    write_caption_pack(hits, service.region_sources(), tmp_path)
    documents: list[dict[str, Any]] = [
        json.loads(line) for line in (tmp_path / "regions.jsonl").read_text().splitlines()
    ]
    ids = {one.id: name for name, one in things.items()}
    for told_of in documents:
        shown = boxes_at(told_of["life"]["best_seconds"])
        assert tuple(told_of["box"]) == shown[ids[told_of["segment_id"]]]
        assert (
            colour_of_cutout((tmp_path / told_of["cutout"]).read_bytes())
            == ids[told_of["segment_id"]]
        )
        near = {
            ids[one["segment_id"]]: tuple(one["box"])
            for one in json.loads(told_of["neighbours_json"])
        }
        assert near == {
            name: box
            for name, box in shown.items()
            if name in near and name != ids[told_of["segment_id"]]
        }
    assert sum(len(json.loads(one["neighbours_json"])) for one in documents) == 3


def test_what_reranks_is_shown_the_frame_of_the_mask(
    service: SegSearch, things: dict[str, Segment]
) -> None:
    views = RegionViews(list(things.values()), service.pictures.pixels).all()
    for colour, view in zip(things, views, strict=True):
        with Image.open(io.BytesIO(view()[0])) as opened:
            crop = np.asarray(opened.convert("RGB"))
        height, width, _ = crop.shape
        assert colour_inside(crop, around(height // 2, width // 2, crop.shape)) == colour


def test_a_click_on_a_shot_means_what_its_frame_shows_there(
    service: SegSearch, things: dict[str, Segment]
) -> None:
    def masks_of(_: RegionTerm) -> Pointed:
        raise ModelError("The segmenter takes no points.")

    red = things["red"]
    catalog, (_, y0, x1, _) = service.catalog, boxes_at(STANDING)["red"]
    hit = stored_region_at(catalog, masks_of, red.image_id, (x1 - 2, y0 + 2))
    assert hit.id == red.id
    x0, y0, *_ = red.mask.box.as_tuple()  # where it was before
    with pytest.raises(NotFoundError, match="No region of image"):
        stored_region_at(catalog, masks_of, red.image_id, (x0 + 2, y0 + 2))
