"""Broken metadata never costs the picture: each format, with EXIF and other fields damaged."""

from __future__ import annotations

import struct
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from segsearch.core.arrays import Pixels
from segsearch.core.errors import PictureError
from segsearch.media.decode import decode, decode_small, inspect
from segsearch.media.metadata import without_metadata
from tests.support import zoo

EXIF_POINTER, RESOLUTION = b"\x87\x69\0\x04", b"\x01\x1a\0\x05\0\0\0\x01"
DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "no header": lambda exif: b"XX" + exif[2:],
    "zeros": lambda exif: bytes(len(exif)),
    "ones": lambda exif: b"\xff" * len(exif),
    "tags far away": lambda exif: exif[:4] + b"\xff\xff\xff\xf0" + exif[8:],
    "too many tags": lambda exif: exif[:8] + b"\xff\xff" + exif[10:],
    "a text as number": lambda exif: exif.replace(RESOLUTION, RESOLUTION[:3] + b"\x02\0\0\0\x01"),
    "a loop": lambda exif: exif.replace(EXIF_POINTER, b"\x87\x69\0\x01"),
    **{
        f"byte {at}": (lambda exif, at=at: exif[:at] + b"\xff" + exif[at + 1 :])  # type: ignore[misc]  # a default binds at
        for at in range(8, 60, 4)
    },
}


def with_exif(kind: str, damage: Callable[[bytes], bytes]) -> bytes:
    """The painted picture whose EXIF block is damaged where it lies in the file."""
    exif = zoo.camera_exif()
    options = {"quality": 95} if kind in {"HEIF", "AVIF"} else {}
    if kind == "PNG":  # with a checksum that fits
        return zoo.png_with(b"eXIf", damage(exif.removeprefix(b"Exif\0\0")))
    zoo.heic()  # lets Pillow write HEIF
    data = zoo.saved(zoo.painted(), kind, exif=exif, **options)
    block = exif.removeprefix(b"Exif\0\0")
    at = data.find(block)
    if at < 0:  # AVIF's is written anew, and ends alike
        at = data.find(b"MM\0*")
        block = data[at : at + len(block)]
    assert block.count(EXIF_POINTER) == 1
    assert len(damage(block)) == len(block)
    return data[:at] + damage(block) + data[at + len(block) :]


READS: dict[str, Callable[[bytes], Pixels]] = {
    "all": lambda data: decode(data)[0],
    "small": lambda data: decode_small(data, zoo.WIDTH),
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF", "HEIF"])
def test_broken_exif_never_costs_the_picture(kind: str, damage: str) -> None:
    data = with_exif(kind, DAMAGES[damage])
    assert decode(with_exif(kind, lambda exif: exif))[1].camera == "Acme"
    whole = np.asarray(zoo.painted()).astype(int)
    for read in READS.values():
        assert np.abs(read(data) - whole).mean() < 5
    info = inspect(data)
    assert (info.width, info.height) == (zoo.WIDTH, zoo.HEIGHT)


def test_what_is_whole_in_broken_exif_is_kept() -> None:
    damaged = with_exif("JPEG", DAMAGES["a text as number"])
    assert without_metadata(damaged) is not None
    info = decode(damaged)[1]
    assert info.camera == "Acme"
    assert info.taken_at is not None
    assert info.size_bytes == len(damaged)


def test_a_jpeg_is_turned_and_coloured_alike_without_its_broken_exif() -> None:
    exif = Image.Exif()
    exif.update({274: 6, 282: 72.0, 296: 2})
    good = exif.tobytes()
    plain, odd_number = (
        zoo.saved(zoo.painted(), "JPEG", exif=block)[:2]
        + zoo.saved(zoo.painted(), "JPEG", exif=block)[20:]
        for block in (good, DAMAGES["a text as number"](good))
    )
    assert plain[2:4] == b"\xff\xe1"  # no JFIF, whose resolution would come first
    assert (decode(odd_number)[0] == decode(plain)[0]).all()
    assert decode(odd_number)[0].shape == (zoo.WIDTH, zoo.HEIGHT, 3)
    inks = zoo.cmyk(icc_profile=zoo.cmyk_profile())
    odd = b"\xff\xed" + struct.pack(">H", 2 + 20) + b"Photoshop 3.0\x008BIM\x03\xed"  # cut
    assert (decode(inks[:2] + odd + inks[2:])[0] == decode(inks)[0]).all()


def chunk(kind: bytes, body: bytes, wrong: int = 0) -> bytes:
    whole = zoo.png_chunk(kind, body)
    return whole[:-4] + struct.pack(">I", struct.unpack(">I", whole[-4:])[0] ^ wrong)


@pytest.mark.parametrize(
    "odd",
    [
        pytest.param(chunk(b"tEXt", b"a\0b", wrong=1), id="text-checksum"),
        pytest.param(chunk(b"eXIf", b"MM", wrong=1), id="exif-checksum"),
        pytest.param(chunk(b"prIv", b"x", wrong=1), id="private-checksum"),
        pytest.param(chunk(b"zTXt", b"a\0\x07rubbish"), id="text-packing"),
        pytest.param(chunk(b"iCCP", b"a\0\x07rubbish"), id="profile-packing"),
        pytest.param(chunk(b"tRNS", b""), id="no-transparency"),
        *(
            pytest.param(chunk(kind, b"a"), id=kind.decode())
            for kind in (b"pHYs", b"gAMA", b"cHRM", b"acTL", b"fcTL", b"eXIf")
        ),
    ],
)
def test_a_broken_field_of_a_png_costs_only_itself(odd: bytes) -> None:
    whole = zoo.saved(zoo.painted(), "PNG")
    camera = zoo.png_chunk(b"eXIf", zoo.camera_exif().removeprefix(b"Exif\0\0"))
    head, rest, end = whole[:33], whole[33:-12], whole[-12:]
    for data in (head + odd + camera + rest + end, head + camera + rest + odd + end):
        pixels, info = decode(data)
        assert (pixels == np.asarray(zoo.painted())).all()
        assert info.camera == "Acme" or b"eXIf" in odd  # of two blocks the last one counts


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_damaged_pixels_are_damage_still(kind: str) -> None:
    data = with_exif(kind, DAMAGES["ones"])
    for part in (2, 4):
        with pytest.raises(PictureError, match=r"damaged|not a picture"):
            decode(data[: len(data) * part // 6])
