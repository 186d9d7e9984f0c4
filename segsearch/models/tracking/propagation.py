"""Carries masks of a keyframe through the frames that follow, as SAM 2 was trained to.

The modules are those of transformers (models/sam2_video), fed one frame at a time: what a frame
gave is kept as long as the memory attention looks back at it, and no longer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - the name torch's own documentation uses
from transformers import Sam2VideoConfig, Sam2VideoInferenceSession, Sam2VideoModel

from segsearch.core.arrays import BoolArray, Pixels
from segsearch.core.types import Mask
from segsearch.masks.rle import decode, encode
from segsearch.models.checkpoint import check_fit, unfilled
from segsearch.models.device import CPU, Placement
from segsearch.models.segment.prompt_decoding import bilinear
from segsearch.models.segment.sam2 import squared

EVERY = 3  # frames, of six a second: each costs an encoding, and a decoding for each thing
GROUP = 16  # things whose memories are encoded together: what a frame takes in memory goes with it
OCCLUSION = "occlusion_spatial_embedding_parameter"  # in SAM 2.1 alone, as is the next
POINTER_TIMES = "temporal_positional_encoding_projection_layer"
PASSING = ("pred_masks", "high_res_masks", "object_score_logits")  # that no later frame asks for


@dataclass(frozen=True, slots=True)
class Propagated:
    """Where n things are in one frame.

    `logits` (n, h, w) float32 as decoded, above 0 inside, -1024 all over where a thing is not seen;
    `scores` (n,) float32 logits of being seen at all.
    """

    logits: Tensor
    scores: NDArray[np.float32]


class Sam2Propagator:
    """A SAM 2 with its video half. It keeps nothing of any video, and is thread-safe."""

    def __init__(self, model: Any, *, place: Placement = CPU, group: int = GROUP) -> None:
        """`model` is a Sam2VideoModel; `group` is how many things share one session."""
        self._model = model.to(place.device).eval().requires_grad_(requires_grad=False)
        self._place = place
        self._group = group

    def start(self, pixels: Pixels, masks: Sequence[Mask | BoolArray]) -> Propagation:
        """Begin with a keyframe (H, W, 3) u8 RGB and n masks of its size."""
        return Propagation(self._model, self._place, self._group, pixels, masks)


class Propagation:
    """Masks of one keyframe on their way; all there is to drop when their shot ends. Not
    thread-safe."""

    def __init__(
        self,
        model: Any,
        place: Placement,
        group: int,
        pixels: Pixels,
        masks: Sequence[Mask | BoolArray],
    ) -> None:
        self._model, self._place = model, place
        self._side = int(model.image_size)
        self._frame = 0
        self._sessions = [
            self._session(masks[start : start + group]) for start in range(0, len(masks), group)
        ]
        self.step(pixels)

    @torch.inference_mode()
    def step(self, pixels: Pixels) -> Propagated:
        """Where the things are in the next frame (H, W, 3) u8 RGB, of whatever size."""
        answers = list(self._answers(pixels))
        self._frame += 1
        if not answers:
            side = self._side // 4
            return Propagated(torch.empty(0, side, side), np.empty(0, np.float32))
        logits = torch.cat([one.pred_masks[:, 0] for one in answers]).float()
        scores = torch.cat([one.object_score_logits for one in answers])
        return Propagated(logits, scores.flatten().float().cpu().numpy())

    @property
    def nbytes(self) -> int:
        """What is kept of the frames so far, in memory of the model's device."""
        tensors = {
            tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes()
            for session in self._sessions
            for tensor in _tensors(vars(session))
        }
        return sum(tensors.values())

    def _session(self, masks: Sequence[Mask | BoolArray]) -> Any:
        """An inference session whose first frame shows these masks."""
        device = self._place.device
        session = Sam2VideoInferenceSession(
            inference_device=device,
            inference_state_device=device,
            video_storage_device=device,
            dtype=torch.float32,
        )
        for number, mask in enumerate(masks):
            shown = torch.from_numpy(decode(mask) if isinstance(mask, Mask) else np.array(mask))
            place = session.obj_id_to_idx(number)
            session.add_mask_inputs(place, 0, _square(shown, self._side))
        session.obj_with_new_inputs = list(range(len(masks)))
        return session

    def _answers(self, pixels: Pixels) -> Iterator[Any]:
        if not self._sessions:
            return
        batch = squared(pixels, self._side, self._model.device)
        with self._place.computing():
            seen = self._model.get_image_features(batch, return_dict=True)
        features = {
            "vision_feats": [feature.float() for feature in seen.fpn_hidden_states],
            "vision_pos_embeds": seen.fpn_position_encoding,
        }
        # Memories are bfloat16, which autocast does not mix with float16.
        rest = CPU if self._place.dtype == torch.float16 else self._place
        for session in self._sessions:  # which would each encode the frame again
            session.cache.cache_vision_features(self._frame, features)
            with rest.computing():
                answer = self._model(session, frame_idx=self._frame, frame=batch)
            self._forget(session)
            yield answer

    def _forget(self, session: Any) -> None:
        """Drop what no later frame looks back at."""
        config = self._model.config
        memories = self._frame + 2 - config.num_maskmem  # the first that the next frame wants
        pointers = self._frame + 2 - config.max_object_pointers_in_encoder
        session.processed_frames.clear()
        session.cache.clear_all()
        positions = None
        for place, outputs in session.output_dict_per_obj.items():
            session.mask_inputs_per_obj[place].clear()
            session.frames_tracked_per_obj[place].clear()
            for frame, output in _all(outputs):
                for name in PASSING:
                    output.pop(name, None)
                if frame == self._frame:  # alike for all things, and views of all of theirs
                    positions = (
                        output["maskmem_pos_enc"].clone() if positions is None else positions
                    )
                    output["maskmem_pos_enc"] = positions
                    output["maskmem_features"] = output["maskmem_features"].clone()
            later = outputs["non_cond_frame_outputs"]
            for frame in list(later):
                if frame < memories:
                    later[frame].pop("maskmem_features", None)
                    later[frame].pop("maskmem_pos_enc", None)
                if frame < min(memories, pointers):
                    del later[frame]


class PropagatedFollower:
    """A `Follower` that propagates masks, through `EVERY` third of the frames that it is given, and
    the last one. Not thread-safe."""

    def __init__(self, propagator: Sam2Propagator, pixels: Pixels, masks: Sequence[Mask]) -> None:
        """Begin with a keyframe (H, W, 3) u8 and masks of its size."""
        self._size = pixels.shape[0], pixels.shape[1]
        self._propagation = propagator.start(pixels, masks)
        self._moved: list[Mask | None] = list(masks)
        self._waiting: Pixels | None = None
        self._steps = 0

    def step(self, pixels: Pixels) -> None:
        """Go on to the next frame, of the same picture in whatever size."""
        self._steps += 1
        self._waiting = pixels
        if self._steps % EVERY == 0:
            self._propagate(pixels)

    def moved(self) -> list[Mask | None]:
        """Each mask where it is now; None where its thing is not seen."""
        if self._waiting is not None:
            self._propagate(self._waiting)
        return list(self._moved)

    def _propagate(self, pixels: Pixels) -> None:
        answer = self._propagation.step(pixels)
        self._waiting = None
        self._moved = [self._mask(logits) for logits in answer.logits]

    def _mask(self, logits: Tensor) -> Mask | None:
        inside = bilinear(logits[None, None], self._size)[0, 0] > 0
        return encode(inside.cpu().numpy())


def with_video(sam2: Any, video: Mapping[str, Tensor], source: str) -> Any:
    """A Sam2VideoModel of a Sam2Model, whose weights it shares, and the tensors of its video half,
    named as on the hub.

    ModelError, which names the `source`, where some are missing or of another shape.
    """
    config = _config(sam2.config, video)
    model = unfilled(lambda: Sam2VideoModel(config)).eval()
    weights = {**sam2.state_dict(), **{name: tensor.float() for name, tensor in video.items()}}
    check_fit(model, weights, source)
    model.load_state_dict(weights, assign=True)
    model.vision_encoder = sam2.vision_encoder
    attention: Any = model.memory_attention  # what it computes of the shape alone was left unfilled
    attention.rotary_emb = type(attention.rotary_emb)(config=config)
    attention.position_ids = attention.precompute_positions(config)
    return model


def _config(pictures: Any, video: Mapping[str, Tensor]) -> Sam2VideoConfig:
    side = pictures.prompt_encoder_config.image_size
    width = pictures.vision_config.fpn_hidden_size
    return Sam2VideoConfig(
        vision_config=pictures.vision_config.to_dict(),
        prompt_encoder_config=_plain(pictures.prompt_encoder_config),
        mask_decoder_config=_plain(pictures.mask_decoder_config),
        image_size=side,
        memory_attention_rope_feat_sizes=[side // 16, side // 16],
        memory_attention_hidden_size=width,
        memory_encoder_hidden_size=width,
        mask_downsampler_embed_dim=width,
        memory_fuser_embed_dim=width,
        enable_occlusion_spatial_embedding=OCCLUSION in video,
        enable_temporal_pos_encoding_for_object_pointers=f"{POINTER_TIMES}.weight" in video,
    )


def _plain(config: Any) -> dict[str, Any]:
    return {name: value for name, value in config.to_dict().items() if name != "model_type"}


def _square(mask: Tensor, side: int) -> Tensor:
    """A mask (H, W) bool as the model takes it: (1, 1, side, side) float32 of 0 and 1."""
    shown = mask[None, None].float()
    if shown.shape[-2:] != (side, side):
        shown = F.interpolate(
            shown, (side, side), mode="bilinear", align_corners=False, antialias=True
        )
    return (shown >= 0.5).float()


def _all(outputs: Mapping[str, dict[int, dict[str, Any]]]) -> Iterator[tuple[int, dict[str, Any]]]:
    for frames in outputs.values():
        yield from frames.items()


def _tensors(value: Any) -> Iterator[Tensor]:
    """Every tensor in dictionaries and lists within each other."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _tensors(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _tensors(inner)
