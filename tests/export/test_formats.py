"""What leaves a library loads in the programs it is meant for, and means the same there."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import supervision
from PIL import Image
from pycocotools.coco import COCO

from segsearch.core.errors import PathError
from segsearch.core.types import Hit
from segsearch.export.caption_pack import Written, neighbours, write_caption_pack
from segsearch.export.coco import coco_document
from segsearch.export.documents import json_lines
from segsearch.export.render import CROP_MARGIN, crop_png
from segsearch.library import SegSearch
from segsearch.masks.rle import decode, from_coco
from segsearch.search.evaluation.truth import read_truth
from tests.support.small_models import Shape, open_small_service, paint

RED, BLUE = Shape("red", (10, 10, 40, 40)), Shape("blue", (60, 20, 100, 70), "disc")


@pytest.fixture
def service(tmp_path: Path) -> Iterator[SegSearch]:
    paint(tmp_path / "pictures" / "both.png", [RED, BLUE])
    paint(tmp_path / "pictures" / "red.png", [Shape("red", (50, 50, 90, 80))])
    with open_small_service(tmp_path / "library") as made:
        made.index([tmp_path / "pictures"])
        yield made


def test_coco_loads_in_pycocotools_and_comes_back_the_same(
    service: SegSearch, tmp_path: Path
) -> None:
    hits = service.search_text("red", limit=10).hits
    file = tmp_path / "coco.json"
    file.write_text(json.dumps(coco_document(hits, "red thing")))
    loaded = COCO(str(file))
    assert len(loaded.anns) == len(hits) == 3
    for hit in hits:
        row = loaded.anns[hit.segment.id]
        assert (loaded.annToMask(row).astype(bool) == decode(hit.segment.mask)).all()
        box = hit.segment.mask.box
        assert row["bbox"] == [box.x0, box.y0, box.width, box.height]
    base = Path(loaded.dataset["info"]["base_folder"])
    assert base == tmp_path / "pictures"
    assert {row["file_name"] for row in loaded.imgs.values()} == {"both.png", "red.png"}
    back = read_truth(file, base)
    assert {thing.name for picture in back for thing in picture.things} == {"red thing"}
    masks = {thing.mask for picture in back for thing in picture.things}
    assert masks == {hit.segment.mask for hit in hits}


def hit_at(hit: Hit, number: int, path: str) -> Hit:
    """The hit as one of a picture elsewhere."""
    segment = replace(hit.segment, id=number, image_id=number)
    return replace(hit, segment=segment, image=replace(hit.image, id=number, paths=(path,)))


@pytest.mark.parametrize(
    ("paths", "names", "base"),
    [
        (["/p/a.jpg"], ["a.jpg"], "/p/"),
        (["/p/a.jpg", "/p/sub/b.jpg"], ["a.jpg", "sub/b.jpg"], "/p/"),
        (["/p/ab/a.jpg", "/p/abc/a.jpg"], ["ab/a.jpg", "abc/a.jpg"], "/p/"),
        (["/a.jpg", "/q/b.jpg"], ["a.jpg", "q/b.jpg"], "/"),
        (["/p/s.tar/0.jpg", "/p/s.tar/in/1.jpg"], ["0.jpg", "in/1.jpg"], "/p/s.tar/"),
        (["s3://one/a/b.jpg", "s3://one/a/c.jpg"], ["b.jpg", "c.jpg"], "s3://one/a/"),
        (["s3://one/b.jpg", "s3://two/b.jpg"], ["one/b.jpg", "two/b.jpg"], "s3://"),
        (["s3://one/b.jpg", "/p/b.jpg"], ["s3/one/b.jpg", "p/b.jpg"], None),
        (["s3://one/a/../../b.jpg", "s3://one/c.jpg"], ["a/b.jpg", "c.jpg"], "s3://one/"),
    ],
)
def test_no_name_in_coco_leads_out_of_its_folder(
    service: SegSearch, paths: list[str], names: list[str], base: str | None
) -> None:
    hit = next(iter(service.select()))
    hits = [hit_at(hit, number, path) for number, path in enumerate(paths, 1)]
    document = coco_document(hits)
    assert [row["file_name"] for row in document["images"]] == names
    assert document["info"]["base_folder"] == base


def test_coco_names_are_relative_to_the_folder_that_is_asked_for(
    service: SegSearch, tmp_path: Path
) -> None:
    hits = list(service.select())
    document = coco_document(hits, relative_to=tmp_path)
    assert document["images"][0]["file_name"] == "pictures/both.png"
    assert document["info"]["base_folder"] == f"{tmp_path}/"
    for elsewhere in (tmp_path / "pict", tmp_path / "pictures" / "both"):
        with pytest.raises(PathError, match="--relative-to"):
            coco_document(hits, relative_to=elsewhere)


def test_polygons_load_in_pycocotools_and_supervision_as_the_masks_they_are(
    service: SegSearch, tmp_path: Path
) -> None:
    hits = list(service.select())
    folder = tmp_path / "pictures"
    for polygons in (True, False):
        file = tmp_path / "coco.json"
        file.write_text(json.dumps(coco_document(hits, polygons=polygons)))
        loaded = COCO(str(file))
        masks = {hit.segment.id: decode(hit.segment.mask) for hit in hits}
        for number, mask in masks.items():
            assert isinstance(loaded.anns[number]["segmentation"], list) is polygons
            assert (loaded.annToMask(loaded.anns[number]).astype(bool) == mask).all()
        dataset = supervision.DetectionDataset.from_coco(
            images_directory_path=str(folder), annotations_path=str(file), force_masks=True
        )
        assert dataset.classes == ["region"]
        found = {Path(path).name: detections for path, _, detections in dataset}
        assert {name: len(detections) for name, detections in found.items()} == {
            "both.png": 2, "red.png": 1,
        }  # fmt: skip
        of_red = hits[-1].segment.mask
        masks_of_red = found["red.png"].mask
        assert masks_of_red is not None
        (mask,) = masks_of_red
        shared = (mask & decode(of_red)).sum() / (mask | decode(of_red)).sum()
        # It draws the edges of polygons, too: a pixel more on the right and below.
        assert shared > 0.93 if polygons else shared == 1


def test_everything_can_be_exported(service: SegSearch) -> None:
    hits = list(service.select())
    assert [hit.rank for hit in hits] == [1, 2, 3]
    lines = [json.loads(line) for line in json_lines(hits)]
    assert {line["segment_id"] for line in lines} == {hit.segment.id for hit in hits}
    assert all(from_coco(line["mask"]).area == line["area"] for line in lines)


def test_a_caption_pack_shows_each_region_three_times(service: SegSearch, tmp_path: Path) -> None:
    hits = service.search_text("blue", limit=1).hits
    pack = tmp_path / "new" / "pack"
    assert write_caption_pack(hits, service.region_sources(), pack) == Written(1, {})
    (line,) = [json.loads(text) for text in (pack / "regions.jsonl").read_text().splitlines()]
    pixels = service.pictures.pixels(hits[0].image.id)
    with Image.open(pack / line["cutout"]) as picture:
        cutout = np.asarray(picture)
    box = hits[0].segment.mask.box
    assert cutout.shape == (box.height, box.width, 4)
    assert (cutout[..., 3] > 0).sum() == line["area"]
    with Image.open(pack / line["marked"]) as marked:
        assert marked.size == (120, 90)
    (told,) = json.loads(line["neighbours_json"])
    assert told["this_is"] == ["right of"]
    assert told["box"] == list(RED.box)
    text, context, whole = line["messages"][0]["content"]
    assert text["type"] == "text"
    names = [part["image_url"]["url"] for part in (context, whole)]
    assert names == [line["context"], line["marked"]]
    with Image.open(pack / line["context"]) as picture:
        assert picture.format == "JPEG"
        seen = np.asarray(picture).astype(int)
    wanted = np.asarray(Image.open(io.BytesIO(crop_png(pixels, hits[0].segment.mask, CROP_MARGIN))))
    assert np.abs(seen - wanted).mean() < 4


def test_neighbours_are_the_nearest_and_never_the_region_itself(service: SegSearch) -> None:
    hit = service.search_text("red", limit=1).hits[0]
    segments = service.catalog.segments_of(hit.image.id)
    told = neighbours(hit.segment, segments)
    assert hit.segment.id not in {one["segment_id"] for one in told}
