"""Camera RAW: tells it by its bytes, takes the preview the camera put in, develops it otherwise."""

from __future__ import annotations

import io
from importlib.util import find_spec
from typing import Any

from PIL import ExifTags, Image

from segsearch.core.errors import PictureError, PictureTooLargeError
from segsearch.media.exif import orientation_of

RAW_SUFFIXES = frozenset(
    {
        *(".dng", ".cr2", ".cr3", ".crw", ".nef", ".nrw", ".arw", ".sr2", ".srf", ".raf"),
        *(".orf", ".rw2", ".rwl", ".pef", ".srw", ".3fr", ".iiq", ".x3f", ".erf", ".kdc"),
    }
)
# Beginnings of formats that are no TIFF, or a TIFF under another number: Fujifilm, Olympus,
# Panasonic, Sigma, Canon CRW.
STARTS = (b"FUJIFILMCCD-RAW", b"IIRO", b"IIRS", b"MMOR", b"IIU\0", b"FOVb", b"II\x1a\0\0\0HEAPCCDR")
TIFF_STARTS = (b"II*\0", b"MM\0*")
DNG_VERSION, SUB_IFDS, NEW_SUBFILE_TYPE = 50706, 330, 254
LEAST_PREVIEW_PX = 1024  # the longer side; SAM looks at 1024 pixels
# LibRaw's `flip`: how the sensor's rows have to be turned.
FLIPS = {
    3: Image.Transpose.ROTATE_180,
    5: Image.Transpose.ROTATE_90,
    6: Image.Transpose.ROTATE_270,
}


def is_raw(data: bytes) -> bool:
    """Whether bytes are a camera RAW rather than a TIFF whose first picture may be a thumbnail."""
    if data.startswith(STARTS) or data[4:11] == b"ftypcrx":
        return True
    if not data.startswith(TIFF_STARTS):
        return False
    if data[8:10] == b"CR":
        return True
    tags = exif_of(data)
    if DNG_VERSION in tags:
        return True
    reduced = bool(tags.get(NEW_SUBFILE_TYPE) == 1)
    return reduced and SUB_IFDS in tags and ExifTags.Base.Make in tags


def exif_of(data: bytes) -> Image.Exif:
    """The tags of a RAW that is built like a TIFF; empty for another, or a broken one."""
    tags = Image.Exif()
    try:
        tags.load(b"Exif\0\0" + data)
    except Exception:  # noqa: BLE001  Pillow raises anything at all on broken tags
        return Image.Exif()
    return tags


def develop(data: bytes, max_pixels: int) -> Image.Image:
    """The upright RGB picture of a RAW: its preview when that is large enough, else the sensor's
    values, demosaiced at half size (LibRaw through rawpy).

    PictureError when rawpy is missing or the file is damaged, PictureTooLargeError past the limit.
    """
    if find_spec("rawpy") is None:
        raise PictureError('Camera RAW needs an extra package: pip install "segsearch[raw]".')
    import rawpy

    try:
        with rawpy.imread(io.BytesIO(data)) as opened:
            sizes = opened.sizes
            if sizes.raw_width * sizes.raw_height > max_pixels:
                raise PictureTooLargeError(
                    f"The picture is {sizes.raw_width:,} x {sizes.raw_height:,} pixels, more than "
                    f"the {max_pixels:,} allowed by SEGSEARCH_MAX_PIXELS."
                )
            preview = _preview(rawpy, opened, max_pixels)
            if preview is not None:
                return preview
            return Image.fromarray(opened.postprocess(half_size=True, use_camera_wb=True))
    except rawpy.LibRawError as problem:
        raise PictureError(f"The camera RAW is damaged: {problem}.") from problem


def _preview(rawpy: Any, opened: Any, max_pixels: int) -> Image.Image | None:
    """The embedded preview, upright; None when there is none or it is small."""
    try:
        thumb = opened.extract_thumb()
    except rawpy.LibRawError:
        return None
    if thumb.format == rawpy.ThumbFormat.JPEG:
        picture: Image.Image = Image.open(io.BytesIO(thumb.data), formats=("JPEG",))
    elif thumb.format == rawpy.ThumbFormat.BITMAP:
        picture = Image.fromarray(thumb.data)
    else:
        return None
    sensor = max(opened.sizes.width, opened.sizes.height)
    enough = max(picture.size) >= min(LEAST_PREVIEW_PX, sensor // 2)
    if not enough or picture.width * picture.height > max_pixels:
        return None
    turned = orientation_of(picture) != 1
    flip = FLIPS.get(opened.sizes.flip)
    if flip is not None and not turned:
        return picture.transpose(flip)
    return picture
