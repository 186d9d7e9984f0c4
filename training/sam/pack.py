"""Writes the averaged SAM weights as half-precision safetensors, and the model card beside them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from segsearch.models.segment.sam_lite import IMAGE_SIZE
from training.data.fetch import FILLED_STYLES, HELD_OUT, STYLES, parser
from training.sam.evaluate import SHIPPED

_CARD = Path(__file__).with_name("card.md")


def pack(checkpoint: Path, target: Path, before: Path | None = None, share: float = 1.0) -> str:
    """Write the weights; returns their sha256.

    With `before` they lie on the line from that checkpoint, or those packed weights, (0) to the
    other (1): a point between keeps more of what the earlier data taught (Wortsman et al. 2022).
    """
    state = averaged(checkpoint)
    if before is not None:
        start = averaged(before)
        state = {
            name: start[name].lerp(value, share) if value.is_floating_point() else value
            for name, value in state.items()
        }
    kept = {name: value.half().contiguous() for name, value in state.items()}
    # One key only: safetensors writes several in an order of chance, and the sha256 would change.
    save_file(kept, target, metadata={"image_size": str(IMAGE_SIZE)})
    target.chmod(0o644)
    return hashlib.sha256(target.read_bytes()).hexdigest()


def averaged(path: Path) -> dict[str, Any]:
    """The averaged weights of a checkpoint, or packed ones, as float32."""
    if path.suffix == ".safetensors":
        return {name: value.float() for name, value in load_file(path).items()}
    state: dict[str, Any] = torch.load(path, weights_only=True)["slow"]
    return state


def card(sha256: str, size_bytes: int, runs: list[dict[str, Any]], metrics: str) -> str:
    """The model card's text: the template with what was measured filled in."""
    lines = [
        f"| {run['plan']['side_px']} px | {run['state']['step']} | {run['plan']['images']} | "
        f"{run['plan']['rate']:g} | {run['state']['seconds'] / 60:.0f} | {run['plan']['seed']} |"
        for run in runs
    ]
    styles = ", ".join(f"{style} ({STYLES[style].licence})" for style in FILLED_STYLES)
    text = _CARD.read_text("utf-8")
    values = {
        "sha256": sha256, "megabytes": f"{size_bytes / 1e6:.1f}", "runs": "\n".join(lines),
        "styles": styles, "held_out": HELD_OUT, "metrics": metrics.strip(),
        "image_size": str(IMAGE_SIZE),
    }  # fmt: skip
    for name, value in values.items():
        text = text.replace(f"<{name}>", value)
    return text


def describe(checkpoint: Path) -> dict[str, Any]:
    """What a checkpoint says about the run that made it."""
    content = torch.load(checkpoint, weights_only=True)
    return {"plan": content["plan"], "state": content["state"]}


def main() -> None:
    """Command line."""
    options = parser(__doc__)
    options.add_argument("checkpoints", type=Path, nargs="+", help="in order; the last is packed")
    options.add_argument("--metrics", type=Path, help="what evaluate_sam printed, for the card")
    options.add_argument("--target", type=Path, default=SHIPPED)
    options.add_argument("--before", type=Path, help="earlier weights to stay close to")
    options.add_argument("--share", type=float, default=1.0, help="of the way from there")
    chosen = options.parse_args()
    sha256 = pack(chosen.checkpoints[-1], chosen.target, chosen.before, chosen.share)
    runs = [describe(path) for path in chosen.checkpoints]
    metrics = chosen.metrics.read_text("utf-8") if chosen.metrics else "not measured"
    text = card(sha256, chosen.target.stat().st_size, runs, metrics)
    chosen.target.with_suffix(".md").write_text(text, "utf-8")
    print(json.dumps({"sha256": sha256, "bytes": chosen.target.stat().st_size, "runs": runs}))


if __name__ == "__main__":
    main()
