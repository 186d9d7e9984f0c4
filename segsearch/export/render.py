"""Turns pixels and masks into picture files: mask, cutout, crop, overlay; as PNG bytes."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from segsearch.core.arrays import BoolArray, Pixels
from segsearch.core.types import Mask
from segsearch.masks.crops import CropRule, context_crop
from segsearch.masks.levels import resized
from segsearch.masks.rle import decode, decode_crop

# Okabe & Ito's colours: told apart by colour-blind people too.
PALETTE = (
    (230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66),
    (0, 114, 178), (213, 94, 0), (204, 121, 167),
)  # fmt: skip
CROP_MARGIN = 0.15  # around a region, of its longer side
SHADE = 0.45  # what is left of the brightness outside the regions
TINT = 0.28
SHEET_GAP_PX = 12
SHOWN_SIDE_PX = 1024  # longer side of a picture that is shown, unless another is asked for


def mask_png(mask: Mask, side_px: int | None = None) -> bytes:
    """The mask over the whole frame (H, W): white inside, black outside; shrunk until the longer
    side is at most `side_px`."""
    drawn = Image.fromarray(decode(mask).astype(np.uint8) * 255)
    if side_px is not None:
        drawn.thumbnail((side_px, side_px), Image.Resampling.NEAREST)
    return _png(drawn)


def cutout_png(pixels: Pixels, mask: Mask, side_px: int | None = None) -> bytes:
    """The region alone as RGBA, cut to its box; the mask is the alpha channel. Shrunk until the
    longer side is at most `side_px`. A mask of the picture at another size is brought to this
    one."""
    mask = _fitted(mask, pixels)
    box = mask.box
    alpha = decode_crop(mask).astype(np.uint8)[..., None] * 255
    part = pixels[box.y0 : box.y1, box.x0 : box.x1]
    cut = Image.fromarray(np.concatenate((part, alpha), axis=2), "RGBA")
    if side_px is not None:
        cut.thumbnail((side_px, side_px))
    return _png(cut)


def crop_png(pixels: Pixels, mask: Mask, margin: float) -> bytes:
    """The square around a region with `margin` (a share of its longer side) on each side."""
    return _png(Image.fromarray(context_crop(pixels, mask, CropRule(margin=margin))))


def context_jpeg(pixels: Pixels, mask: Mask, margin: float) -> bytes:
    """As `crop_png`, but JPEG."""
    return _jpeg(Image.fromarray(context_crop(pixels, mask, CropRule(margin=margin))), quality=95)


def overlay_png(pixels: Pixels, masks: Sequence[Mask], labels: Sequence[str] = ()) -> bytes:
    """The whole picture, darkened outside the regions, each tinted, outlined and labelled; masks
    of the picture at another size are brought to this one."""
    masks = [_fitted(mask, pixels) for mask in masks]
    canvas = pixels.astype(np.float32)
    inside = np.zeros(pixels.shape[:2], dtype=bool)
    for number, mask in enumerate(masks):
        shape = decode(mask)
        inside |= shape
        colour = np.array(PALETTE[number % len(PALETTE)], dtype=np.float32)
        canvas[shape] = (1 - TINT) * canvas[shape] + TINT * colour
    canvas[~inside] *= SHADE
    thickness = max(1, round(max(pixels.shape[:2]) / 300))
    for number, mask in enumerate(masks):
        canvas[outline(decode(mask), thickness)] = PALETTE[number % len(PALETTE)]
    picture = Image.fromarray(canvas.astype(np.uint8))
    _label(picture, masks, labels)
    return _png(picture)


def sheet_png(pictures: Sequence[bytes], columns: int, side_px: int) -> bytes:
    """Picture files beside and below each other on white, each in a square of `side_px`."""
    rows = -(-len(pictures) // columns)
    sheet = Image.new("RGB", (columns * side_px, max(rows, 1) * side_px), (255, 255, 255))
    for number, data in enumerate(pictures):
        with Image.open(io.BytesIO(data)) as opened:
            tile = opened.convert("RGB")
        tile.thumbnail((side_px - SHEET_GAP_PX, side_px - SHEET_GAP_PX), Image.Resampling.LANCZOS)
        row, column = divmod(number, columns)
        left = column * side_px + (side_px - tile.width) // 2
        sheet.paste(tile, (left, row * side_px + (side_px - tile.height) // 2))
    return _png(sheet)


def marked_jpeg(pixels: Pixels, mask: Mask, side_px: int) -> bytes:
    """The whole picture as JPEG with the region outlined, its longer side at most `side_px`; a mask
    of the picture at another size is brought to this one."""
    mask = _fitted(mask, pixels)
    canvas = pixels.copy()
    thickness = max(2, round(max(pixels.shape[:2]) / 200))
    canvas[outline(decode(mask), thickness)] = PALETTE[5]
    return thumbnail_jpeg(canvas, side_px)


def numbered_jpeg(pixels: Pixels, masks: Sequence[Mask], side_px: int) -> bytes:
    """The whole picture as JPEG with regions outlined and numbered from 1, its longer side at most
    `side_px`; masks of the picture at another size are brought to this one."""
    picture = Image.fromarray(pixels)
    picture.thumbnail((side_px, side_px), Image.Resampling.LANCZOS)
    canvas = np.array(picture)
    masks = [_fitted(mask, canvas) for mask in masks]
    thickness = max(2, round(max(picture.size) / 300))
    for number, mask in enumerate(masks):
        canvas[outline(decode(mask), thickness)] = PALETTE[number % len(PALETTE)]
    drawn = Image.fromarray(canvas)
    _label(drawn, masks, [str(number) for number in range(1, len(masks) + 1)])
    return _jpeg(drawn, quality=85)


def _fitted(mask: Mask, pixels: Pixels) -> Mask:
    height, width = pixels.shape[:2]
    return mask if (mask.height, mask.width) == (height, width) else resized(mask, height, width)


def outline(shape: BoolArray, thickness_px: int) -> BoolArray:
    """The band (H, W) just inside a region's edge."""
    inner = shape
    for _ in range(thickness_px):
        padded = np.pad(inner, 1, constant_values=False)
        inner = inner & padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return shape & ~inner


def picture_png(pixels: Pixels) -> bytes:
    """The whole picture without loss."""
    return _png(Image.fromarray(pixels))


def picture_jpeg(pixels: Pixels) -> bytes:
    """The whole picture as JPEG, hardly changed."""
    return _jpeg(Image.fromarray(pixels), quality=95)


def thumbnail_jpeg(pixels: Pixels, side_px: int) -> bytes:
    """The picture as JPEG, its longer side at most `side_px`."""
    picture = Image.fromarray(pixels)
    picture.thumbnail((side_px, side_px), Image.Resampling.LANCZOS)
    return _jpeg(picture, quality=85)


def _label(picture: Image.Image, masks: Sequence[Mask], labels: Sequence[str]) -> None:
    draw = ImageDraw.Draw(picture)
    size = max(12, round(max(picture.size) / 40))
    for number, (mask, text) in enumerate(zip(masks, labels, strict=False)):
        left, _, right, bottom = draw.textbbox((0, 0), text, font_size=size)
        width, height = right - left + 8, bottom + 8
        x = min(mask.box.x0, max(0, picture.width - width))
        y = max(0, mask.box.y0 - height)
        colour = PALETTE[number % len(PALETTE)]
        draw.rectangle((x, y, x + width, y + height), fill=colour)
        draw.text((x + 4, y + 2), text, fill=(0, 0, 0), font_size=size)


def _jpeg(picture: Image.Image, quality: int) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def _png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=3)
    return buffer.getvalue()
