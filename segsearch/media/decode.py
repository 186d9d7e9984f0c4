"""Turns the bytes of a picture file into upright RGB pixels; refuses what is too large or none.

Order matters: byte limit, format from an allowlist, size from the header before any pixel is
decoded, EXIF orientation, bit depth, transparency, colour profile, RGB. Pillow opens a file at the
picture that it means: the first frame, of a HEIF the primary image. Nothing moves from there, so
what is measured against the limits is what is decoded. `media.pdf` draws pages of PDFs.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image, ImageCms, UnidentifiedImageError

from segsearch.core.arrays import Pixels
from segsearch.core.errors import PictureError, PictureTooLargeError
from segsearch.core.settings import Settings
from segsearch.core.types import PictureInfo
from segsearch.media.depth import to_8_bits
from segsearch.media.exif import orientation_of, picture_info, turned
from segsearch.media.metadata import without_metadata
from segsearch.media.opening import open_as
from segsearch.media.pdf import PDF, draw_page, is_pdf, measure_page, refuse_whole, split_page_bytes
from segsearch.media.raw import RAW_SUFFIXES, develop, exif_of, is_raw
from segsearch.media.tiff import main_page, read_deep

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
T = TypeVar("T")
BACKGROUND = (255, 255, 255)  # what shows through transparent pixels


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

    Animated pictures give their first frame, files of several images the one they call primary,
    transparent ones are laid over white.
    Raises PictureTooLargeError before decoding, PictureError for anything that is no picture.
    """
    if len(data) > limits.max_bytes:
        raise too_large(limits.max_bytes)
    page = split_page_bytes(data)
    if page:
        return _decode_page(*page, limits)
    pixels, info = _forgiving(_decode, data, limits)
    height, width = pixels.shape[:2]
    return pixels, replace(info, width=width, height=height, size_bytes=len(data))


def inspect(data: bytes, limits: Limits = DEFAULT_LIMITS) -> PictureInfo:
    """What a picture's header says; no pixel is decoded, so it may still be damaged inside.

    The size is the stored one, before any turning. Raises what `decode` raises.
    """
    page = split_page_bytes(data)
    if page:
        measured = measure_page(*page, limits.max_pixels)
        return PictureInfo(measured.width, measured.height, PDF, taken_at=measured.made_at)
    return _forgiving(_inspect, data, limits)


def decode_small(
    data: bytes,
    side_px: int,
    limits: Limits = DEFAULT_LIMITS,
    *,
    max_decoded_pixels: int | None = None,
) -> Pixels:
    """`decode`'s pixels shrunk until the longer side is at most `side_px`; never enlarged.

    JPEGs are decoded at an eighth, a quarter or half of their size where that is still twice as
    large as asked for (libjpeg's scaled inverse DCT), which is several times faster; others are
    reduced before anything else is done to them. PictureTooLargeError where more than
    `max_decoded_pixels` have to be decoded all the same.
    """
    if len(data) > limits.max_bytes:
        raise too_large(limits.max_bytes)
    page = split_page_bytes(data)
    if page:
        most = min(limits.max_pixels, max_decoded_pixels or limits.max_pixels)
        drawn, _ = draw_page(*page, most, side_px=side_px)
        return np.asarray(drawn, dtype=np.uint8)
    return _forgiving(partial(_decode_small, side_px, max_decoded_pixels), data, limits)


def check_decoded(data: bytes, most_pixels: int, limits: Limits = DEFAULT_LIMITS) -> None:
    """PictureTooLargeError where a picture that is looked at in full has more pixels than a query
    may have decoded; raises what `inspect` raises."""
    if len(data) > limits.max_bytes:
        raise too_large(limits.max_bytes)
    info = inspect(data, limits)
    _check_decoded(info.width, info.height, most_pixels)


def _check_decoded(width: int, height: int, most_pixels: int) -> None:
    if width * height > most_pixels:
        raise PictureTooLargeError(
            f"Of the picture {width:,} x {height:,} pixels have to be decoded, more than the "
            f"{most_pixels:,} allowed for a query by SEGSEARCH_MAX_QUERY_PIXELS: make it smaller, "
            "or a JPEG."
        )


def _forgiving(read: Callable[[bytes, Limits, bytes], T], data: bytes, limits: Limits) -> T:
    """What `read` makes of a picture, and of one that is damaged without its metadata, which may be
    all that is broken."""
    if not data:
        raise PictureError("The file is empty (0 bytes).")
    try:
        return read(data, limits, b"")
    except PictureTooLargeError:
        raise
    except PictureError as problem:
        if is_pdf(data) and isinstance(problem.__cause__, UnidentifiedImageError):
            raise refuse_whole(data) from problem
        bare = None if _is_bomb(problem) else without_metadata(data)
        if bare is None:
            raise
        try:
            return read(bare[0], limits, bare[1])
        except PictureError:
            raise problem from problem.__cause__


def _is_bomb(problem: PictureError) -> bool:
    """Whether Pillow refused text or a profile that is far larger unpacked."""
    return any(words in str(problem) for words in ("too large", "Too much memory"))


def _decode(data: bytes, limits: Limits, exif: bytes) -> tuple[Pixels, PictureInfo]:
    with _foreign_errors_as_ours():
        picture, tags = _picture(data, limits, exif)
    with _foreign_errors_as_ours(), picture:
        picture.load()
        _check_size(*picture.size, limits)  # a few formats learn their size here
        info = picture_info(picture, tags)
        if picture.format == "HEIF":  # libheif has turned it already, and says 1 ever after
            stored = picture.info.get("original_orientation")
            info = replace(info, orientation=stored if stored and 1 <= stored <= 8 else 1)
        rgb = _to_rgb(turned(picture, orientation_of(picture)))
    return np.asarray(rgb, dtype=np.uint8), info


def _decode_page(file: bytes, page: int, limits: Limits) -> tuple[Pixels, PictureInfo]:
    drawn, said = draw_page(file, page, limits.max_pixels)
    info = PictureInfo(*drawn.size, PDF, taken_at=said.made_at, size_bytes=len(file))
    return np.asarray(drawn, dtype=np.uint8), info


def _inspect(data: bytes, limits: Limits, exif: bytes) -> PictureInfo:
    with _foreign_errors_as_ours():
        picture, tags = _picture(data, limits, exif)
        with picture:
            return picture_info(picture, tags)


def _decode_small(
    side_px: int, max_decoded_pixels: int | None, data: bytes, limits: Limits, exif: bytes
) -> Pixels:
    with _foreign_errors_as_ours():
        picture, _ = _picture(data, limits, exif)
    with _foreign_errors_as_ours(), picture:
        # Of a HEIF this would take a thumbnail that nobody compared with the picture.
        if picture.mode == "RGB" and picture.format in {"JPEG", "MPO"}:
            picture.draft("RGB", (2 * side_px, 2 * side_px))
        if max_decoded_pixels is not None:
            _check_decoded(*picture.size, max_decoded_pixels)
        picture.load()
        _check_size(*picture.size, limits)
        rgb = _to_rgb(turned(_reduced(picture, side_px), orientation_of(picture)))
        rgb.thumbnail((side_px, side_px), Image.Resampling.LANCZOS)
    return np.asarray(rgb, dtype=np.uint8)


def _reduced(picture: Image.Image, side_px: int) -> Image.Image:
    """A picture shrunk by a whole factor, its longer side still at least twice `side_px`: turning
    it and its colours then costs little. One whose pixels are no plain colours stays as it is."""
    factor = max(picture.size) // (2 * side_px)
    if factor < 2 or picture.mode not in {"L", "RGB"} or "transparency" in picture.info:
        return picture
    small = picture.reduce(factor)
    small.info = picture.info
    return small


def _picture(data: bytes, limits: Limits, exif: bytes) -> tuple[Image.Image, Image.Exif | None]:
    """The picture behind the bytes, and its tags, where the picture itself has lost them as it was
    made of a RAW or of deep samples: it is upright then."""
    if is_raw(data):
        picture = develop(data, limits.max_pixels)
        picture.format = "RAW"
        return picture, exif_of(data) or None
    deep = read_deep(data, limits.max_pixels)
    if deep is None:
        try:
            return _open(data, limits, exif), None
        except UnidentifiedImageError:  # Pillow knows only some of the TIFFs of 8 bits
            deep = read_deep(data, limits.max_pixels, least_bits=0)
            if deep is None:
                raise
    return deep, exif_of(data)


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


def _open(data: bytes, limits: Limits, exif: bytes = b"") -> Image.Image:
    """The picture behind the bytes, header read, pixels not; refused when the header asks for more
    than `limits.max_pixels`. `exif` is what was taken out of them before."""
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
    if picture.format == "TIFF":
        picture.seek(main_page(data)[0])
    width, height = picture.size
    _check_size(width, height, limits)
    if width < 1 or height < 1:
        raise PictureError(f"The picture is {width} x {height} pixels, expected at least 1 x 1.")
    if exif:
        picture.info["exif"] = exif
    if picture.format == "PNG":
        picture.info.update(_transparency(picture, depth_bits=data[24]))
    return picture


def _transparency(picture: Image.Image, depth_bits: int) -> dict[str, object]:
    """The one colour of a PNG that is transparent, in units of the pixels that Pillow makes.

    The file has it in units of its own depth (PNG, 3rd edition, 11.3.1.1), and so has Pillow.
    """
    key = picture.info.get("transparency")
    most = 2**depth_bits - 1
    if isinstance(key, int) and picture.mode in {"1", "L"}:
        return {"transparency": (key & most) * 255 // most}
    if isinstance(key, tuple) and depth_bits == 16:  # of which Pillow keeps the upper half
        return {"transparency": tuple(value >> 8 for value in key)}
    return {}


def _check_size(width: int, height: int, limits: Limits) -> None:
    if width * height > limits.max_pixels:
        raise PictureTooLargeError(
            f"The picture is {width:,} x {height:,} pixels, more than the "
            f"{limits.max_pixels:,} allowed by SEGSEARCH_MAX_PIXELS."
        )


def _to_rgb(picture: Image.Image) -> Image.Image:
    """sRGB pixels over white, whatever the mode."""
    profile = picture.info.get("icc_profile")
    if picture.mode.startswith(("I", "F")):
        key = picture.info.get("transparency")
        shown = np.asarray(picture) != key if isinstance(key, int) else None
        picture = Image.fromarray(to_8_bits(np.asarray(picture)))
        if shown is not None:
            picture.putalpha(Image.fromarray(shown.astype(np.uint8) * 255))
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
