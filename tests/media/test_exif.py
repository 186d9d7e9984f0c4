"""What is kept of a picture's own words; a broken field costs only itself."""

from __future__ import annotations

import io
from datetime import datetime
from typing import Any

import pytest
from PIL import ExifTags, Image, ImageCms
from PIL.TiffImagePlugin import IFDRational

from segsearch.core.types import PictureInfo
from segsearch.media.decode import decode

TIME = "2024:05:06 07:08:09"
NICE = {1: "N", 2: (43.0, 41.0, 45.96), 3: "E", 4: (7.0, 16.0, 18.12)}


def written(
    outer: dict[int, Any], inner: dict[int, Any], place: dict[int, Any], **save: Any
) -> PictureInfo:
    """What comes back of EXIF tags that were written into a JPEG."""
    exif = Image.Exif()
    exif.update(outer)
    exif.get_ifd(ExifTags.IFD.Exif).update(inner)
    exif.get_ifd(ExifTags.IFD.GPSInfo).update(place)
    buffer = io.BytesIO()
    Image.new("RGB", (20, 10), (200, 10, 10)).save(buffer, "JPEG", exif=exif, **save)
    return decode(buffer.getvalue())[1]


def test_everything_the_camera_says_is_kept() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    outer = {271: "Acme", 272: "ACME Pocket 3", 274: 6, 306: "2001:01:01 00:00:00"}
    info = written(outer, {36867: TIME, 42036: "28mm f/2"}, NICE, icc_profile=profile)
    assert info.taken_at == datetime(2024, 5, 6, 7, 8, 9)
    assert (info.camera, info.lens) == ("ACME Pocket 3", "28mm f/2")
    assert (info.latitude, info.longitude) == (43.6961, 7.2717)
    assert (info.orientation, info.width, info.height) == (6, 10, 20)
    assert info.icc_profile == "sRGB built-in"
    assert info.size_bytes > 500


def test_south_and_west_are_negative() -> None:
    info = written({}, {}, {**NICE, 1: "S", 3: "W"})
    assert (info.latitude, info.longitude) == (-43.6961, -7.2717)


@pytest.mark.parametrize(
    "place",
    [
        {},
        {1: "N", 2: (43.0, 41.0, 45.9)},
        {**NICE, 2: (91.0, 0.0, 0.0)},
        {**NICE, 4: (7.0, 200.0 * 60, 0.0)},
        {**NICE, 2: (IFDRational(43, 0), 41.0, 45.9)},
    ],
)
def test_places_that_make_no_sense_are_left_out(place: dict[int, Any]) -> None:
    info = written({271: "Acme"}, {}, place)
    assert (info.latitude, info.longitude, info.camera) == (None, None, "Acme")


@pytest.mark.parametrize(
    ("outer", "inner", "expected"),
    [
        ({271: "Acme", 272: "One"}, {}, ("Acme One", None, None, 1)),
        ({271: "Acme\0\0 ", 306: "yesterday"}, {}, ("Acme", None, None, 1)),
        ({306: TIME}, {36867: "0000:00:00 00:00:00"}, (None, None, 2024, 1)),
        ({274: 77}, {42035: "L", 42036: "50"}, (None, "L 50", None, 1)),
        ({272: "\x1b[31mred"}, {}, ("[31mred", None, None, 1)),
        ({272: "x" * 5000}, {}, ("x" * 200, None, None, 1)),
    ],
)
def test_odd_fields_cost_only_themselves(
    outer: dict[int, Any], inner: dict[int, Any], expected: tuple[object, ...]
) -> None:
    info = written(outer, inner, {})
    year = info.taken_at.year if info.taken_at else None
    assert (info.camera, info.lens, year, info.orientation) == expected
