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


@pytest.mark.parametrize(
    ("stamp", "clock"),
    [
        ("2024:05:06 07:08:09", (7, 8, 9)),
        ("2024:05:06 24:08:19", (0, 8, 19)),
        ("2024:05:06 07:08:09+0000", (7, 8, 9)),
        ("2024:05:06 07:08:09 +02:00", (7, 8, 9)),
        ("2024:05:06 07:08:09.123", (7, 8, 9)),
        ("2024:05:06 07:08:09,5", (7, 8, 9)),
        ("2024:05:06 07:08:09Z", (7, 8, 9)),
        ("2024-05-06 07:08:09", (7, 8, 9)),
        ("2024-05-06T07:08:09.5-07:00", (7, 8, 9)),
        ("2024/05/06 07.08.09", (7, 8, 9)),
        ("2024:05:06T07:08:09", (7, 8, 9)),
        ("2024:5:6 7:08:09", (7, 8, 9)),
        ("20240506T070809", (7, 8, 9)),
        ("2024:05:06 23:59:60", (23, 59, 59)),
        ("2024:05:06 07:08", (7, 8, 0)),
        ("2024:05:06", (0, 0, 0)),
        ("2024:05:06   :  :  ", (0, 0, 0)),
        ("2024:05:06 25:61:99", (0, 0, 0)),
        ("2024:05:06 noon", (0, 0, 0)),
    ],
)
def test_the_day_is_kept_however_the_time_is_written(
    stamp: str, clock: tuple[int, int, int]
) -> None:
    for tags in ({36867: stamp}, {36868: stamp}):
        info = written({306: "2031:01:01 00:00:00"}, tags, {})
        assert info.taken_at == datetime(2024, 5, 6, *clock)
    assert written({306: stamp}, {}, {}).taken_at == datetime(2024, 5, 6, *clock)


@pytest.mark.parametrize("nothing", ["", "    :  :     :  :  ", "0000:00:00 00:00:00", "yesterday"])
@pytest.mark.parametrize(
    "no_day",
    [
        "2024:02:30 07:08:09", "2024:13:01", "12345:01:01", "21/05/2021 08:30:00",
        "04.03.2021 10:11:12", "1605121234", "0099:01:01",
    ],
)  # fmt: skip
def test_the_exposure_counts_before_scanning_and_that_before_the_last_change(
    nothing: str, no_day: str
) -> None:
    changed, digitized, original = {306: "2003:03:03 03:03:03"}, "2002:02:02", "2001:01:01"
    years = [
        written(changed, {36867: first, 36868: second}, {}).taken_at
        for first, second in [(original, digitized), (nothing, digitized), (no_day, nothing)]
    ]
    assert [moment and moment.year for moment in years] == [2001, 2002, 2003]
    assert written({306: no_day}, {36867: nothing, 36868: no_day}, {}).taken_at is None


def test_seconds_of_no_number_count_as_none() -> None:
    nothing = IFDRational(0, 0)
    info = written({}, {}, {**NICE, 2: (43.0, 41.0, nothing), 4: (7.5, nothing, nothing)})
    assert (info.latitude, info.longitude) == (43.6833333, 7.5)


def test_the_equator_and_the_first_meridian_are_places() -> None:
    zero = (0.0, 0.0, 0.0)
    assert written({}, {}, {**NICE, 2: zero}).latitude == 0
    assert written({}, {}, {**NICE, 4: zero}).longitude == 0


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
        {**NICE, 2: (0.0, 0.0, 0.0), 4: (0.0, 0.0, 0.0)},
        {**NICE, 2: (IFDRational(0, 0), 41.0, 45.9)},
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
