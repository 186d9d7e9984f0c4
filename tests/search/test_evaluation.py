"""Evaluation on painted pictures: small models that know colours make every number predictable."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco

from segsearch.core.errors import InputError, PathError, PictureError, PictureTooLargeError
from segsearch.core.mix import Mix
from segsearch.core.types import Mask
from segsearch.masks.rle import encode, full
from segsearch.media.decode import Limits
from segsearch.search.evaluation.methods import (
    BOTH,
    BOXES,
    CONTEXT,
    MASKED,
    METHODS,
    PATCHES,
    WHOLE,
    Regions,
    describe,
)
from segsearch.search.evaluation.metrics import (
    Row,
    mask_recall,
    measure,
    picture_recall,
    reached,
    size_of,
)
from segsearch.search.evaluation.run import evaluate, sampled, table, with_article
from segsearch.search.evaluation.truth import Thing, TruePicture, read_truth
from tests.support.small_models import Shape, SmallModels, paint

WIDTH, HEIGHT = 120, 90
MIX = Mix(0.5, 0.5, 0.0)
SCENES = {
    "one.png": [Shape("red", (10, 10, 20, 20)), Shape("blue", (40, 20, 110, 85))],
    "two.png": [Shape("green", (5, 5, 60, 80)), Shape("yellow", (90, 60, 100, 70), "disc")],
    "three.png": [Shape("cyan", (30, 30, 80, 60))],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures and their COCO file, with each kind of segmentation that COCO allows."""
    folder = tmp_path_factory.mktemp("coco")
    names = sorted({shape.colour for shapes in SCENES.values() for shape in shapes})
    document: dict[str, Any] = {"images": [], "annotations": [], "categories": []}
    document["categories"] = [{"id": 10 + n, "name": name} for n, name in enumerate(names)]
    for index, (file, shapes) in enumerate(SCENES.items()):
        paint(folder / file, shapes, size=(WIDTH, HEIGHT))
        image = {"id": index, "file_name": file, "width": WIDTH, "height": HEIGHT}
        document["images"].append(image)
        for shape in shapes:
            row = {"id": len(document["annotations"]), "image_id": index}
            row |= {"category_id": 10 + names.index(shape.colour)}
            document["annotations"].append(row | {"segmentation": _segmentation(shape)})
    crowd = {"id": 99, "image_id": 0, "category_id": 10, "iscrowd": 1, "segmentation": {}}
    document["annotations"].append(crowd)
    (folder / "truth.json").write_text(json.dumps(document))
    return folder


def _segmentation(shape: Shape) -> Any:
    if shape.kind == "rectangle" and shape.colour != "cyan":
        x0, y0, x1, y1 = shape.box
        return [[x0, y0, x1, y0, x1, y1, x0, y1]]
    encoded = coco.encode(np.asfortranarray(shape.mask(WIDTH, HEIGHT).astype(np.uint8)))
    return {"size": encoded["size"], "counts": encoded["counts"].decode()}


def rows(folder: Path, mix: Mix = MIX) -> dict[str, Row]:
    pictures = read_truth(folder / "truth.json", folder)
    return {row.method: row for row in evaluate(SmallModels().pipeline(), pictures, mix).rows}


def test_truth_is_read_from_polygons_and_run_lengths(folder: Path) -> None:
    pictures = read_truth(folder / "truth.json", folder)
    assert [picture.path.name for picture in pictures] == list(SCENES)
    for picture, shapes in zip(pictures, SCENES.values(), strict=True):
        assert [thing.name for thing in picture.things] == [shape.colour for shape in shapes]
        for thing, shape in zip(picture.things, shapes, strict=True):
            assert thing.mask.area == int(shape.mask(WIDTH, HEIGHT).sum())


def test_perfect_masks_and_vectors_measure_as_perfect(folder: Path) -> None:
    row = rows(folder, Mix(0, 1, 0))[MASKED]
    assert [row.first_right, row.map_50, row.map_75] == pytest.approx([1.0, 1.0, 1.0])
    assert row.right_iou == pytest.approx(1.0)
    assert row.recall_100 == row.recall_1000 == pytest.approx(1.0)
    assert row.reached == 1.0
    assert row.picture_recall["small"][1] == row.picture_recall["medium"][1] == 1.0
    assert row.regions == pytest.approx(5 / 3)


def test_mask_recall_is_the_share_of_things_that_have_their_mask(folder: Path) -> None:
    pictures = read_truth(folder / "truth.json", folder)
    found = [tuple(thing.mask for thing in one.things) for one in pictures]
    found[0] = found[0][:1]  # one of its two things is missed
    quality = [tuple(0.5 for _ in part) for part in found]
    things = sum(len(one.things) for one in pictures)
    at_100, at_1000 = mask_recall(pictures, found, quality)
    assert at_100 == at_1000 == pytest.approx((things - 1) / things)


def test_the_measures_of_three_pictures_are_what_paper_and_pencil_give() -> None:
    def region(width: int, height: int, at: int) -> Mask:
        mask = encode(np.ones((height, width), bool), origin=(at, at), size=(100, 100))
        assert mask is not None
        return mask

    cat, dog = Thing("cat", region(20, 20, 0)), Thing("dog", region(20, 20, 50))
    pictures = [TruePicture(Path("one"), 100, 100, (thing,)) for thing in (cat, cat, dog)]
    regions = [  # cosines with "cat" and "dog"
        Regions((cat.mask, region(9, 9, 70)), np.array([[0.9, 0], [0.8, 0]], np.float32), 1.0),
        Regions((region(16, 18, 0),), np.array([[0.7, 0]], np.float32), 1.0),  # IoU 0.72
        Regions((dog.mask,), np.array([[0.75, 0.9]], np.float32), 1.0),
    ]
    asked = (["cat", "dog"], np.eye(2, dtype=np.float32))
    row = measure("any", pictures, regions, [[1.0, 1.0], [1.0], [1.0]], asked)
    assert row.picture_recall["small"] == {1: pytest.approx(2 / 3), 5: 1.0, 10: 1.0}
    # Right, wrong, wrong, right: half the cats at precision 1, all at 2 of 4; 101 recall levels.
    assert row.map_50 == pytest.approx(((51 * 1 + 50 * 0.5) / 101 + 1) / 2)
    assert row.map_75 == pytest.approx((51 / 101 + 1) / 2)
    assert row.recall_100 == row.recall_1000 == pytest.approx((1 + 0.5 + 1) / 3)
    assert (row.first_right, row.right_iou, row.reached) == (1.0, 1.0, 1.0)
    assert row.regions == pytest.approx(4 / 3)
    assert row.seconds == 1.0


def test_a_thing_is_reached_by_a_mask_close_to_it_unless_it_is_too_small_to_count() -> None:
    def square(side: int, at: int) -> Mask:
        mask = encode(np.ones((side, side), bool), origin=(at, at), size=(100, 100))
        assert mask is not None
        return mask

    large, speck = Thing("large", square(20, 0)), Thing("speck", square(9, 50))
    pictures = [TruePicture(Path("one.png"), 100, 100, (large, speck))]
    assert reached(pictures, [[square(17, 0)]]) == 1.0  # 289 / 400
    assert reached(pictures, [[square(16, 0), square(9, 50)]]) == 0.0  # 256 / 400
    assert reached(pictures, [[]]) == 0.0
    assert np.isnan(reached([replace(pictures[0], things=(speck,))], [[square(9, 50)]]))


def test_whole_pictures_and_patches_find_pictures_and_hardly_regions(folder: Path) -> None:
    found = rows(folder)
    assert list(found) == list(METHODS)
    assert found[WHOLE].picture_recall["large"][5] == 1.0
    assert found[WHOLE].map_50 < 0.5
    assert (found[WHOLE].regions, found[PATCHES].regions) == (1.0, 9.0)
    assert found[WHOLE].recall_1000 < found[BOXES].recall_1000
    assert found[BOXES].seconds < found[BOTH].seconds + 1


@pytest.mark.parametrize(("mix", "same"), [(Mix(1, 0, 0), CONTEXT), (Mix(0, 1, 0), MASKED)])
def test_the_mix_reaches_the_row_of_both(mix: Mix, same: str, folder: Path) -> None:
    found = rows(folder, mix)
    assert found[BOTH].map_75 == found[same].map_75
    assert found[BOTH].picture_recall == found[same].picture_recall


def test_the_picture_s_share_reaches_the_row_of_both() -> None:
    pixels = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
    pixels[10:40, 10:40] = (255, 0, 0)
    found = describe(SmallModels().pipeline(), pixels, Mix(0.25, 0.25, 0.5)).regions
    shares = 0.25 * found[CONTEXT].vectors + 0.25 * found[MASKED].vectors
    wanted = shares + 0.5 * found[WHOLE].vectors
    assert found[BOTH].vectors == pytest.approx(wanted, abs=1e-3)  # rounded as an index does


def test_several_right_pictures_do_not_crowd_each_other_out() -> None:
    mask = encode(np.ones((10, 10), bool), origin=(0, 0), size=(100, 100))
    assert mask is not None
    large = full(100, 100)
    shows = (Thing("cat", mask),)
    right, other = (Path("a"), Path("b"))
    pictures = [
        TruePicture(right, 100, 100, shows),
        TruePicture(right, 100, 100, shows),
        TruePicture(other, 100, 100, (Thing("dog", large),)),
    ]
    scores = np.array([[0.9, 0.5, 0.7], [0.1, 0.2, 0.3]], np.float32)
    recall = picture_recall(pictures, ["cat", "dog"], scores)
    assert recall["small"] == {1: 0.5, 5: 1.0, 10: 1.0}
    assert recall["large"][1] == 1.0
    assert np.isnan(recall["medium"][1])


def test_a_sample_is_the_same_each_time(folder: Path) -> None:
    pictures = read_truth(folder / "truth.json", folder)
    assert sampled(pictures, 2) == sampled(pictures, 2)
    assert len(sampled(pictures, 2)) == 2
    assert sampled(pictures, None) == sampled(pictures, 50) == pictures
    with pytest.raises(InputError, match="at least 1"):
        sampled(pictures, 0)


def test_what_is_no_truth_is_refused(folder: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.json"
    with pytest.raises(PathError, match="cannot be read"):
        read_truth(bad, folder)
    for text in ("nonsense", "[1]", "{}", '{"images": [], "annotations": [], "categories": []}'):
        bad.write_text(text)
        with pytest.raises(InputError):
            read_truth(bad, folder)
    with pytest.raises(PathError, match="no folder"):
        read_truth(folder / "truth.json", tmp_path / "none")
    document = json.loads((folder / "truth.json").read_text())
    document["images"][0]["width"] += 1
    document["annotations"] = document["annotations"][:1]
    bad.write_text(json.dumps(document))
    with pytest.raises(InputError, match="upright"):
        evaluate(SmallModels().pipeline(), read_truth(bad, folder), MIX)


TRIANGLE = [1, 1, 10, 1, 10, 10]
FAR = 1e9


def one_thing(folder: Path, segmentation: Any, **image: Any) -> Path:
    """A file that annotates one picture of 40 x 30 pixels with a triangle and this."""
    size = {"id": 1, "file_name": "a.png", "width": 40, "height": 30}
    row = {"image_id": 1, "category_id": 1}
    rows = [row | {"id": n, "segmentation": s} for n, s in ((7, [TRIANGLE]), (8, segmentation))]
    document = {"images": [size | image], "categories": [{"id": 1, "name": "cat"}]}
    (folder / "one.json").write_text(json.dumps(document | {"annotations": rows}))
    return folder / "one.json"


@pytest.mark.parametrize(
    ("segmentation", "area"),
    [
        ([], None),
        ([[]], None),
        ([[1, 1]], None),
        ([[1, 1, 10, 10]], None),  # two corners are no box
        ([[100, 100, 150, 100, 150, 150]], None),
        ({"size": [30, 40], "counts": [1200]}, None),
        ([[1, 1, 10, 10], TRIANGLE, []], 36),
        ([[-100, -100, 15, -100, 15, 15]], 105),
        ({"size": [30, 40], "counts": [0, 2, 0, 3, 1195]}, 5),
    ],
)
def test_what_covers_no_pixel_is_no_thing(
    segmentation: Any, area: int | None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (picture,) = read_truth(one_thing(tmp_path, segmentation), tmp_path)
    areas = [thing.mask.area for thing in picture.things]
    assert areas == ([36] if area is None else [36, area])
    assert ("1 annotations cover no pixel" in caplog.text) == (area is None)


@pytest.mark.parametrize(
    ("segmentation", "image", "told"),
    [
        ([[FAR, 1, 5, 1, 5, 5]], {}, "annotation 8: a polygon"),
        ([[float("nan"), 1, 5, 1, 5, 5]], {}, "annotation 8: a polygon"),
        ([[1, 1, 5, 1, 5, 5, 7]], {}, "annotation 8: a polygon"),
        ([[None, 1, 5, 1, 5, 5]], {}, "annotation 8: TypeError"),
        ([{"size": [30, 40], "counts": [-5, 1205]}], {}, "annotation 8: could not convert"),
        ({"size": [30, 40], "counts": [-5, 1205]}, {}, "annotation 8: The mask's run lengths"),
        ({"size": [40, 30], "counts": [0, 1200]}, {}, "annotation 8: a mask of 30 x 40"),
        (None, {}, "annotation 8: Expected a mask"),
        ([TRIANGLE], {"width": float("inf")}, "OverflowError"),
        ([TRIANGLE], {"width": -40}, "image 1 has -40 x 30 pixels"),
        ([TRIANGLE], {"width": 10**30}, "image 1 has"),
        ([TRIANGLE], {"id": 2}, "annotation 7: there is no image 1"),
    ],
)
def test_a_wrong_annotation_is_named(
    segmentation: Any, image: dict[str, Any], told: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=told):
        read_truth(one_thing(tmp_path, segmentation, **image), tmp_path)


def test_lists_of_the_wrong_things_are_refused(tmp_path: Path) -> None:
    file = one_thing(tmp_path, [TRIANGLE])
    document = json.loads(file.read_text())
    twice = {"images": 2 * document["images"]}
    for wrong in ({"annotations": [1]}, {"annotations": None}, {"images": [[1]]}, twice):
        file.write_text(json.dumps(document | wrong))
        with pytest.raises(InputError, match="is no COCO instances file"):
            read_truth(file, tmp_path)
    file.write_text("[" * 100_000)
    with pytest.raises(InputError, match="is no JSON"):
        read_truth(file, tmp_path)


def test_a_picture_that_cannot_be_read_is_named(folder: Path, tmp_path: Path) -> None:
    pictures = read_truth(folder / "truth.json", folder)
    gone = replace(pictures[0], path=tmp_path / "gone.png")
    with pytest.raises(PictureError, match=r"gone\.png'"):
        evaluate(SmallModels().pipeline(), [gone], MIX)
    with pytest.raises(PictureTooLargeError, match=r"one\.png'"):
        evaluate(SmallModels().pipeline(), pictures, MIX, limits=Limits(max_pixels=10))


def test_words_and_sizes() -> None:
    assert (with_article("owl"), with_article("dog")) == ("an owl", "a dog")
    assert [size_of(share) for share in (0.049, 0.05, 0.15)] == ["small", "medium", "large"]


def test_the_table_has_a_line_a_method(folder: Path) -> None:
    pictures = read_truth(folder / "truth.json", folder)
    text = table(evaluate(SmallModels().pipeline(), pictures, MIX))
    lines = text.splitlines()
    assert lines[0].startswith("3 pictures, 5 things, 5 names.")
    assert len(lines) == 2 + len(METHODS)
    assert len({len(line) for line in lines[1:]}) == 1


def test_the_document_is_json_where_nothing_could_be_measured(folder: Path) -> None:
    pictures = read_truth(folder / "truth.json", folder)
    result = evaluate(SmallModels().pipeline(), pictures, MIX, methods=[WHOLE])
    assert np.isnan(result.rows[0].right_iou)
    document = json.loads(json.dumps(result.document, allow_nan=False))
    assert document["rows"][0]["right_iou"] is None
    assert document["rows"][0]["first_right"] == 0.0
