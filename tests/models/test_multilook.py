"""Looking closer at what is pointed at: windows, votes, and where they lead."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from segsearch.core.answers import MaskCandidate
from segsearch.core.arrays import Pixels
from segsearch.core.errors import InputError
from segsearch.core.types import Box, Mask
from segsearch.masks.rle import encode, full, iou, ious
from segsearch.models.protocols import PromptedMasks
from segsearch.models.segment import multilook
from segsearch.models.segment.multilook import (
    LOOKED_AT_AGAIN,
    LOOKS,
    LookMask,
    drop_specks,
    elect,
    find_masks,
    windows,
)
from segsearch.models.segment.prompts import Prompts, check_prompts
from segsearch.models.segment.session import EncodingCache

SIZE = (300, 400)


def square(x0: int, y0: int, side: int) -> Mask:
    frame = np.zeros(SIZE, bool)
    frame[y0 : y0 + side, x0 : x0 + side] = True
    mask = encode(frame)
    assert mask is not None
    return mask


def look_mask(mask: Mask, trust: float) -> LookMask:
    return LookMask(MaskCandidate(mask, trust), trust)


def test_the_mask_that_the_looks_agree_on_comes_first() -> None:
    thing, other, part = square(50, 50, 60), square(200, 100, 80), square(60, 60, 20)
    looks = [
        [look_mask(other, 0.9), look_mask(thing, 0.5)],
        [look_mask(square(51, 50, 60), 0.5), look_mask(part, 0.6)],
        [look_mask(square(50, 51, 60), 0.5)],
    ]
    masks = [candidate.mask for candidate in elect(looks)]
    assert iou(masks[0], thing) > 0.95
    assert set(masks[1:]) == {other, part}  # the three that mean one thing are told once


def test_a_cut_mask_loses_its_vote() -> None:
    half, whole = square(0, 0, 30), square(0, 0, 60)
    assert elect([[look_mask(half, 0.6 - 0.4)], [look_mask(whole, 0.6)]])[0].mask == whole
    assert elect([[look_mask(half, 0.6)], [look_mask(whole, 0.6 - 0.4)]])[0].mask == half


def test_nothing_is_elected_of_nothing() -> None:
    assert elect([]) == []
    assert elect([[], []]) == []
    assert ious([]).shape == (0, 0)


sides = st.integers(1, 500)


@settings(deadline=None)
@given(sides, sides, st.data())
def test_every_prompt_lies_in_every_window_and_every_window_in_the_picture(
    height: int, width: int, data: st.DataObject
) -> None:
    place = st.tuples(st.floats(0, width), st.floats(0, height))
    points = data.draw(st.lists(place, max_size=4))
    corners = data.draw(st.tuples(place, place))
    box = np.concatenate([np.min(corners, 0), np.max(corners, 0)])
    boxes = [box.tolist()] if (box[:2] < box[2:]).all() else []
    if not points and not boxes:
        return
    prompts = check_prompts((height, width), points, None, boxes)
    views = windows((height, width), prompts, multilook.LOOKS)
    assert len(set(views)) == len(views) <= (1 if boxes else len(multilook.LOOKS))
    places = np.concatenate([prompts.points, prompts.boxes.reshape(-1, 2)])
    for window in views:
        assert 0 <= window.x0 < window.x1 <= width
        assert 0 <= window.y0 < window.y1 <= height
        # Half a pixel may be lost to rounding; a prompt that lies outside is moved to the edge.
        assert (places >= np.array([window.x0, window.y0]) - 0.5).all()
        assert (places <= np.array([window.x1, window.y1]) + 0.5).all()


def test_a_click_is_looked_at_in_the_whole_and_then_closer() -> None:
    prompts = check_prompts(SIZE, [[390, 20]])
    assert windows(SIZE, prompts, (1.0, 0.5, 0.25)) == [
        Box(0, 0, 400, 300),
        Box(200, 0, 400, 200),
        Box(300, 0, 400, 100),
    ]


def test_a_small_picture_is_looked_at_once() -> None:
    assert windows((20, 30), check_prompts((20, 30), [[5, 5]]), (1.0, 0.5)) == [Box(0, 0, 30, 20)]


@dataclass(frozen=True)
class OpenPixels:
    """Pixels, ready to be pointed at."""

    pixels: Pixels

    @property
    def size(self) -> tuple[int, int]:
        height, width = self.pixels.shape[:2]
        return height, width

    mask_size = (8, 8)
    nbytes = 0


class ShortSighted:
    """Cuts out the colour that is pointed at, if it fills enough of what is shown; else sees it
    all as one thing, and is sure of that."""

    identity = "short-sighted@1"

    def __init__(self, *, looks_closer: bool) -> None:
        self.looks_closer = looks_closer

    def encode(self, pixels: Pixels) -> OpenPixels:
        return OpenPixels(pixels)

    def answer(self, picture: OpenPixels, prompts: Prompts) -> PromptedMasks:
        height, width = picture.size
        if len(prompts.boxes):
            x0, y0, x1, y1 = prompts.boxes[0]
            x, y = int((x0 + x1) / 2), int((y0 + y1) / 2)
        else:
            x, y = (int(value) for value in prompts.points[0])
        same = (picture.pixels == picture.pixels[min(y, height - 1), min(x, width - 1)]).all(2)
        blind = np.ones_like(same)
        thing = same if same.mean() > 0.01 else blind
        masks = np.stack([thing, blind, np.zeros_like(same)])[: 3 if prompts.multimask else 1]
        estimates = np.array([0.8, 0.7, 0.9], np.float32)[: len(masks)]
        return PromptedMasks(
            masks[None], estimates[None], np.zeros((1, len(masks), 8, 8), np.float32)
        )


def picture_of(segmenter: Any) -> Any:
    pixels = np.zeros((*SIZE, 3), np.uint8)
    pixels[100:130, 200:230] = 255  # 0.75 % of the picture
    return EncodingCache(1 << 30).open(segmenter, 1, lambda: pixels)


THING = square(200, 100, 30)
PROMPTS: dict[str, dict[str, Any]] = {
    "a click": {"points": [[210, 110]]},
    "two clicks": {"points": [[205, 105], [225, 125]]},
    "a box": {"box": [198, 99, 231, 132]},
}


@pytest.mark.parametrize("prompt", PROMPTS.values(), ids=PROMPTS)
def test_looking_closer_finds_what_the_whole_picture_hides(
    prompt: dict[str, Any],
) -> None:
    far = find_masks(picture_of(ShortSighted(looks_closer=False)), **prompt)
    near = find_masks(picture_of(ShortSighted(looks_closer=True)), **prompt)
    assert far[0].mask == full(*SIZE)
    assert near[0].mask == THING
    assert near[0].predicted_iou == pytest.approx(0.8)
    assert len(near) <= 3
    alone = find_masks(picture_of(ShortSighted(looks_closer=True)), **prompt, multimask=False)
    assert [candidate.mask for candidate in alone] == [THING]


class Recording(ShortSighted):
    """Remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__(looks_closer=True)
        self.asked: list[tuple[tuple[int, int], Prompts]] = []

    def answer(self, picture: OpenPixels, prompts: Prompts) -> PromptedMasks:
        self.asked.append((picture.size, prompts))
        return super().answer(picture, prompts)


def test_what_the_looks_agree_on_is_looked_at_again_with_its_box() -> None:
    segmenter = Recording()
    find_masks(picture_of(segmenter), [[210, 110]])
    first, again = segmenter.asked[: len(LOOKS)], segmenter.asked[len(LOOKS) :]
    assert [len(prompts.boxes) for _, prompts in first] == [0] * len(LOOKS)
    size, prompts = again[0]
    (x0, y0, x1, y1), ((x, y),) = prompts.boxes[0], prompts.points
    assert (x1 - x0, y1 - y0) == (THING.box.width, THING.box.height)
    assert (x - x0, y - y0) == (210 - THING.box.x0, 110 - THING.box.y0)
    assert size == (48, 48)  # the thing measures 30, and there is room around it
    assert len(again) <= LOOKED_AT_AGAIN
    assert all(len(prompts.boxes) == 1 for _, prompts in again)


def test_a_box_is_looked_at_once() -> None:
    segmenter = Recording()
    find_masks(picture_of(segmenter), box=PROMPTS["a box"]["box"])
    assert len(segmenter.asked) == 1


class Rough(ShortSighted):
    """Finds what is pointed at, too large by two pixels all around."""

    def answer(self, picture: OpenPixels, prompts: Prompts) -> PromptedMasks:
        exact = super().answer(picture, prompts)
        grown = ndimage.binary_dilation(exact.masks[0, 0], iterations=2)
        masks = np.stack([grown, *exact.masks[0, 1:]])
        return replace(exact, masks=masks[None])


@pytest.mark.parametrize("prompt", PROMPTS.values(), ids=PROMPTS)
def test_outlines_move_to_edges(prompt: dict[str, Any]) -> None:
    assert find_masks(picture_of(Rough(looks_closer=True)), **prompt)[0].mask == THING
    left = find_masks(picture_of(Rough(looks_closer=False)), **prompt)
    assert all(candidate.mask != THING for candidate in left)


class Stubborn(ShortSighted):
    """Is surest of all that is not black, whatever else was pointed at; then of one grey."""

    def answer(self, picture: OpenPixels, prompts: Prompts) -> PromptedMasks:
        grey = picture.pixels[..., 0]
        masks = np.stack([grey > 0, grey == 255, grey == 99])[: 3 if prompts.multimask else 1]
        estimates = np.array([0.9, 0.6, 0.5], np.float32)[: len(masks)]
        logits = np.zeros((1, len(masks), 8, 8), np.float32)
        return PromptedMasks(masks[None], estimates[None], logits)


@pytest.mark.parametrize("looks_closer", [True, False])
@pytest.mark.parametrize(
    ("labels", "rows"),
    [([1, 0], (100, 120)), ([0, 1], (120, 140)), ([1, 1], (100, 140)), ([0, 0], (100, 140))],
    ids=["upper", "lower", "both", "neither: as it was"],
)
def test_what_was_taken_away_is_not_in_the_first_mask_where_another_obeys(
    looks_closer: bool, labels: list[int], rows: tuple[int, int]
) -> None:
    pixels = np.zeros((*SIZE, 3), np.uint8)
    pixels[100:120, 200:230] = 255
    pixels[120:140, 200:230] = 99
    segmenter: Any = Stubborn(looks_closer=looks_closer)
    picture = EncodingCache(1 << 30).open(segmenter, 1, lambda: pixels)
    masks = find_masks(picture, [[215, 105], [215, 135]], labels)
    assert masks[0].mask.box == Box(200, rows[0], 230, rows[1])


def test_specks_go_and_islands_stay() -> None:
    frame = np.zeros(SIZE, bool)
    frame[100:130, 200:230] = True
    frame[150:160, 200:210] = True  # a ninth of the rest
    speck = frame.copy()
    speck[10:14, 10:14] = True
    dirty, clean = encode(speck), encode(frame)
    assert dirty is not None
    assert clean is not None
    assert drop_specks(MaskCandidate(dirty, 0.5)) == MaskCandidate(clean, 0.5)
    whole = MaskCandidate(THING, 0.5)
    assert drop_specks(whole) is whole


@pytest.mark.parametrize("looks_closer", [True, False])
def test_a_wrong_prompt_is_refused(looks_closer: bool) -> None:
    picture = picture_of(ShortSighted(looks_closer=looks_closer))
    with pytest.raises(InputError, match="outside the picture"):
        find_masks(picture, [[500, 5]])
    with pytest.raises(InputError, match="Nothing is prompted"):
        find_masks(picture)
