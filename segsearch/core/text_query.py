"""The language in which words that stand in pictures are asked for, and which lines hold them.

`exit` is a word, which also counts, but less, where it is a part of one; `"24 hours"` are words in
this order, also over the end of a line; `stair*` is how a word begins. Everything is compared as
`core.text.folded_text` has it. Nothing that is typed is an error.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from unicodedata import category

from segsearch.core.text import LineText, folded_text, spaced_text

MOST_PHRASES = 32  # words and phrases of a query, the first ones count
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
class Phrase:
    """A word that is looked for, or several that stand in this order; with `is_prefix` the last
    may go on.

    `part`, where it is given, counts `PART_SHARE` wherever it stands, such as in a longer word.
    """

    words: tuple[str, ...]
    is_prefix: bool = False
    part: str | None = None


def phrases_in(text: str) -> tuple[Phrase, ...]:
    """What a text asks for, each once; nothing where it holds neither letters nor digits."""
    plain = text.encode("utf-8", "ignore").decode().replace("\0", " ")  # no lone surrogates
    pieces = _PIECE.findall(plain.translate(_QUOTES))
    each = (_phrase(quoted or bare, is_quoted=not bare) for quoted, bare in pieces)
    return tuple(dict.fromkeys(phrase for phrase in each if phrase.words))[:MOST_PHRASES]


def _phrase(text: str, *, is_quoted: bool) -> Phrase:
    folded = folded_text(text)
    words = tuple(words_of(folded))
    is_prefix = folded.endswith("*") and _is_of_word(folded.rstrip("*")[-1:])
    part = _trimmed(folded)
    # What stands side by side in a script that parts no words is found as a phrase.
    if is_quoted or is_prefix or len(part) < LEAST_PART or spaced_text(part) != part:
        return Phrase(words, is_prefix)
    return Phrase(words, part=part)


def words_of(folded: str) -> list[str]:
    """The words of folded text, as FTS5 takes it apart (migration 0013)."""
    return spaced_text(folded).translate(_PARTED).split()


class _Parted(dict[int, str]):
    """By code point: the sign where it is of a word, else a space. Filled as signs are met."""

    def __missing__(self, code: int) -> str:
        self[code] = sign = chr(code) if _is_of_word(chr(code)) else " "
        return sign


_PARTED = _Parted()


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
        if not phrases_in(match[2]):
            return match[0]
        asked.append((match[2], not match[1]))
        return " "

    rest = _TYPED.sub(take, typed.translate(_QUOTES))
    return (" ".join(rest.split()), asked) if asked else (typed, [])


def line_filter(phrases: Sequence[Phrase]) -> Callable[[str], bool]:
    """Tells of lines whether they may hold any of some phrases, or a part of one. Lines without
    words pass, too: words in order stretch over these."""
    parts = {phrase.part for phrase in phrases if phrase.part is not None}
    signs = {word for phrase in phrases for word in phrase.words} | parts
    pattern = re.compile("|".join(map(re.escape, sorted(signs, key=len))))

    def may_hold(text: str) -> bool:
        folded = folded_text(text)
        return pattern.search(folded) is not None or not any(map(_is_of_word, folded))

    return may_hold


def shares(lines: Sequence[LineText], phrases: Sequence[Phrase]) -> dict[int, dict[int, float]]:
    """How far lines of one picture, in order, hold phrases: by the line's id, then by the phrase's
    number, 1 for whole words and `PART_SHARE` for a part. Each line over which a phrase stretches
    holds it. Lines that `line_filter` lets not by may be left out."""
    found: dict[int, dict[int, float]] = defaultdict(dict)
    folded = [folded_text(line.text) for line in lines]
    words: list[str] = []
    owners: list[int] = []  # of the words: ids of lines
    position = 0
    for line, text in zip(lines, folded, strict=True):
        own = words_of(text) if line.position == position + 1 else ["", *words_of(text)]
        words += own  # an empty one stands for a line that is left out: no phrase goes over it
        owners += [line.id] * len(own)
        position = line.position
    places: dict[str, list[int]] = defaultdict(list)
    for place, word in enumerate(words):
        places[word].append(place)
    for number, phrase in enumerate(phrases):
        if phrase.part is not None:
            for line, text in zip(lines, folded, strict=True):
                if phrase.part in text:
                    found[line.id][number] = PART_SHARE
        for start in _starts(words, places, phrase):
            for owner in owners[start : start + len(phrase.words)]:
                found[owner][number] = 1.0
    return dict(found)


def _starts(
    words: Sequence[str], places: Mapping[str, Sequence[int]], phrase: Phrase
) -> Iterator[int]:
    """Where a phrase begins among words; `places` are those of each word."""
    *first, last = phrase.words
    ends = [word for word in places if word.startswith(last)] if phrase.is_prefix else [last]
    for end in ends:
        for place in places.get(end, ()):
            start = place - len(first)
            if start >= 0 and words[start:place] == first:
                yield start
