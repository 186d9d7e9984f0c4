"""Reads the icon sets into things: a name, its keywords, and one drawing a style.

Only what can lie on a table or stand in a street: no flags, faces, people, signs or clock faces.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.data.fetch import HELD_OUT, STYLES, modules

CATEGORIES = ("Animals & Nature", "Food & Drink", "Objects", "Activities", "Travel & Places")
NOT_A_THING = re.compile(
    r"oclock|thirty|^flag|-suit$|japanese-post|^(inbox|outbox)-tray$|^no-|button|arrow|speaker-"
    r"|^(bridge-at-night|city.*|foggy?|milky-way|night-with-stars|sunrise.*|sunset|motorway)$"
    r"|^(national-park|desert|railway-track|shibuya.*|love-hotel|construction|cyclone)$"
    r"|^(map-of-japan|world-map|globe-with-meridians|landslide|moon-viewing-ceremony)$"
    r"|^(antenna-bars|wireless|chart-.*|bar-chart|control-knobs|level-slider|bookmark-tabs)$"
    r"|^(hot-springs|high-voltage|sparkles|mobile-phone-with-arrow|envelope-with-arrow|e-mail)$"
    r"|^(muted-.*|bell-with-slash|low-battery|mahjong.*|flower-playing-cards|x-ray|placard)$"
    r"|^(black-nib|page-.*|tanabata-tree|1st.*|2nd.*|3rd.*|bubbles|wing|sun-behind-.*cloud)$"
    r"|^(wedding|new-moon.*|.*-moon-face|first-quarter-moon|last-quarter-moon|.*gibbous.*)$"
    r"|^(volcano|mount-fuji|snow-capped-mountain|fireworks|sparkler|locked-with-.*|unlocked)$"
    r"|^(waxing-crescent.*|waning-crescent.*|water-wave|wind-face|dvd|musical-score)$"
)
PLAIN_WORDS = re.compile(r"[a-z][a-z' -]{1,30}")


@dataclass(frozen=True)
class DrawableThing:
    """One thing that can be drawn, with its SVG text by style."""

    name: str
    character: str
    keywords: tuple[str, ...]
    icons: dict[str, str]


def load_things(cache: Path) -> list[DrawableThing]:
    """All things drawn in the held-out style and at least two others, sorted by name."""
    sets = {style: _read_set(cache, style) for style in STYLES}
    names = {name for style in ("noto", HELD_OUT) for name in _concrete(sets[style])}
    characters = _characters(sets["noto"]) | _characters(sets[HELD_OUT])
    words = _keywords(cache)
    things = []
    for name in sorted(names):
        icons = {
            style: svg for style, icon_set in sets.items() if (svg := _svg(icon_set, name, style))
        }
        if HELD_OUT in icons and len(icons) >= 3:
            character = characters.get(name, "")
            plain = name.replace("-", " ")
            keywords = tuple(word for word in words.get(character, ()) if word != plain)
            things.append(DrawableThing(plain, character, keywords, icons))
    return things


def _read_set(cache: Path, style: str) -> dict[str, Any]:
    folder = modules(cache) / STYLES[style].name
    found: dict[str, Any] = json.loads((folder / "icons.json").read_text("utf-8"))
    for part in ("chars", "metadata"):
        path = folder / f"{part}.json"
        found[part] = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    return found


def _concrete(icon_set: dict[str, Any]) -> Iterable[str]:
    groups = icon_set["metadata"]["categories"]
    for category in CATEGORIES:
        yield from (name for name in groups[category] if not NOT_A_THING.search(name))


def _characters(icon_set: dict[str, Any]) -> dict[str, str]:
    """Icon name -> the character it draws, without variation selectors."""
    found = {}
    for code, name in icon_set["chars"].items():
        points = [point for point in code.split("-") if point != "fe0f"]
        found[name] = "".join(chr(int(point, 16)) for point in points)
    return found


def _svg(icon_set: dict[str, Any], name: str, style: str) -> str | None:
    """The drawing of that name, if the set has it; old sets write names without hyphens."""
    icon, icons = None, icon_set["icons"]
    for spelling in (name, name.replace("-", "")) if style == "fxemoji" else (name, f"{name}-1"):
        alias = icon_set.get("aliases", {}).get(spelling, {})
        icon = icon or icons.get(spelling) or icons.get(alias.get("parent"))
    if icon is None:
        return None
    left, top = icon.get("left", 0), icon.get("top", 0)
    width = icon.get("width", icon_set.get("width", 16))
    height = icon.get("height", icon_set.get("height", 16))
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="{left} {top} {width} {height}">{icon["body"]}</svg>'
    )


def _keywords(cache: Path) -> dict[str, list[str]]:
    """Character -> plain English words for it, from emojilib, then from Unicode's CLDR."""
    emojilib = json.loads((modules(cache) / "emojilib/dist/emoji-en-US.json").read_text("utf-8"))
    cldr = modules(cache) / "cldr-annotations-full/annotations/en/annotations.json"
    unicode_words = json.loads(cldr.read_text("utf-8"))["annotations"]["annotations"]
    lists = [(key, words) for key, words in emojilib.items()]
    lists += [(k, [*v.get("tts", []), *v.get("default", [])]) for k, v in unicode_words.items()]
    found: dict[str, list[str]] = {}
    for character, words in lists:
        known = found.setdefault(character.replace("\ufe0f", ""), [])
        for word in (raw.replace("_", " ").lower() for raw in words):
            if PLAIN_WORDS.fullmatch(word) and word not in known:
                known.append(word)
    return found
