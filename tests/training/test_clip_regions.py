"""What the image tower learns from annotated photographs: crops, parts, names, captions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from segsearch.core.types import Box, Mask
from segsearch.masks.crops import CropRule, context_crop, masked_crop
from segsearch.masks.rle import encode
from training.clip.captions import captions_of, labelled
from training.clip.losses import caption_loss, region_loss
from training.clip.region_masks import drawn
from training.clip.regions import AnnotatedRegions, cropped, regions_of
from training.data.annotated import SOME, AnnotatedPhotograph, Annotation

pytestmark = pytest.mark.slow

HEIGHT, WIDTH, SIDE = 60, 80, 40
NAMES = ("cat", "chair", "sofa")
BOX = (20, 10, 50, 40)


def mask_of(box: tuple[int, int, int, int]) -> Mask:
    frame = np.zeros((HEIGHT, WIDTH), bool)
    x0, y0, x1, y1 = box
    frame[y0:y1, x0:x1] = True
    frame[y0, x0] = False
    mask = encode(frame)
    assert mask is not None
    return mask


def annotation(
    name: str, box: tuple[int, int, int, int], *, outlined: bool = True, crowd: bool = False
) -> Annotation:
    x0, y0, x1, y1 = (float(edge) for edge in box)
    return Annotation(name, (x0, y0, x1, y1), mask_of(box) if outlined else None, crowd)


@pytest.fixture
def photograph(tmp_path: Path) -> AnnotatedPhotograph:
    """A cat on a chair that is called sofa, too; something tiny; a crowd."""
    path = tmp_path / "one.png"
    rng = np.random.default_rng(3)
    Image.fromarray(rng.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)).save(path)
    rows = (
        annotation("cat", BOX),
        annotation("chair", (10, 5, 70, 55), outlined=False),
        annotation("sofa", (12, 6, 70, 56)),
        annotation("cat", (0, 0, 8, 8)),
        annotation("chair", (0, 0, 80, 60), crowd=True),
    )
    return AnnotatedPhotograph(path, HEIGHT, WIDTH, "a", SOME, rows)


def test_crops_are_those_of_the_product(photograph: AnnotatedPhotograph) -> None:
    pixels = np.array(Image.open(photograph.path))
    mask = mask_of(BOX)
    for alone, theirs in (
        (None, context_crop(pixels, mask, CropRule())),
        (mask, masked_crop(pixels, mask, CropRule())),
    ):
        picture = torch.from_numpy(pixels).permute(2, 0, 1)
        ours = cropped(picture, Box(*BOX), theirs.shape[0], alone)
        np.testing.assert_allclose(
            ours[0].permute(1, 2, 0).numpy() * 255, theirs.astype(np.float32), atol=0.01
        )


def test_what_takes_the_same_place_is_no_wrong_name(photograph: AnnotatedPhotograph) -> None:
    regions = regions_of(0, photograph, {name: row for row, name in enumerate(NAMES)})
    assert [NAMES[one.thing] for one in regions] == ["cat", "chair", "sofa"], (
        "neither tiny nor crowd"
    )
    assert [one.shown for one in regions] == [(0,), (1, 2), (1, 2)]


def test_parts_belong_to_the_first_wholes_and_lie_in_them(photograph: AnnotatedPhotograph) -> None:
    table = AnnotatedRegions([photograph], NAMES)
    random = torch.Generator().manual_seed(1)
    crops = table.sample(6, 4, SIDE, random)
    assert crops.pixels.shape == (10, 3, SIDE, SIDE)
    assert 0 <= crops.pixels.min() < crops.pixels.max() <= 1
    assert torch.equal(crops.things[6:], crops.things[:4])
    assert torch.equal(crops.shown[6:], crops.shown[:4])
    again = table.sample(6, 4, SIDE, torch.Generator().manual_seed(1))
    torch.testing.assert_close(again.pixels, crops.pixels)


def test_masks_are_drawn_into_boxes_alone_and_kept_where_they_fit(
    photograph: AnnotatedPhotograph,
) -> None:
    asked = []

    def draw(_number: int, _pixels: np.ndarray, box: Box) -> tuple[Mask, float]:
        asked.append(box.as_tuple())
        return mask_of(box.as_tuple()), 0.9

    made = drawn([photograph], draw)[photograph.path.name]
    assert asked == [(10, 5, 70, 55)]
    assert [mask is not None for mask in made] == [False, True, False, False, False]
    assert drawn([photograph], lambda *_: (mask_of((0, 0, 9, 9)), 0.9))["one.png"] == [None] * 5
    assert drawn([photograph], lambda *_: (mask_of((10, 5, 70, 55)), 0.1))["one.png"] == [None] * 5


def test_a_whole_that_scores_below_its_part_costs_more_than_one_above() -> None:
    meanings = torch.eye(384)[:3]
    shown = torch.zeros(3, 3, dtype=torch.bool)
    things = torch.tensor([0, 1, 0])  # two wholes, and a part of the first

    def loss(whole: float, part: float) -> float:
        made = torch.zeros(3, 512)
        made[0, 0], made[0, 9], made[1, 1] = whole, 1 - whole, 1
        made[2, 0], made[2, 9] = part, 1 - part
        return region_loss(made, 2, things, shown, meanings).item()

    assert loss(0.8, 0.6) < loss(0.8, 0.9)
    assert loss(0.8, 0.8) < loss(0.6, 0.8)


def test_captions_find_their_own_pictures() -> None:
    told = torch.eye(384)[:4]
    made = torch.nn.functional.pad(told, (0, 128))
    assert caption_loss(made, told) < 0.01
    assert caption_loss(made.roll(1, 0), told) > 1


def test_captions_and_labels_leave_out_what_is_held_out(tmp_path: Path) -> None:
    (tmp_path / "captions.tsv").write_text(
        'file\tcaption\na.jpg\tA "cat".\na.jpg\tTwo.\nb.jpg\tX\n'
    )
    (tmp_path / "labels.tsv").write_text("file\tnames\na.jpg\tcat; sofa\nb.jpg\tdog\nc.jpg\t\n")
    images = tmp_path / "images"
    assert captions_of(tmp_path, {"b.jpg"}) == {images / "a.jpg": ['A "cat"', "Two"]}
    assert [(one.path.name, one.names) for one in labelled(tmp_path, {"b.jpg"})] == [
        ("a.jpg", ("cat", "sofa"))
    ]
