"""What is asked of drawn pictures: lines that share most of their words with others, and what
people type for them.
"""

from __future__ import annotations

from collections.abc import Sequence
from unicodedata import normalize

import numpy as np

from segsearch.core.text import folded_text
from segsearch.core.text_query import words_of

PLACES = (
    "London", "Leeds", "Lisbon", "Bergen", "Berlin", "Geneva", "Genoa", "Marseille", "Madrid",
    "Malmö", "Oslo", "Porto", "Prague", "Vienna", "Verona", "Zürich",
)  # fmt: skip
CHINESE_PLACES = ("北京", "上海", "南京", "广州", "成都", "西安", "天津", "重庆")
JAPANESE_PLACES = ("東京", "京都", "大阪", "名古屋", "札幌", "横浜", "神戸", "福岡")
NUMBERS = tuple(range(2, 60, 3))
TEMPLATES = {
    "Latin": (
        "Platform {n} to {place}", "{place} Harbour Hotel, room {n}", "Bus {n} to {place} station",
        "Tickets for {place} from gate {n}", "Closed until {n} March, see {place}",
        "The committee of {place} met {n} times", "{n} boats were lost near {place}",
        "Fresh bread from {place}, {n} slices", "Road to {place} blocked at kilometre {n}",
    ),
    "Latin with accents": (
        "Café de {place}, ouvert dès {n} h", "Züge nach {place} fahren auf Gleis {n}",
        "Pâtisserie de {place}, nº {n}", "Señal de tráfico: {place} a {n} leguas",
        "São {place}, chão molhado, porta {n}",
    ),
    "digits and signs": ("{place} +49 30 90{n}", "No. {n} / {place}", "{place} {n}:30 - 18:00"),
    "Chinese": ("{place}火车站{n}号出口", "{place}图书馆{n}楼", "{place}博物馆{n}路入口"),
    "Japanese": ("{place}駅{n}番出口", "{place}ラーメン{n}号店", "{place}行きバス{n}番"),
}  # fmt: skip
PLACES_OF = {"Chinese": CHINESE_PLACES, "Japanese": JAPANESE_PLACES}
KINDS = ("as written", "another case, no accents", "a letter misspelt", "half of a word")
LEAST_LETTERS = 5  # of a word in which a letter is wrong, or that is half typed


def similar_lines() -> dict[str, list[str]]:
    """Lines by script; each shares its words with many others, and their order with none."""
    return {
        script: [
            template.format(n=number, place=place)
            for template in templates
            for place in PLACES_OF.get(script, PLACES)
            for number in NUMBERS
        ]
        for script, templates in TEMPLATES.items()
    }


def unique(texts: Sequence[Sequence[str]]) -> list[list[str]]:
    """Of the lines of each picture those that stand, word after word, in no other picture."""
    runs = [[_run(line) for line in lines] for lines in texts]
    return [
        [
            line
            for line, run in zip(lines, own, strict=True)
            if not any(
                run in other
                for place, others in enumerate(runs)
                if place != number
                for other in others
            )
        ]
        for number, (lines, own) in enumerate(zip(texts, runs, strict=True))
    ]


def _run(line: str) -> str:
    """The words of a line, each between spaces."""
    return f" {' '.join(words_of(folded_text(line)))} "


def asked(line: str, kind: str, rng: np.random.Generator) -> tuple[str, str] | None:
    """What is typed for a line: plain words, and words that must stand in the picture. None where
    it has no word that is long enough."""
    if kind == "as written":
        return line, f'text:"{line}"'
    if kind == "another case, no accents":
        bare = "".join(sign for sign in normalize("NFKD", line) if not "\u0300" <= sign <= "\u036f")
        other = bare.lower() if line == line.upper() else bare.upper()
        return (other, f'text:"{other}"') if other != line else None
    words = line.split()
    long = [place for place, word in enumerate(words) if is_long(word)]
    if not long:
        return None
    place = long[int(rng.integers(len(long)))]
    word = words[place]
    if kind == "half of a word":
        words[place] = f"{word[: (len(word) + 1) // 2]}*"
    else:
        at = int(rng.integers(1, len(word) - 1))
        wrong = "e" if word[at].lower() != "e" else "o"
        words[place] = word[:at] + wrong + word[at + 1 :]
    typed = " ".join(words)
    each = [word for word in words if words_of(folded_text(word))]
    return typed, " ".join(f"text:{word}" for word in each)


def is_long(word: str) -> bool:
    """Whether a word is of letters alone, and of enough of them."""
    return word.isalpha() and word.isascii() and len(word) >= LEAST_LETTERS
