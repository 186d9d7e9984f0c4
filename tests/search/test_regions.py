"""Pointing at a picture of a library, with the embedded models."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt

from segsearch.core.errors import ModelError, NotFoundError
from segsearch.core.types import Mask
from segsearch.library import SegSearch
from segsearch.masks.rle import decode, encode, iou
from segsearch.models.segment.multilook import find_masks
from tests.conftest import Truth
from tests.support.small_models import Shape, open_small_service, paint

pytestmark = pytest.mark.slow

CLICKED = 50  # each is looked at several times


def test_a_click_on_a_thing_cuts_it_out(demo_library: SegSearch, truth: Truth) -> None:
    clicks: list[float] = []
    images = {Path(one.paths[0]).name: one for one in demo_library.catalog.images(limit=100)}
    for things in list(truth.things.values())[:6]:
        name, mask = things[0]
        box = mask.box
        picture = demo_library.open_picture(images[name].id)
        answer = picture.segment(boxes=[box.as_tuple()])
        found = [encode(one) for one in answer.masks[0]]
        clicks.append(max(iou(one, mask) for one in found if one is not None))
    assert sorted(clicks)[len(clicks) // 2] > 0.5


def test_a_click_answered_by_closer_looks_beats_one_look_on_small_things(
    demo_library: SegSearch, truth: Truth
) -> None:
    images = {Path(one.paths[0]).name: one for one in demo_library.catalog.images(limit=100)}
    once, closer = [], []
    places = [place for places in truth.things.values() for place in places]
    small = [(name, mask) for name, mask in places if mask.area <= 0.05 * mask.width * mask.height]
    small.sort(key=lambda place: place[0])  # one picture after the other
    for name, mask in small[:CLICKED]:
        picture = demo_library.open_picture(images[name].id)
        point = inside(mask)
        answer = picture.segment(points=[point])
        first = encode(answer.masks[0, int(answer.predicted_iou[0].argmax())])
        once.append(iou(first, mask) if first else 0.0)
        offered = find_masks(picture, [point])
        closer.append(iou(offered[0].mask, mask))
        assert len(offered) <= 3
    assert len(once) == CLICKED
    assert sum(closer) > sum(once) + 0.05 * len(once)


def inside(mask: Mask) -> tuple[float, float]:
    """x, y of the centre of the pixel furthest from the mask's edge."""
    depth = distance_transform_edt(np.pad(decode(mask), 1))[1:-1, 1:-1]
    row, column = divmod(int(depth.argmax()), mask.width)
    return column + 0.5, row + 0.5


def test_an_unknown_picture_and_a_segmenter_without_prompts_are_said(tmp_path: Path) -> None:
    paint(tmp_path / "a.png", [Shape("red", (10, 10, 40, 40))])
    with open_small_service(tmp_path / "library") as service:
        service.index([tmp_path / "a.png"])
        with pytest.raises(NotFoundError):
            service.open_picture(99)
        with pytest.raises(ModelError, match="takes no points"):
            service.open_picture(1)
