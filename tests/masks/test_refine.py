"""Outlines move to edges of the picture; what has none nearby, or nothing to learn from, stays."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from segsearch.core.arrays import BoolArray, Pixels
from segsearch.core.types import Mask
from segsearch.masks.refine import to_edges
from segsearch.masks.rle import encode, iou

SIZE = (240, 320)
SHAPES = st.tuples(st.integers(1, 40), st.integers(1, 40))


def mask_of(frame: BoolArray) -> Mask:
    mask = encode(frame)
    assert mask is not None
    return mask


def disc(x: float, y: float, radius: float, size: tuple[int, int] = SIZE) -> BoolArray:
    rows, columns = np.indices(size)
    inside: BoolArray = (columns - x) ** 2 + (rows - y) ** 2 <= radius**2
    return inside


def picture_of(thing: BoolArray, seed: int = 0) -> Pixels:
    """A reddish thing on a bluish ground, both uneven."""
    noise = np.random.default_rng(seed).normal(0, 14, (*thing.shape, 3))
    colours = np.where(thing[..., None], (190, 70, 50), (60, 80, 150)) + noise
    return colours.clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("off", "radius"), [((0, 0), 46), ((0, 0), 55), ((4, -3), 50)], ids=["small", "large", "beside"]
)
@pytest.mark.parametrize("side_px", [96, 128])
def test_a_rough_outline_moves_to_the_edge(off: tuple[int, int], radius: int, side_px: int) -> None:
    thing = disc(150, 120, 50)
    rough, truth = mask_of(disc(150 + off[0], 120 + off[1], radius)), mask_of(thing)
    moved = to_edges(picture_of(thing), rough, side_px)
    assert iou(rough, truth) < 0.91
    assert iou(moved, truth) > 0.96


def test_an_outline_at_the_picture_s_border_moves_too() -> None:
    thing = disc(20, 0, 40)
    rough, truth = mask_of(disc(20, 0, 35)), mask_of(thing)
    assert iou(rough, truth) < 0.85
    assert iou(to_edges(picture_of(thing), rough, 128), truth) > 0.97


def test_what_lies_far_from_the_outline_is_not_taken() -> None:
    thing = disc(100, 120, 30)
    twin = disc(180, 120, 30)  # of the same colours, in what GrabCut sees
    moved = to_edges(picture_of(thing | twin), mask_of(disc(101, 121, 28)), 128)
    assert iou(moved, mask_of(thing)) > 0.95


def test_without_edges_the_mask_stays_where_it_was() -> None:
    even = np.full((*SIZE, 3), 128, np.uint8)
    rough = mask_of(disc(150, 120, 50))
    assert to_edges(even, rough, 128) == rough


@pytest.mark.parametrize(
    "frame",
    [np.ones(SIZE, bool), disc(9, 9, 1), np.eye(*SIZE, dtype=bool)],
    ids=["the whole picture", "a speck", "a line"],
)
def test_what_has_no_colours_to_learn_stays(frame: BoolArray) -> None:
    mask = mask_of(frame)
    assert to_edges(picture_of(disc(60, 60, 40)), mask, 96) == mask


@settings(deadline=None)
@given(st.data())
def test_any_mask_stays_a_mask_of_its_picture(data: st.DataObject) -> None:
    frame = data.draw(SHAPES.flatmap(lambda shape: arrays(np.bool_, shape)))
    pixels = data.draw(arrays(np.uint8, (*frame.shape, 3)))
    mask = encode(frame)
    assume(mask is not None)
    assert mask is not None
    moved = to_edges(pixels, mask, data.draw(st.sampled_from([8, 16, 96])))
    assert (moved.height, moved.width) == frame.shape
    assert moved.area > 0
    assert moved.box.x1 <= frame.shape[1]
    assert moved.box.y1 <= frame.shape[0]
    assert iou(moved, mask) > 0


def test_the_same_answer_in_every_thread_and_order() -> None:
    things = [disc(80 + 10 * step, 100, 40) for step in range(6)]
    asked = [(picture_of(one, seed), mask_of(disc(84 + 10 * seed, 98, 38)))
             for seed, one in enumerate(things)]  # fmt: skip
    alone = [to_edges(pixels, mask, 96) for pixels, mask in asked]
    found: dict[int, Mask] = {}

    def work(number: int) -> None:
        found[number] = to_edges(*asked[number], 96)

    threads = [threading.Thread(target=work, args=(number,)) for number in reversed(range(6))]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert [found[number] for number in range(6)] == alone
