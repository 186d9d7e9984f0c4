"""Turns drawn things into the vectors that their pictures must meet: name plus rare keywords."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from training.data.things import DrawableThing
from training.text.corpus import names_vectors
from training.text.teacher import TEACHER_DIM, Space, Vectors

KEYWORD_WEIGHT = 0.6  # of the keywords' mean beside the name: 83 % of keywords then rank in five


def thing_meanings(cache: Path, space: Space, things: Sequence[DrawableThing]) -> Vectors:
    """Unit rows (n, 384): each thing's name, mixed with its keywords, rare ones counting more."""
    names = names_vectors(cache, space, [thing.name for thing in things])[:, :TEACHER_DIM]
    frequency = Counter(word for thing in things for word in thing.keywords)
    vectors = names_vectors(cache, space, list(frequency))[:, :TEACHER_DIM]
    weighted = {
        word: vector / np.sqrt(frequency[word])
        for word, vector in zip(frequency, vectors, strict=True)
    }
    rows = []
    for thing, name in zip(things, names, strict=True):
        mean = np.sum([weighted[word] for word in thing.keywords], axis=0)
        length = float(np.linalg.norm(mean))
        rows.append(name + KEYWORD_WEIGHT * mean / length if length else name)
    stacked = np.stack(rows)
    return np.asarray(stacked / np.linalg.norm(stacked, axis=1, keepdims=True), np.float32)
