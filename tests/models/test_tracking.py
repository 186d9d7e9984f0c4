"""Things keep their identity from keyframe to keyframe: by their look, then by their place."""

from __future__ import annotations

import numpy as np
import pytest

from segsearch.core.arrays import DescribedSegment, Pixels, ShotFrame, Vector
from segsearch.core.errors import PictureError
from segsearch.core.types import PictureInfo, Proposal
from segsearch.masks.crops import CropRule
from segsearch.masks.rle import encode
from segsearch.models.pipeline import Pipeline
from segsearch.models.tracking.linking import Linker
from segsearch.models.tracking.shot import describe_shot
from tests.support.small_models import COLOURS, ColourEmbedder, ColourSegmenter, StripeReader

HEIGHT, WIDTH = 60, 80
INFO = PictureInfo(0, 0, "VIDEO")


def look_of(*parts: float) -> Vector:
    row = np.array([*parts, *[0.0] * (4 - len(parts))], np.float32)
    unit: Vector = row / np.linalg.norm(row)
    return unit


def seen(look: Vector, x: int, y: int, side: int = 10, iou: float = 0.9) -> DescribedSegment:
    mask = encode(np.ones((side, side), bool), origin=(x, y), size=(HEIGHT, WIDTH))
    assert mask
    return DescribedSegment(Proposal(mask, iou, 0.9), look, look)


def places(linker: Linker) -> list[list[tuple[int, int]]]:
    """Of each track, keyframe and place of its members."""
    return [[(one.keyframe, one.place) for one in track.members] for track in linker.tracks]


CAT, DOG = look_of(1, 0.1), look_of(0.1, 1)


def test_things_that_cross_keep_their_looks_and_not_their_places() -> None:
    linker = Linker()
    linker.add(0.0, [seen(CAT, 5, 20), seen(DOG, 60, 20)])
    linker.add(3.0, [seen(DOG, 6, 20), seen(CAT, 59, 20)])
    assert places(linker) == [[(0, 0), (1, 1)], [(0, 1), (1, 0)]]


def test_of_two_that_look_alike_each_is_the_nearer_one() -> None:
    linker = Linker()
    linker.add(0.0, [seen(CAT, 5, 5), seen(CAT, 60, 40)])
    linker.add(3.0, [seen(CAT, 55, 40), seen(CAT, 10, 5)])
    assert places(linker) == [[(0, 0), (1, 1)], [(0, 1), (1, 0)]]


def test_what_stays_is_not_given_up_so_that_two_others_find_partners() -> None:
    """One stands still; beside it another leaves and a third comes, both somewhat like it."""
    stays, leaves, comes = look_of(1, 0), look_of(0.8, 0.6), look_of(0.8, -0.6)
    linker = Linker()
    linker.add(0.0, [seen(stays, 30, 20), seen(leaves, 32, 20)])
    linker.add(3.0, [seen(comes, 28, 20), seen(stays, 30, 20)])
    assert places(linker) == [[(0, 0), (1, 1)], [(0, 1)], [(1, 0)]]


def test_a_thing_may_be_unseen_at_one_keyframe_and_not_at_two() -> None:
    for unseen, tracks in ((1, 1), (2, 2)):
        linker = Linker()
        linker.add(0.0, [seen(CAT, 5, 5)])
        for number in range(unseen):
            linker.add(3.0 * (number + 1), [])
        linker.add(3.0 * (unseen + 1), [seen(CAT, 8, 5)])
        assert len(linker.tracks) == tracks


def test_what_was_seen_to_move_goes_where_it_moved() -> None:
    """Two that look alike change places: only who saw them move can tell."""
    first, second = seen(CAT, 5, 5), seen(CAT, 60, 40)
    linker = Linker()
    linker.add(0.0, [first, second])
    linker.add(3.0, [first, second], [second.proposal.mask, first.proposal.mask])
    assert places(linker) == [[(0, 0), (1, 1)], [(0, 1), (1, 0)]]


def test_what_was_seen_to_move_may_have_changed_its_look_more() -> None:
    changed = look_of(1, 1.5)  # a cosine of 0.63 with the cat
    for moved, tracks in ((None, 2), (seen(CAT, 40, 40).proposal.mask, 1)):
        linker = Linker()
        linker.add(0.0, [seen(CAT, 5, 5)])
        linker.add(3.0, [seen(changed, 40, 40)], [moved])
        assert len(linker.tracks) == tracks


def test_another_look_or_another_size_is_another_thing() -> None:
    linker = Linker()
    linker.add(0.0, [seen(CAT, 5, 5, side=40)])
    linker.add(3.0, [seen(DOG, 5, 5, side=40), seen(CAT, 20, 20, side=8)])
    assert [len(track.members) for track in linker.tracks] == [1, 1, 1]


def test_vectors_are_means_of_those_that_agree() -> None:
    linker = Linker()
    turned = look_of(1, 1)
    linker.add(0.0, [seen(CAT, 5, 5)])
    linker.add(3.0, [seen(CAT, 6, 5)])
    linker.add(6.0, [seen(turned, 7, 5)])
    (track,) = linker.tracks
    assert len(track.members) == 3
    context, masked = track.vectors()
    assert np.allclose(context, masked)
    assert np.linalg.norm(context) == pytest.approx(1, abs=1e-6)
    assert context @ CAT > 0.999, "the one that has turned does not count"


def test_the_best_member_is_the_one_seen_best() -> None:
    linker = Linker()
    linker.add(0.0, [seen(CAT, 5, 5, iou=0.5)])
    linker.add(3.0, [seen(CAT, 6, 5, iou=0.95)])
    assert linker.tracks[0].best.seconds == 3.0


def frame(*things: tuple[str, int, int]) -> Pixels:
    pixels = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
    for colour, x, y in things:
        pixels[y : y + 12, x : x + 12] = COLOURS[colour]
    return pixels


def spotted(*places: tuple[int, int]) -> Pixels:
    """Red things, each with spots of its own that move with it."""
    pixels = frame()
    for number, (x, y) in enumerate(places):
        spots = np.random.default_rng(number).integers(-40, 40, (6, 6, 1)).repeat(2, 0).repeat(2, 1)
        pixels[y : y + 12, x : x + 12] = np.clip(np.array(COLOURS["red"]) + spots, 0, 255)
    return pixels


def pipeline(reader: StripeReader | None = None) -> Pipeline:
    return Pipeline(ColourSegmenter(), ColourEmbedder(), CropRule(), reader=reader)


def test_a_shot_is_described_by_its_tracks() -> None:
    frames = [
        ShotFrame(1.0, frame(("red", 5, 5), ("blue", 50, 30))),
        ShotFrame(3.0, frame(("red", 30, 10))),
        ShotFrame(5.0, frame(("red", 55, 15), ("green", 5, 40))),
    ]
    described = describe_shot(pipeline(), iter(frames), INFO, (0.0, 6.0))
    assert (described.info.width, described.info.height) == (WIDTH, HEIGHT)
    assert described.seconds == 3.0
    lives = [(track.t_start, track.t_end) for track in described.tracks]
    assert sorted(lives) == [(0.0, 2.0), (0.0, 6.0), (4.0, 6.0)]
    red = lives.index((0.0, 6.0))
    assert [key.seconds for key in described.tracks[red].masks] == [1.0, 3.0, 5.0]
    assert [key.mask.box.x0 for key in described.tracks[red].masks] == [5, 30, 55]
    best = next(
        key.mask
        for key in described.tracks[red].masks
        if key.seconds == described.tracks[red].best_seconds
    )
    assert described.segments[red].proposal.mask == best
    assert np.linalg.norm(described.vector) == pytest.approx(1, abs=1e-6)


def test_things_are_followed_between_keyframes_and_described_at_them_alone() -> None:
    """Two that look alike cross: where each was seen between tells them apart."""
    frames = []
    for number in range(13):
        pixels = spotted((5 + 4 * number, 8), (60 - 4 * number, 40))
        frames.append(ShotFrame(number / 6, pixels, number in {0, 12}))
    described = describe_shot(pipeline(), frames, INFO, (0.0, 3.0))
    assert [[key.seconds for key in track.masks] for track in described.tracks] == [[0.0, 2.0]] * 2
    ways = [[key.mask.box.x0 for key in track.masks] for track in described.tracks]
    assert sorted(ways) == [[5, 53], [60, 12]]


def test_one_keyframe_lives_as_long_as_its_shot() -> None:
    described = describe_shot(pipeline(), [ShotFrame(4.2, frame(("red", 5, 5)))], INFO, (4.0, 4.5))
    (track,) = described.tracks
    assert (track.t_start, track.best_seconds, track.t_end) == (4.0, 4.2, 4.5)


def test_the_same_frame_again_counts_once_and_none_lies_outside_its_shot() -> None:
    frames = [ShotFrame(at, frame(("red", 5, 5))) for at in (3.9, 4.0)]
    described = describe_shot(pipeline(), frames, INFO, (4.0, 6.0))
    (track,) = described.tracks
    assert [key.seconds for key in track.masks] == [4.0]


def test_an_empty_frame_among_others_adds_nothing() -> None:
    shown = [frame(("red", 5, 5)), frame(), frame(("red", 9, 5))]
    frames = [ShotFrame(2.0 * number + 1, pixels) for number, pixels in enumerate(shown)]
    described = describe_shot(pipeline(StripeReader()), frames, INFO, (0.0, 6.0))
    (track,) = described.tracks
    assert [key.seconds for key in track.masks] == [1.0, 5.0]
    assert described.seconds == 3.0


def test_an_empty_frame_has_one_region_as_a_picture_has() -> None:
    described = describe_shot(pipeline(), [ShotFrame(1.0, frame())], INFO, (0.0, 2.0))
    assert [segment.proposal.mask.area for segment in described.segments] == [HEIGHT * WIDTH]


def test_a_shot_without_frames_is_refused() -> None:
    with pytest.raises(PictureError, match="None of the frames"):
        describe_shot(pipeline(), [], INFO, (0.0, 2.0))


@pytest.mark.parametrize("reads", [True, False], ids=["read", "put off"])
def test_text_is_read_on_the_frame_that_stands_for_the_shot(reads: bool) -> None:
    reader = StripeReader()
    frames = [ShotFrame(at, frame(("red", 5, 5))) for at in (1.0, 3.0, 5.0)]
    described = describe_shot(pipeline(reader), frames, INFO, (0.0, 6.0), reads=reads)
    assert reader.asked == int(reads)
    assert (described.text is not None) == reads
    assert described.is_unread == (not reads)
