"""Masks are followed by what is seen to move."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from segsearch.core.arrays import Pixels
from segsearch.core.types import Mask
from segsearch.masks.flow import FlowFollower
from segsearch.masks.rle import encode, iou

HEIGHT, WIDTH = 180, 320


def pattern(seed: int, height: int, width: int) -> Pixels:
    """Soft spots, (h, w, 3)."""
    spots = np.random.default_rng(seed).integers(0, 255, (height // 6 + 1, width // 6 + 1, 3))
    grown = cv2.resize(spots.astype(np.uint8), (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(grown, np.uint8)


def turned(x: float, y: float, degrees: float, scale: float) -> tuple[Pixels, Mask]:
    """A spotted thing of 60 x 40 px over spotted ground, its middle at (x, y), and its mask."""
    matrix = cv2.getRotationMatrix2D((30, 20), degrees, scale)
    matrix[:, 2] += np.array([x - 30, y - 20])
    thing = cv2.warpAffine(pattern(1, 40, 60), matrix, (WIDTH, HEIGHT))
    alpha = cv2.warpAffine(np.full((40, 60), 255, np.uint8), matrix, (WIDTH, HEIGHT)) > 127
    mask = encode(alpha)
    assert mask
    return np.where(alpha[..., None], thing, pattern(2, HEIGHT, WIDTH)), mask


def test_a_mask_goes_with_a_thing_that_moves_turns_and_grows() -> None:
    pixels, mask = turned(80, 60, 0, 1)
    follower = FlowFollower(pixels, [mask])
    for step in range(1, 25):
        pixels, now = turned(80 + 5 * step, 60 + 2 * step, step, 1 + step / 60)
        follower.step(pixels)
    (moved,) = follower.moved()
    assert moved
    assert iou(moved, now) > 0.85
    assert iou(mask, now) == 0


def test_ground_stays_where_a_thing_leaves_it() -> None:
    pixels, mask = turned(80, 60, 0, 1)
    ground = encode(np.ones((40, 60), bool), origin=(220, 120), size=(HEIGHT, WIDTH))
    assert ground
    follower = FlowFollower(pixels, [mask, ground])
    for step in range(1, 7):
        follower.step(turned(80 + 6 * step, 60, 0, 1)[0])
    _, stays = follower.moved()
    assert stays
    assert iou(stays, ground) > 0.95


@pytest.mark.parametrize("scale", [0.5, 2], ids=["smaller frames", "larger frames"])
def test_frames_between_may_have_another_size(scale: float) -> None:
    pixels, mask = turned(80, 60, 0, 1)
    follower = FlowFollower(pixels, [mask])
    for step in range(1, 5):
        shown, now = turned(80 + 6 * step, 60, 0, 1)
        follower.step(np.asarray(cv2.resize(shown, None, fx=scale, fy=scale), np.uint8))
    (moved,) = follower.moved()
    assert moved
    assert iou(moved, now) > 0.85


def test_what_is_gone_is_not_followed() -> None:
    pixels, mask = turned(80, 60, 0, 1)
    follower = FlowFollower(pixels, [mask])
    follower.step(pattern(2, HEIGHT, WIDTH))
    assert follower.moved() == [None]


def test_plain_ground_has_no_points_to_follow() -> None:
    plain = np.full((HEIGHT, WIDTH, 3), 200, np.uint8)
    mask = encode(np.ones((40, 60), bool), origin=(20, 20), size=(HEIGHT, WIDTH))
    assert mask
    follower = FlowFollower(plain, [mask])
    follower.step(plain)
    assert follower.moved() == [None]
    nothing = FlowFollower(plain, [])
    nothing.step(plain)
    assert nothing.moved() == []
