"""SAM 2's own propagation: the same masks as upstream's way over a whole video, fed by frames."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
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

from segsearch.core.arrays import BoolArray, Pixels, ShotFrame
from segsearch.core.errors import ModelError
from segsearch.core.settings import Settings
from segsearch.core.types import Mask, PictureInfo
from segsearch.masks.crops import CropRule
from segsearch.masks.rle import encode
from segsearch.models.device import Placement
from segsearch.models.loading import build_follow
from segsearch.models.pipeline import Pipeline
from segsearch.models.segment.automatic import GeneratorSettings
from segsearch.models.segment.prompt_decoding import bilinear
from segsearch.models.segment.sam2 import Sam2Segmenter, load_with_video
from segsearch.models.segment.state_dict import sam2_video_to_hub
from segsearch.models.tracking.propagation import (
    PropagatedFollower,
    Propagation,
    Sam2Propagator,
    with_video,
)
from segsearch.models.tracking.shot import describe_shot
from tests.support.foreign_names import sam2_from_hub, sam2_video_from_hub
from tests.support.small_models import COLOURS, ColourEmbedder, ColourSegmenter
from tests.support.small_sam2 import IMAGE
from tests.support.small_sam2_video import NAMED, small_pictures, small_propagating, small_video

INFO = PictureInfo(0, 0, "VIDEO")
HEIGHT, WIDTH = 90, 130
BOXES = ((10, 5, 40, 45), (50, 20, 80, 60), (5, 90, 60, 125))  # rows and columns, first and behind


# Of Meta's files (sam2/modeling/{sam2_base,memory_encoder,memory_attention}.py).
OF_LAYERS = [
    *(
        f"{attention}.{name}_proj"
        for attention in ("self_attn", "cross_attn_image")
        for name in ("q", "k", "v", "out")
    ),
    *("linear1", "linear2", "norm1", "norm2", "norm3"),
]
MODULES = [
    *(f"memory_attention.layers.{layer}.{name}" for layer in range(4) for name in OF_LAYERS),
    "memory_attention.norm",
    *(f"memory_encoder.mask_downsampler.encoder.{at}" for at in (0, 1, 3, 4, 6, 7, 9, 10, 12)),
    *("memory_encoder.pix_feat_proj", "memory_encoder.out_proj"),
    *(
        f"memory_encoder.fuser.layers.{layer}.{name}"
        for layer in range(2)
        for name in ("dwconv", "norm", "pwconv1", "pwconv2")
    ),
    *("mask_downsample", "obj_ptr_tpos_proj"),
    *(f"obj_ptr_proj.layers.{layer}" for layer in range(3)),
]
META = {
    *(f"{module}.{kind}" for module in MODULES for kind in ("weight", "bias")),
    *(f"memory_encoder.fuser.layers.{layer}.gamma" for layer in range(2)),
    *("maskmem_tpos_enc", "no_mem_pos_enc", "no_obj_ptr", "no_obj_embed_spatial"),
}


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


def stored() -> list[Mask]:
    return [mask for mask in map(encode, masks()) if mask]


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


def coloured(count: int) -> list[Pixels]:
    """A red thing on white that moves to the right."""
    shown = []
    for number in range(count):
        frame = np.full((60, 80, 3), 255, np.uint8)
        frame[20:32, 5 + 2 * number : 17 + 2 * number] = COLOURS["red"]
        shown.append(frame)
    return shown


def segmenter(video: Callable[[], dict[str, Tensor]] | None = small_video) -> Sam2Segmenter:
    return Sam2Segmenter(
        small_pictures(),
        identity="small2@0",
        settings=GeneratorSettings(),
        video=video() if video else None,
    )


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
    of_arrays, of_masks = propagation(masks()), propagation(stored())
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


def test_a_follower_takes_every_third_frame_and_the_last() -> None:
    shown = frames(9)
    follower = segmenter().follow(shown[0], stored())
    assert follower.moved() == stored()
    model = with_video(small_pictures(), small_video(), NAMED)
    going = Sam2Propagator(model).start(shown[0], masks())
    for number, frame in enumerate(shown[1:], 1):
        follower.step(frame[::2, ::2] if number < 8 else frame)
        if number in {3, 6, 8}:
            answer = going.step(frame[::2, ::2] if number < 8 else frame)
    inside = bilinear(answer.logits[None], (HEIGHT, WIDTH))[0] > 0
    assert follower.moved() == [encode(mask.numpy()) for mask in inside]
    assert all(mask.any() for mask in inside)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_in_numbers_of_a_gpu_it_starts_out_alike(dtype: torch.dtype) -> None:
    place = Placement("cpu", dtype)
    going = Sam2Propagator(small_propagating(), place=place).start(frames(1)[0], masks())
    expected = propagation(masks()).step(frames(2)[1]).logits
    answer = going.step(frames(2)[1])
    assert (answer.logits.dtype, answer.scores.dtype.name) == (torch.float32, "float32")
    pairs = torch.stack([answer.logits.flatten(), expected.flatten()])
    assert torch.corrcoef(pairs)[0, 1] > 0.9  # random weights make much of what is rounded


def test_a_thing_that_is_not_seen_is_nowhere() -> None:
    shown = frames(2)
    pictures = small_pictures()
    pictures.mask_decoder.pred_obj_score_head.proj_out.bias -= 50
    hidden = Sam2Segmenter(
        pictures, identity="small2@0", settings=GeneratorSettings(), video=small_video()
    )
    follower = hidden.follow(shown[0], stored())
    follower.step(shown[1])
    assert follower.moved() == [None] * 3


def test_a_shot_lets_go_of_what_it_remembers_at_every_keyframe() -> None:
    begun: list[weakref.ref[PropagatedFollower]] = []
    small = segmenter()

    def follow(pixels: Pixels, some: Sequence[Mask]) -> PropagatedFollower:
        assert all(one() is None for one in begun)
        follower = small.follow(pixels, some)
        begun.append(weakref.ref(follower))
        return follower

    shot = [ShotFrame(at / 6, frame, at % 4 == 0) for at, frame in enumerate(coloured(9))]
    pipeline = Pipeline(ColourSegmenter(), ColourEmbedder(), CropRule(), follow=follow)
    described = describe_shot(pipeline, shot, INFO, (0.0, 1.5))
    assert len(begun) == 2, "nothing follows the last keyframe"
    assert all(one() is None for one in begun)
    assert [[key.seconds for key in track.masks] for track in described.tracks] == [
        [0.0, pytest.approx(4 / 6), pytest.approx(8 / 6)]
    ]


@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("tracks", ["auto", "flow", "propagated"])
def test_setting_device_and_weights_choose_what_follows(tracks: str, device: str) -> None:
    settings = Settings.model_validate({"tracks": tracks})
    able, unable = segmenter(), segmenter(video=None)
    propagates = tracks == "propagated" or (tracks, device) == ("auto", "cuda")
    assert build_follow(able, settings, device) == (able.follow if propagates else None)
    for one in (unable, ColourSegmenter()):
        if tracks != "propagated":
            assert build_follow(one, settings, device) is None
            continue
        with pytest.raises(ModelError, match=r"cannot propagate masks: .*\.$"):
            build_follow(one, settings, device)


def test_meta_s_file_of_a_sam_2_1_holds_both_halves(tmp_path: Path) -> None:
    pictures, video = small_pictures(), small_video()
    meta = sam2_video_from_hub(video)
    assert meta.keys() == META
    torch.save({"model": sam2_from_hub(pictures.state_dict()) | meta}, tmp_path / "sam2.1.pt")
    model, back = load_with_video(small_pictures, tmp_path / "sam2.1.pt")
    assert back.keys() == video.keys()
    assert all(torch.equal(back[name], tensor) for name, tensor in video.items())
    assert sam2_video_to_hub(video).keys() == video.keys()
    loaded = Sam2Propagator(with_video(model, back, NAMED)).start(frames(1)[0], masks())
    built = Sam2Propagator(with_video(pictures, video, NAMED)).start(frames(1)[0], masks())
    assert torch.equal(loaded.step(frames(2)[1]).logits, built.step(frames(2)[1]).logits)


def test_a_sam_2_of_before_2_1_propagates_without_what_came_later() -> None:
    later = ("occlusion_spatial_embedding_parameter", "temporal_positional_encoding_projection_")
    video = {name: one for name, one in small_video().items() if not name.startswith(later)}
    assert len(video) == len(META) - 3
    model = with_video(small_pictures(), video, NAMED)
    answer = Sam2Propagator(model).start(frames(1)[0], masks()).step(frames(2)[1])
    assert answer.logits.isfinite().all()


@pytest.mark.parametrize("spoiled", ["missing", "shape", "numbers"])
def test_a_damaged_video_half_is_one_sentence(spoiled: str) -> None:
    video, name = small_video(), "memory_encoder.projection.weight"
    if spoiled == "missing":
        del video[name]
    else:
        video[name] = torch.ones(3) if spoiled == "shape" else video[name] * float("nan")
    with pytest.raises(ModelError, match=rf"^{NAMED} is .*{name}.*\.$"):
        with_video(small_pictures(), video, NAMED)
