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
from safetensors.torch import save_file
from torch import Tensor

from training.clip.head import start_image_tower
from training.clip.model import EMBEDDED, build, is_text
from training.clip.run import between
from training.data.fetch import DEFAULT_CACHE
from training.text.corpus import BPE_NAME, imagenet_space, write_merges

NAME = "clip-lite.safetensors"


def assemble(cache: Path, before: Path | None, share: float) -> CLIP:
    """Both towers from the newest checkpoints in the cache.

    The image tower lies on the line from an earlier checkpoint, or its start without one (0), to
    what training made of it (1): a point in between can keep more of what was known before for
    little of what was learnt (Wortsman et al. 2022).
    """
    model = build()
    start_image_tower(model, cache, imagenet_space(cache))
    if before is not None:
        model.visual.load_state_dict(torch.load(before, weights_only=True)["average"])
    image = cache / "clip" / "image.pt"
    if image.exists():
        learnt = torch.load(image, weights_only=True)["average"]
        model.visual.load_state_dict(between(model.visual, learnt, share))
    text = torch.load(cache / "clip" / "text.pt", weights_only=True)
    text = text.get("average", text["model"])
    model.load_state_dict(
        {name: value for name, value in text.items() if is_text(name)}, strict=False
    )
    return model.eval()


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
    parser.add_argument("--before", type=Path, help="checkpoint where the line begins")
    parser.add_argument("--share", type=float, default=1.0, help="of the way to the newest")
    given = parser.parse_args()
    pack(given.cache.expanduser(), given.into, given.before, given.share)


if __name__ == "__main__":
    main()
