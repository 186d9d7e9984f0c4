"""Scientific and scanner TIFFs come out right, or are refused with a sentence.

tifffile and OpenCV write the files; the values are known, so no second reader is needed.
"""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from segsearch.core.errors import PictureError, PictureTooLargeError
from segsearch.media.decode import Limits, decode, decode_small, inspect
from tests.support import zoo

RAMP = np.linspace(0, 1, 64)[None].repeat(48, 0)
COLOURS = np.stack([RAMP, RAMP[:, ::-1], np.full_like(RAMP, 0.25)], 2)
GREY = np.rint(RAMP * 255)[..., None].repeat(3, 2)
RGB = np.rint(COLOURS * 255)
HEIGHTS = RAMP * 100 + 200  # metres, say
Values = NDArray[Any]


def whole(values: Values, bits: int, kind: Any = np.uint16) -> Values:
    numbers: Values = np.rint(values * (2**bits - 1)).astype(kind)
    return numbers


def planes(values: Values) -> Values:
    return np.ascontiguousarray(values.transpose(2, 0, 1))


def with_band(values: Values, band: float) -> Values:
    last = np.full((*values.shape[:2], 1), band).astype(values.dtype)
    return np.concatenate([values, last], 2)


def written(values: Values, **options: Any) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, values, metadata=None, **options)
    return buffer.getvalue()


def packed(values: Values, packing: int, predictor: int) -> bytes:
    """Written by OpenCV's libtiff, which knows the predictors."""
    if values.ndim == 3:
        values = values[..., ::-1]
    options = [cv2.IMWRITE_TIFF_COMPRESSION, packing, cv2.IMWRITE_TIFF_PREDICTOR, predictor]
    done, data = cv2.imencode(".tif", values, options)
    assert done
    with tifffile.TiffFile(io.BytesIO(data.tobytes())) as file:
        page = file.pages.first
        assert (page.compression, page.predictor, page.dtype) == (packing, predictor, values.dtype)
    return data.tobytes()


def error_of(data: bytes, expected: Values) -> int:
    pixels, info = decode(data)
    assert (info.format, info.width, info.height) == ("TIFF", 64, 48)
    assert (inspect(data).width, inspect(data).height) == (64, 48)
    assert np.abs(decode_small(data, 64).astype(int) - pixels).max() == 0
    return int(np.abs(pixels.astype(int) - expected).max())


PLANAR = {"photometric": "rgb", "planarconfig": "separate"}
FILES = {
    "planar 16": (written(planes(whole(COLOURS, 16)), **PLANAR), RGB),
    "planar 16 MM": (written(planes(whole(COLOURS, 16)), byteorder=">", **PLANAR), RGB),
    "planar 16 tiled": (written(planes(whole(COLOURS, 16)), tile=(16, 32), **PLANAR), RGB),
    "planar 16 strips": (written(planes(whole(COLOURS, 16)), rowsperstrip=5, **PLANAR), RGB),
    "planar 8": (written(planes(whole(COLOURS, 8, np.uint8)), **PLANAR), RGB),
    "planar float": (written(planes(COLOURS.astype(np.float32)), **PLANAR), RGB),
    "16": (written(whole(COLOURS, 16), photometric="rgb"), RGB),
    "16 MM": (written(whole(COLOURS, 16), photometric="rgb", byteorder=">"), RGB),
    "16 big": (written(whole(COLOURS, 16), photometric="rgb", bigtiff=True), RGB),
    "16 deflate": (written(whole(COLOURS, 16), photometric="rgb", compression="zlib"), RGB),
    "16 lzw 2": (packed(whole(COLOURS, 16), 5, 2), RGB),
    "16 tiled": (written(whole(COLOURS, 16), photometric="rgb", tile=(32, 48)), RGB),
    "12 in 16": (written(whole(COLOURS, 12), photometric="rgb"), RGB),
    "bands": (written(with_band(whole(COLOURS, 16), 9), photometric="rgb", extrasamples=[0]), RGB),
    "float": (written(COLOURS.astype(np.float32), photometric="rgb"), RGB),
    "float lzw 2": (packed(COLOURS.astype(np.float32), 5, 2), RGB),
    "float lzw 3": (packed(COLOURS.astype(np.float32), 5, 3), RGB),
    "float deflate 3": (packed(COLOURS.astype(np.float32), 8, 3), RGB),
    "float16": (written(COLOURS.astype(np.float16), photometric="rgb"), RGB),
    "double": (written(COLOURS, photometric="rgb", byteorder=">"), RGB),
    "uint32": (written(whole(COLOURS, 32, np.uint32), photometric="rgb"), RGB),
    "bright": (written((COLOURS * 7.5).astype(np.float32), photometric="rgb"), RGB),
    "cmyk 16": (
        written(with_band(65535 - whole(COLOURS, 16), 0), photometric="separated"),
        RGB,
    ),
    "cmyk 16 planar": (
        written(
            planes(with_band(65535 - whole(COLOURS, 16), 0)),
            photometric="separated",
            planarconfig="separate",
        ),
        RGB,
    ),
    "grey 16": (written(whole(RAMP, 16)), GREY),
    "grey 16 MM": (written(whole(RAMP, 16), byteorder=">"), GREY),
    "grey 10 in 16": (written(whole(RAMP, 10)), GREY),
    "grey 12 in 16": (written(whole(RAMP, 12)), GREY),
    "grey 14 in 16": (written(whole(RAMP, 14)), GREY),
    "grey 8 in 16": (written(whole(RAMP, 8)), GREY),
    "grey 16 lzw 2": (packed(whole(RAMP, 16), 5, 2), GREY),
    "grey 11 said": (
        written(whole(RAMP, 11), extratags=[(281, "H", 1, 2047, True)]),
        GREY,
    ),
    "white is zero 16": (written(65535 - whole(RAMP, 16), photometric="miniswhite"), GREY),
    "white is zero 12": (written(4095 - whole(RAMP, 12), photometric="miniswhite"), GREY),
    "white is zero 8": (written(255 - whole(RAMP, 8, np.uint8), photometric="miniswhite"), GREY),
    "white is zero float": (written((1 - RAMP).astype(np.float32), photometric="miniswhite"), GREY),
    "bands 8": (
        written(with_band(whole(COLOURS, 8, np.uint8), 9)[..., [0, 1, 2, 3, 3]],
                photometric="minisblack", planarconfig="contig"),
        GREY,
    ),
    "grey float": (written(RAMP.astype(np.float32)), GREY),
    "grey float tiled": (written(RAMP.astype(np.float32), tile=(32, 16)), GREY),
    "grey float lzw 3": (packed(RAMP.astype(np.float32), 5, 3), GREY),
    "grey double": (written(RAMP), GREY),
    "grey float16": (written(RAMP.astype(np.float16)), GREY),
    "grey uint32": (written(whole(RAMP, 32, np.uint32)), GREY),
    "grey uint32 of 16": (written(whole(RAMP, 16, np.uint32)), GREY),
    "grey uint64": (written((RAMP * 1e15).astype(np.uint64)), GREY),
    "grey int8": (written(np.rint(RAMP * 255 - 128).astype(np.int8)), GREY),
    "grey int16": (written(np.rint(RAMP * 65535 - 32768).astype(np.int16)), GREY),
    "grey int32": (written(np.rint(RAMP * 2000 - 1000).astype(np.int32)), GREY),
    "heights": (written(HEIGHTS.astype(np.float32)), GREY),
    "stack": (written(np.stack([whole(RAMP, 16)] * 3), photometric="minisblack"), GREY),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_samples_of_every_kind_come_out_as_they_are_meant(name: str) -> None:
    assert error_of(*FILES[name]) <= 1


def test_samples_of_twelve_bits_without_gaps_are_whole(tmp_path: Path) -> None:
    values = whole(RAMP, 12)
    bits = (values[..., None] >> np.arange(11, -1, -1)) & 1
    path = tmp_path / "12.tif"
    tifffile.imwrite(path, np.packbits(bits.reshape(48, -1), axis=1), metadata=None)
    with tifffile.TiffFile(path, mode="r+") as file:
        file.pages.first.tags["ImageWidth"].overwrite(64)
        file.pages.first.tags["BitsPerSample"].overwrite(12)
    assert error_of(path.read_bytes(), GREY) <= 1


NOTHING = [-9999.0, -99999.0, -32768.0, -3.4028234663852886e38, 3.4028234663852886e38, 1e30]


@pytest.mark.parametrize("nothing", [*NOTHING, -1e9, float("nan"), float("-inf")])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_values_that_stand_for_no_data_cost_no_contrast(nothing: float, kind: type) -> None:
    values: Values = HEIGHTS.astype(kind)
    values[:10] = nothing
    pixels, _ = decode(written(values))
    assert np.abs(pixels[10:].astype(int) - GREY[10:]).max() <= 1
    assert (pixels[:10] == (255 if nothing > 0 else 0)).all()


def test_two_values_for_no_data_cost_no_contrast() -> None:
    values = HEIGHTS.astype(np.float32)
    values[:5], values[5:10] = -9999, -3.4028234663852886e38
    assert np.abs(decode(written(values))[0][10:].astype(int) - GREY[10:]).max() <= 1
    signed = np.rint(RAMP * 2550 - 500).astype(np.int16)
    signed[:10] = -32768
    assert np.abs(decode(written(signed))[0][10:].astype(int) - GREY[10:]).max() <= 1


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (HEIGHTS.astype(np.float32), "123"),
        (HEIGHTS.astype(np.float32), "nan"),
        (HEIGHTS.astype(np.float64), "-3.40282e+38"),
        (whole(RAMP, 12), "65535"),
        (np.rint(RAMP * 100 - 50).astype(np.int16), "77"),
    ],
)
def test_the_value_that_the_file_calls_no_data_is_black(values: Values, said: str) -> None:
    values = values.copy()
    values[:10] = float(said)
    pixels, _ = decode(written(values, extratags=[(42113, "s", 0, said, True)]))
    assert np.abs(pixels[10:].astype(int) - GREY[10:]).max() <= 2
    assert (pixels[:10] == 0).all()
    inverted = written(values, photometric="miniswhite", extratags=[(42113, "s", 0, said, True)])
    assert (decode(inverted)[0][:10] == 0).all()


def test_real_values_that_are_often_no_data_are_kept() -> None:
    deep = np.rint(RAMP * 20_000 - 10_999).astype(np.float32)
    deep[0, 0] = -9999
    assert np.abs(decode(written(deep))[0].astype(int)[1:] - GREY[1:]).max() <= 1


@pytest.mark.parametrize("multiplied", [False, True])
@pytest.mark.parametrize("count", [1, 3])
def test_deep_transparent_pixels_show_white(multiplied: bool, count: int) -> None:
    alpha = np.full((48, 64), 0.5)
    alpha[:10] = 0
    colours = COLOURS[..., :count] * (alpha[..., None] if multiplied else 1)
    four = whole(np.concatenate([colours, alpha[..., None]], 2), 16)
    data = written(
        four,
        photometric="rgb" if count == 3 else "minisblack",
        planarconfig="contig",
        extrasamples=["assocalpha" if multiplied else "unassalpha"],
    )
    pixels, _ = decode(data)
    assert (pixels[:10] == 255).all()
    half = (RGB if count == 3 else GREY)[10:] / 2 + 127.5
    assert np.abs(pixels[10:] - half).max() <= 2


@pytest.mark.parametrize("orientation", range(1, 9))
def test_deep_tiffs_are_turned_upright(orientation: int) -> None:
    upright = np.asarray(Image.fromarray(RGB.astype(np.uint8)))
    undo = zoo.UNDO[orientation]
    stored = upright if undo is None else np.asarray(Image.fromarray(upright).transpose(undo))
    data = written(
        stored.astype(np.uint16) * 257,
        photometric="rgb",
        extratags=[(274, "H", 1, orientation, True), (271, "s", 0, "Acme", True)],
    )
    pixels, info = decode(data)
    assert (pixels == upright).all()
    assert (info.orientation, info.camera) == (orientation, "Acme")
    assert (info.width, info.height) == (64, 48)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_a_smaller_copy_or_a_mask_before_the_picture_is_passed_by(kind: Any) -> None:
    values = whole(COLOURS, 8 * np.dtype(kind).itemsize, kind)
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as file:
        file.write(values[::4, ::4], photometric="rgb", subfiletype=1, metadata=None)
        mask = np.ones((48, 64), bool)
        file.write(mask, photometric="mask", subfiletype=4, metadata=None)
        file.write(values, photometric="rgb", metadata=None)
    assert error_of(buffer.getvalue(), RGB) <= 1
    with pytest.raises(PictureTooLargeError, match="64 x 48"):
        decode(buffer.getvalue(), Limits(max_pixels=16 * 12))


@pytest.mark.parametrize(
    ("values", "tag", "value", "words"),
    [
        (RAMP.astype(np.complex64), "Orientation", 1, "complex"),
        (whole(RAMP, 16), "Compression", 7, "packed by method 7"),
        (whole(RAMP, 16), "BitsPerSample", 24, "24 bits"),
        (whole(COLOURS, 16), "SamplesPerPixel", 2, "2 samples"),
    ],
)
def test_what_is_not_known_is_refused_with_a_sentence(
    values: Values, tag: str, value: int, words: str, tmp_path: Path
) -> None:
    path = tmp_path / "odd.tif"
    photometric = "rgb" if values.ndim == 3 else "minisblack"
    one = [(274, "H", 1, 1, True)]
    tifffile.imwrite(path, values, photometric=photometric, extratags=one, metadata=None)
    with tifffile.TiffFile(path, mode="r+") as file:
        file.pages.first.tags[tag].overwrite(value)
    for read in (decode, inspect):
        with pytest.raises(PictureError, match=words):
            read(path.read_bytes())


def test_limits_hold_before_anything_is_unpacked() -> None:
    bomb = written(np.zeros((3000, 3000), np.uint16), compression="zlib")
    with pytest.raises(PictureTooLargeError, match="3,000 x 3,000"):
        decode(bomb, Limits(max_pixels=1_000_000))
    deep = written(np.zeros((9, 9, 40)), photometric="minisblack", planarconfig="contig")
    with pytest.raises(PictureTooLargeError, match="bytes unpacked"):
        decode(deep, Limits(max_pixels=100))


@pytest.mark.parametrize("name", ["planar 16", "16 lzw 2", "float deflate 3", "grey double"])
def test_a_truncated_deep_tiff_is_refused(name: str) -> None:
    data, _ = FILES[name]
    for tenth in range(1, 10):
        with pytest.raises(PictureError):
            decode(data[: len(data) * tenth // 11])


@pytest.mark.parametrize("kind", [np.uint16, np.float32])
def test_a_deep_tiff_with_too_few_strips_is_refused(kind: Any) -> None:
    """Its lower part would be black without a word."""
    file = io.BytesIO()
    pixels = np.full((160, 20, 3), 300, kind)
    tifffile.imwrite(file, pixels, photometric="rgb", rowsperstrip=40)
    decode(file.getvalue())
    data = bytearray(file.getvalue())
    for tag in (0x111, 0x117):
        for form in (3, 4):
            at = data.find(struct.pack("<HHI", tag, form, 4))
            if at >= 0:
                data[at + 4 : at + 8] = struct.pack("<I", 2)
    with pytest.raises(PictureError, match="strips"):
        decode(bytes(data))


def test_deep_grey_of_other_formats_has_its_contrast() -> None:
    for kind in ("PNG", "JPEG2000"):
        data = zoo.saved(Image.fromarray(whole(RAMP, 12)), kind)
        assert np.abs(decode(data)[0].astype(int) - GREY).max() <= 1
