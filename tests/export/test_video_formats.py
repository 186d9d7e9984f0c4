"""Things of videos leave a library frame by frame, in the layouts that tracking tools read."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as run_lengths
from pycocotools.coco import COCO

from segsearch.core.errors import InputError
from segsearch.core.text import Line, TextLine
from segsearch.core.types import Hit
from segsearch.export.caption_pack import Written
from segsearch.export.coco import coco_document, write_coco
from segsearch.export.shot_frames import APART, BATCH, FramedHits
from segsearch.export.ytvis import write_ytvis, write_ytvis_zip
from segsearch.library import SegSearch
from segsearch.masks.rle import decode
from tests.support.moving_film import colour_inside, library_of_film, tracks
from tests.support.small_models import Shape, open_small_service, paint

FIRST = [1.25, 3.75, 6.25, 8.75]  # keyframes of the first shot
TIMES = [*FIRST, 10.5, 11.5]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("film")


@pytest.fixture(scope="module")
def service(folder: Path) -> Iterator[SegSearch]:
    with library_of_film(folder) as made:
        yield made


def test_coco_has_an_image_a_keyframe_and_an_annotation_a_mask(
    service: SegSearch, folder: Path, tmp_path: Path
) -> None:
    file = tmp_path / "coco.json"
    hits = list(service.select())
    assert write_coco(hits, file, sources=service.region_sources()) == len(hits) == 5
    loaded = COCO(str(file))
    (video,) = loaded.dataset["videos"]
    assert video == {
        "id": 1, "name": "clip.mp4", "file_name": "clip.mp4", "width": 160, "height": 96,
    }  # fmt: skip
    assert loaded.dataset["info"]["base_folder"] == f"{folder / 'films'}/"
    frames = [one for one in loaded.dataset["images"] if "video_id" in one]
    assert [one["file_name"] for one in frames] == [f"clip.mp4#t={at:g}" for at in TIMES]
    assert [(one["video_id"], one["frame_id"]) for one in frames] == [(1, n) for n in range(6)]
    assert [one["seconds"] for one in frames] == TIMES
    assert {(one["width"], one["height"]) for one in frames} == {(160, 96)}
    first, second = (number for number, _ in service.catalog.video(1).shots)
    assert [one["id"] for one in frames] == [
        first, first + APART, first + 2 * APART, first + 3 * APART, second, second + APART,
    ]  # fmt: skip
    (still,) = (one for one in loaded.dataset["images"] if "video_id" not in one)
    assert (still["id"], still["file_name"]) == (hits[0].image.id, "still.png")
    assert len(loaded.anns) == len(loaded.dataset["annotations"])
    masks = service.catalog.key_masks([hit.segment.id for hit in hits])
    assert sum(map(len, masks.values())) == len(loaded.anns) - 1 == 10
    for segment_id, keys in masks.items():
        theirs = [one for one in loaded.anns.values() if one.get("track_id") == segment_id]
        seconds = [loaded.imgs[one["image_id"]]["seconds"] for one in theirs]
        assert seconds == [key.seconds for key in keys]
        for key, row in zip(keys, theirs, strict=True):
            assert (loaded.annToMask(row).astype(bool) == decode(key.mask)).all()
            box = key.mask.box
            assert row["bbox"] == [box.x0, box.y0, box.width, box.height]
            assert row["area"] == key.mask.area
            assert (row["instance_id"], row["video_id"]) == (segment_id, 1)
        assert theirs[0]["id"] % APART == segment_id


def test_coco_has_the_text_of_a_thing_on_the_frame_that_was_read(service: SegSearch) -> None:
    hit = next(hit for hit in service.select() if hit.segment.mask.area == 40 * 24)
    line = Line(((40, 6), (70, 6), (70, 20), (40, 20)), "Stop", 0.9)
    read = replace(hit, lines=(TextLine(1, hit.image.id, hit.segment.id, 1, line),))
    document = coco_document([read], sources=service.region_sources())
    told = [[one["text"] for one in row["lines"]] for row in document["annotations"]]
    assert told == [[], ["Stop"], [], []]


def test_coco_numbers_the_frames_of_a_video_whichever_shots_are_chosen(
    service: SegSearch,
) -> None:
    sources = service.region_sources()
    hits = [hit for hit in service.select() if hit.image.shot and hit.image.shot.t_start > 0]
    document = coco_document(hits, sources=sources, polygons=True)
    assert [one["frame_id"] for one in document["images"]] == [4, 5]
    assert [one["segmentation"] for one in document["annotations"]] == [
        [[10, 10, 120, 10, 120, 90, 10, 90]], [[30, 10, 140, 10, 140, 90, 30, 90]],
    ]  # fmt: skip


PICTURE = (
    '{"annotations": [{"id": 1, "image_id": 1, "category_id": 1, "segmentation": {"size": [90, 120]'
    ', "counts": "^l0n0l1000000000000000000000000000000000000000000000000000000000fP7"}, "area": '
    '900, "bbox": [10, 10, 30, 30], "iscrowd": 0, "score": 0.0, "captions": [], "kind": "thing", '
    '"reading_order": null, "lines": []}], "info": {"description": "Regions exported by segsearch."'
    ', "base_folder": "FOLDER/"}, "licenses": [], "images": [{"id": 1, "file_name": "red.png", '
    '"width": 120, "height": 90}], "categories": [{"id": 1, "name": "region", "supercategory": '
    '"region"}]}\n'
)


def test_coco_of_a_library_of_pictures_has_the_same_bytes_as_ever(tmp_path: Path) -> None:
    paint(tmp_path / "pictures" / "red.png", [Shape("red", (10, 10, 40, 40))])
    with open_small_service(tmp_path / "library") as made:
        made.index([tmp_path / "pictures"])
        write_coco(made.select(), tmp_path / "coco.json", sources=made.region_sources())
    written = (tmp_path / "coco.json").read_text()
    assert written == PICTURE.replace("FOLDER", str(tmp_path / "pictures"))


def test_coco_of_pictures_is_as_if_there_were_no_videos(service: SegSearch) -> None:
    pictures = [hit for hit in service.select() if hit.image.shot is None]
    document = coco_document(pictures)
    assert list(document) == ["info", "licenses", "images", "categories", "annotations"]
    assert list(document["images"][0]) == ["id", "file_name", "width", "height"]
    assert list(document["annotations"][0]) == [
        "id", "image_id", "category_id", "segmentation", "area", "bbox", "iscrowd", "score",
        "captions", "kind", "reading_order", "lines",
    ]  # fmt: skip
    assert json.dumps(document) == json.dumps(
        coco_document(pictures, sources=service.region_sources())
    )
    with pytest.raises(InputError, match="region_sources"):
        coco_document(service.select())


def test_ytvis_has_a_clip_a_shot_and_an_entry_a_frame(
    service: SegSearch, folder: Path, tmp_path: Path
) -> None:
    file = tmp_path / "instances.json"
    written = write_ytvis(service.select(), service.region_sources(), file, "thing")
    assert written == Written(4, {}, left_out=1)
    document = json.loads(file.read_text())
    first, second = (number for number, _ in service.catalog.video(1).shots)
    assert document["videos"] == [
        {
            "id": number, "width": 160, "height": 96, "length": len(times),
            "file_names": [f"clip-{number}/{place:05}.jpg" for place in range(len(times))],
            "name": f"clip.mp4#t={span}", "seconds": times,
        }
        for number, span, times in ((first, "0,10", FIRST), (second, "10,12", TIMES[4:]))
    ]  # fmt: skip
    assert document["categories"] == [{"id": 1, "name": "thing", "supercategory": "region"}]
    assert document["info"]["base_folder"] == f"{folder / 'films'}/"
    lengths = {video["id"]: video["length"] for video in document["videos"]}
    seconds = {video["id"]: video["seconds"] for video in document["videos"]}
    found = service.catalog.key_masks([one.id for one in tracks(service)])
    assert sorted(one["id"] for one in document["annotations"]) == sorted(found)
    for row in document["annotations"]:
        masks = {key.seconds: key.mask for key in found[row["id"]]}
        assert {len(row[name]) for name in ("segmentations", "bboxes", "areas")} == {
            lengths[row["video_id"]]
        }
        for at, coded, box, area in zip(
            seconds[row["video_id"]], row["segmentations"], row["bboxes"], row["areas"], strict=True
        ):
            if at not in masks:
                assert (coded, box, area) == (None, None, None)
                continue
            assert (run_lengths.decode(coded).astype(bool) == decode(masks[at])).all()
            assert run_lengths.toBbox(coded).tolist() == box
            assert run_lengths.area(coded) == area
    nulls = {sum(one is None for one in row["areas"]) for row in document["annotations"]}
    assert nulls == {0, 2}  # blue leaves, and green comes late


def test_ytvis_frames_are_those_that_the_masks_lie_over(service: SegSearch, tmp_path: Path) -> None:
    frames = tmp_path / "frames"
    write_ytvis(service.select(), service.region_sources(), tmp_path / "a", frames=frames)
    document = json.loads((tmp_path / "a").read_text())
    names = {video["id"]: video["file_names"] for video in document["videos"]}
    held = {str(file.relative_to(frames)) for file in frames.rglob("*.jpg")}
    assert held == {name for some in names.values() for name in some}
    for row in document["annotations"]:
        colours = set()
        for name, coded in zip(names[row["video_id"]], row["segmentations"], strict=True):
            if coded is not None:
                with Image.open(frames / name) as opened:
                    assert opened.format == "JPEG"
                    pixels = np.asarray(opened)
                colours.add(colour_inside(pixels, run_lengths.decode(coded).astype(bool)))
        assert len(colours) == 1


def test_ytvis_is_a_zip_of_so_many_frames(service: SegSearch, tmp_path: Path) -> None:
    sources, first = service.region_sources(), service.catalog.video(1).shots[0][0]
    for name in "ab":
        written = write_ytvis_zip(service.select(), sources, tmp_path / name, most_frames=4)
    (cyan,) = (one.id for one in tracks(service) if one.image_id != first)
    assert written == Written(3, {cyan: "Only the first 4 frames are here."}, left_out=1)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    with zipfile.ZipFile(tmp_path / "a") as pack:
        frames = [f"JPEGImages/clip-{first}/{place:05}.jpg" for place in range(4)]
        assert sorted(pack.namelist()) == sorted([*frames, "instances.json", "skipped.txt"])
        document = json.loads(pack.read("instances.json"))
        assert [video["id"] for video in document["videos"]] == [first]
        said = f"Segment {cyan}: Only the first 4 frames are here.\n"
        assert pack.read("skipped.txt").decode() == said


def test_ytvis_skips_videos_that_are_gone_where_frames_are_wanted(tmp_path: Path) -> None:
    with library_of_film(tmp_path) as made:
        (tmp_path / "films" / "clip.mp4").unlink()
        hits, sources = list(made.select()), made.region_sources()
        assert write_ytvis(hits, sources, tmp_path / "a") == Written(4, {}, left_out=1)
        written = write_ytvis(hits, sources, tmp_path / "b", frames=tmp_path / "frames")
        assert (written.regions, {*written.skipped}) == (0, {one.id for one in tracks(made)})
        assert all("is gone or was changed" in why for why in written.skipped.values())
        assert json.loads((tmp_path / "b").read_text())["videos"] == []


def test_a_few_regions_at_a_time_are_held_however_many_there_are(service: SegSearch) -> None:
    pulled = 0

    def many() -> Iterator[Hit]:
        nonlocal pulled
        for hit in list(service.select()) * 500:
            pulled += 1
            yield hit

    framed = FramedHits(service.region_sources())
    ahead = [pulled - given for given, _ in enumerate(framed.of(many()), 1)]
    assert (len(ahead), max(ahead)) == (2_500, BATCH - 1)
    assert list(framed.shots) == [number for number, _ in service.catalog.video(1).shots]
