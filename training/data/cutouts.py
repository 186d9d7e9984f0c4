"""Fetches things cut out of their grounds, drawn and photographed, from three packages of Debian.

Clip art (`openclipart-svg`, public domain) adds many hands to the few icon sets; the stamps of Tux
Paint (`tuxpaint-stamps-default`, GPL-2+) are photographs, most of them, with true outlines; the
drawings of Art4Apps (CC BY-SA, in `pysiogame`) are one hand's, on white paper. All name what they
show. Run `python -m training.data.cutouts`; it needs `apt-get`.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from training.data.fetch import parser
from training.data.photographs import PhotographSource, unpacked
from training.data.render import RGBA, SIDE_PX, Drawings, render_svg
from training.data.things import DrawableThing
from training.text.words import emoji_keywords, imagenet_names, lemma_entries

CLIP_ART, STAMPS, SURFACES, CARTOONS = "clip-art", "stamps", "surfaces", "cartoons"
CUTOUT_STYLES = (CLIP_ART, STAMPS, SURFACES, CARTOONS)
SOURCES = {
    CLIP_ART: PhotographSource(
        "apt-get", "openclipart-svg", "1:0.18+dfsg-19", "public domain", ("openclipart/svg/**",)
    ),
    STAMPS: PhotographSource(
        "apt-get",
        "tuxpaint-stamps-default",
        "2022.06.04-1",
        "GPL-2.0-or-later",
        ("tuxpaint/stamps/**",),
    ),
    CARTOONS: PhotographSource(
        "apt-get",
        "pysiogame",
        "4.20.01-1",
        "GPL-3.0-or-later; the drawings of art4apps.org CC BY-SA",
        ("art4apps/**",),
    ),
}
CLIP_ART_FOLDERS = (
    *("animals", "buildings", "containers", "decorations", "education", "electronics", "food"),
    *("office", "plants", "recreation", "science", "tools", "transportation"),
)
CARTOON_FOLDERS = (
    *("animals", "body", "clothes_n_accessories", "construction", "food", "fruit_n_veg"),
    *("jobs", "nature", "people", "sport", "transport"),
)
CARTOONS_LEFT_OUT = re.compile(  # an arrow points at a part, or the word names something else
    r"ankle|arm|back|beard|belly|belly_button|bottom|braid|breast|cheek|chin|ear|elbow|eye|"
    r"eyebrow|eyelash|finger|hair|hip|knee|leg|muscle|neck|nose|nostril|spine|thigh|throat|"
    r"thumb|toe|wrist|heel|jewel|jewellery|kimono|pyjamas|raincoat|robe|sash|scarf|"
    r"shoelace|skirt|sleeve|smock|sock|swimming_suit|pants|chimney|roof|smoke|steeple|step|"
    r"street|well|bacon|flour|ice|meat|milk|gum|feast|lunch|spread|sprinkle|sugar|kernel|"
    r"badge|coach|jockey|lawyer|pilot|magic|office|coast|accountant|ballet|feet|"
    r"mashed_potatoes|cliff|dune|hill|lake|land|lava|peak|sea|shore|male|female|child|dad|"
    r"mom|son|husband|wife|lad|man|woman|madam|mates|grandfather|grandmother|tribe|helmet|"
    r"hike|hop|jog|jump|pool|race|ride|rope|rowing|run|sailing|skate|ski|squat|stand|"
    r"stretch|swim|throw|walk|win|golf|judo|tennis|hockey|boxing|ice_skating|handlebar|"
    r"mast|pedal|sail|president|slice"
)
LEFT_OUT = re.compile(
    r"/(alphabets|cards|chess|dice|flags|math|shapes|signs|roadsigns?|faces|aiga-symbols|boating"
    r"|symbols/music|numbers|maps?|00_symbols)/|_mirror|rpg_map"
)
MISNAMED = re.compile(r"_arc|architet|contour|cavallo", re.IGNORECASE)  # Italian, or all one name
GENERIC = {  # words that the titles use for anything
    "a", "an", "and", "art", "at", "be", "big", "black", "blue", "bottom", "brown", "by", "can",
    "cartoon", "circle", "clip", "close", "con", "contour", "de", "do", "don", "dr", "end",
    "fall", "flat", "for", "form", "from", "golden", "good", "green", "grey", "happy", "head",
    "icon", "in", "is", "it", "its", "jean", "kit", "la", "left", "line", "little", "lot", "may",
    "mike", "model", "mr", "new", "no", "of", "old", "on", "one", "open", "outline", "pair",
    "part", "photo", "pink", "purple", "red", "right", "runner", "set", "shop", "side", "sign",
    "simple", "single", "small", "some", "stand", "stock", "style", "swing", "the", "to", "top",
    "tux", "very", "wall", "white", "will", "with", "yellow",
}  # fmt: skip
PAPER = 238  # of 255: paper is no darker
SPECK_PX = 160  # the strokes of motion that surround many drawings
SMALLEST_COVER, SOLID_SHARE = 0.04, 0.6


@dataclass(frozen=True)
class Cutout:
    """One thing: its name ("" where none is known), further words, and (256, 256, 4) pixels."""

    name: str
    keywords: tuple[str, ...]
    pixels: RGBA


def fetch(cache: Path) -> None:
    """Unpack the packages and keep their things as three more styles beside the rendered ones."""
    nouns = {name for names, _ in lemma_entries() for name in names}
    nouns |= {name for names in emoji_keywords(cache).values() for name in names[:1]}
    for style, source in SOURCES.items():
        with tempfile.TemporaryDirectory() as name:
            root = Path(name)
            unpacked(source, root)
            read = _cartoons(root, nouns) if style == CARTOONS else _read(style, root, nouns)
            found = [cutout for cutout in read if solid(cutout.pixels)]
        keep(cache, style, found, [source])


def with_cutouts(drawings: Drawings, cache: Path) -> Drawings:
    """The drawings and the styles of cutouts; a key there is a name, "#" and a number."""
    tables, rows, things = dict(drawings.tables), dict(drawings.rows), dict(drawings.things)
    for style in CUTOUT_STYLES:
        path = cache / "rendered" / f"{style}.npy"
        if not path.is_file():
            raise FileNotFoundError(
                f"expected {path}: run training.data.cutouts and training.data.surfaces"
            )
        tables[style] = np.load(path, mmap_mode="r")
        entries = json.loads(path.with_suffix(".json").read_text("utf-8"))
        rows[style] = {entry["key"]: row for row, entry in enumerate(entries)}
        for entry in entries:
            _learn(things, named(entry["key"]), tuple(entry["keywords"]))
    return Drawings(things, tables, rows)


def teachable(drawings: Drawings) -> list[str]:
    """Names that pictures can be taught to mean; of clip art, whose titles vary, the known."""
    trusted = {thing.name for thing in drawings.things.values() if thing.icons}
    looked_at = (STAMPS, SURFACES, CARTOONS)
    trusted |= {named(key) for style in looked_at for key in drawings.rows[style]}
    everyday = {names[0] for names in imagenet_names()}
    told = {named(key) for key in drawings.rows[CLIP_ART]} & everyday
    return sorted((trusted | told) - {""})


def named(key: str) -> str:
    """The thing's name of a key; "" where none is known."""
    return key.partition("#")[0]


def solid(pixels: RGBA) -> bool:
    """Whether the alpha outlines a thing: no full square, no line drawing, no veil."""
    alpha = pixels[..., 3]
    opaque = (alpha > 127).astype(np.uint8)
    if opaque.mean() < SMALLEST_COVER:
        return False
    *_, width, height = cv2.boundingRect(opaque)
    filled = np.zeros_like(opaque)
    outer, _ = cv2.findContours(opaque, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(filled, outer, -1, 1, cv2.FILLED)
    veiled = ((alpha > 10) & (alpha < 245)).sum() / max(int((alpha > 10).sum()), 1)
    full = opaque.sum() > 0.97 * width * height
    return not full and opaque.sum() > SOLID_SHARE * filled.sum() and veiled < 0.35


def _read(style: str, folder: Path, nouns: set[str]) -> Iterator[Cutout]:
    """Every thing of a package that can be read, in the order of the paths."""
    root = next(folder.rglob("openclipart/svg" if style == CLIP_ART else "tuxpaint/stamps"))
    for path in sorted(root.rglob("*.svg" if style == CLIP_ART else "*.[ps][nv]g")):
        inside = path.relative_to(root).as_posix()
        unwanted = style == CLIP_ART and not inside.startswith(CLIP_ART_FOLDERS)
        if unwanted or LEFT_OUT.search(f"/{inside}"):
            continue
        try:
            pixels = render_svg(path.read_text("utf-8")) if path.suffix == ".svg" else _opened(path)
        except (ValueError, OSError):  # some old drawings are no valid SVG
            continue
        told = _title(path) if style == CLIP_ART else _said(path)
        name = "" if style == CLIP_ART and MISNAMED.search(path.name) else noun_in(told, nouns)
        hypernyms = [noun_in(part.rstrip("s"), nouns) for part in Path(inside).parts[:-1]]
        if style == STAMPS and not name and hypernyms:
            name = hypernyms[-1]  # "50 cents" lies among the coins
        keywords = tuple(dict.fromkeys(word for word in hypernyms if word and word != name))
        yield Cutout(name, keywords, pixels)


def _cartoons(folder: Path, nouns: set[str]) -> Iterator[Cutout]:
    """The drawings of Art4Apps that show what they are called, cut out of the white paper."""
    root = next(folder.rglob("art4apps"))
    for inside in CARTOON_FOLDERS:
        for path in sorted((root / inside).glob("*.jpg")):
            if not CARTOONS_LEFT_OUT.fullmatch(path.stem):
                told = path.stem.replace("_", " ")
                yield Cutout(noun_in(told, nouns) or told, (), off_paper(path))


def off_paper(path: Path) -> RGBA:
    """A drawing on white paper (256, 256, 4): white that reaches the edge is no part of it."""
    with Image.open(path) as picture:
        drawn = np.asarray(picture.convert("RGB").resize((SIDE_PX, SIDE_PX)))
    white = (drawn.min(-1) > PAPER).astype(np.uint8)
    labels = cv2.connectedComponents(np.pad(white, 1, constant_values=1), connectivity=4)[1]
    paper = labels[1:-1, 1:-1] == labels[0, 0]
    drawing = (~paper).astype(np.uint8)
    parts, stats = cv2.connectedComponentsWithStats(drawing, connectivity=8)[1:3]
    specks = np.flatnonzero(stats[:, cv2.CC_STAT_AREA] < SPECK_PX)
    alpha = np.where(np.isin(parts, specks), 0, drawing * 255).astype(np.uint8)
    return np.dstack([drawn, cv2.GaussianBlur(alpha, (3, 3), 0)])


def noun_in(text: str, nouns: set[str]) -> str:
    """The longest run of words in a text that is a noun of the word lists, the last of equals."""
    words = [word for word in re.findall(r"[a-z]+", text.lower()) if len(word) > 1]
    for length in (3, 2, 1):
        for start in range(len(words) - length, -1, -1):
            run = words[start : start + length]
            for last in (run[-1], run[-1].removesuffix("s"), run[-1].removesuffix("es")):
                noun = " ".join([*run[:-1], last])
                if noun in nouns and not set(run) <= GENERIC:
                    return noun
    return ""


def _title(path: Path) -> str:
    """The title inside an SVG file, else its file name without numbers."""
    found = re.search(r"<dc:title>([^<]{2,60})</dc:title>", path.read_text("utf-8", "replace"))
    return found[1] if found and "theme" not in found[1].lower() else path.stem.replace("_", " ")


def _said(path: Path) -> str:
    """What a stamp's text file says in English, or its file name where that is a long sentence."""
    told = path.with_suffix(".txt")
    line = told.read_text("utf-8", "replace").split("\n")[0] if told.is_file() else ""
    return line if 0 < len(line.split()) <= 6 else path.stem.replace("_", " ").replace("-", " ")


def _opened(path: Path) -> RGBA:
    """A PNG file, fitted into the middle of a square."""
    with Image.open(path) as picture:
        cut = picture.convert("RGBA")
    cut = cut.crop(cut.getchannel("A").getbbox())
    scale = SIDE_PX / max(cut.size)
    width, height = (max(round(extent * scale), 1) for extent in cut.size)
    cut = cut.resize((width, height), Image.Resampling.LANCZOS)
    canvas = Image.new("RGBA", (SIDE_PX, SIDE_PX))
    canvas.paste(cut, ((SIDE_PX - cut.width) // 2, (SIDE_PX - cut.height) // 2))
    return np.asarray(canvas)


def keep(cache: Path, style: str, found: list[Cutout], sources: Sequence[PhotographSource]) -> None:
    """Write a style's pixels, names, keywords and licences beside the rendered drawings."""
    path = cache / "rendered" / f"{style}.npy"
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, np.stack([cutout.pixels for cutout in found]))
    for shrunken in (cache / "clip").glob(f"{style}-*.npy"):
        shrunken.unlink()
    entries = [
        {"key": f"{cutout.name}#{row}", "keywords": cutout.keywords}
        for row, cutout in enumerate(found)
    ]
    path.with_suffix(".json").write_text(json.dumps(entries, indent=0) + "\n", "utf-8")
    origins = [one.origin for one in sources]
    licences = path.with_name(f"{style}-licences.json")
    licences.write_text(json.dumps(origins, indent=1) + "\n", "utf-8")
    known = len({cutout.name for cutout in found} - {""})
    print(f"{style}: {len(found)} things, {known} names")


def _learn(things: dict[str, DrawableThing], name: str, keywords: tuple[str, ...]) -> None:
    """Know a name, or further words for one that is known."""
    if not name:
        return
    thing = things.setdefault(name, DrawableThing(name, "", (), {}))
    further = tuple(word for word in keywords if word not in thing.keywords)
    things[name] = replace(thing, keywords=(*thing.keywords, *further))


def main() -> None:
    """Command line."""
    fetch(parser(__doc__).parse_args().cache.expanduser())


if __name__ == "__main__":
    main()
