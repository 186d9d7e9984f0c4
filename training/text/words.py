"""Turns word lists of installed packages into the texts that the text tower is taught.

A text is given by its parts, not by its wording: a noun, perhaps a colour, perhaps a second noun.
The wordings ("a NAME", "two NAMES", "a photo of a NAME") are drawn while training, so that all of
them land on one vector. No pictures here, and no model.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

COLOURS = (
    "red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "black", "white", "grey",
)  # fmt: skip
COLOUR_WORDS = {name: index for index, name in enumerate(COLOURS)} | {
    "gray": 10, "violet": 5, "golden": 2, "crimson": 0, "scarlet": 0, "navy blue": 4,
    "light blue": 4, "dark blue": 4, "dark green": 3, "light green": 3, "beige": 7, "magenta": 6,
}  # fmt: skip
COLOUR_NAMES = tuple(sorted(COLOUR_WORDS, key=len, reverse=True))  # "light blue" before "blue"
WORDINGS = (
    ("{a}", 6), ("{n}", 6), ("{s}", 3), ("the {n}", 1), ("a photo of {a}", 2), ("photo of {a}", 1),
    ("a picture of {a}", 1), ("an image of {a}", 1), ("a drawing of {a}", 1), ("some {s}", 1),
    ("a photo of {s}", 1), ("a close-up of {a}", 1), ("{a} in the picture", 1), ("{n}.", 1),
    ("an icon of {a}", 1), ("find {a}", 1), ("a single {n}", 1), ("this is {a}", 1),
)  # fmt: skip
COUNTED = ("two {s}", "three {s}", "many {s}", "a group of {s}", "several {s}")
ADJECTIVES = ("small", "big", "little", "large", "old", "new", "cute", "wooden", "empty", "open")
PLACES = ("on", "on", "with", "next to", "in front of", "and", "under", "behind")
SCENERY = (
    "a table", "grass", "the beach", "a wall", "the street", "water", "a plate", "the floor",
    "a white background", "the sky", "a tree", "snow", "a desk", "sand",
)  # fmt: skip
IRREGULAR = {
    "mouse": "mice", "foot": "feet", "tooth": "teeth", "goose": "geese", "child": "children",
    "man": "men", "woman": "women", "person": "people", "leaf": "leaves", "knife": "knives",
    "wolf": "wolves", "sheep": "sheep", "fish": "fish", "deer": "deer", "shelf": "shelves",
    "loaf": "loaves", "potato": "potatoes", "tomato": "tomatoes", "mango": "mangoes",
}  # fmt: skip
_PLAIN = re.compile(r"[a-z][a-z' -]{1,38}")


@dataclass(frozen=True, slots=True)
class Concept:
    """A meaning to be taught: `text` is its plain wording, the keys say how it was made.

    `noun` is the head noun where there is one (wordings may then be drawn), `colour` an index into
    `COLOURS` or -1. `weight` is how often it is drawn beside the others.
    """

    text: str
    noun: str = ""
    colour: int = -1
    weight: float = 1.0


def imagenet_names() -> list[list[str]]:
    """The 1000 ImageNet classes in the classifier's order, each as its list of names."""
    info = files("timm.data") / "_info"
    lemmas = _two_columns((info / "imagenet_synset_to_lemma.txt").read_text("utf-8"))
    order = (info / "imagenet_synsets.txt").read_text("utf-8").split()
    return [_names(lemmas[synset]) for synset in order]


def lemma_entries() -> list[tuple[list[str], str]]:
    """Each of the 21,844 synsets as (its names, its definition)."""
    info = files("timm.data") / "_info"
    lemmas = _two_columns((info / "imagenet_synset_to_lemma.txt").read_text("utf-8"))
    told = _two_columns((info / "imagenet_synset_to_definition.txt").read_text("utf-8"))
    return [(_names(names), told.get(synset, "")) for synset, names in lemmas.items()]


def emoji_keywords(cache: Path) -> dict[str, list[str]]:
    """Emoji -> its name first, then the keywords of CLDR and emojilib, all lower case."""
    modules = cache / "npm" / "node_modules"
    table: dict[str, list[str]] = {}
    source = modules / "cldr-annotations-full" / "annotations" / "en" / "annotations.json"
    cldr = json.loads(source.read_text("utf-8"))["annotations"]["annotations"]
    for sign, entry in cldr.items():
        table[sign] = [*entry.get("tts", []), *entry.get("default", [])]
    library = json.loads((modules / "emojilib/dist/emoji-en-US.json").read_text("utf-8"))
    for sign, names in library.items():
        known = table.setdefault(sign.replace("\ufe0f", ""), [])
        known.extend(name.replace("_", " ") for name in names)
    return {sign: _unique(name.lower() for name in names) for sign, names in table.items()}


def article(noun: str) -> str:
    """ "a" or "an" before a noun."""
    return f"an {noun}" if noun[:1] in "aeiou" else f"a {noun}"


def plural(noun: str) -> str:
    """The English plural of a noun's last word; what already ends in a plain s stays."""
    head, _, last = noun.rpartition(" ")
    if last in IRREGULAR:
        return f"{head} {IRREGULAR[last]}".strip()
    if noun.endswith("s") and not noun.endswith(("ss", "us", "is")):
        return noun
    if noun.endswith(("s", "x", "z", "ch", "sh")):
        return noun + "es"
    if noun.endswith("y") and noun[-2:-1] not in "aeiou":
        return noun[:-1] + "ies"
    return noun + "s"


def worded(concept: Concept, rng: random.Random) -> str:
    """One of the many ways to say a concept."""
    if not concept.noun:
        return concept.text
    wording = rng.choices([text for text, _ in WORDINGS], [share for _, share in WORDINGS])[0]
    if rng.random() < 0.08:
        wording = rng.choice(COUNTED)
    noun = concept.noun
    if rng.random() < 0.06:
        noun = f"{rng.choice(ADJECTIVES)} {noun}"
    text = wording.format(a=article(noun), n=noun, s=plural(noun))
    if rng.random() < 0.05:
        text = f"{text} {rng.choice(PLACES)} {rng.choice(SCENERY)}"
    return text.capitalize() if rng.random() < 0.05 else text


def corpus(cache: Path, common_words: Iterable[str], seed: int = 0) -> list[Concept]:
    """Everything to teach, without repeats: names, definitions, keywords, words, phrases."""
    rng = random.Random(seed)
    first = [name for names in imagenet_names() for name in names]
    drawn = [name for names in emoji_keywords(cache).values() for name in names]
    entries = lemma_entries()
    everyday = _unique(filter(_PLAIN.fullmatch, first + drawn))
    rare = _unique(name for names, _ in entries for name in names)
    concepts = _coloured(everyday, rng)
    concepts += [Concept(name, name, weight=4.0) for name in everyday]
    listed = [word for word in common_words if _PLAIN.fullmatch(word)]
    common = set(listed)
    # Latin names and the like come seldom: they would take most of the time and are rarely typed.
    concepts += [Concept(n, n, weight=1.0 if set(n.split()) <= common else 0.3) for n in rare]
    concepts += [Concept(word, word, weight=2.0) for word in listed]
    concepts += [Concept(text[:120], weight=0.4) for _, text in entries if text]
    concepts += _phrases(everyday, rng)
    return _without_repeats(concepts)


def _coloured(nouns: list[str], rng: random.Random) -> list[Concept]:
    """Nouns with a colour word before them, and the colour words alone."""
    names = list(COLOUR_WORDS)
    alone = [Concept(name, name, COLOUR_WORDS[name], 8.0) for name in names]
    chosen = [(rng.choice(names), noun) for noun in nouns for _ in range(2)]
    made = [Concept(f"{c} {noun}", f"{c} {noun}", COLOUR_WORDS[c]) for c, noun in chosen]
    return alone + [concept for concept in made if len(concept.text) < 40]


def _phrases(nouns: list[str], rng: random.Random) -> list[Concept]:
    """Two nouns joined by a place word."""
    pairs = [(rng.choice(nouns), rng.choice(nouns)) for _ in range(12_000)]
    texts = [f"{article(a)} {rng.choice(PLACES)} {article(b)}" for a, b in pairs]
    return [Concept(text, weight=0.4) for text in texts if len(text) < 70]


def _without_repeats(concepts: list[Concept]) -> list[Concept]:
    seen: dict[str, Concept] = {}
    for concept in concepts:
        seen.setdefault(concept.text, concept)
    return list(seen.values())


def _two_columns(text: str) -> dict[str, str]:
    return dict(line.split("\t", 1) for line in text.splitlines() if "\t" in line)


def _names(lemmas: str) -> list[str]:
    return _unique(name.strip().lower() for name in lemmas.split(","))


def _unique(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(name for name in names if name))
