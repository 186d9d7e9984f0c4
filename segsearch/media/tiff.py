"""Turns TIFFs of more than 8 bits a sample, signed ones and floats into 8-bit pictures.

Pillow reads planar 16 bits wrongly, wraps 32 bits, and knows no RGB of floats. Here it only
unpacks: a directory that calls every byte a grey pixel is put behind the file, and Pillow's
libtiff gives those bytes, as many as the size allows. Then NumPy makes the samples. Packing that
works on samples (JPEG and the like), complex numbers and colours other than grey, RGB and CMYK
are refused, or left to Pillow. Numbers of tags: TIFF 6.0, its Technical Notes 1 to 3, and GDAL's
tag for no-data.
"""

from __future__ import annotations

import io
import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin

from segsearch.core.errors import PictureError, PictureTooLargeError
from segsearch.media.depth import to_8_bits
from segsearch.media.exif import turned

CLASSIC, BIG = (b"II*\0", b"MM\0*"), (b"II+\0", b"MM\0+")
WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, FILL_ORDER = 256, 257, 258, 259, 262, 266
STRIP_OFFSETS, ORIENTATION, SAMPLES, ROWS_PER_STRIP, STRIP_BYTES = 273, 274, 277, 278, 279
HIGHEST, PLANAR, PREDICTOR, TILE_WIDTH, TILE_HEIGHT = 281, 284, 317, 322, 323
TILE_OFFSETS, TILE_BYTES, EXTRA_SAMPLES, SAMPLE_FORMAT = 324, 325, 338, 339
SUBFILE_TYPE, ICC_PROFILE, GDAL_NODATA = 254, 34675, 42113
REDUCED_OR_MASK = 1 | 4  # of SUBFILE_TYPE: a smaller copy, or what is transparent in another page
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, CMYK = 0, 1, 2, 5
COLOURS = {WHITE_IS_ZERO: 1, BLACK_IS_ZERO: 1, RGB: 3, CMYK: 4}
KINDS = {1: "u", 2: "i", 3: "f", 4: "u"}  # 4: undefined
NO_PACKING, PACKBITS = 1, 32773
PREDICTED = (5, 8, 32946, 34925, 50000)  # LZW, deflate twice, LZMA, Zstandard
HORIZONTAL, FLOATING = 2, 3
ASSOCIATED = 1  # of EXTRA_SAMPLES: alpha that the colours were multiplied with; 2 is plain alpha
PAGES_LOOKED_AT = 32
MOST_BYTES_A_PIXEL = 16  # of the pixel limit

Tags = Mapping[int, Any]


@dataclass(frozen=True, slots=True)
class Layout:
    """How the samples of one page lie in its file."""

    width: int
    height: int
    samples: int
    bits: int
    kind: str  # NumPy's: u, i, f
    is_planar: bool
    packing: int
    predictor: int
    tile: tuple[int, int] | None  # width and height in pixels

    @property
    def samples_a_plane(self) -> int:
        """Samples of one pixel that lie together."""
        return 1 if self.is_planar else self.samples

    @property
    def block_width(self) -> int:
        """Pixels that are packed together in a row."""
        return self.tile[0] if self.tile else self.width

    @property
    def blocks_across(self) -> int:
        return -(-self.width // self.block_width)

    @property
    def block_bytes(self) -> int:
        """Bytes of a row of a block; strips end each row at a whole byte."""
        return -(-self.block_width * self.samples_a_plane * self.bits // 8)


def main_page(data: bytes) -> tuple[int, Tags]:
    """Number and tags of the first page that is neither a smaller copy of another nor a mask; page
    0 where all are. Without tags where nothing can be read."""
    header = data[:16] if data.startswith(BIG) else data[:8]
    first: Tags = {}
    try:
        at = TiffImagePlugin.ImageFileDirectory_v2(header).next
        for number in range(PAGES_LOOKED_AT):
            page = TiffImagePlugin.ImageFileDirectory_v2(header)
            file = io.BytesIO(data)
            file.seek(at)
            page.load(file)
            first = first or page
            if not int(page.get(SUBFILE_TYPE, 0)) & REDUCED_OR_MASK:
                return number, page
            at = page.next
            if not at:
                break
    except Exception:  # noqa: BLE001  Pillow raises anything at all on broken tags
        return 0, first
    return 0, first


def read_deep(data: bytes, max_pixels: int, *, least_bits: int = 9) -> Image.Image | None:
    """The upright 8-bit picture of a TIFF whose samples Pillow may get wrong; None for others:
    unsigned samples of fewer than `least_bits`.

    PictureTooLargeError past the limit, PictureError for what is not known here; Pillow's errors
    for what is damaged.
    """
    if not data.startswith((*CLASSIC, *BIG)):
        return None
    _, tags = main_page(data)
    layout = _layout(tags, least_bits)
    photometric = tags.get(PHOTOMETRIC)
    if layout is None or photometric not in COLOURS:
        return None
    _check(layout, COLOURS[photometric], max_pixels)
    values = _values(data, tags, layout)
    picture = _picture(values, layout, tags)
    picture.format = "TIFF"
    picture.info["icc_profile"] = tags.get(ICC_PROFILE)
    return picture


def _layout(tags: Tags, least_bits: int) -> Layout | None:
    """None for unsigned samples of fewer bits, and for those of several depths."""
    depths, formats = _many(tags, BITS), _many(tags, SAMPLE_FORMAT) or (1,)
    if len(set(depths)) != 1 or len(set(formats)) != 1:
        return None
    if depths[0] < least_bits and formats[0] in {1, 4}:
        return None
    if formats[0] not in KINDS:
        raise PictureError("The samples of the TIFF are complex numbers, expected real ones.")
    return Layout(
        width=int(tags[WIDTH]),
        height=int(tags[HEIGHT]),
        samples=int(tags.get(SAMPLES, 1)),
        bits=int(depths[0]),
        kind=KINDS[formats[0]],
        is_planar=tags.get(PLANAR, 1) == 2 and int(tags.get(SAMPLES, 1)) > 1,
        packing=int(tags.get(COMPRESSION, NO_PACKING)),
        predictor=int(tags.get(PREDICTOR, 1)),
        tile=(int(tags[TILE_WIDTH]), int(tags[TILE_HEIGHT])) if TILE_OFFSETS in tags else None,
    )


def _many(tags: Tags, tag: int) -> tuple[int, ...]:
    value = tags.get(tag, ())
    return tuple(value) if isinstance(value, tuple | list) else (int(value),)


def _check(layout: Layout, colours: int, max_pixels: int) -> None:
    """PictureError, or PictureTooLargeError, for a layout that is not read here."""
    width, height, bits = layout.width, layout.height, layout.bits
    if width < 1 or height < 1 or layout.block_width < 1:
        raise PictureError(f"The picture is {width} x {height} pixels, expected at least 1 x 1.")
    if layout.samples < colours:
        raise PictureError(f"The TIFF has {layout.samples} samples a pixel, expected {colours}.")
    if width * height > max_pixels:
        raise PictureTooLargeError(
            f"The picture is {width:,} x {height:,} pixels, more than the "
            f"{max_pixels:,} allowed by SEGSEARCH_MAX_PIXELS."
        )
    planes = layout.samples // layout.samples_a_plane
    size = layout.block_bytes * layout.blocks_across * height * planes
    if size > MOST_BYTES_A_PIXEL * max_pixels:
        raise PictureTooLargeError(
            f"The picture has {size:,} bytes unpacked, more than {MOST_BYTES_A_PIXEL} for each of "
            f"the {max_pixels:,} pixels allowed by SEGSEARCH_MAX_PIXELS."
        )
    usual = {"u": range(8, 17), "i": (8,), "f": ()}[layout.kind]
    if bits not in {16, 32, 64} and bits not in usual:
        raise PictureError(f"The TIFF has samples of {bits} bits, which are not known here.")
    if layout.packing not in {NO_PACKING, PACKBITS, *PREDICTED}:
        raise PictureError(
            f"The TIFF is packed by method {layout.packing} in samples of {bits} bits: save it "
            "without packing, or by LZW or deflate."
        )
    unpacked = layout.packing not in PREDICTED or layout.predictor == 1
    if not unpacked and (layout.predictor not in {HORIZONTAL, FLOATING} or bits % 8):
        raise PictureError(f"The TIFF's predictor {layout.predictor} is not known here.")


def _values(data: bytes, tags: Tags, layout: Layout) -> NDArray[Any]:
    """The samples (H, W, S) of a page, in their own kind of number."""
    planes = layout.samples if layout.is_planar else 1
    offsets, counts = (
        (_many(tags, TILE_OFFSETS), _many(tags, TILE_BYTES))
        if layout.tile
        else (_many(tags, STRIP_OFFSETS), _many(tags, STRIP_BYTES))
    )
    blocks = len(offsets) // planes
    rows = layout.tile[1] if layout.tile else int(tags.get(ROWS_PER_STRIP, layout.height))
    expected = layout.blocks_across * -(-layout.height // max(1, min(rows, layout.height)))
    if blocks < expected or len(counts) != len(offsets):
        raise PictureError(f"The TIFF has {blocks} of {expected} strips or tiles: it is cut off.")
    order = ">" if data.startswith(b"M") else "<"
    parts = []
    for plane in range(planes):
        span = slice(plane * blocks, (plane + 1) * blocks)
        packed = _unpacked(data, tags, layout, offsets[span], counts[span])
        parts.append(_samples(packed, layout, order))
    values = np.concatenate(parts, axis=2) if planes > 1 else parts[0]
    return values[:, : layout.width]


def _unpacked(
    data: bytes, tags: Tags, layout: Layout, offsets: Sequence[int], counts: Sequence[int]
) -> NDArray[np.uint8]:
    """The bytes (H, N) of one plane's rows, each block across with its padding."""
    entries: dict[int, Sequence[int]] = {
        WIDTH: [layout.block_bytes * layout.blocks_across],
        HEIGHT: [layout.height],
        BITS: [8],
        COMPRESSION: [layout.packing],
        PHOTOMETRIC: [BLACK_IS_ZERO],
        FILL_ORDER: [int(tags.get(FILL_ORDER, 1))],
        SAMPLES: [1],
    }
    if layout.tile:
        entries |= {TILE_WIDTH: [layout.block_bytes], TILE_HEIGHT: [layout.tile[1]]}
        entries |= {TILE_OFFSETS: offsets, TILE_BYTES: counts}
    else:
        rows = min(int(tags.get(ROWS_PER_STRIP, layout.height)), layout.height)
        entries |= {ROWS_PER_STRIP: [rows], STRIP_OFFSETS: offsets, STRIP_BYTES: counts}
    head = b"II*\0" + struct.pack("<I", len(data))
    file = io.BytesIO(head + data[len(head) :] + _directory(entries, len(data)))
    with TiffImagePlugin.TiffImageFile(file) as picture:  # no limit: ours is checked already
        return np.asarray(picture, dtype=np.uint8)


def _directory(entries: Mapping[int, Sequence[int]], at: int) -> bytes:
    """A directory of whole numbers that is to lie at byte `at`."""
    fields, behind = b"", b""
    behind_at = at + 2 + 12 * len(entries) + 4
    for tag, values in sorted(entries.items()):
        packed = struct.pack(f"<{len(values)}I", *values)
        if len(packed) > 4:
            packed, behind = struct.pack("<I", behind_at + len(behind)), behind + packed
        fields += struct.pack("<HHI", tag, 4, len(values)) + packed.ljust(4, b"\0")
    return struct.pack("<H", len(entries)) + fields + bytes(4) + behind


def _samples(rows: NDArray[np.uint8], layout: Layout, order: str) -> NDArray[Any]:
    """Rows of bytes (H, N) as samples (H, W or more, S) of one plane."""
    height, samples, size = layout.height, layout.samples_a_plane, layout.bits // 8
    blocks = rows.reshape(height, layout.blocks_across, layout.block_bytes)
    if layout.bits % 8:
        return _whole_numbers(blocks, layout).reshape(height, -1, samples)
    predictor = layout.predictor if layout.packing in PREDICTED else 1
    if predictor == FLOATING:
        # Adobe's TIFF Technical Note 3: the bytes of all samples by rank, the highest first.
        deltas = blocks.reshape(height, layout.blocks_across, -1, samples)
        ranks = np.cumsum(deltas, axis=2, dtype=np.uint8).reshape(*blocks.shape[:2], size, -1)
        blocks, order = np.ascontiguousarray(np.swapaxes(ranks, 2, 3)), ">"
    flat = blocks.reshape(-1).view(f"{order}u{size}").astype(f"u{size}")
    words = flat.reshape(height, layout.blocks_across, -1, samples)
    if predictor == HORIZONTAL:
        words = np.cumsum(words, axis=2, dtype=words.dtype)
    return words.view(f"{layout.kind}{size}").reshape(height, -1, samples)


def _whole_numbers(blocks: NDArray[np.uint8], layout: Layout) -> NDArray[np.uint32]:
    """Samples of any number of bits, packed without gaps, the highest bit first."""
    count = layout.block_width * layout.samples_a_plane
    numbers = np.zeros((*blocks.shape[:2], count), np.uint32)
    first = np.arange(count) * layout.bits
    for bit in range(layout.bits):
        at = first + bit
        numbers = numbers << 1 | (blocks[..., at // 8] >> (7 - at % 8)) & 1
    return numbers


def _picture(values: NDArray[Any], layout: Layout, tags: Tags) -> Image.Image:
    """The upright picture of samples (H, W, S), with alpha where the page has it."""
    photometric = tags[PHOTOMETRIC]
    count = COLOURS[photometric]
    colours = values[..., :count]
    hidden = _hidden(colours, tags)
    shown = to_8_bits(
        colours[..., 0] if count == 1 else colours,
        most=_most(layout, tags),
        hidden=hidden,
        is_colour=count > 1,
    )
    if photometric == WHITE_IS_ZERO:
        shown = 255 - shown
        if hidden is not None:
            shown[hidden] = 0
    extra = _many(tags, EXTRA_SAMPLES) or ((2,) if layout.samples == 4 and count == 3 else ())
    mode = {1: "L", 3: "RGB", 4: "CMYK"}[count]
    if count < 4 and layout.samples > count and extra[:1] in {(1,), (2,)}:
        alpha = to_8_bits(values[..., count], most=_full(layout))
        shown = np.dstack([shown] * (3 // count) + [alpha])
        mode = "RGBa" if extra[0] == ASSOCIATED else "RGBA"
    picture = Image.frombytes(mode, (layout.width, layout.height), shown.tobytes())
    return turned(picture, int(tags.get(ORIENTATION, 1)))


def _full(layout: Layout) -> int:
    """The value of full brightness, were all bits of a sample in use."""
    if layout.kind == "f":
        return 1
    return int(2 ** (layout.bits - (layout.kind == "i")) - 1)


def _most(layout: Layout, tags: Tags) -> int | None:
    """The value of full brightness, where the file says so."""
    if layout.kind != "u":
        return None
    said = max(_many(tags, HIGHEST), default=0)
    if 0xFF < said < _full(layout):
        return said
    return _full(layout) if layout.bits < 16 else None


def _hidden(colours: NDArray[Any], tags: Tags) -> NDArray[np.bool_] | None:
    """Which pixels (H, W) hold the number that GDAL's tag calls no data; None without it."""
    try:
        nothing = float(str(tags[GDAL_NODATA]).strip("\0 "))
    except (KeyError, ValueError):
        return None
    if math.isnan(nothing):
        same = np.isnan(colours)
    else:  # a text of few digits means the nearest float
        near = 1e-6 if colours.dtype.kind == "f" else 0
        same = np.asarray(np.isclose(colours, nothing, rtol=near, atol=0))
    hidden: NDArray[np.bool_] = same.all(axis=2)
    return hidden
