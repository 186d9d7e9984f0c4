"""What the video benchmark counts: boundaries, tracks and moments against a truth."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from benchmarks.video.moments import AskedName, asked, overlap
from benchmarks.video.truth import (
    Counted,
    FoundTrack,
    Identity,
    TrueClip,
    TrueShot,
    TrueThing,
    count_boundaries,
    count_identity,
)
from segsearch.core.types import Mask
from segsearch.core.video import Moment
from segsearch.masks.rle import encode, to_coco

SIZE = (40, 60)


def square(x: int) -> Mask:
    mask = encode(np.ones((10, 10), bool), origin=(x, 10), size=SIZE)
    assert mask
    return mask


def clip_of(things: Sequence[TrueThing], masks: Sequence[dict[str, Mask]]) -> TrueClip:
    """Ten frames a second, a cut after two seconds, a fade after four."""
    shots = (
        TrueShot(0, 2, 0, 0, frozenset({"sky"})),
        TrueShot(2, 4, 0, 0.5, frozenset()),
        TrueShot(4, 6, 0.5, 0, frozenset()),
    )
    coded = tuple(
        {number: to_coco(mask)["counts"] for number, mask in frame.items()} for frame in masks
    )
    return TrueClip(Path("a.mp4"), 10, SIZE, shots, tuple(things), coded)


@pytest.mark.parametrize(
    ("starts", "cuts", "fades"),
    [
        ([2.0, 4.3], (1, 1, 1), (1, 1, 1)),
        ([2.2, 3.4], (1, 1, 1), (1, 1, 1)),
        ([2.3, 4.0], (0, 1, 1), (1, 1, 1)),
        ([], (0, 0, 1), (0, 0, 1)),
        ([2.0, 2.1, 4.0], (1, 2, 1), (1, 1, 1)),
    ],
    ids=["right", "at the edge", "late", "none", "one too many"],
)
def test_boundaries_are_right_near_a_cut_or_within_a_fade(
    starts: list[float], cuts: tuple[int, int, int], fades: tuple[int, int, int]
) -> None:
    counted: dict[str, Counted] = defaultdict(Counted)
    count_boundaries(clip_of([], []), starts, counted)
    for name, wanted in (("cuts", cuts), ("fades", fades)):
        assert (counted[name].right, counted[name].found, counted[name].there) == wanted
    assert counted["both"].there == 2
    assert Counted(2, 3, 2).f1 == pytest.approx(0.8)


THING = TrueThing("cat", "drawing", "drifts", 0)


def test_a_track_is_held_where_one_mask_after_the_other_is_the_thing() -> None:
    clip = clip_of([THING], [{"0": square(frame)} for frame in range(40)])
    at = [0.0, 1.0, 2.0, 3.0]
    one = FoundTrack({0.0: square(0), 1.0: square(10), 2.0: square(20)})
    other = FoundTrack({3.0: square(31), 0.0: square(40)})
    identity = Identity()
    count_identity(clip, at, [one, other], identity)
    assert [row[:5] for row in identity.rows] == [("drifts", 4, 4, 3, 1)]
    table = identity.table()
    assert [table[name] for name in ("found", "held", "iou")] == pytest.approx([100, 75, 75])
    assert identity.table("still") == {}


def test_a_region_that_meets_half_of_a_thing_is_not_the_thing() -> None:
    clip = clip_of([THING], [{"0": square(0)}] * 20)
    identity = Identity()
    count_identity(clip, [0.0, 1.0], [FoundTrack({0.0: square(5), 1.0: square(0)})], identity)
    (row,) = identity.rows
    assert row[:5] == ("drifts", 2, 1, 1, 0)
    assert row[5] == pytest.approx(1 + 1 / 3)


def test_names_are_asked_for_that_are_seen_and_that_no_ground_shows() -> None:
    things = [
        THING,
        TrueThing("sky", "drawing", "still", 0),
        TrueThing("dog", "drawing", "goes", 1),
    ]
    masks = [{"0": square(0), "1": square(20)} for _ in range(15)]
    masks += [{} for _ in range(25)] + [{"0": square(0), "2": square(30)} for _ in range(9)]
    questions = asked([clip_of(things, masks)])
    assert [one.name for one in questions] == ["cat"], "the dog is seen for 0.9 seconds"
    assert questions[0].moments == ((0, 0.0, 1.5), (0, 4.0, 4.9))


def test_a_moment_is_met_by_half_of_what_both_cover() -> None:
    question = AskedName("cat", frozenset({"drawing"}), ((3, 10.0, 14.0),))
    assert overlap((10, 14), (12, 16)) == pytest.approx(1 / 3)
    assert overlap((0, 1), (2, 3)) == 0
    assert question.is_met(Moment(3, 11, 15, 12, (1,)))
    assert not question.is_met(Moment(3, 12, 16, 12, (1,)))
    assert question.is_in(Moment(3, 12, 16, 12, (1,)))
    assert not question.is_met(Moment(2, 10, 14, 12, (1,)))
    assert not question.is_in(None)
