"""Embeds pictures and words with a model of open_clip's classes; it reads no file."""

from __future__ import annotations

import copy
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import PIL.Image
import torch

from segsearch.core.arrays import Pixels, Vectors
from segsearch.models.device import CPU, Placement, with_less_memory

BATCH = 64  # words, and pictures where a GPU has much to do at once
BATCH_ON_CPU = 16  # pictures: more of them leave the cache between two layers


class OpenClipEmbedder:
    """Both towers of one open_clip model on one device.

    `config` is open_clip's: `model_cfg` says how the model is built, `preprocess_cfg` what a
    picture goes through.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        config: dict[str, Any],
        *,
        identity: str,
        place: Placement = CPU,
    ) -> None:
        # Pictures come channels last from `_picture_batch`; so no weight is reordered at each call.
        self._model = (
            model.to(place.device, memory_format=torch.channels_last)
            .eval()
            .requires_grad_(requires_grad=False)
        )
        self._tokenizer = tokenizer
        self._config = config
        self._identity = identity
        self._preprocessing: dict[str, Any] = config["preprocess_cfg"]
        self._place = place
        shape, device = (1, 3, 1, 1), place.device
        mean, std = self._preprocessing["mean"], self._preprocessing["std"]
        self._mean = torch.tensor(mean, device=device).view(shape) * 255
        self._std = torch.tensor(std, device=device).view(shape) * 255
        self._spare: OpenClipEmbedder | None = None
        self._lock = threading.Lock()

    @property
    def identity(self) -> str:
        return self._identity

    @property
    def dimension(self) -> int:
        return int(self._config["model_cfg"]["embed_dim"])

    @property
    def preprocessing(self) -> dict[str, Any]:
        return dict(self._preprocessing)

    def embed_pictures(self, pictures: Sequence[Pixels]) -> Vectors:
        spare = None
        if self._place.device != "cpu":
            spare = lambda: self._on_cpu().embed_pictures(pictures)  # noqa: E731 - or None
        return with_less_memory(
            lambda batch: self._joined(
                [
                    self._picture_batch(pictures[start : start + batch])
                    for start in range(0, len(pictures), batch)
                ]
            ),
            BATCH_ON_CPU if self._place.device == "cpu" else BATCH,
            spare,
            what="embedding a picture",
        )

    def embed_texts(self, texts: Sequence[str]) -> Vectors:
        batches = [
            self._text_batch(texts[start : start + BATCH]) for start in range(0, len(texts), BATCH)
        ]
        return self._joined(batches)

    def write_words(self, document: Path) -> None:
        """Make the words of this model for ONNX Runtime; see `onnx_export.write_words`."""
        from segsearch.models.embed.onnx_export import write_words

        model = self._model
        if self._place.device != "cpu":
            model = copy.deepcopy(model).cpu()
        write_words(model, self._tokenizer, self._identity, document)

    def _on_cpu(self) -> OpenClipEmbedder:
        """The same on the CPU, made once; the other keeps its device for other pictures."""
        with self._lock:
            if self._spare is None:
                model = copy.deepcopy(self._model).cpu()
                self._spare = OpenClipEmbedder(
                    model, self._tokenizer, self._config, identity=self._identity
                )
            return self._spare

    def _joined(self, batches: list[Vectors]) -> Vectors:
        if not batches:
            return np.empty((0, self.dimension), dtype=np.float32)
        return np.concatenate(batches)

    @torch.inference_mode()
    def _picture_batch(self, pictures: Sequence[Pixels]) -> Vectors:
        side = int(self._preprocessing["size"])
        stacked = np.stack([resize(picture, side, self._preprocessing) for picture in pictures])
        crops = torch.from_numpy(stacked)
        if self._place.device == "cuda":
            crops = crops.pin_memory()  # the copy then runs beside what the GPU still does
        batch = crops.to(self._place.device, non_blocking=True).permute(0, 3, 1, 2)  # (n, 3, s, s)
        batch = (batch.float() - self._mean) / self._std
        with self._place.computing():
            features = self._model.encode_image(batch)
        features = torch.nn.functional.normalize(features.float(), dim=-1)
        return cast(Vectors, features.cpu().numpy())

    @torch.inference_mode()
    def _text_batch(self, texts: Sequence[str]) -> Vectors:
        tokens = self._tokenizer(list(texts)).to(self._place.device)
        with self._place.computing():
            features = self._model.encode_text(tokens)
        features = torch.nn.functional.normalize(features.float(), dim=-1)
        return cast(Vectors, features.cpu().numpy())


def resize(picture: Pixels, side: int, preprocessing: dict[str, Any]) -> Pixels:
    """A picture (H, W, 3) as (side, side, 3) u8, in open_clip's words for how: `resize_mode`
    squash (both sides), longest (the rest filled with `fill_color`) or shortest (centre cut)."""
    mode = preprocessing["resize_mode"]
    height, width = picture.shape[:2]
    source = PIL.Image.fromarray(picture)
    how = PIL.Image.Resampling.BICUBIC
    if preprocessing.get("interpolation") == "bilinear":
        how = PIL.Image.Resampling.BILINEAR
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
