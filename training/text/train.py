"""Teaches the small text tower the sentence encoder's vectors: text in, unit vector (512,) out.

Run `python -m training.text.train --minutes 25`; run again with a larger number to go on from the
checkpoint, and so with `--steps`. Reports the mean cosine to the teacher over concepts that were
never shown.
"""

from __future__ import annotations

import argparse
import math
import random
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from open_clip.model import CLIP
from open_clip.tokenizer import SimpleTokenizer
from torch import Tensor, nn
from torch.nn import functional

from segsearch.core.settings import Settings
from segsearch.models.device import choose
from training.clip.model import build, text_parameters
from training.data.fetch import DEFAULT_CACHE
from training.length import Length, length_of, with_length
from training.text import words
from training.text.corpus import Corpus, load, tokenizer_at, write_merges
from training.text.grounding import TAUGHT_MORE, grounded
from training.text.teacher import embed_cached

HELD_OUT_SHARE = 0.02
BATCH = 256
PEAK_RATE = 1.5e-3
WARMUP_STEPS = 200
SAVE_SECONDS = 120
TEMPERATURE = 0.05


@dataclass
class Progress:
    """What a checkpoint keeps beside the weights."""

    step: int = 0
    seconds: float = 0.0


class TextBatches:
    """Endless batches (tokens (n, length), wanted (n, 512)) of similar length, drawn by weight."""

    def __init__(
        self, corpus: Corpus, indices: list[int], tokenizer: SimpleTokenizer, seed: int
    ) -> None:
        self.corpus, self.indices, self.tokenizer = corpus, indices, tokenizer
        shares = np.array([corpus.concepts[index].weight for index in indices])
        self.shares = shares / shares.sum()
        self.wording = random.Random(seed)
        self.draw = np.random.default_rng(seed)
        self.waiting: list[tuple[Tensor, Tensor]] = []

    def next(self) -> tuple[Tensor, Tensor]:
        """One batch; when none waits, a dozen are drawn at once and sorted by length."""
        if not self.waiting:
            picked = self.draw.choice(len(self.indices), BATCH * 12, p=self.shares)
            chosen = np.array(self.indices)[picked]
            texts = [words.worded(self.corpus.concepts[index], self.wording) for index in chosen]
            tokens = self.tokenizer(texts)
            order = (tokens != 0).sum(1).argsort()
            wanted = torch.from_numpy(self.corpus.targets[chosen])
            self.waiting = [(tokens[part], wanted[part]) for part in order.split(BATCH)]
            self.wording.shuffle(self.waiting)
        return self.waiting.pop()


def encode_short(model: CLIP, tokens: Tensor) -> Tensor:
    """Unit vectors (n, 512) as `encode_text` gives them, without paying for the padding.

    The tower looks backwards only and reads the end mark, so cutting what follows changes nothing.
    """
    length = int((tokens != 0).sum(1).max())
    tokens = tokens[:, :length]
    states = model.token_embedding(tokens) + model.positional_embedding[:length]
    states = model.transformer(states, attn_mask=model.attn_mask[:length, :length])
    states = model.ln_final(states)  # (n, length, width)
    ends = states[torch.arange(len(tokens), device=tokens.device), tokens.argmax(-1)]
    return functional.normalize((ends @ model.text_projection).float(), dim=-1)


def start_embeddings(model: CLIP, tokens: list[str], cache: Path) -> None:
    """Begin each token's embedding at the teacher's vector of its letters, projected by PCA."""
    spelled = [token.replace("</w>", "") for token in tokens]
    plain = [index for index, text in enumerate(spelled) if text.isascii() and text.isalnum()]
    rows = embed_cached([spelled[index] for index in plain], cache / "clip" / "teacher.npz")
    rows = rows - rows.mean(0)
    _, _, axes = np.linalg.svd(rows[:: max(1, len(rows) // 4000)], full_matrices=False)
    width = model.token_embedding.weight.shape[1]
    projected = rows @ axes[:width].T
    projected *= 0.05 / projected.std()
    with torch.no_grad():
        start = torch.from_numpy(projected.astype(np.float32))
        model.token_embedding.weight[plain] = start.to(model.token_embedding.weight.device)


def loss_of(made: Tensor, wanted: Tensor) -> Tensor:
    """One minus cosine, plus a cross-entropy that ranks each text's own vector first."""
    regression = 1 - (made * wanted).sum(-1)
    logits = made @ wanted.T / TEMPERATURE
    soft = functional.softmax(wanted @ wanted.T / TEMPERATURE, dim=-1)
    ranking = -(soft * functional.log_softmax(logits, dim=-1)).sum(-1)
    ranking = ranking + (soft * soft.clamp_min(1e-9).log()).sum(-1)
    return (regression * 4 + ranking).mean()


def split(corpus: Corpus) -> tuple[list[int], list[int]]:
    """Indices to train on and, every fiftieth concept by a seeded shuffle, to hold out.

    Words for what the image tower knows are never held out.
    """
    order = list(range(len(corpus.concepts)))
    random.Random(7).shuffle(order)
    shuffled = order[: int(len(order) * HELD_OUT_SHARE)]
    held_out = [index for index in shuffled if corpus.concepts[index].weight < TAUGHT_MORE]
    return sorted(set(order) - set(held_out)), held_out


@torch.inference_mode()
def evaluate(model: CLIP, corpus: Corpus, held_out: list[int], cache: Path) -> dict[str, float]:
    """Mean cosine to the teacher over held-out concepts, and how often its own is nearest."""
    tokenizer = tokenizer_at(cache / "clip" / "clip-lite-bpe.txt.gz")
    model.eval()
    texts = [corpus.concepts[index].text for index in held_out]
    parts = [texts[start : start + 256] for start in range(0, len(texts), 256)]
    device = model.text_projection.device
    made = torch.cat([encode_short(model, tokenizer(part).to(device)).cpu() for part in parts])
    wanted = torch.from_numpy(corpus.targets[held_out])
    cosine = (made * wanted).sum(-1)
    named = torch.tensor([bool(corpus.concepts[index].noun) for index in held_out])
    nearest = (made @ wanted.T).argmax(1) == torch.arange(len(texts))
    model.train()
    return {
        "cosine": cosine.mean().item(),
        "cosine_nouns": cosine[named].mean().item(),
        "cosine_phrases": cosine[~named].mean().item(),
        "nearest_is_own": nearest.float().mean().item(),
    }


def train(cache: Path, length: Length, seed: int, device: str) -> None:
    """Train until the length is used up in all, writing a checkpoint each two minutes."""
    torch.manual_seed(seed)
    corpus = grounded(cache, load(cache))
    tokenizer = tokenizer_at(write_merges(cache / "clip"))
    model = build().to(device)
    path = cache / "clip" / "text.pt"
    optimizer = torch.optim.AdamW(text_parameters(model), lr=PEAK_RATE, weight_decay=0.01)
    progress = Progress()
    if path.exists():
        progress = _resume(path, model, optimizer)
    else:
        start_embeddings(model, list(tokenizer.encoder), cache)
    train_on, held_out = split(corpus)
    batches = TextBatches(corpus, train_on, tokenizer, seed + progress.step)
    began, saved = time.monotonic() - progress.seconds, time.monotonic()
    while (share := length.done(progress.step, progress.seconds)) < 1:
        rate = PEAK_RATE * _schedule(progress.step, share)
        for group in optimizer.param_groups:
            group["lr"] = rate
        cosine = _learn(model, optimizer, *(one.to(device) for one in batches.next()))
        progress.step += 1
        progress.seconds = time.monotonic() - began
        if progress.step % 100 == 0:
            print(f"{progress.step} {progress.seconds:.0f}s cosine {cosine:.4f}", flush=True)
        if time.monotonic() - saved > SAVE_SECONDS:
            _save(path, model, optimizer, progress)
            print(evaluate(model, corpus, held_out, cache), flush=True)
            saved = time.monotonic()
    _save(path, model, optimizer, progress)
    print(evaluate(model, corpus, held_out, cache), flush=True)


def _learn(model: CLIP, optimizer: torch.optim.Optimizer, tokens: Tensor, wanted: Tensor) -> float:
    """One step on one batch; returns the mean cosine before it."""
    model.train()
    with torch.autocast(wanted.device.type, torch.bfloat16):
        made = encode_short(model, tokens)
    optimizer.zero_grad(set_to_none=True)
    loss_of(made, wanted).backward()
    nn.utils.clip_grad_norm_(text_parameters(model), 1.0)
    optimizer.step()
    return (made.detach() * wanted).sum(-1).mean().item()


def _schedule(step: int, share: float) -> float:
    """Linear warm-up, then a cosine down to a hundredth."""
    warm = min(1.0, (step + 1) / WARMUP_STEPS)
    return warm * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, share))))


def _resume(path: Path, model: CLIP, optimizer: torch.optim.Optimizer) -> Progress:
    device = model.text_projection.device
    state = torch.load(path, weights_only=True, map_location=device)
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    return Progress(state["step"], state["seconds"])


def _save(path: Path, model: CLIP, optimizer: torch.optim.Optimizer, progress: Progress) -> None:
    state = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
    partial = path.with_suffix(".partial")
    torch.save({**state, "step": progress.step, "seconds": progress.seconds}, partial)
    partial.replace(path)


def main() -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, default=DEFAULT_CACHE)
    with_length(parser, minutes=25)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    place = choose(Settings(device=given.device, threads=given.threads))
    train(given.cache.expanduser(), length_of(given), given.seed, place.device)


if __name__ == "__main__":
    main()
