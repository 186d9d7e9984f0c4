"""Turns the bytes of a picture file into upright RGB pixels; refuses what is too large or none.

Order matters: byte limit, format from an allowlist, size from the header before any pixel is
decoded, first frame, EXIF orientation, bit depth, transparency, colour profile, RGB.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, UnidentifiedImageError

from segsearch.core.arrays import Pixels
from segsearch.core.errors import PictureError, PictureTooLargeError
from segsearch.core.settings import Settings
from segsearch.core.types import PictureInfo
from segsearch.media.exif import orientation_of, picture_info
from segsearch.media.opening import open_as
from segsearch.media.raw import RAW_SUFFIXES, develop, exif_of, is_raw

__all__ = [
    "DEFAULT_LIMITS", "RAW_SUFFIXES", "SUFFIXES", "Limits", "decode", "read_file",
    "too_large",
]  # fmt: skip

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "AVIF", "PPM", "JPEG2000")
SUFFIXES = frozenset(
    {
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".tif", ".tiff"),
        *(".bmp", ".avif", ".heic", ".heif", ".hif", ".mpo", ".ppm", ".pgm", ".pbm", ".jp2"),
    }
)
WEBP_EXTENDED = b"WEBPVP8X"
PNG_START = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
AVIF_BRANDS = (b"avif", b"avis")  # Pillow reads these itself
BACKGROUND = (255, 255, 255)  # what shows through transparent pixels
# What makes pixels upright that are stored as EXIF's orientation 2 to 8 says.
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True, slots=True)
class Limits:
    """What a picture may cost: bytes of the file, and pixels (width x height) once decoded."""

    max_bytes: int = 200_000_000
    max_pixels: int = 200_000_000

    @classmethod
    def of(cls, settings: Settings) -> Limits:
        """Those that the settings allow."""
        return cls(settings.max_bytes, settings.max_pixels)


DEFAULT_LIMITS = Limits()


def too_large(max_bytes: int) -> PictureTooLargeError:
    """The error for a file of more bytes than allowed; who stops reading knows no more."""
    return PictureTooLargeError(
        f"The file has more than the {max_bytes:,} bytes allowed by SEGSEARCH_MAX_BYTES."
    )


def read_file(path: Path, limits: Limits = DEFAULT_LIMITS) -> bytes:
    """A file's bytes; PictureError when it cannot be read, PictureTooLargeError past the limit."""
    try:
        if path.stat().st_size > limits.max_bytes:
            raise too_large(limits.max_bytes)
        return path.read_bytes()
    except OSError as problem:
        raise PictureError(f"The file cannot be read: {problem.strerror or problem}.") from problem


def decode(data: bytes, limits: Limits = DEFAULT_LIMITS) -> tuple[Pixels, PictureInfo]:
    """Upright RGB pixels (H, W, 3) u8 in sRGB, and what the file says about itself.

    Animated pictures give their first frame, transparent ones are laid over white.
    Raises PictureTooLargeError before decoding, PictureError for anything that is no picture.
    """
    if not data:
        raise PictureError("The file is empty (0 bytes).")
    if len(data) > limits.max_bytes:
        raise too_large(limits.max_bytes)
    with _foreign_errors_as_ours():
        raw = is_raw(data)
        picture = develop(data, limits.max_pixels) if raw else _open(data, limits)
    with _foreign_errors_as_ours(), picture:
        picture.seek(0)
        picture.load()
        info = picture_info(picture)
        if picture.format == "HEIF":  # libheif has turned it already, and says 1 ever after
            stored = picture.info.get("original_orientation")
            info = replace(info, orientation=stored if stored and 1 <= stored <= 8 else 1)
        elif raw:
            info = replace(picture_info(picture, exif_of(data) or None), format="RAW")
        rgb = _to_rgb(_upright(picture))
    pixels = np.asarray(rgb, dtype=np.uint8)
    height, width = pixels.shape[:2]
    return pixels, replace(info, width=width, height=height, size_bytes=len(data))


def inspect(data: bytes, limits: Limits = DEFAULT_LIMITS) -> PictureInfo:
    """What a picture's header says; no pixel is decoded, so it may still be damaged inside.

    The size is the stored one, before any turning. Raises what `decode` raises.
    """
    if not data:
        raise PictureError("The file is empty (0 bytes).")
    with _foreign_errors_as_ours():
        if not is_raw(data):  # of those the header alone does not tell
            with _open(data, limits) as picture:
                return picture_info(picture)
    return decode(data, limits)[1]


def decode_small(data: bytes, side_px: int, limits: Limits = DEFAULT_LIMITS) -> Pixels:
    """`decode`'s pixels shrunk until the longer side is at most `side_px`; never enlarged.

    JPEGs are decoded at an eighth, a quarter or half of their size where that is still twice as
    large as asked for (libjpeg's scaled inverse DCT), which is several times faster.
    """
    if not data:
        raise PictureError("The file is empty (0 bytes).")
    with _foreign_errors_as_ours():
        raw = is_raw(data)
        picture = develop(data, limits.max_pixels) if raw else _open(data, limits)
    with _foreign_errors_as_ours(), picture:
        picture.seek(0)
        if picture.mode == "RGB":
            picture.draft("RGB", (2 * side_px, 2 * side_px))
        picture.load()
        rgb = _to_rgb(_upright(picture))
        rgb.thumbnail((side_px, side_px), Image.Resampling.LANCZOS)
    return np.asarray(rgb, dtype=np.uint8)


@contextmanager
def _foreign_errors_as_ours() -> Iterator[None]:
    """Pillow raises a dozen kinds of error on hostile bytes; each becomes one PictureError."""
    try:
        yield  # what Pillow warns of stays a warning: filters belong to the whole process
    except UnidentifiedImageError as problem:
        raise PictureError(
            "The file is not a picture in a format this program reads (JPEG, PNG, WebP, GIF, "
            "TIFF, BMP, AVIF, HEIC, JPEG 2000, PPM, camera RAW)."
        ) from problem
    except Image.DecompressionBombError as problem:
        raise PictureTooLargeError(
            f"The picture is a decompression bomb: {_sentence(problem)}."
        ) from problem
    except (OSError, SyntaxError, ValueError, EOFError, OverflowError, MemoryError) as problem:
        raise PictureError(f"The picture is damaged: {_sentence(problem)}.") from problem
    except (TypeError, KeyError, IndexError, AttributeError, RuntimeError, Warning) as problem:
        # Plugins meet impossible headers with whatever Python raises first.
        raise PictureError(f"The picture is damaged: {_sentence(problem)}.") from problem
    except Exception as problem:
        if problem.__class__.__name__ in {"error", "DecompressionBombError"}:  # struct, zlib
            raise PictureError(f"The picture is damaged: {_sentence(problem)}.") from problem
        raise


def _sentence(problem: Exception) -> str:
    return (str(problem) or problem.__class__.__name__).strip().rstrip(".")


def _open(data: bytes, limits: Limits) -> Image.Image:
    """The picture behind the bytes, header read, pixels not; refused when the header asks for more
    than `limits.max_pixels`."""
    # Pillow looks past these headers, and makes room for a WebP, before it tells the size.
    if data.startswith(PNG_START):
        claimed = struct.unpack(">II", data[len(PNG_START) :][:8].ljust(8, b"\0"))
        _check_size(claimed[0], claimed[1], limits)
    elif data.startswith(b"RIFF") and data[8:16] == WEBP_EXTENDED:
        width, height = (int.from_bytes(data[at : at + 3], "little") + 1 for at in (24, 27))
        _check_size(width, height, limits)
    formats: tuple[str, ...] = FORMATS
    if data[4:8] == b"ftyp" and data[8:12] not in AVIF_BRANDS:
        from pillow_heif import register_heif_opener

        register_heif_opener()  # the only way in; does nothing the second time
        formats = (*FORMATS, "HEIF")
    picture = open_as(formats, data)
    width, height = picture.size
    _check_size(width, height, limits)
    if width < 1 or height < 1:
        raise PictureError(f"The picture is {width} x {height} pixels, expected at least 1 x 1.")
    return picture


def _check_size(width: int, height: int, limits: Limits) -> None:
    if width * height > limits.max_pixels:
        raise PictureTooLargeError(
            f"The picture is {width:,} x {height:,} pixels, more than the "
            f"{limits.max_pixels:,} allowed by SEGSEARCH_MAX_PIXELS."
        )


def _upright(picture: Image.Image) -> Image.Image:
    """The picture turned as its EXIF says.

    Pillow's `exif_transpose` writes the whole EXIF block anew, and fails where a field is odd.
    """
    turn = TURNS.get(orientation_of(picture))
    return picture if turn is None else picture.transpose(turn)


def _to_rgb(picture: Image.Image) -> Image.Image:
    """sRGB pixels over white, whatever the mode; 16-bit values keep their top 8 bits."""
    profile = picture.info.get("icc_profile")
    if picture.mode.startswith(("I", "F")):
        picture = _squeeze_depth(picture)
    if picture.mode in {"P", "PA"} or "transparency" in picture.info:
        picture = picture.convert("RGBA")
    if picture.mode in {"LA", "La", "RGBa"}:
        picture = picture.convert("RGBA")
    if picture.mode == "RGBA":
        alpha = picture.getchannel("A")
        picture = _to_srgb(picture.convert("RGB"), profile)
        white = Image.new("RGB", picture.size, BACKGROUND)
        return Image.composite(picture, white, alpha)
    return _to_srgb(picture, profile).convert("RGB")


def _squeeze_depth(picture: Image.Image) -> Image.Image:
    """8-bit grey from 16-bit, 32-bit and float: `convert` alone would clip nearly all to white."""
    if picture.mode.startswith("I;16"):
        words = np.asarray(picture).astype(np.uint32)
        top = (words + 128) // 257 if int(words.max()) > 255 else words
        return Image.fromarray(top.astype(np.uint8))
    values = np.asarray(picture, dtype=np.float32)
    values = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
    low, high = float(values.min()), float(values.max())
    if picture.mode == "I" and low >= 0 and high <= 65535:
        scaled = values / 257.0 if high > 255 else values
    elif low >= 0.0 and high <= 1.0:
        scaled = values * 255.0
    else:  # halves, because the span itself may be larger than a float holds
        scaled = (values / 2 - low / 2) * (255.0 / max(high / 2 - low / 2, 1e-12))
    return Image.fromarray(np.clip(scaled + 0.5, 0, 255).astype(np.uint8))


def _to_srgb(picture: Image.Image, profile: object) -> Image.Image:
    """The picture in sRGB; a profile that is broken or of another colour space is ignored."""
    if not isinstance(profile, bytes) or picture.mode not in {"RGB", "CMYK", "L"}:
        return picture
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        target = ImageCms.createProfile("sRGB")
        converted = ImageCms.profileToProfile(picture, source, target, outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return picture
    return converted or picture
