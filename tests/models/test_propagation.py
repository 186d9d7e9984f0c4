"""SAM 2's own propagation: the same masks as upstream's way over a whole video, fed by frames."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import (
    Sam2ImageProcessorFast,
    Sam2VideoModel,
    Sam2VideoProcessor,
    Sam2VideoVideoProcessor,
)

from segsearch.core.arrays import BoolArray, Pixels
from segsearch.core.errors import ModelError
from segsearch.masks.rle import encode
from segsearch.models.tracking.propagation import Propagation, Sam2Propagator, with_video
from tests.support.small_sam2 import IMAGE
from tests.support.small_sam2_video import NAMED, small_pictures, small_propagating, small_video

HEIGHT, WIDTH = 90, 130
BOXES = ((10, 5, 40, 45), (50, 20, 80, 60), (5, 90, 60, 125))  # rows and columns, first and behind


def frames(count: int, seed: int = 0) -> list[Pixels]:
    """A bright square that goes over noise."""
    random = np.random.default_rng(seed)
    noise = random.integers(0, 120, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    shown = []
    for number in range(count):
        frame = noise.copy()
        frame[10 + 3 * number : 40 + 3 * number, 5 + 8 * number : 45 + 8 * number] = (250, 90, 20)
        shown.append(frame)
    return shown


def masks(boxes: Sequence[tuple[int, int, int, int]] = BOXES) -> list[BoolArray]:
    drawn = []
    for top, left, bottom, right in boxes:
        mask = np.zeros((HEIGHT, WIDTH), bool)
        mask[top:bottom, left:right] = True
        drawn.append(mask)
    return drawn


def upstream(
    shown: list[Pixels], prompts: list[BoolArray], group: int
) -> list[tuple[Tensor, Tensor]]:
    """Logits (n, h, w) and scores (n,) of each frame but the first, by transformers, which is given
    whole videos, one for each group: the oracle."""
    small = small_propagating()
    model = Sam2VideoModel(small.config).eval()
    model.load_state_dict(small.state_dict())
    side = {"height": IMAGE, "width": IMAGE}
    processor = Sam2VideoProcessor(
        Sam2ImageProcessorFast(size=side), Sam2VideoVideoProcessor(size=side), target_size=IMAGE
    )
    answers = []
    for start in range(0, len(prompts), group):
        some = prompts[start : start + group]
        session = processor.init_video_session(video=np.stack(shown))
        processor.add_inputs_to_inference_session(
            session, 0, list(range(len(some))), input_masks=list(some)
        )
        answers.append(list(model.propagate_in_video_iterator(session, start_frame_idx=0))[1:])
    return [
        (
            torch.cat([output.pred_masks[:, 0] for output in outputs]),
            torch.cat([output.object_score_logits[:, 0] for output in outputs]),
        )
        for outputs in zip(*answers, strict=True)
    ]


def propagation(
    prompts: Sequence[Any], *, group: int = 16, first: Pixels | None = None
) -> Propagation:
    start = frames(1)[0] if first is None else first
    return Sam2Propagator(small_propagating(), group=group).start(start, prompts)


@pytest.mark.parametrize("group", [1, 2, 16])
def test_logits_are_those_of_upstream_in_groups_of_any_size(group: int) -> None:
    shown = frames(8)
    going = propagation(masks(), group=group)
    for frame, (logits, scores) in zip(shown[1:], upstream(shown, masks(), group), strict=True):
        answer = going.step(frame)
        torch.testing.assert_close(answer.logits, logits, atol=1e-3, rtol=0)
        np.testing.assert_allclose(answer.scores, scores, atol=1e-3)
        assert logits.std() > 10  # so that a thousandth is little


def test_groups_change_no_more_than_the_memories_rounding() -> None:
    together, alone = propagation(masks()), propagation(masks(), group=1)
    for frame in frames(8)[1:]:
        expected = together.step(frame).logits
        off = (alone.step(frame).logits - expected).abs()
        # Memories are bfloat16, as in Meta's code, and small errors turn the last bit over.
        assert off.mean() < 0.01 * expected.std()


def test_a_library_s_masks_are_taken_as_arrays_are() -> None:
    shown = frames(3)
    of_arrays, of_masks = propagation(masks()), propagation([encode(one) for one in masks()])
    for frame in shown[1:]:
        assert torch.equal(of_arrays.step(frame).logits, of_masks.step(frame).logits)


def test_other_prompts_and_other_frames_give_other_logits() -> None:
    shown = frames(4)
    going, other = propagation(masks()), propagation(masks([*BOXES[:2], (60, 5, 85, 30)]))
    still = propagation(masks())
    for frame in shown[1:]:
        expected = going.step(frame).logits
        changed = (other.step(frame).logits - expected).abs().amax((1, 2))
        assert (changed[:2] < 1e-3).all()  # things don't see each other
        assert changed[2] > 1
    last = still.step(shown[-1]).logits
    assert (last - expected).abs().max() > 1  # what lay between is remembered


def test_what_is_kept_does_not_grow_with_the_length() -> None:
    going = propagation(masks(), group=2)
    kept = []
    for frame in frames(14)[1:]:
        going.step(frame)
        kept.append(going.nbytes)
    assert kept[0] < kept[3] < kept[6]
    assert set(kept[7:]) == {kept[7]}


def test_nothing_to_carry_costs_nothing() -> None:
    going = propagation([])
    answer = going.step(frames(2)[1])
    assert answer.logits.shape == (0, IMAGE // 4, IMAGE // 4)
    assert (answer.scores.shape, going.nbytes) == ((0,), 0)


@pytest.mark.parametrize("spoiled", ["missing", "shape", "numbers"])
def test_a_damaged_video_half_is_one_sentence(spoiled: str) -> None:
    video, name = small_video(), "memory_encoder.projection.weight"
    if spoiled == "missing":
        del video[name]
    else:
        video[name] = torch.ones(3) if spoiled == "shape" else video[name] * float("nan")
    with pytest.raises(ModelError, match=rf"^{NAMED} is .*{name}.*\.$"):
        with_video(small_pictures(), video, NAMED)
