"""Decoding: odd pictures come out upright and in the right colours, rubbish is refused."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from datetime import datetime
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image
from pillow_heif import register_heif_opener

from segsearch.core.arrays import Pixels
from segsearch.core.errors import PictureError, PictureTooLargeError
from segsearch.media.decode import Limits, check_decoded, decode, decode_small, inspect
from tests.support import zoo
from tests.support.zoo import UNDO

RED, BLUE = (250, 10, 10), (10, 10, 250)


def file_of(picture: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def two_colours(width: int = 40, height: int = 24) -> Image.Image:
    """Red, with a blue top left corner."""
    picture = Image.new("RGB", (width, height), RED)
    picture.paste(BLUE, (0, 0, width // 2, height // 2))
    return picture


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_turned_by_exif_come_out_upright(orientation: int) -> None:
    upright = two_colours()
    undo = UNDO[orientation]
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    stored = upright.transpose(undo) if undo is not None else upright
    pixels, info = decode(file_of(stored, "PNG", exif=exif))
    assert (info.width, info.height) == upright.size
    assert (pixels == np.asarray(upright)).all()


@pytest.mark.parametrize(
    "read",
    [lambda data: decode(data)[0], lambda data: decode_small(data, 40)],
    ids=["all", "small"],
)
def test_a_picture_is_turned_whatever_else_its_exif_holds(read: Callable[[bytes], Pixels]) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    exif[ExifTags.Base.XResolution] = 72.0
    whole = exif.tobytes()
    odd = whole.replace(b"\x01\x1a\0\x05\0\0\0\x01", b"\x01\x1a\0\x02\0\0\0\x01")  # a text
    assert odd != whole
    turned = np.asarray(two_colours().transpose(Image.Transpose.ROTATE_270))
    assert (read(file_of(two_colours(), exif=odd)) == turned).all()
    headless = whole.replace(b"MM", b"M?", 1)
    assert (read(file_of(two_colours(), exif=headless)) == np.asarray(two_colours())).all()


def near(pixels: Any, colour: tuple[int, int, int]) -> bool:
    return bool((np.abs(pixels.astype(int) - np.array(colour)) <= 12).all())


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(lambda: file_of(two_colours().quantize(4)), id="palette"),
        pytest.param(lambda: file_of(two_colours().convert("RGBA")), id="alpha"),
        pytest.param(lambda: file_of(two_colours(), "WEBP", lossless=True), id="webp"),
        pytest.param(lambda: file_of(two_colours(), "BMP"), id="bmp"),
        pytest.param(lambda: file_of(two_colours(), "TIFF"), id="tiff"),
        pytest.param(lambda: file_of(two_colours().quantize(4), "GIF"), id="gif"),
        pytest.param(
            lambda: file_of(
                two_colours(), "PNG", save_all=True, append_images=[Image.new("RGB", (40, 24))]
            ),
            id="animated",
        ),
    ],
)
def test_every_mode_gives_the_same_colours(data: Callable[[], bytes]) -> None:
    pixels, _ = decode(data())
    assert pixels.shape == (24, 40, 3)
    assert pixels.dtype == np.uint8
    assert near(pixels[2, 2], BLUE)
    assert near(pixels[-2, -2], RED)


def test_cmyk_comes_out_in_its_colours() -> None:
    picture = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    pixels, _ = decode(file_of(picture, "JPEG", quality=95))
    assert pixels[4, 4, 0] > 180
    assert pixels[4, 4, 1] < 90


def test_sixteen_bit_grey_keeps_its_gradient() -> None:
    gradient = np.linspace(0, 65535, 256).astype(np.uint16)[None].repeat(4, axis=0)
    pixels, _ = decode(file_of(Image.fromarray(gradient)))
    assert np.abs(pixels[0, :, 0].astype(int) - np.arange(256)).max() <= 1


def test_transparent_pixels_show_white() -> None:
    pixels, _ = decode(file_of(Image.new("RGBA", (3, 3), (200, 0, 0, 0))))
    assert (pixels == 255).all()


def test_grey_with_transparency_shows_white() -> None:
    pixels, _ = decode(file_of(Image.new("LA", (3, 3), (10, 0))))
    assert (pixels == 255).all()


def keyed(depth_bits: int, row: bytes, key: tuple[int, ...]) -> bytes:
    """A PNG of one row of four pixels, of which one colour is transparent."""
    kind = 2 if len(key) == 3 else 0
    head = struct.pack(">IIBBBBB", 4, 1, depth_bits, kind, 0, 0, 0)
    chunks = {
        b"IHDR": head,
        b"tRNS": struct.pack(f">{len(key)}H", *key),
        b"IDAT": zlib.compress(b"\0" + row),
        b"IEND": b"",
    }
    return b"\x89PNG\r\n\x1a\n" + b"".join(zoo.png_chunk(*chunk) for chunk in chunks.items())


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (keyed(1, b"\x50", (1,)), [0, 255, 0, 255]),
        (keyed(1, b"\x50", (0,)), [255, 255, 255, 255]),
        (keyed(2, b"\x1b", (2,)), [0, 85, 255, 255]),
        (keyed(4, b"\x05\xaf", (10,)), [0, 85, 255, 255]),
        (keyed(8, b"\x00\x50\xa0\xff", (80,)), [0, 255, 160, 255]),
        (keyed(16, struct.pack(">4H", 0, 25700, 51400, 65535), (0,)), [255, 100, 200, 255]),
        (keyed(16, struct.pack(">4H", 0, 25700, 51400, 65535), (51400,)), [0, 100, 255, 255]),
        (keyed(8, bytes(3) + b"\x50" * 3 + b"\xa0" * 6, (80,) * 3), [0, 255, 160, 160]),
        (
            keyed(16, bytes(6) + struct.pack(">9H", *([25700] * 3 + [51400] * 6)), (51400,) * 3),
            [0, 100, 255, 255],
        ),
    ],
    ids=["1:1", "1:0", "2", "4", "8", "16:0", "16", "rgb-8", "rgb-16"],
)
def test_the_one_transparent_colour_of_a_png_shows_white(data: bytes, expected: list[int]) -> None:
    pixels, _ = decode(data)
    assert pixels[0, :, 0].tolist() == expected


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1)])
def test_extreme_shapes_are_decoded(size: tuple[int, int]) -> None:
    pixels, info = decode(file_of(Image.new("RGB", size, RED)))
    assert (info.width, info.height) == size
    assert (pixels == RED).all()


def png_header(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IDAT", zlib.compress(b"\0" * 100))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + body + chunk(b"IEND", b"")


def test_a_huge_header_is_refused_before_decoding() -> None:
    with pytest.raises(PictureTooLargeError, match=r"50,000 x 50,000|bomb"):
        decode(png_header(50_000, 50_000))


def test_a_file_over_the_byte_limit_is_refused() -> None:
    with pytest.raises(PictureTooLargeError, match="SEGSEARCH_MAX_BYTES"):
        decode(b"x" * 11, Limits(max_bytes=10))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b"hello, I am no picture at all", "not a picture"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a picture"),
        (b"%PDF-1.7", "The PDF is damaged"),
        (b"\x89PNG\r\n\x1a\n", "damaged|not a picture"),
    ],
)
def test_rubbish_is_refused_with_a_sentence(data: bytes, words: str) -> None:
    with pytest.raises(PictureError, match=words):
        decode(data)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "GIF"])
def test_a_truncated_picture_is_refused_or_whole_at_every_length(kind: str) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (40, 40, 3), dtype=np.uint8)
    data = file_of(Image.fromarray(noise), kind)
    for tenth in range(1, 10):
        with pytest.raises(PictureError):
            decode(data[: len(data) * tenth // 11])


def test_what_the_camera_wrote_is_kept() -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "Acme"
    exif[ExifTags.Base.Model] = "One"
    exif[ExifTags.Base.DateTime] = "2024:05:06 07:08:09"
    _, info = decode(file_of(two_colours(), "JPEG", exif=exif))
    assert info.camera == "Acme One"
    assert info.taken_at == datetime(2024, 5, 6, 7, 8, 9)
    assert info.format == "JPEG"


def images_of(sizes: dict[tuple[int, int], tuple[int, int, int]], primary: int) -> bytes:
    """A HEIF of several images of one colour each."""
    register_heif_opener()
    first, *others = [Image.new("RGB", size, colour) for size, colour in sizes.items()]
    return file_of(
        first, "HEIF", save_all=True, append_images=others, primary_index=primary, quality=95
    )


@pytest.mark.parametrize("primary", [0, 1, 2])
def test_of_several_images_in_a_heif_the_primary_is_taken(primary: int) -> None:
    sizes = {(64, 48): RED, (120, 90): BLUE, (80, 80): (10, 250, 10)}
    data = images_of(sizes, primary)
    size, colour = list(sizes.items())[primary]
    pixels, info = decode(data)
    assert (info.width, info.height) == (pixels.shape[1], pixels.shape[0]) == size
    assert near(pixels, colour)
    assert (inspect(data).width, inspect(data).height) == size
    small = decode_small(data, 40)
    assert max(small.shape) == 40
    assert near(small, colour)


def test_the_pixel_limit_is_held_by_the_image_that_is_decoded() -> None:
    data = images_of({(400, 300): RED, (64, 48): BLUE}, 1)
    limits = Limits(max_pixels=64 * 48)
    assert decode(data, limits)[0].shape == (48, 64, 3)
    other = images_of({(64, 48): BLUE, (400, 300): RED}, 1)
    for read in (decode, inspect, lambda data, limits: decode_small(data, 40, limits)):
        with pytest.raises(PictureTooLargeError, match="400 x 300"):
            read(other, limits)


def test_broken_exif_and_profile_cost_nothing_but_themselves() -> None:
    data = file_of(two_colours(), "PNG", exif=b"Exif\0\0rubbish", icc_profile=b"rubbish")
    pixels, info = decode(data)
    assert near(pixels[-2, -2], RED)
    assert info.taken_at is None


def test_a_query_picture_is_refused_by_what_must_be_decoded_of_it() -> None:
    big = Image.new("RGB", (3200, 3200), (10, 200, 30))
    png, jpeg = (file_of(big, kind) for kind in ("PNG", "JPEG"))
    most = 4_000_000
    with pytest.raises(PictureTooLargeError, match="3,200 x 3,200 pixels have to be decoded"):
        decode_small(png, 256, max_decoded_pixels=most)
    with pytest.raises(PictureTooLargeError, match="SEGSEARCH_MAX_QUERY_PIXELS"):
        check_decoded(jpeg, most)
    assert decode_small(jpeg, 256, max_decoded_pixels=most).shape == (256, 256, 3)
    assert decode_small(png, 256).shape == (256, 256, 3)


def test_a_large_picture_is_held_once_while_it_is_shrunk() -> None:
    """Pillow keeps 4 bytes a pixel; turning and converting it at full size would take as much
    again, each."""
    code = """
import io, resource, sys
from PIL import Image
from segsearch.media.decode import decode_small
side = int(sys.argv[1])
buffer = io.BytesIO()
picture = Image.new("RGB", (side, side), (9, 9, 200))
picture.getexif()[0x0112] = 6
picture.save(buffer, "PNG", exif=picture.getexif())
del picture
decode_small(buffer.getvalue(), 512)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""
    peaks = [
        int(subprocess.run([sys.executable, "-c", code, str(side)], capture_output=True, text=True,
                           check=True, timeout=120).stdout)
        for side in (64, 6000)
    ]  # fmt: skip
    assert peaks[1] - peaks[0] < 1.3 * 4 * 6000**2
