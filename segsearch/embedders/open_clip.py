"""Embeds pictures and words with an open_clip model built from a config and safetensors weights."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import open_clip
import PIL.Image
import torch
from open_clip.tokenizer import SimpleTokenizer
from safetensors import SafetensorError
from safetensors.torch import load_file

from segsearch.errors import ModelError
from segsearch.ports import Pixels, Vectors

BATCH = 64


class OpenClipEmbedder:
    """Both towers of one open_clip model on one device."""

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        *,
        identity: str,
        preprocessing: dict[str, Any],
        device: str = "cpu",
    ) -> None:
        self._model = model.to(device).eval()
        self._tokenizer = tokenizer
        self._identity = identity
        self._preprocessing = preprocessing
        self._device = device
        shape = (1, 3, 1, 1)
        self._mean = torch.tensor(preprocessing["mean"], device=device).view(shape) * 255
        self._std = torch.tensor(preprocessing["std"], device=device).view(shape) * 255

    @property
    def identity(self) -> str:
        return self._identity

    @property
    def dimension(self) -> int:
        return int(self._model.text_projection.shape[1])

    @property
    def preprocessing(self) -> dict[str, Any]:
        return dict(self._preprocessing)

    def embed_pictures(self, pictures: Sequence[Pixels]) -> Vectors:
        batches = [
            self._picture_batch(pictures[start : start + BATCH])
            for start in range(0, len(pictures), BATCH)
        ]
        return self._joined(batches)

    def embed_texts(self, texts: Sequence[str]) -> Vectors:
        batches = [
            self._text_batch(texts[start : start + BATCH]) for start in range(0, len(texts), BATCH)
        ]
        return self._joined(batches)

    def _joined(self, batches: list[Vectors]) -> Vectors:
        if not batches:
            return np.empty((0, self.dimension), dtype=np.float32)
        return np.concatenate(batches)

    @torch.inference_mode()
    def _picture_batch(self, pictures: Sequence[Pixels]) -> Vectors:
        side = int(self._preprocessing["size"])
        stacked = np.stack([resize(picture, side, self._preprocessing) for picture in pictures])
        batch = torch.from_numpy(stacked).to(self._device).permute(0, 3, 1, 2)  # (n, 3, s, s) u8
        batch = (batch.float() - self._mean) / self._std
        features = self._model.encode_image(batch, normalize=True)
        return cast(Vectors, features.float().cpu().numpy())

    @torch.inference_mode()
    def _text_batch(self, texts: Sequence[str]) -> Vectors:
        tokens = self._tokenizer(list(texts)).to(self._device)
        features = self._model.encode_text(tokens, normalize=True)
        return cast(Vectors, features.float().cpu().numpy())


def resize(picture: Pixels, side: int, preprocessing: dict[str, Any]) -> Pixels:
    """A picture (H, W, 3) as (side, side, 3) u8, in open_clip's words for how: `resize_mode`
    squash (both sides), longest (the rest filled with `fill_color`) or shortest (centre cut)."""
    mode = preprocessing["resize_mode"]
    height, width = picture.shape[:2]
    source = PIL.Image.fromarray(picture)
    how = PIL.Image.Resampling.BICUBIC
    if mode == "squash" or height == width:
        return np.asarray(source.resize((side, side), how, reducing_gap=3.0))
    if mode == "shortest":
        left, top = (width - min(width, height)) / 2, (height - min(width, height)) / 2
        box = (left, top, width - left, height - top)
        return np.asarray(source.resize((side, side), how, box=box, reducing_gap=3.0))
    scale = side / max(width, height)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = source.resize(size, how, reducing_gap=3.0)
    canvas = PIL.Image.new("RGB", (side, side), tuple(preprocessing["fill_color"]))
    canvas.paste(small, ((side - size[0]) // 2, (side - size[1]) // 2))
    return np.asarray(canvas)


def load(
    config: Path, weights: Path, merges: Path, *, identity: str, device: str
) -> OpenClipEmbedder:
    """An embedder from open_clip's config JSON, safetensors and a merges file of its tokenizer.

    Raises ModelError when the weights do not fit the config, naming the first that differ.
    """
    document = json.loads(config.read_text())
    shape = document["model_cfg"]
    model = open_clip.CLIP(**shape)
    try:
        state = {name: tensor.float() for name, tensor in load_file(weights).items()}
    except (SafetensorError, OSError) as problem:
        raise ModelError(f"{weights.name} is no safetensors file: {problem}.") from problem
    try:
        model.load_state_dict(state)
    except RuntimeError as problem:
        lines = " ".join(line.strip() for line in str(problem).splitlines()[1:3])
        raise ModelError(f"{weights.name} does not fit {config.name}: {lines}") from problem
    tokenizer = SimpleTokenizer(
        bpe_path=str(merges), context_length=shape["text_cfg"]["context_length"]
    )
    return OpenClipEmbedder(
        model, tokenizer, identity=identity, preprocessing=document["preprocess_cfg"], device=device
    )
