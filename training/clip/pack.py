"""Turns the two trained towers into the files that ship: safetensors in half precision.

Run `python -m training.clip.pack`; without an image checkpoint the folded head is packed as it is.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
from pathlib import Path

import torch
from open_clip.model import CLIP
from safetensors.torch import load_file, save_file
from torch import Tensor

from training.clip.head import start_image_tower
from training.clip.model import EMBEDDED, build, is_text
from training.clip.run import between, packed
from training.data.fetch import DEFAULT_CACHE
from training.text.corpus import BPE_NAME, imagenet_space, write_merges

NAME = "clip-lite.safetensors"


def assemble(cache: Path, before: Path | None, share: float) -> CLIP:
    """Both towers from the newest checkpoints in the cache; the text tower that ships where the
    cache has none.

    The image tower lies on the line from an earlier checkpoint or packed weights, or its start
    without any (0), to what training made of it (1): a point in between can keep more of what was
    known before for little of what was learnt (Wortsman et al. 2022).
    """
    model = build()
    start_image_tower(model, cache, imagenet_space(cache))
    if before is not None:
        model.visual.load_state_dict(image_weights(before))
    image = cache / "clip" / "image.pt"
    if image.exists():
        model.visual.load_state_dict(between(model.visual, image_weights(image), share))
    model.load_state_dict(text_weights(cache / "clip" / "text.pt"), strict=False)
    return model.eval()


def image_weights(path: Path) -> dict[str, Tensor]:
    """The averaged image tower of a checkpoint, or a packed one."""
    if path.suffix == ".safetensors":
        return packed(path)
    averaged: dict[str, Tensor] = torch.load(path, weights_only=True)["average"]
    return averaged


def text_weights(checkpoint: Path) -> dict[str, Tensor]:
    """The text tower of a checkpoint, under the whole model's names; of what ships without one."""
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        state = state.get("average", state["model"])
    else:
        state = {name: value.float() for name, value in load_file(EMBEDDED / NAME).items()}
    return {name: value for name, value in state.items() if is_text(name)}


def half(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Floating tensors in fp16, refusing what does not fit; counters are left out of no state."""
    packed = {
        name: value.half() if value.is_floating_point() else value for name, value in state.items()
    }
    bad = [name for name, value in packed.items() if not torch.isfinite(value.float()).all()]
    if bad:
        raise ValueError(f"expected weights within half precision, {bad[0]} overflows")
    return {name: value.contiguous() for name, value in packed.items()}


def pack(cache: Path, folder: Path, before: Path | None, share: float) -> None:
    """Write weights and merges into `folder` and print their sizes and sha256."""
    model = assemble(cache, before, share)
    partial = folder / (NAME + ".partial")
    save_file(half(model.state_dict()), partial, metadata={"format": "pt"})
    partial.replace(folder / NAME)
    shutil.copy(write_merges(cache / "clip"), folder / BPE_NAME)
    for name in (NAME, BPE_NAME, "clip-lite.json"):
        data = (folder / name).read_bytes()
        print(f"{name} {len(data)} bytes sha256 {hashlib.sha256(data).hexdigest()}")


def main() -> None:
    """Read the command line and pack."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, default=DEFAULT_CACHE)
    parser.add_argument("--into", type=Path, default=EMBEDDED)
    parser.add_argument(
        "--before", type=Path, help="checkpoint or packed weights where the line begins"
    )
    parser.add_argument("--share", type=float, default=1.0, help="of the way to the newest")
    given = parser.parse_args()
    pack(given.cache.expanduser(), given.into, given.before, given.share)


if __name__ == "__main__":
    main()
