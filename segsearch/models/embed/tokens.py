"""Turns words into the numbers that a text tower reads, with Hugging Face's `tokenizers` alone.

It stands in for open_clip's tokenizers, whose package loads torch: the same cleaning, the same
pieces, the same length. `onnx_export` makes the document of a tokenizer and holds its tokens
against open_clip's before anything here is used.
"""

from __future__ import annotations

import html
import json
import re
import string
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import ftfy
import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

WORDS_PATTERN = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def _plain(text: str) -> str:
    return html.unescape(html.unescape(ftfy.fix_text(text))).strip()


def _one_spaced(text: str) -> str:
    return " ".join(_plain(text).split()).strip()


def _lower(text: str) -> str:
    return _one_spaced(text).lower()


def _canonical(text: str) -> str:
    words = _plain(text).replace("_", " ").translate(_NO_PUNCTUATION).lower()
    return re.sub(r"\s+", " ", words).strip()


CLEANING: dict[str, Callable[[str], str]] = {
    "whitespace": _one_spaced,
    "lower": _lower,
    "canonicalize": _canonical,
}


@dataclass(frozen=True, slots=True)
class TokenRule:
    """How words become one row: cleaned, cut in pieces, `before` and `after` around them, cut to
    `length` with `after` kept last if `keeps_end`, filled up with `fill`; `blank` becomes 0."""

    clean: str
    length: int
    fill: int
    before: tuple[int, ...] = ()
    after: tuple[int, ...] = ()
    keeps_end: bool = True
    blank: int | None = None


class Tokens:
    """Words -> rows of numbers: `pieces` cuts a cleaned text, `rule` does the rest."""

    def __init__(self, pieces: Tokenizer, rule: TokenRule) -> None:
        self._pieces, self._rule = pieces, rule
        self._clean = CLEANING[rule.clean]

    def __call__(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """(n, length) int64."""
        rule = self._rule
        rows = np.full((len(texts), rule.length), rule.fill, np.int64)
        cleaned = [self._clean(text) for text in texts]
        for row, encoding in zip(rows, self._pieces.encode_batch(cleaned), strict=True):
            ids = [*rule.before, *encoding.ids, *rule.after]
            if len(ids) > rule.length:
                ids = ids[: rule.length]
                if rule.keeps_end and rule.after:
                    ids[-len(rule.after) :] = rule.after
            row[: len(ids)] = ids
        if rule.blank is not None:
            rows[rows == rule.blank] = 0
        return rows

    @property
    def document(self) -> dict[str, Any]:
        """Plain JSON values, from which `read` makes the same."""
        return {"rule": asdict(self._rule), "pieces": self._pieces.to_str()}

    @classmethod
    def read(cls, document: dict[str, Any]) -> Tokens:
        """What `document` was of."""
        rule = dict(document["rule"])
        rule |= {name: tuple(rule[name]) for name in ("before", "after")}
        return cls(Tokenizer.from_str(document["pieces"]), TokenRule(**rule))


def document_at(path: Path) -> dict[str, Any]:
    """A JSON file's content."""
    content: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return content
