"""Makes odd files: every way a picture can be unusual, broken or hostile, as bytes."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import tifffile
from PIL import ExifTags, Image, ImageCms, ImageDraw

from tests.support.small_models import BACKGROUND, COLOURS, Shape

WIDTH, HEIGHT = 120, 90
THING = Shape("red", (16, 8, 64, 40))
MAX_PIXELS = 4_000_000  # what the zoo is shown to; its bombs hold nine million
BOMB_SIDE = 3_000
UNDO = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def painted() -> Image.Image:
    """The thing on a white ground."""
    picture = Image.new("RGB", (WIDTH, HEIGHT), COLOURS[BACKGROUND])
    THING.draw(ImageDraw.Draw(picture), COLOURS[THING.colour])
    return picture


def saved(picture: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def noise(kind: str) -> bytes:
    values = np.random.default_rng(0).integers(0, 255, (48, 48, 3), dtype=np.uint8)
    return saved(Image.fromarray(values), kind)


def turned(orientation: int, kind: str = "JPEG") -> bytes:
    """The painted picture stored turned, with the EXIF tag that says so."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    undo = UNDO[orientation]
    stored = painted().transpose(undo) if undo is not None else painted()
    options = {"quality": 95, "subsampling": 0} if kind == "JPEG" else {}
    return saved(stored, kind, exif=exif, **options)


def heic(**options: Any) -> bytes:
    from pillow_heif import register_heif_opener

    register_heif_opener()
    return saved(painted(), "HEIF", quality=95, **options)


def png_chunk(kind: bytes, data: bytes) -> bytes:
    checksum = struct.pack(">I", zlib.crc32(kind + data))
    return struct.pack(">I", len(data)) + kind + data + checksum


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds next to nothing."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = png_chunk(b"IDAT", zlib.compress(b"\0" * 100))
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + body + png_chunk(b"IEND", b"")


def png_with(kind: bytes, data: bytes) -> bytes:
    """The painted PNG with one more chunk behind its header."""
    whole = saved(painted(), "PNG")
    end_of_header = 8 + 25
    return whole[:end_of_header] + png_chunk(kind, data) + whole[end_of_header:]


def bmp_header(width: int, height: int) -> bytes:
    fields = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 1000, 0, 0, 54) + fields + b"\0" * 946


def webp_canvas(width: int, height: int) -> bytes:
    """The header of an extended WebP that claims a canvas."""
    sides = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    extended = b"VP8X" + struct.pack("<I", 10) + b"\0\0\0\0" + sides
    inner = saved(painted(), "WEBP", lossless=True)[12:]
    return b"RIFF" + struct.pack("<I", 4 + len(extended) + len(inner)) + b"WEBP" + extended + inner


def bomb(kind: str, **options: Any) -> bytes:
    """Nine million pixels of one colour in a few kilobytes."""
    mode = "RGB" if kind == "WEBP" else "1"
    return saved(Image.new(mode, (BOMB_SIDE, BOMB_SIDE)), kind, **options)


def cmyk_profile() -> bytes:
    """A small ICC profile for CMYK: an 8-bit table (`mft1`) of its 16 corners to Lab."""
    lab = ImageCms.createProfile("LAB")
    to_lab = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), lab, "RGB", "LAB")
    corners = []
    for index in range(16):
        c, m, y, k = ((index >> shift) & 1 for shift in (3, 2, 1, 0))
        rgb = tuple(int(255 * (1 - ink) * (1 - k)) for ink in (c, m, y))
        pixel = ImageCms.applyTransform(Image.new("RGB", (1, 1), rgb), to_lab)
        assert pixel is not None
        lightness, a, b = np.frombuffer(pixel.tobytes(), np.uint8)  # Pillow's a and b are signed
        corners += [int(lightness), (int(a) + 128) % 256, (int(b) + 128) % 256]
    identity = struct.pack(">9i", *(65536 if n % 4 == 0 else 0 for n in range(9)))
    ramps = bytes(range(256))
    table = b"mft1" + b"\0" * 4 + bytes([4, 3, 2, 0]) + identity
    table += ramps * 4 + bytes(corners) + ramps * 3
    text = b"desc\0\0\0\0" + struct.pack(">I", 6) + b"Small\0" + b"\0" * 79
    white = b"XYZ \0\0\0\0" + struct.pack(">3i", 0xF6D6, 0x10000, 0xD32D)
    tags = [(b"A2B0", table), (b"desc", text), (b"wtpt", white)]
    listing, body = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for name, data in tags:
        listing += name + struct.pack(">II", start + len(body), len(data))
        body += data + b"\0" * (-len(data) % 4)
    size = start + len(body)
    head = struct.pack(
        ">I4sI4s4s4s12s4s", size, b"", 0x02400000, b"prtr", b"CMYK", b"Lab ", b"", b"acsp"
    )
    head = head.ljust(68, b"\0") + struct.pack(">3i", 0xF6D6, 0x10000, 0xD32D)
    return head.ljust(128, b"\0") + listing + body


def cmyk(**options: Any) -> bytes:
    return saved(painted().convert("CMYK"), "JPEG", quality=95, subsampling=0, **options)


def grey_16(kind: str) -> bytes:
    """A black thing on white in 16-bit grey."""
    values = np.full((HEIGHT, WIDTH), 65535, np.uint16)
    values[THING.mask(WIDTH, HEIGHT)] = 0
    return saved(Image.fromarray(values), kind)


def planar_16() -> bytes:
    """The thing in a TIFF of 16 bits whose colours lie in planes of their own."""
    buffer = io.BytesIO()
    planes = np.asarray(painted()).astype(np.uint16).transpose(2, 0, 1) * 257
    tifffile.imwrite(
        buffer,
        np.ascontiguousarray(planes),
        photometric="rgb",
        planarconfig="separate",
        compression="zlib",
        metadata=None,
    )
    return buffer.getvalue()


def measured() -> bytes:
    """The thing as a float TIFF of heights, with rows of no data at the end."""
    heights = np.asarray(painted().convert("L"), np.float32) / 10 + 200
    heights[-5:] = -9999
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, heights, metadata=None)
    return buffer.getvalue()


def camera_exif() -> bytes:
    """What a camera writes, with a time that the picture was taken at."""
    exif = Image.Exif()
    exif.update({271: "Acme", 282: 72.0, 283: 72.0, 296: 2, 306: "2024:05:06 07:08:09"})
    exif.get_ifd(ExifTags.IFD.Exif)[36867] = "2024:05:06 07:08:09"
    return exif.tobytes()


def second_is_primary() -> bytes:
    """A HEIF of two images, of which the second is meant."""
    heic()  # lets Pillow write HEIF
    small = Image.new("RGB", (40, 30), (9, 9, 9))
    return saved(
        small, "HEIF", save_all=True, append_images=[painted()], primary_index=1, quality=95
    )


def transparent_palette() -> bytes:
    """The thing in a palette whose ground is transparent."""
    picture = painted().quantize(4)
    ground = int(np.asarray(picture)[-1, -1])
    return saved(picture, "PNG", transparency=ground)


def animated(kind: str) -> bytes:
    others = [Image.new("RGB", (WIDTH, HEIGHT), (0, 0, 0))] * 2
    options = {"lossless": True} if kind == "WEBP" else {}
    return saved(painted(), kind, save_all=True, append_images=others, **options)


def dng(*, preview: bool = False, orientation: int = 1) -> bytes:
    """A camera RAW: the thing through a Bayer filter, maybe with a larger RGB preview before it."""
    scale = 12 if preview else 2
    upright = np.asarray(painted().resize((WIDTH * 2, HEIGHT * 2), Image.Resampling.NEAREST))
    sensor = np.zeros(upright.shape[:2], np.uint16)
    for row, column, channel in ((0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 2)):
        sensor[row::2, column::2] = upright[row::2, column::2, channel].astype(np.uint16) * 257
    matrix = (3.2406, -1.5372, -0.4986, -0.9689, 1.8758, 0.0415, 0.0557, -0.2040, 1.0570)
    camera: list[tuple[int, str, int, Any, bool]] = [
        (50706, "B", 4, bytes([1, 4, 0, 0]), True),
        (50708, "s", 0, "Acme One", True),
        (50721, "2i", 9, [n for value in matrix for n in (int(value * 10_000), 10_000)], True),
        (50728, "2I", 3, [1] * 6, True),
        (50778, "H", 1, 21, True),
        (271, "s", 0, "Acme", True),
        (272, "s", 0, "One", True),
        (274, "H", 1, orientation, True),
    ]
    filters: list[tuple[int, str, int, Any, bool]] = [
        (33421, "H", 2, (2, 2), True),
        (33422, "B", 4, bytes([0, 1, 1, 2]), True),
        (50717, "H", 1, 65535, True),
    ]
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as writer:
        if preview:
            large = painted().resize((WIDTH * scale, HEIGHT * scale), Image.Resampling.NEAREST)
            writer.write(
                np.asarray(large), photometric="rgb", subifds=1, subfiletype=1, extratags=camera,
                metadata=None,
            )  # fmt: skip
            camera = []
        writer.write(
            sensor, photometric=32803, subfiletype=0, extratags=[*camera, *filters], metadata=None
        )
    return buffer.getvalue()


Maker = Callable[[], bytes]

# Files that show the thing, and so have to give its mask.
SHOWING: dict[str, Maker] = {
    **{f"turned-{n}.jpg": (lambda n=n: turned(n)) for n in range(1, 9)},  # type: ignore[misc]  # a default binds n
    "turned-6.png": lambda: turned(6, "PNG"),
    "turned-5.tif": lambda: turned(5, "TIFF"),
    "turned-8.webp": lambda: turned(8, "WEBP"),
    "png named.jpg": lambda: saved(painted(), "PNG"),
    "jpeg-named.png": lambda: saved(painted(), "JPEG", quality=95, subsampling=0),
    "webp-named.gif": lambda: saved(painted(), "WEBP", lossless=True),
    "bmp.bmp": lambda: saved(painted(), "BMP"),
    "heic.heic": heic,
    "heic-named.jpg": heic,
    "avif.avif": lambda: saved(painted(), "AVIF", quality=95, subsampling="4:4:4"),
    "jpeg2000.jp2": lambda: saved(painted(), "JPEG2000"),
    "ppm.ppm": lambda: saved(painted(), "PPM"),
    "cmyk.jpg": cmyk,
    "cmyk-profile.jpg": lambda: cmyk(icc_profile=cmyk_profile()),
    "cmyk.tif": lambda: saved(painted().convert("CMYK"), "TIFF"),
    "grey-16.png": lambda: grey_16("PNG"),
    "grey-16.tif": lambda: grey_16("TIFF"),
    "planar-16.tif": planar_16,
    "measured.tif": measured,
    "two-images.heic": second_is_primary,
    "palette.png": transparent_palette,
    "palette.gif": lambda: saved(painted().quantize(4), "GIF", transparency=0),
    "animated.gif": lambda: animated("GIF"),
    "animated.webp": lambda: animated("WEBP"),
    "animated.png": lambda: animated("PNG"),
    "pages.tif": lambda: animated("TIFF"),
    "progressive.jpg": lambda: saved(painted(), "JPEG", quality=95, progressive=True),
    "trailing.png": lambda: saved(painted(), "PNG") + b"rubbish" * 1000,
    "broken-exif.jpg": lambda: saved(painted(), "JPEG", quality=95, exif=b"Exif\0\0MM\0*\xff\xff"),
    "broken-exif.png": lambda: saved(painted(), "PNG", exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff"),
    "broken-icc.jpg": lambda: saved(painted(), "JPEG", quality=95, icc_profile=b"\0" * 200),
    "broken-icc.png": lambda: saved(painted(), "PNG", icc_profile=b"rubbish"),
    "grey-icc.png": lambda: saved(painted(), "PNG", icc_profile=cmyk_profile()),
    "two words.png": lambda: saved(painted(), "PNG"),
    "it's \"quoted\" & `run`.png": lambda: saved(painted(), "PNG"),
    "new\nline.png": lambda: saved(painted(), "PNG"),
    "\U0001f334 \u00fcber %20 ;.png": lambda: saved(painted(), "PNG"),
    "-rf.png": lambda: saved(painted(), "PNG"),
    "UPPER.JPG": lambda: saved(painted(), "JPEG", quality=95),
    "sensor.dng": dng,
    "preview.dng": lambda: dng(preview=True),
}  # fmt: skip

# Files that are pictures without the thing.
PLAIN: dict[str, Maker] = {
    "one.png": lambda: saved(Image.new("RGB", (1, 1)), "PNG"),
    "tall.png": lambda: saved(Image.new("RGB", (1, 20_000), (9, 9, 9)), "PNG"),
    "wide.jpg": lambda: saved(Image.new("L", (20_000, 1)), "JPEG"),
    "float.tif": lambda: saved(Image.fromarray(np.full((9, 9), np.nan, np.float32)), "TIFF"),
}

# Files that are refused, and a part of the sentence that says why.
REFUSED: dict[str, tuple[Maker, str]] = {
    **{
        f"cut-{tenth}0-{kind}.{kind.lower()}": (
            (lambda kind=kind, tenth=tenth: noise(kind)[: len(noise(kind)) * tenth // 10]),  # type: ignore[misc]
            "damaged|not a picture",
        )
        for kind in ("JPEG", "PNG", "WEBP")
        for tenth in range(1, 10)
    },
    "cut.heic": (lambda: heic()[:400], "damaged|not a picture"),
    "cut-sensor.dng": (lambda: dng()[:3000], "damaged|not a picture"),
    "empty.jpg": (lambda: b"", "empty"),
    "text.jpg": (lambda: b"I am no picture", "not a picture"),
    "drawing.jpg": (lambda: b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a picture"),
    "document.jpg": (lambda: b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "PDF is damaged"),
    "postscript.jpg": (lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n", "not a picture"),
    "icon.png": (lambda: saved(Image.new("RGB", (16, 16)), "ICO"), "not a picture"),
    "video.heic": (lambda: b"\0\0\0\x18ftypmp42" + b"\0" * 64, "damaged|not a picture"),
    "huge-header.png": (lambda: png_header(50_000, 50_000), "50,000 x 50,000"),
    "huge-header.bmp": (lambda: bmp_header(50_000, 50_000), "50,000 x 50,000|bomb"),
    "zero-header.png": (lambda: png_header(0, 0), "damaged|expected at least|not a picture"),
    "huge-canvas.webp": (lambda: webp_canvas(16_000, 16_000), "16,000 x 16,000|bomb"),
    "bomb.png": (lambda: bomb("PNG"), "3,000 x 3,000"),
    "bomb.webp": (lambda: bomb("WEBP", lossless=True, method=0, quality=0), "3,000 x 3,000"),
    "bomb.tif": (lambda: bomb("TIFF", compression="tiff_adobe_deflate"), "3,000 x 3,000"),
    "bomb.gif": (lambda: bomb("GIF"), "3,000 x 3,000"),
    "text-bomb.png": (
        lambda: png_with(b"zTXt", b"Comment\0\0" + zlib.compress(b"a" * 100_000_000)),
        "damaged|bomb",
    ),
}  # fmt: skip
