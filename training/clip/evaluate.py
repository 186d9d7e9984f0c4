"""Turns the packed towers into numbers: photographs by words, drawings of an unseen style by name.

Loads what ships, the way the product does, and never a training object. Drawings are looked at
twice, as the product does: with their surroundings, and alone on the fill colour.
Run `python -m training.clip.evaluate`.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from open_clip.model import CLIP
from open_clip.tokenizer import SimpleTokenizer
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

from training.clip.backgrounds import Backgrounds
from training.clip.photographs import NamedPhotographs, split
from training.clip.pictures import Composer, load_icons
from training.data.fetch import DEFAULT_CACHE, HELD_OUT
from training.data.named_photographs import listed
from training.data.packaged_photographs import absent, photographs, queries
from training.data.render import load_drawings
from training.text.words import article

EMBEDDED = Path(__file__).parents[2] / "segsearch" / "models" / "embedded"
WHOLE_SIZES = (160, 192, 224)
CONTEXT_WEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.0)
Rows = NDArray[np.float32]


class Packed:
    """The shipped towers: words or square pictures -> unit rows (n, 512) f32."""

    def __init__(self, folder: Path = EMBEDDED) -> None:
        document = json.loads((folder / "clip-lite.json").read_text("utf-8"))
        self.rule: dict[str, Any] = document["preprocess_cfg"]
        self.model = CLIP(**document["model_cfg"]).eval()
        state = load_file(folder / "clip-lite.safetensors")
        self.model.load_state_dict(
            {k: v.float() if v.is_floating_point() else v for k, v in state.items()}
        )
        length = document["model_cfg"]["text_cfg"]["context_length"]
        self.tokenizer = SimpleTokenizer(
            str(folder / "clip-lite-bpe.txt.gz"), context_length=length
        )

    @torch.inference_mode()
    def words(self, texts: list[str]) -> Rows:
        """Unit rows of texts as typed."""
        return np.asarray(self.model.encode_text(self.tokenizer(texts), normalize=True))

    @torch.inference_mode()
    def pictures(self, crops: list[Image.Image], size: int = 0) -> Rows:
        """Unit rows of square pictures, resized to the config's size or to `size`."""
        size = size or self.rule["size"]
        rows = []
        for start in range(0, len(crops), 32):
            part = [
                crop.resize((size, size), Image.Resampling.BICUBIC)
                for crop in crops[start : start + 32]
            ]
            pixels = torch.from_numpy(np.stack([np.asarray(p, np.float32) for p in part])) / 255
            rows.append(self.tensor(pixels.permute(0, 3, 1, 2)))
        return np.concatenate(rows)

    @torch.inference_mode()
    def tensor(self, pixels: Tensor) -> Rows:
        """Unit rows of pixels (n, 3, s, s) in 0..1 that already have their size."""
        mean, std = (torch.tensor(self.rule[key]).view(1, 3, 1, 1) for key in ("mean", "std"))
        return np.asarray(self.model.encode_image((pixels - mean) / std, normalize=True))


def middle(image: Image.Image) -> Image.Image:
    """The largest square in the middle."""
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return image.crop((left, top, left + side, top + side))


def padded(image: Image.Image) -> Image.Image:
    """The picture on the smallest square that holds it, in the fill colour."""
    side = max(image.size)
    canvas = Image.new("RGB", (side, side), (124, 116, 104))
    canvas.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
    return canvas


WHOLE_RULES = {"middle": middle, "padded": padded, "squashed": lambda image: image}


def auc(high: Rows, low: Rows) -> float:
    """The chance that a value of `high` exceeds one of `low`."""
    return float((high[:, None] > low[None]).mean() + 0.5 * (high[:, None] == low[None]).mean())


def photograph_report(packed: Packed, rule: str, size: int, *, verbose: bool = False) -> str:
    """Queries that put a right photograph first, and how well present and absent words part."""
    shown = photographs()
    names = [photograph.name for photograph in shown]
    rows = packed.pictures([WHOLE_RULES[rule](photograph.open()) for photograph in shown], size)
    asked = {text: right for text, right in queries().items() if set(right) & set(names)}
    scores = packed.words(list(asked)) @ rows.T
    firsts = [names[index] for index in scores.argmax(1)]
    good = [first in right for first, right in zip(firsts, asked.values(), strict=True)]
    missing = packed.words(absent()) @ rows.T
    parted = auc(scores.max(1), missing.max(1))
    # A query's own mean over the pictures tells how general its words are: taking it off helps.
    relative = auc(scores.max(1) - scores.mean(1), missing.max(1) - missing.mean(1))
    pairs = auc(_own(scores, names, list(asked.values())), missing.ravel())
    wrong = [f"{q} -> {f}" for q, f, g in zip(asked, firsts, good, strict=True) if not g]
    lines = [
        f"photographs {rule} {size}: {sum(good)} of {len(good)} queries right first; "
        f"AUC best present against best absent {parted:.3f} (less the mean {relative:.3f}), "
        f"true pairs against absent pairs {pairs:.3f}"
    ]
    return "\n".join(lines + (["  wrong: " + ", ".join(wrong)] if verbose else []))


def _own(scores: Rows, names: list[str], rights: list[list[str]]) -> Rows:
    best = [
        max(row[names.index(name)] for name in right if name in names)
        for row, right in zip(scores, rights, strict=True)
    ]
    return np.asarray(best, np.float32)


@dataclass(frozen=True)
class Drawn:
    """Drawings of one style as rows: `context` and `masked` (n, 512), and what each one shows."""

    context: Rows
    masked: Rows
    names: list[str]
    keywords: list[tuple[str, ...]]

    def mixed(self, context_weight: float) -> Rows:
        """Unit rows of the weighted sum of both vectors."""
        rows = context_weight * self.context + (1 - context_weight) * self.masked
        return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def drawn(packed: Packed, cache: Path, style: str = HELD_OUT, seed: int = 11) -> Drawn:
    """Every thing of a style over a random ground with neighbours, cut and embedded."""
    drawings = load_drawings(cache)
    names = drawings.names(style)
    icons = load_icons(drawings, (style,), names, cache)
    composer = Composer(icons, Backgrounds(seed, count=120), seed)
    context: list[Rows] = []
    masked: list[Rows] = []
    for rows in torch.arange(len(names)).split(64):
        for kept, pixels in zip(
            (context, masked), composer.plain(rows, packed.rule["size"]), strict=True
        ):
            kept.append(packed.tensor(pixels))
    shown = [names[index] for index in icons.things.tolist()]
    keywords = [drawings.things[name].keywords for name in shown]
    return Drawn(np.concatenate(context), np.concatenate(masked), shown, keywords)


def drawn_report(packed: Packed, cache: Path) -> str:
    """Naming all things of the unseen style and finding them by keyword, by mix of vectors."""
    shown = drawn(packed, cache)
    prompts = packed.words([article(name) for name in shown.names])
    words = sorted({word for row in shown.keywords for word in row})
    asked = packed.words(words)
    owners = [{i for i, row in enumerate(shown.keywords) if word in row} for word in words]
    lines = [f"drawings of an unseen style: {len(shown.names)} things, {len(words)} keywords"]
    for weight in CONTEXT_WEIGHTS:
        rows = shown.mixed(weight)
        scores = rows @ prompts.T
        ranks = (scores > np.diag(scores)[:, None]).sum(1)
        search = np.argsort(-(prompts @ rows.T), axis=1)
        finds = (search[:, 0] == np.arange(len(rows))).mean()
        best = np.argsort(-(asked @ rows.T), axis=1)[:, :5]
        recall = np.mean(
            [bool(own & set(row)) for own, row in zip(owners, best.tolist(), strict=True)]
        )
        lines.append(
            f"  context {weight:.2f}: names it top-1 {(ranks < 1).mean():.3f} top-5 "
            f'{(ranks < 5).mean():.3f}; "a NAME" finds it first {finds:.3f}; '
            f"keyword finds its thing in five {recall:.3f}"
        )
    return "\n".join(lines)


def named_report(packed: Packed, cache: Path) -> str:
    """Naming the photographs that were held out of training, among all photographs' names."""
    files = listed(cache)
    names = sorted({name for one in files for name in one.names})
    shown = NamedPhotographs(split(files)[1], names)
    scores = packed.tensor(shown.middles(packed.rule["size"])) @ packed.words(names).T
    own = np.where(shown.shown.numpy(), scores, -1).max(1, keepdims=True)
    ranks = (scores > own).sum(1)
    return (
        f"held-out photographs: {len(ranks)}, {len(names)} names: a right one first "
        f"{(ranks < 1).mean():.3f}, within five {(ranks < 5).mean():.3f}"
    )


def main() -> None:
    """Read the command line and print the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=EMBEDDED)
    parser.add_argument("--cache", type=Path, default=DEFAULT_CACHE)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    packed = Packed(given.folder)
    for rule in WHOLE_RULES:
        for size in WHOLE_SIZES:
            verbose = rule == "middle" and size == max(WHOLE_SIZES)
            print(photograph_report(packed, rule, size, verbose=verbose), flush=True)
    print(drawn_report(packed, given.cache))
    print(named_report(packed, given.cache))


if __name__ == "__main__":
    main()
