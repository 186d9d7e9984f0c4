"""Trains the embedded SAM on scenes and photographs; run again to go on from the checkpoint.

`python -m training.sam.train --minutes 60` composes nothing itself: run `training.sam.pool` first,
or beside it; with `--photograph-share`, `training.sam.annotated_pool` too. Small squares first,
then the size that ships. `--only-quality` is for the end: it teaches the model to rank
its masks, and changes none of them.
"""

from __future__ import annotations

import copy
import math
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import torch
from safetensors.torch import load_file
from segment_anything.modeling import Sam
from torch import Tensor, nn

from segsearch.core.settings import Settings
from segsearch.models.device import Placement, choose
from segsearch.models.segment.sam_lite import BACKBONE, STRIDE, WIDTH, build_sam_lite
from training import parallel
from training.clip.head import classifier_state
from training.data.fetch import parser
from training.length import Length, length_of, with_length
from training.sam.batches import Prompted
from training.sam.losses import AFFINITY_WEIGHT, Affinity, prompt_loss, quality_loss
from training.sam.mixture import Mixture, batches

FROZEN_STAGES = 2  # backbone stages that stay as ImageNet left them, beside the stem
EMA_DECAY = 0.998
SAVE_SECONDS = 150
WARMUP_STEPS = 40
CHANNELS_LAST = torch.channels_last  # the order that convolutions are fastest in


@dataclass
class Plan:
    """How a run goes; all of it is kept in the checkpoint."""

    length: Length
    side_px: int = 256
    images: int = 4
    rate: float = 8e-4
    backbone_rate: float = 2e-4
    final_share: float = 0.02  # of the rate, at the end of the cosine
    seed: int = 1
    photograph_share: float = 0.0  # of the images: annotated photographs
    only_quality: bool = False  # all else stays: the head that ranks the masks is quickly taught


@dataclass
class TrainingState:
    """What a checkpoint holds beside the weights."""

    step: int = 0
    seconds: float = 0.0


def new_model() -> Sam:
    """The embedded SAM with the ImageNet backbone under it."""
    sam = build_sam_lite()
    backbone = sam.image_encoder.backbone
    stored = classifier_state(BACKBONE)
    wanted = backbone.state_dict()
    backbone.load_state_dict({name: stored[name] for name in wanted})
    frozen = [backbone.conv_stem, backbone.bn1, *backbone.blocks[:FROZEN_STAGES]]
    for module in frozen:
        module.requires_grad_(False)
    return sam


def resized(sam: Sam, side_px: int) -> None:
    """Tell every part of the model how large its square is; the weights know no size."""
    cells = side_px // STRIDE
    sam.image_encoder.img_size = side_px
    sam.prompt_encoder.image_embedding_size = (cells, cells)
    sam.prompt_encoder.input_image_size = (side_px, side_px)
    sam.prompt_encoder.mask_input_size = (4 * cells, 4 * cells)


def optimiser(sam: Sam, affinity: Affinity, plan: Plan) -> torch.optim.AdamW:
    """Two groups: the backbone slowly, the rest at full rate."""
    backbone = [p for p in sam.image_encoder.backbone.parameters() if p.requires_grad]
    known = {id(p) for p in sam.image_encoder.backbone.parameters()}
    rest = [p for p in [*sam.parameters(), *affinity.parameters()] if id(p) not in known]
    groups = [
        {"params": backbone, "lr": plan.backbone_rate, "peak": plan.backbone_rate},
        {"params": rest, "lr": plan.rate, "peak": plan.rate},
    ]
    return torch.optim.AdamW(groups, weight_decay=0.02, betas=(0.9, 0.98))


def quality_loss_of(sam: Sam, batch: list[Prompted], *, half: bool) -> Tensor:
    """How far the predicted IoUs are off; gradients for the quality head alone."""
    total = torch.zeros((), device=sam.device)
    with torch.no_grad():
        embedding = _encoded(sam, batch, half=half)
    with torch.autocast(sam.device.type, torch.bfloat16, enabled=half):
        for index, item in enumerate(batch):
            logits, quality = _decoded(sam, embedding[index : index + 1], item)
            error = quality_loss(logits.float(), quality.float(), item.part, item.whole)
            total = total + item.rated * error
    return total / len(batch)


def loss_of(sam: Sam, affinity: Affinity, batch: list[Prompted], *, half: bool) -> Tensor:
    """Forward pass over a batch; one number."""
    embedding = _encoded(sam, batch, half=half)
    with torch.autocast(sam.device.type, torch.bfloat16, enabled=half):
        total = torch.zeros((), device=sam.device)
        for index, item in enumerate(batch):
            logits, quality = _decoded(sam, embedding[index : index + 1], item)
            answer = (logits.float(), quality.float(), item.part, item.whole)
            total = total + prompt_loss(*answer, item.rated)
    cells = torch.stack([item.cells for item in batch])
    together: Tensor = affinity(embedding.float(), cells)
    return total / len(batch) + AFFINITY_WEIGHT * together


def _encoded(sam: Sam, batch: list[Prompted], *, half: bool) -> Tensor:
    """(B, C, h, w): the embeddings of a batch.

    A processor is slower with the encoder's narrow convolutions in bfloat16: a quarter, forward
    and back.
    """
    pixels = torch.stack([_normalised(sam, item) for item in batch])
    half = half and sam.device.type != "cpu"
    with torch.autocast(sam.device.type, torch.bfloat16, enabled=half):
        embedding: Tensor = sam.image_encoder(pixels.contiguous(memory_format=CHANNELS_LAST))
    return embedding


def _normalised(sam: Sam, item: Prompted) -> Tensor:
    """(3, S, S) as `Sam.preprocess` makes it: zeros to the right of and below the picture."""
    height, width = item.valid
    pixels: Tensor = (item.pixels - sam.pixel_mean) / sam.pixel_std
    pixels[:, height:] = 0
    pixels[:, :, width:] = 0
    return pixels


def _decoded(sam: Sam, embedding: Tensor, item: Prompted) -> tuple[Tensor, Tensor]:
    points = None
    if item.points is not None and item.kinds is not None:
        points = (item.points, item.kinds)
    sparse, dense = sam.prompt_encoder(points=points, boxes=item.boxes, masks=None)
    logits, quality = sam.mask_decoder.predict_masks(
        image_embeddings=embedding,
        image_pe=sam.prompt_encoder.get_dense_pe(),
        sparse_prompt_embeddings=sparse,
        dense_prompt_embeddings=dense,
    )
    return logits, quality


def train(cache: Path, plan: Plan, place: Placement, half: bool, start: Path | None) -> None:
    """Train for the planned length, counted over all runs; prints where the checkpoint lies."""
    torch.manual_seed(plan.seed)
    device = torch.device(place.device)
    sam, affinity, state = new_model().to(device), Affinity(WIDTH).to(device), TrainingState()
    sam.image_encoder.to(memory_format=CHANNELS_LAST)
    slow = copy.deepcopy(sam).requires_grad_(False)
    path = cache / "sam" / f"sam-{plan.seed}-{plan.side_px}.pt"
    path.parent.mkdir(parents=True, exist_ok=True)
    optim = optimiser(sam, affinity, plan)
    if path.is_file():
        state = _restore(path, sam, slow, affinity, optim)
    elif start is not None:
        _begin(start, sam, slow, affinity, optim)
        if plan.only_quality:
            sam.load_state_dict(slow.state_dict())  # the weights that ship are to be judged
    for group, peak in zip(optim.param_groups, (plan.backbone_rate, plan.rate), strict=True):
        group["peak"] = peak  # a checkpoint brings its own
    _choose_what_learns(sam, plan)
    resized(sam, plan.side_px)
    # A processor computes no faster for crops made beside; an accelerator would wait for them.
    processes = 0 if place.device == "cpu" else max(1, (os.cpu_count() or 2) - 1)
    images = parallel.own_part(plan.images)
    seed = [plan.seed, state.step, *([parallel.rank()] if parallel.rank() else [])]
    mixture = Mixture(cache, plan.side_px, images, plan.photograph_share)
    made = batches(mixture, seed, processes)
    learning = [one for group in optim.param_groups for one in group["params"]]
    saved, began, shown = time.monotonic(), time.monotonic() - state.seconds, 0.0
    while plan.length.done(state.step, state.seconds) < 1:
        _set_rates(optim, plan, state)
        optim.zero_grad(set_to_none=True)
        batch = [one.to(place.device) for one in next(made)]
        loss = _loss(plan, sam, affinity, batch, half=half)
        loss.backward()
        parallel.average_gradients(learning, images / plan.images)
        nn.utils.clip_grad_norm_(learning, 1.0)
        optim.step()
        _follow(slow, sam, state.step)
        state.step += 1
        state.seconds = parallel.of_the_first(time.monotonic() - began)
        if parallel.rank() > 0:
            continue
        shown = 0.98 * shown + 0.02 * loss.item() if shown else loss.item()
        if state.step % 25 == 0:
            print(f"step {state.step} {state.seconds:.0f} s loss {shown:.4f}", flush=True)
        if time.monotonic() - saved > SAVE_SECONDS:
            _save(path, plan, state, sam, slow, affinity, optim)
            saved = time.monotonic()
    if parallel.rank() == 0:
        _save(path, plan, state, sam, slow, affinity, optim)
        print(path)


def _choose_what_learns(sam: Sam, plan: Plan) -> None:
    """Everything, or the quality head alone."""
    if plan.only_quality:
        sam.requires_grad_(False).mask_decoder.iou_prediction_head.requires_grad_(True)


def _loss(plan: Plan, sam: Sam, affinity: Affinity, batch: list[Prompted], *, half: bool) -> Tensor:
    if plan.only_quality:
        return quality_loss_of(sam, batch, half=half)
    return loss_of(sam, affinity, batch, half=half)


def _set_rates(optim: torch.optim.AdamW, plan: Plan, state: TrainingState) -> None:
    """Linear warm-up by steps, then a cosine over the planned length."""
    done = plan.length.done(state.step, state.seconds)
    cosine = plan.final_share + (1 - plan.final_share) * 0.5 * (1 + math.cos(math.pi * done))
    for group in optim.param_groups:
        group["lr"] = group["peak"] * cosine * min(1.0, (state.step + 1) / WARMUP_STEPS)


@torch.no_grad()
def _follow(slow: Sam, sam: Sam, step: int) -> None:
    """Move the averaged weights; early steps count more, so that the start is forgotten."""
    decay = min(EMA_DECAY, (1 + step) / (10 + step))
    for own, new in zip(slow.parameters(), sam.parameters(), strict=True):
        own.lerp_(new, 1 - decay)


def _save(path: Path, plan: Plan, state: TrainingState, *parts: Any) -> None:
    sam, slow, affinity, optim = parts
    content = {
        "plan": asdict(plan),
        "state": asdict(state),
        "sam": sam.state_dict(),
        "slow": slow.state_dict(),
        "affinity": affinity.state_dict(),
        "optimiser": optim.state_dict(),
    }
    torch.save(content, path.with_suffix(".tmp"))
    path.with_suffix(".tmp").replace(path)


def _begin(path: Path, sam: Sam, slow: Sam, affinity: Affinity, optim: Any) -> None:
    """Take over a checkpoint, or packed weights alone: all else starts anew then."""
    if path.suffix != ".safetensors":
        _restore(path, sam, slow, affinity, optim)
        return
    for model in (sam, slow):
        model.load_state_dict(load_file(path))  # half precision is widened on the way


def _restore(path: Path, sam: Sam, slow: Sam, affinity: Affinity, optim: Any) -> TrainingState:
    content = torch.load(path, weights_only=True, map_location=sam.device)
    sam.load_state_dict(content["sam"])
    slow.load_state_dict(content["slow"])
    affinity.load_state_dict(content["affinity"])
    optim.load_state_dict(content["optimiser"])
    return TrainingState(**content["state"])


def main() -> None:
    """Command line."""
    options = parser(__doc__)
    with_length(options, minutes=60)
    options.add_argument("--side", type=int, default=256)
    options.add_argument("--images", type=int, default=4)
    options.add_argument("--rate", type=float, default=8e-4)
    options.add_argument("--final", type=float, default=0.02, help="last rate, as a share")
    options.add_argument("--threads", type=int, default=1, help="of each process")
    options.add_argument(
        "--processes", type=int, default=1, help="each makes a part of every batch"
    )
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    options.add_argument(
        "--photograph-share", type=float, default=0.0, help="of the images: annotated photographs"
    )
    options.add_argument("--only-quality", action="store_true", help="teach ranking alone")
    options.add_argument("--half", action="store_true", help="bfloat16 where torch knows it")
    options.add_argument("--start", type=Path, help="checkpoint or packed weights to begin from")
    chosen = options.parse_args()
    if chosen.images < chosen.processes:
        options.error(f"{chosen.images} images cannot be parted among {chosen.processes} processes")
    place = choose(Settings(device=chosen.device, threads=chosen.threads))
    cv2.setNumThreads(1)
    plan = Plan(
        length=length_of(chosen),
        side_px=chosen.side,
        images=chosen.images,
        rate=chosen.rate,
        backbone_rate=chosen.rate / 4,
        final_share=chosen.final,
        seed=chosen.seed,
        photograph_share=chosen.photograph_share,
        only_quality=chosen.only_quality,
    )
    given = (chosen.cache, plan, place, chosen.half, chosen.start)
    parallel.start(train, chosen.processes, *given)


if __name__ == "__main__":
    main()
