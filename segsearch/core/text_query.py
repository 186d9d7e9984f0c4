"""The language in which words that stand in pictures are asked for, and which lines hold them.

`exit` is a word, which also counts, but less, where it is a part of one; `"24 hours"` are words in
this order, also over the end of a line; `stair*` is how a word begins. Everything is compared as
`core.text.folded_text` has it. Nothing that is typed is an error.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from unicodedata import category

from segsearch.core.text import TextLine, folded_text, spaced_text

MOST_WANTED = 32  # words and phrases of a query, the first ones count
LEAST_PART = 3  # signs; FTS5's trigrams find no shorter part of a word
PART_SHARE = 0.5  # what a part of a word counts beside the whole word
_QUOTES = str.maketrans("“”„«»", '"' * 5)
_PIECE = re.compile(r'"([^"]*)"?|([^\s"]+)')
_TYPED = re.compile(r'(?<!\S)(-?)text:("[^"]*"?|[^\s"]+)', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class TextQuery:
    """What the text of a picture must hold, and what it must not, each in the language of this
    module. With `whole` all of it, as whole words; else as much as counts as an answer."""

    words: tuple[str, ...]
    without: tuple[str, ...] = ()
    whole: bool = False


@dataclass(frozen=True, slots=True)
class TextRanking:
    """Regions whose lines answer, best first: scores, ids, and the ids of those lines by the
    region's."""

    scores: list[float] = field(default_factory=list)
    ids: list[int] = field(default_factory=list)
    lines: dict[int, tuple[int, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Whole words that stand in this order, of which the last, with `is_prefix`, may go on.

    `part`, where it is given, counts `PART_SHARE` wherever it stands, such as in a longer word.
    """

    words: tuple[str, ...]
    is_prefix: bool = False
    part: str | None = None


def wanted_in(text: str) -> tuple[Wanted, ...]:
    """What a text asks for, each once; nothing where it holds neither letters nor digits."""
    plain = text.encode("utf-8", "ignore").decode().replace("\0", " ")  # no lone surrogates
    pieces = _PIECE.findall(plain.translate(_QUOTES))
    each = (_wanted(quoted or bare, is_quoted=not bare) for quoted, bare in pieces)
    return tuple(dict.fromkeys(wanted for wanted in each if wanted.words))[:MOST_WANTED]


def _wanted(text: str, *, is_quoted: bool) -> Wanted:
    folded = folded_text(text)
    words = tuple(words_of(folded))
    is_prefix = folded.endswith("*") and _is_of_word(folded.rstrip("*")[-1:])
    part = _trimmed(folded)
    # What stands side by side in a script that parts no words is found as a phrase.
    if is_quoted or is_prefix or len(part) < LEAST_PART or spaced_text(part) != part:
        return Wanted(words, is_prefix)
    return Wanted(words, part=part)


def words_of(folded: str) -> list[str]:
    """The words of folded text, as FTS5 takes it apart (migration 0013)."""
    runs = groupby(spaced_text(folded), _is_of_word)
    return ["".join(signs) for is_word, signs in runs if is_word]


def _is_of_word(sign: str) -> bool:
    return bool(sign) and (category(sign)[0] in "LNM" or category(sign) == "Co")


def _trimmed(folded: str) -> str:
    """Without signs at either end that belong to no word."""
    inside = [place for place, sign in enumerate(folded) if _is_of_word(sign)]
    return folded[inside[0] : inside[-1] + 1] if inside else ""


def taken_apart(typed: str) -> tuple[str, list[tuple[str, bool]]]:
    """Words as they are typed for a search, in two parts: those that tell what a thing looks like,
    and what is asked of the text of pictures (`text:exit`, `text:"24 hours"`), each beside whether
    it must be there (`-text:exit`: must not). As it is where nothing is asked of that."""
    asked: list[tuple[str, bool]] = []

    def take(match: re.Match[str]) -> str:
        if not wanted_in(match[2]):
            return match[0]
        asked.append((match[2], not match[1]))
        return " "

    rest = _TYPED.sub(take, typed.translate(_QUOTES))
    return (" ".join(rest.split()), asked) if asked else (typed, [])


def shares(lines: Sequence[TextLine], wanted: Sequence[Wanted]) -> dict[int, dict[int, float]]:
    """How far lines of one picture, in order, hold what is wanted: by the line's id, then by the
    number of what it holds, 1 for whole words and `PART_SHARE` for a part. Each line over which
    words in order stretch holds them."""
    found: dict[int, dict[int, float]] = defaultdict(dict)
    folded = [folded_text(line.line.text) for line in lines]
    words = [
        (word, line.id) for line, text in zip(lines, folded, strict=True) for word in words_of(text)
    ]
    for number, one in enumerate(wanted):
        for line, text in zip(lines, folded, strict=True):
            if one.part is not None and one.part in text:
                found[line.id][number] = PART_SHARE
        for start in _places(words, one):
            for _, line_id in words[start : start + len(one.words)]:
                found[line_id][number] = 1.0
    return dict(found)


def _places(words: Sequence[tuple[str, int]], wanted: Wanted) -> Iterator[int]:
    """Where the wanted words begin."""
    *first, last = wanted.words
    for start in range(len(words) - len(first)):
        end = words[start + len(first)][0]
        if (end.startswith(last) if wanted.is_prefix else end == last) and all(
            words[start + offset][0] == word for offset, word in enumerate(first)
        ):
            yield start
