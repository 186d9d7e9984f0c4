"""The pictures that are read: pages on plain ground, signs in perspective, words on photographs,
curved labels; and pictures without a word. Fixed seeds; fonts of Debian.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import cycle
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from benchmarks.text.drawing import (
    OVERSAMPLED,
    Colour,
    DrawnLine,
    Lettering,
    SheetMaker,
    capital_px,
    lay,
    shaken,
    turned,
    worn,
)
from segsearch.core.arrays import Pixels

FONTS = Path("/usr/share/fonts")
LATIN = (
    "truetype/dejavu/DejaVuSans.ttf", "truetype/dejavu/DejaVuSans-Bold.ttf",
    "truetype/dejavu/DejaVuSerif.ttf", "truetype/noto/NotoSans-Regular.ttf",
    "truetype/noto/NotoSans-BoldItalic.ttf", "truetype/noto/NotoSerif-Regular.ttf",
    "truetype/liberation/LiberationSans-Regular.ttf",
    "truetype/liberation/LiberationSerif-Italic.ttf",
    "truetype/liberation/LiberationMono-Regular.ttf",
    "truetype/liberation/LiberationSansNarrow-Bold.ttf",
)  # fmt: skip
CJK = ("opentype/noto/NotoSansCJK-Regular.ttc", "opentype/noto/NotoSansCJK-Bold.ttc",
       "opentype/noto/NotoSerifCJK-Regular.ttc")  # fmt: skip
WIDE = LATIN[:6]
# Japanese, Korean, simplified Chinese in Noto's collections.
FACES = {"Japanese": 0, "Korean": 1, "Chinese": 2}
FONTS_OF = {
    "Latin": LATIN, "Latin with accents": WIDE, "digits and signs": LATIN, "Chinese": CJK,
    "Japanese": CJK, "Korean": CJK, "Greek": WIDE, "Cyrillic": WIDE,
    "Arabic": ("truetype/noto/NotoSansArabic-Regular.ttf",),
    "Hebrew": ("truetype/noto/NotoSansHebrew-Regular.ttf",),
    "Thai": ("truetype/noto/NotoSansThai-Regular.ttf",),
    "Devanagari": ("truetype/noto/NotoSansDevanagari-Regular.ttf",),
}  # fmt: skip
READ = ("Latin", "Latin", "Latin", "Latin with accents", "digits and signs", "Chinese", "Japanese")
UNREAD = ("Greek", "Cyrillic", "Korean", "Arabic", "Hebrew", "Thai", "Devanagari")
GROUNDS: tuple[Colour, ...] = (
    (250, 250, 246), (240, 236, 222), (24, 60, 120), (20, 110, 60), (190, 30, 30), (250, 210, 40),
    (30, 30, 34),
)  # fmt: skip
DARK, LIGHT = (24, 24, 28), (248, 246, 240)
SIGN_WIDTH_PX = 1280  # of the photographs that signs are laid into
PAGE_PX = (1000, 1300)
MOST_TRIES = 40


@dataclass(frozen=True, slots=True)
class DrawnPicture:
    """A picture (H, W, 3), what kind it is, and the lines on it."""

    kind: str
    pixels: Pixels
    lines: tuple[DrawnLine, ...]


@cache
def phrases() -> dict[str, list[str]]:
    """What is written, by script."""
    content: dict[str, list[str]] = json.loads(
        Path(__file__).with_name("phrases.json").read_text("utf-8")
    )
    return content


def check_fonts() -> None:
    """SystemExit with what to install, where fonts are missing."""
    missing = sorted({f for fonts in FONTS_OF.values() for f in fonts if not (FONTS / f).exists()})
    if missing:
        raise SystemExit(
            f"{len(missing)} fonts are missing, such as {FONTS / missing[0]}: run `apt-get install "
            "fonts-dejavu-core fonts-liberation fonts-noto-core fonts-noto-cjk`."
        )


def lettering(script: str, letter_px: float, rng: np.random.Generator, colour: Colour) -> Lettering:
    """A font of a script whose capitals are so high on the sheet; of CJK, whose characters are."""
    name = FONTS / str(rng.choice(FONTS_OF[script]))
    index = FACES.get(script, 0) if name.suffix == ".ttc" else 0
    probe = ImageFont.truetype(str(name), 100, index=index)
    share = 1.15 if script in FACES else 100 / capital_px(probe)
    size = max(4, round(letter_px * share * OVERSAMPLED))
    return Lettering(ImageFont.truetype(str(name), size, index=index), colour)


def _width(text: str, style: Lettering) -> float:
    return style.font.getlength(text) / OVERSAMPLED


@dataclass(frozen=True, slots=True)
class Writing:
    """What is written: of these scripts, each as often as it is named, these lines."""

    scripts: Sequence[str]
    lines: Mapping[str, Sequence[str]]

    def any(self, rng: np.random.Generator) -> tuple[str, str]:
        """A line and its script."""
        script = str(rng.choice(self.scripts))
        return self.of(script, rng), script

    def of(self, script: str, rng: np.random.Generator) -> str:
        """A line of a script."""
        return str(rng.choice(self.lines[script]))


def page(writing: Writing, rng: np.random.Generator) -> DrawnPicture:
    """A page of a dozen lines of one size and a heading, slightly turned."""
    width, height = PAGE_PX
    ground = GROUNDS[int(rng.integers(2))]
    maker = SheetMaker(width, height, ground)
    letter_px = float(rng.uniform(7, 20))
    y = 90.0
    for number in range(12):
        size = letter_px * (1.8 if number == 0 else 1.0)
        text, script = writing.any(rng)
        style = lettering(script, size, rng, DARK)
        if number and _width(text, style) < width / 3:
            more = writing.of(script, rng)
            gap = "" if script in FACES else " "
            text = f"{text}{gap}{more}"
        if _width(text, style) < width - 140:
            maker.write((70, y), text, script, style)
        y += size * 3.2
    picture = Image.new("RGB", PAGE_PX, ground)
    target = turned(shaken(width, height, rng, 0.01), float(rng.uniform(-2, 2)))
    lines = lay(picture, maker.sheet(), target)
    pixels = worn(
        picture, rng, blur_px=float(rng.choice([0, 0.5, 0.8])),
        noise=float(rng.choice([0, 4, 8])), quality=int(rng.integers(50, 95)),
    )  # fmt: skip
    return DrawnPicture("page", pixels, tuple(lines))


def sign(
    writing: Writing, rng: np.random.Generator, photograph: Image.Image, kind: str
) -> DrawnPicture:
    """A photograph with one to three signs (`sign`), bent labels (`curved`), or words straight on
    it (`on photograph`)."""
    picture = _enlarged(photograph)
    lines: list[DrawnLine] = []
    taken: list[tuple[float, float, float, float]] = []
    for _ in range(int(rng.integers(1, 4))):
        letter_px = float(np.exp(rng.uniform(np.log(9), np.log(70))))
        maker, width, height = _plate(writing, letter_px, rng, is_clear=kind == "on photograph")
        bend_px = float(rng.uniform(0.15, 0.5)) * letter_px if kind == "curved" else 0.0
        flat = shaken(width, height, rng, 0.0 if kind == "on photograph" else 0.18)
        target = turned(flat, float(rng.normal(0, 6)))
        place = _free_place(target, picture.size, taken, rng)
        if place is not None:
            lines += lay(picture, maker.sheet(bend_px), target + place)
    pixels = worn(
        picture, rng, blur_px=float(rng.choice([0, 0.6, 1.0])),
        noise=float(rng.choice([0, 5, 10])), quality=int(rng.integers(45, 95)),
    )  # fmt: skip
    return DrawnPicture(kind, pixels, tuple(lines))


def _enlarged(photograph: Image.Image) -> Image.Image:
    factor = SIGN_WIDTH_PX / max(photograph.size)
    size = (round(photograph.width * factor), round(photograph.height * factor))
    return photograph.convert("RGB").resize(size, Image.Resampling.BICUBIC)


def _plate(
    writing: Writing, letter_px: float, rng: np.random.Generator, *, is_clear: bool
) -> tuple[SheetMaker, int, int]:
    """A plate of one to three lines, its width and its height."""
    ground = GROUNDS[int(rng.integers(len(GROUNDS)))]
    is_dark = sum(ground) < 380
    if is_clear:
        is_dark, ground = (True, DARK) if rng.random() < 0.7 else (False, LIGHT)
    colour = LIGHT if is_dark else DARK
    written = []
    for _ in range(int(rng.integers(1, 4))):
        text, script = writing.any(rng)
        style = lettering(script, letter_px, rng, colour)
        if is_clear:
            style = Lettering(style.font, colour, max(1, round(letter_px / 12)), ground)
        if _width(text, style) < 0.8 * SIGN_WIDTH_PX:
            written.append((text, script, style))
    margin = 1.2 * letter_px
    widest = max((_width(text, style) for text, _, style in written), default=40.0)
    width = round(widest + 2 * margin)
    height = round(max(1, len(written)) * 2.2 * letter_px + 2 * margin)
    maker = SheetMaker(width, height, ground, is_clear=is_clear)
    for number, (text, script, style) in enumerate(written):
        maker.write((margin, margin + (2.2 * number + 1.4) * letter_px), text, script, style)
    return maker, width, height


def _free_place(
    target: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
    size: tuple[int, int],
    taken: list[tuple[float, float, float, float]],
    rng: np.random.Generator,
) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]] | None:
    """Where a sheet may be moved to lie in the picture beside what lies there; None for nowhere."""
    low, high = target.min(axis=0), target.max(axis=0)
    room = np.array(size) - (high - low)
    if (room < 2).any():
        return None
    for _ in range(MOST_TRIES):
        at = rng.uniform(0, room)
        box = (*at, *(at + high - low))
        if all(
            box[0] > other[2] or box[2] < other[0] or box[1] > other[3] or box[3] < other[1]
            for other in taken
        ):
            taken.append(box)
            return np.asarray(at - low, np.float64)
    return None


def pictures(
    scripts: Sequence[str], count: int, seed: int, photographs: Sequence[Path]
) -> Iterator[DrawnPicture]:
    """Drawn pictures with the phrases, the kinds in turn, until they hold `count` lines."""
    for drawn in endless(Writing(scripts, phrases()), seed, photographs):
        count -= len(drawn.lines)
        yield drawn
        if count <= 0:
            return


def endless(writing: Writing, seed: int, photographs: Sequence[Path]) -> Iterator[DrawnPicture]:
    """Drawn pictures, the kinds in turn."""
    rng = np.random.default_rng(seed)
    for kind in cycle(("page", "sign", "on photograph", "sign", "curved")):
        if kind == "page":
            yield page(writing, rng)
        else:
            with Image.open(photographs[int(rng.integers(len(photographs)))]) as opened:
                yield sign(writing, rng, opened.convert("RGB"), kind)


def wordless(count: int, seed: int) -> Iterator[Pixels]:
    """Drawn pictures without a word that look a little like writing: fences, tiles, bricks, dots,
    keys, leaves."""
    rng = np.random.default_rng(seed)
    for number in range(count):
        yield WORDLESS[number % len(WORDLESS)](rng)


def _canvas(rng: np.random.Generator) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    picture = Image.new("RGB", (640, 480), tuple(int(v) for v in rng.integers(0, 256, 3)))
    return picture, ImageDraw.Draw(picture)


def _some(rng: np.random.Generator) -> Colour:
    red, green, blue = (int(value) for value in rng.integers(0, 256, 3))
    return red, green, blue


def _bars(rng: np.random.Generator) -> Pixels:
    picture, draw = _canvas(rng)
    colour, step, width = _some(rng), int(rng.integers(8, 60)), int(rng.integers(2, 8))
    for x in range(0, 640, step):
        draw.line((x, int(rng.integers(0, 60)), x, int(rng.integers(400, 480))), colour, width)
    return np.asarray(picture.rotate(float(rng.uniform(-90, 90))))


def _bricks(rng: np.random.Generator) -> Pixels:
    picture, draw = _canvas(rng)
    wide, tall = int(rng.integers(20, 90)), int(rng.integers(10, 40))
    for row, y in enumerate(range(0, 480, tall)):
        for x in range(-wide, 640, wide):
            left = x + (row % 2) * wide // 2
            draw.rectangle((left, y, left + wide - 3, y + tall - 3), _some(rng))
    return np.asarray(picture)


def _dots(rng: np.random.Generator) -> Pixels:
    picture, draw = _canvas(rng)
    for x, y in rng.uniform((0, 0), (640, 480), (int(rng.integers(20, 300)), 2)):
        radius = float(rng.uniform(2, 14))
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), _some(rng))
    return np.asarray(picture)


def _keys(rng: np.random.Generator) -> Pixels:
    picture, draw = _canvas(rng)
    size, colour = int(rng.integers(18, 50)), _some(rng)
    for y in range(40, 440, size + 6):
        for x in range(40, 600, size + 6):
            draw.rounded_rectangle((x, y, x + size, y + size), 5, colour, _some(rng), 2)
    return np.asarray(picture)


def _leaves(rng: np.random.Generator) -> Pixels:
    picture, draw = _canvas(rng)
    for _ in range(int(rng.integers(5, 80))):
        points = rng.uniform((0, 0), (640, 480)) + rng.normal(0, 40, (int(rng.integers(3, 7)), 2))
        draw.polygon([(float(x), float(y)) for x, y in points], _some(rng))
    return np.asarray(picture)


def _waves(rng: np.random.Generator) -> Pixels:
    picture, draw = _canvas(rng)
    colour, x = _some(rng), np.arange(0, 640, 4)
    for y in range(20, 480, int(rng.integers(12, 50))):
        line = y + rng.uniform(2, 12) * np.sin(x * rng.uniform(0.02, 0.3) + rng.uniform(0, 6))
        draw.line(list(zip(x.tolist(), line.tolist(), strict=True)), colour, 3)
    return np.asarray(picture)


WORDLESS: tuple[Callable[[np.random.Generator], Pixels], ...] = (
    _bars, _bricks, _dots, _keys, _leaves, _waves,
)  # fmt: skip
