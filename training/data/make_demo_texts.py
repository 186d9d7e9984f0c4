"""Paints the demo pictures that are to be read: a sign over a door, a label on a jar, a page.

Fonts are Debian's fonts-dejavu-core and fonts-liberation; the pictures hold what was drawn with
them, not the fonts.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from training.data.fetch import parser

FOLDER = Path(__file__).parents[2] / "segsearch" / "cli" / "demo" / "pictures"
FONTS = Path("/usr/share/fonts/truetype")
SANS = FONTS / "dejavu" / "DejaVuSans-Bold.ttf"
SERIF = FONTS / "liberation" / "LiberationSerif-Regular.ttf"
SERIF_BOLD = FONTS / "liberation" / "LiberationSerif-Bold.ttf"
SEED = 7_033
QUALITY = 86
FINE = 2  # drawn so many times as large, and shrunk
Colour = tuple[int, int, int]
Picture = NDArray[np.uint8]  # (H, W, 3)

STORY = (
    "The old lighthouse on the northern cape was lit for the first time in the autumn of 1848. "
    "Its lamp burned whale oil, and a keeper climbed the 217 steps twice every night to trim the "
    "wick and to wind the clockwork that turned the lens.",
    "Ships that came round the cape in fog had no other guide. When the lamp failed in the great "
    "storm of 1861, three fishing boats were lost, and the village built a second tower of wood "
    "beside the first, with a bell that rang by itself when the wind rose.",
)
TABLE = (
    ("Year", "Keeper", "Oil used"),
    ("1848", "Anna Berg", "310 litres"),
    ("1861", "Johan Lind", "422 litres"),
    ("1889", "Maria Holm", "275 litres"),
)


def font(file: Path, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(file), size)


def sign() -> Picture:
    """A sign over the door of a shop, seen from the side."""
    width, height = 900 * FINE, 600 * FINE
    rng = np.random.default_rng(SEED)
    wall = Image.new("RGB", (width, height), (142, 82, 62))
    pen = ImageDraw.Draw(wall)
    high, wide = 34 * FINE, 88 * FINE
    for row in range(height // high + 1):
        for column in range(-1, width // wide + 1):
            x, y = column * wide + (row % 2) * wide // 2, row * high
            shade = int(rng.integers(-16, 16))
            brick = (158 + shade, 86 + shade, 66 + shade)
            pen.rectangle((x + 3, y + 3, x + wide - 4, y + high - 4), fill=brick)
    door = (330 * FINE, 330 * FINE, 590 * FINE, height)
    pen.rectangle(door, fill=(38, 62, 58))
    for left in (350, 470):
        pane = (left * FINE, 360 * FINE, (left + 100) * FINE, 500 * FINE)
        pen.rectangle(pane, fill=(176, 196, 198))
    pen.ellipse((560 * FINE, 470 * FINE, 578 * FINE, 488 * FINE), fill=(200, 170, 90))
    board = Image.new("RGB", (620 * FINE, 190 * FINE), (24, 52, 104))
    on = ImageDraw.Draw(board)
    edge = (8 * FINE, 8 * FINE, 612 * FINE, 182 * FINE)
    on.rounded_rectangle(edge, 14 * FINE, outline=(236, 222, 170), width=5 * FINE)
    middle: dict[str, Any] = {"anchor": "mm", "fill": (250, 244, 224)}
    on.text((310 * FINE, 68 * FINE), "HARBOUR BAKERY", font=font(SANS, 56 * FINE), **middle)
    on.text((310 * FINE, 136 * FINE), "open 24 hours", font=font(SANS, 40 * FINE), **middle)
    corners = ((150, 86), (764, 118), (752, 306), (158, 268))
    return _finished(_laid(np.array(wall), np.array(board), corners))


def label() -> Picture:
    """A jar on a table, with a label that follows its roundness."""
    width, height = 600 * FINE, 760 * FINE
    ground = np.linspace((222, 214, 200), (176, 164, 148), height)[:, None].repeat(width, axis=1)
    scene = Image.fromarray(ground.astype(np.uint8))
    pen = ImageDraw.Draw(scene)
    pen.rectangle((0, 600 * FINE, width, height), fill=(124, 86, 56))
    pen.ellipse((110 * FINE, 640 * FINE, 510 * FINE, 710 * FINE), fill=(84, 56, 36))
    jar = (140 * FINE, 170 * FINE, 460 * FINE, 680 * FINE)
    pen.rounded_rectangle(jar, 46 * FINE, fill=(150, 22, 34))
    pen.rounded_rectangle(
        (170 * FINE, 90 * FINE, 430 * FINE, 180 * FINE), 16 * FINE, (206, 176, 92)
    )
    for x in range(182, 430, 14):
        pen.line((x * FINE, 96 * FINE, x * FINE, 174 * FINE), (176, 146, 66), 2 * FINE)
    pixels = np.array(scene)
    paper = Image.new("RGB", (420 * FINE, 260 * FINE), (248, 240, 220))
    on = ImageDraw.Draw(paper)
    on.rectangle(
        (8 * FINE, 8 * FINE, 412 * FINE, 252 * FINE), outline=(120, 30, 40), width=3 * FINE
    )
    ink: dict[str, Any] = {"anchor": "mm", "fill": (110, 16, 32)}
    on.text((210 * FINE, 64 * FINE), "STRAWBERRY", font=font(SERIF_BOLD, 50 * FINE), **ink)
    on.text((210 * FINE, 124 * FINE), "JAM", font=font(SERIF_BOLD, 56 * FINE), **ink)
    on.text(
        (210 * FINE, 180 * FINE), "Ingredients: fruit, sugar", font=font(SERIF, 27 * FINE), **ink
    )
    on.text(
        (210 * FINE, 220 * FINE), "340 g  best before 05/2027", font=font(SERIF, 27 * FINE), **ink
    )
    sheet = np.array(paper)
    # The sheet goes round the front of a cylinder, a little less than half of it.
    x0, x1, y0, bend = 146 * FINE, 454 * FINE, 300 * FINE, 16 * FINE
    half = (x1 - x0) / 2
    for x in range(x0, x1):
        turn = np.arcsin(np.clip((x - x0 - half) / half * 0.94, -1, 1)) / np.arcsin(0.94)
        column = int((turn + 1) / 2 * (sheet.shape[1] - 1))
        top = y0 + int(bend * (1 - turn**2))
        light = 0.62 + 0.38 * np.cos(turn * 1.25)
        pixels[top : top + sheet.shape[0], x] = (sheet[:, column] * light).astype(np.uint8)
    return _finished(pixels)


def page() -> Picture:
    """A page with a heading, two paragraphs, a table and a picture, photographed a little askew."""
    width, height = 1000 * FINE, 1360 * FINE
    paper = Image.new("RGB", (width, height), (250, 248, 242))
    pen = ImageDraw.Draw(paper)
    ink = (28, 28, 32)
    pen.text((90 * FINE, 80 * FINE), "The Lamp at North Cape", ink, font(SERIF_BOLD, 54 * FINE))
    y = 190
    for paragraph in STORY:
        for line in _wrapped(paragraph, font(SERIF, 27 * FINE), 820 * FINE):
            pen.text((90 * FINE, y * FINE), line, ink, font(SERIF, 27 * FINE))
            y += 37
        y += 30
    top = y + 10
    for row, cells in enumerate(TABLE):
        for x, cell in zip((90, 330, 640), cells, strict=True):
            kind = SERIF_BOLD if row == 0 else SERIF
            pen.text((x * FINE, (top + row * 44) * FINE), cell, ink, font(kind, 27 * FINE))
    pen.line((90 * FINE, (top + 38) * FINE, 900 * FINE, (top + 38) * FINE), ink, 2 * FINE)
    _draw_tower(pen, 90, top + 210)
    pen.text((470 * FINE, (top + 420) * FINE), "The tower seen from the sea.", ink,
             font(SERIF, 25 * FINE))  # fmt: skip
    desk = np.full((1100 * FINE, 860 * FINE, 3), (96, 72, 54), np.uint8)
    corners = ((62, 40), (792, 64), (808, 1056), (46, 1040))
    return _finished(_laid(desk, np.array(paper), corners))


def _draw_tower(pen: ImageDraw.ImageDraw, x: int, y: int) -> None:
    """A lighthouse in a frame of 350 x 440; x, y of its top left corner."""

    def at(*numbers: int) -> list[tuple[int, int]]:
        pairs = zip(numbers[::2], numbers[1::2], strict=True)
        return [((x + across) * FINE, (y + down) * FINE) for across, down in pairs]

    pen.rectangle(at(0, 0, 350, 440), (150, 190, 214))
    pen.rectangle(at(0, 350, 350, 440), (44, 86, 120))
    pen.polygon(at(60, 360, 290, 360, 250, 316, 104, 316), (90, 84, 74))
    pen.polygon(at(136, 318, 214, 318, 200, 110, 150, 110), (244, 240, 232))
    for band in (150, 214, 278):
        pen.polygon(at(146, band, 204, band, 206, band + 30, 144, band + 30), (196, 40, 40))
    pen.rectangle(at(148, 78, 202, 110), (250, 214, 90))
    pen.polygon(at(140, 78, 210, 78, 175, 44), (60, 60, 66))


def _wrapped(text: str, face: ImageFont.FreeTypeFont, width: int) -> list[str]:
    lines, line = [], ""
    for word in text.split():
        longer = f"{line} {word}".strip()
        if face.getlength(longer) > width:
            lines.append(line)
            longer = word
        line = longer
    return [*lines, line]


def _laid(ground: Picture, sheet: Picture, corners: tuple[tuple[int, int], ...]) -> Picture:
    """A sheet laid into a picture so that its corners come to lie there."""
    height, width = sheet.shape[:2]
    flat = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float32)
    turn = cv2.getPerspectiveTransform(flat, np.array(corners, np.float32) * FINE)
    size = (ground.shape[1], ground.shape[0])
    over = cv2.warpPerspective(sheet, turn, size, flags=cv2.INTER_AREA)
    mask = cv2.warpPerspective(np.full((height, width), 255, np.uint8), turn, size)
    shadow = cv2.GaussianBlur(np.roll(mask, (14, 10), (0, 1)), (0, 0), 12)[..., None] / 255
    dark = ground * (1 - 0.45 * shadow)
    return np.where(mask[..., None] > 127, over, dark).astype(np.uint8)


def _finished(pixels: Picture) -> Picture:
    """Shrunk, lit from one side, a little soft and noisy, as a camera has it."""
    size = (pixels.shape[1] // FINE, pixels.shape[0] // FINE)
    small = Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS)
    soft = np.asarray(small.filter(ImageFilter.GaussianBlur(0.6)), np.float32)
    light = np.linspace(1.06, 0.88, size[0])[None, :, None]
    noise = np.random.default_rng(SEED).normal(0, 3.0, soft.shape)
    return np.clip(soft * light + noise, 0, 255).astype(np.uint8)


def main() -> None:
    parser(__doc__).parse_args()
    for name, draw in (("sign", sign), ("label", label), ("page", page)):
        Image.fromarray(draw()).save(FOLDER / f"text-{name}.jpg", quality=QUALITY)


if __name__ == "__main__":
    main()
