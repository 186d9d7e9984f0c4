"""Photographs that people annotated: what is read, held out, drawn into boxes and asked for."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from segsearch.core.types import Box, Mask, Proposal
from segsearch.masks.rle import decode, encode, to_coco
from segsearch.models.segment.sam_lite import IMAGE_SIZE
from training.data.annotated import (
    EVERYTHING,
    SOME,
    AnnotatedPhotograph,
    Annotation,
    annotated,
    validation_names,
)
from training.sam.annotated_batches import AnnotatedSampler, answers
from training.sam.annotated_evaluate import (
    area_under_curve,
    automatic_scores,
    box_scores,
    judged,
)
from training.sam.annotated_pool import TRUTH, open_annotated, save_annotated, truth, weak
from training.sam.batches import PROMPTS
from training.sam.box_looks import box_iou, by_looks
from training.sam.evaluate import as_used, load
from training.sam.losses import prompt_loss

PHOTOGRAPHS = 20
HEIGHT, WIDTH = 48, 64
THING_BOX = (8, 8, 40, 40)


def rectangle(x0: int, y0: int, x1: int, y1: int) -> Mask:
    frame = np.zeros((HEIGHT, WIDTH), bool)
    frame[y0:y1, x0:x1] = True
    mask = encode(frame)
    assert mask is not None
    return mask


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Photographs with an outlined thing, a crowd and a thing with a box alone."""
    (tmp_path / "images").mkdir()
    rng = np.random.default_rng(0)
    images, rows = [], []
    for number in range(PHOTOGRAPHS):
        name = f"photograph-{number}.png"
        pixels = rng.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / "images" / name)
        kind = "panoptic masks" if number % 2 else None
        images.append(
            {"id": number, "file_name": name, "height": HEIGHT, "width": WIDTH, "source": "a"}
            | ({"annotation_kind": kind} if kind else {})
        )
        x0, y0, x1, y1 = THING_BOX
        polygon = [x0, y0, x1, y0, x1, y1, x0, y1]
        for segmentation, crowd in (([polygon], 0), (to_coco(rectangle(0, 0, 9, 9)), 1), (None, 0)):
            rows.append(
                {"image_id": number, "category_id": 1, "segmentation": segmentation}
                | {"bbox": [x0, y0, x1 - x0, y1 - y0], "iscrowd": crowd}
            )
    document = {"images": images, "annotations": rows, "categories": [{"id": 1, "name": "cat"}]}
    (tmp_path / "annotations.json").write_text(json.dumps(document))
    lines = ["file\tsource", *(f"photograph-{number}.png\ta" for number in range(PHOTOGRAPHS))]
    (tmp_path / "manifest.tsv").write_text("\n".join(lines) + "\n")
    return tmp_path


def test_a_tenth_of_each_source_and_kind_is_held_out_and_never_trained_on(folder: Path) -> None:
    held_out = {row.path.name: row.complete for row in annotated(folder, validation=True)}
    learned = {row.path.name for row in annotated(folder, validation=False)}
    assert held_out.keys() == validation_names(folder)
    assert sorted(held_out.values()) == [EVERYTHING, SOME]
    assert not held_out.keys() & learned
    assert len(held_out) + len(learned) == PHOTOGRAPHS


def test_polygons_and_run_lengths_are_masks_and_crowds_are_no_things(folder: Path) -> None:
    photograph = annotated(folder, validation=False)[0]
    assert photograph.masks == [rectangle(*THING_BOX)]
    outlined, crowd, boxed = photograph.annotations
    assert (outlined.crowd, crowd.crowd, boxed.mask) == (False, True, None)
    assert boxed.box == THING_BOX


@pytest.mark.parametrize(
    ("drawn", "predicted_iou", "kept"),
    [
        (THING_BOX, 0.9, True),
        (THING_BOX, 0.5, False),
        ((8, 8, 40, 24), 0.9, False),
        ((9, 8, 40, 40), 0.9, True),
    ],
)
def test_a_drawn_mask_is_kept_where_it_fills_its_box_and_is_trusted(
    folder: Path, drawn: tuple[int, int, int, int], predicted_iou: float, kept: bool
) -> None:
    asked: list[Box] = []

    def draw(_number: int, _pixels: object, box: Box) -> tuple[Mask, float]:
        asked.append(box)
        return rectangle(*drawn), predicted_iou

    made = list(weak(annotated(folder, validation=False)[:1], draw))
    assert asked == [Box(*THING_BOX)]
    assert [masks for _, _, masks in made] == [[rectangle(*THING_BOX), rectangle(*drawn)]] * kept


def test_boxes_apart_share_nothing_and_halves_share_half() -> None:
    assert box_iou((0, 0, 2, 2), (5, 5, 6, 6)) == 0
    assert box_iou((0, 0, 4, 2), (0, 0, 2, 2)) == 0.5


def test_masks_come_back_from_the_pool_as_they_were(folder: Path, tmp_path: Path) -> None:
    save_annotated(tmp_path, TRUTH, truth(annotated(folder, validation=False)))
    part = open_annotated(tmp_path, TRUTH)
    assert part is not None
    (mask,) = part.masks_of(3)
    expected = np.zeros_like(mask)
    expected[8:40, 8:40] = True
    assert (mask == expected).all()
    assert tuple(part.sizes[3]) == (HEIGHT, WIDTH)


def test_the_same_seed_draws_the_same_prompts_and_every_click_lies_in_its_mask(
    folder: Path, tmp_path: Path
) -> None:
    save_annotated(tmp_path, TRUTH, truth(annotated(folder, validation=False)))
    first, second = (
        [AnnotatedSampler(tmp_path, 64, rng).prompted() for _ in range(20)]
        for rng in (np.random.default_rng(1), np.random.default_rng(1))
    )
    for crop, again in zip(first, second, strict=True):
        assert torch.equal(crop.pixels, again.pixels)
        assert crop.part.shape == (PROMPTS, 32, 32)
        if crop.points is None or crop.points.shape[1] > 1:
            continue
        for (x, y), mask in zip(crop.points[:, 0].tolist(), crop.part, strict=True):
            edges = mask[max(0, int(y / 2) - 1) : int(y / 2) + 2].any()
            assert bool(edges) == bool(mask.any()), (x, y)


def test_a_click_is_answered_by_the_part_and_the_whole_or_by_nothing() -> None:
    masks = np.zeros((3, 10, 10), bool)
    masks[0, :8, :8] = True  # the whole
    masks[1, 2:4, 2:4] = True  # its part
    masks[2, 2:10, 3:10] = True  # a neighbour that covers half of the part
    places = np.array([[2.5, 2.5], [0.5, 0.5], [0.5, 9.5]], np.float32)
    parts, wholes = answers(masks, masks.sum((1, 2)), places)
    assert (parts == np.stack([masks[1], masks[0], np.zeros_like(masks[0])])).all()
    assert (wholes == np.stack([masks[0], masks[0], np.zeros_like(masks[0])])).all()


def test_what_nothing_answers_teaches_no_mask_but_a_low_quality() -> None:
    logits = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0), requires_grad=True)
    quality = torch.full((2, 4), 0.5, requires_grad=True)
    nothing = torch.zeros(2, 8, 8, dtype=torch.bool)
    prompt_loss(logits, quality, nothing, nothing).backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    assert logits.grad is None
    assert quality.grad is not None
    assert (quality.grad > 0).all()


def test_right_above_wrong_is_one_and_below_is_none() -> None:
    values = np.array([0.9, 0.8, 0.1])
    assert area_under_curve(values, np.array([True, True, False])) == 1
    assert area_under_curve(values, np.array([False, False, True])) == 0
    assert np.isnan(area_under_curve(values, np.array([True, True, True])))


def test_a_fragment_rated_above_its_whole_is_counted_as_such(folder: Path) -> None:
    truths = [decode(mask) for mask in annotated(folder, validation=False)[0].masks]
    whole, fragment = rectangle(*THING_BOX), rectangle(8, 8, 16, 16)
    for whole_quality, first in ((0.8, 1.0), (0.6, 0.0)):
        made = [Proposal(whole, whole_quality, 1.0), Proposal(fragment, 0.7, 1.0)]
        scores = automatic_scores([judged(made, truths)])
        assert scores["whole_ranked_first"] == first
        assert scores["average_recall_100"] == 1.0
        assert scores["masks_a_photograph"] == 2.0


def test_a_mask_drawn_into_a_box_is_the_thing_that_its_looks_agree_on() -> None:
    pixels = np.full((240, 320, 3), (90, 140, 90), np.uint8)
    disc = np.zeros(pixels.shape[:2], bool)
    rows, columns = np.mgrid[:240, :320]
    disc[(rows - 120) ** 2 + (columns - 160) ** 2 < 60**2] = True
    pixels[disc] = (220, 60, 40)
    draw = by_looks(as_used(load(None, IMAGE_SIZE)))
    answer = draw(0, pixels, Box(100, 60, 220, 180))
    assert answer is not None
    mask, agreed = answer
    found = decode(mask)
    assert (found & disc).sum() / (found | disc).sum() > 0.8
    assert 0.5 < agreed <= 1


def test_boxes_without_masks_are_judged_by_the_boxes_of_automatic_masks(tmp_path: Path) -> None:
    pixels = np.full((200, 200, 3), (90, 140, 90), np.uint8)
    pixels[50:150, 60:140] = (220, 60, 40)
    Image.fromarray(pixels).save(tmp_path / "square.png")
    found, missed, small = ((60, 50, 140, 150), (0, 0, 30, 30), (0, 0, 5, 5))
    rows = tuple(Annotation("square", box, None, False) for box in (found, missed, small))
    photograph = AnnotatedPhotograph(tmp_path / "square.png", 200, 200, "a", SOME, rows)
    scores = box_scores(as_used(load(None, IMAGE_SIZE)), [photograph])
    assert scores["boxes"] == 2
    assert scores["box_0.75"] == 0.5
