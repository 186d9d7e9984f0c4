"""What a picture file says about itself: EXIF and ICC fields; a broken field costs only itself."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Any, TypeVar

from PIL import ExifTags, Image, ImageCms

from segsearch.core.types import PictureInfo

MAX_TEXT_CHARACTERS = 200
# EXIF has colons everywhere; programs write dashes, dots, slashes, `T`, or no seconds.
# The year comes first: with the day first nobody knows which is the month.
DAY = re.compile(
    r"\s*(\d{4})(?:[:/. -](\d{1,2})[:/. -](\d{1,2})(?!\d)"
    r"|(\d{2})(\d{2})(?=\D|$|\d{4}(?:\d\d)?(?:\D|$)))",
    re.ASCII,
)
YEARS = range(1800, 2200)
CLOCK = re.compile(r"[\sT,_-]*(\d{1,2})[:.-]?(\d{2})(?:[:.-]?(\d{2}))?", re.ASCII)
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
T = TypeVar("T")


def picture_info(picture: Image.Image, exif: Image.Exif | None = None) -> PictureInfo:
    """Size, format, and the fields worth keeping, of a picture whose pixels are loaded.

    `exif` replaces the picture's own, for a preview that stands for a RAW file.
    """
    tags = exif if exif is not None else _or_none(picture.getexif)
    inner: dict[int, Any] = {}
    place: dict[int, Any] = {}
    if tags is not None:
        inner = _or_none(lambda: tags.get_ifd(ExifTags.IFD.Exif)) or {}
        place = _or_none(lambda: tags.get_ifd(ExifTags.IFD.GPSInfo)) or {}
    outer = tags if tags is not None else {}
    location = _location(place)
    return PictureInfo(
        *picture.size,
        picture.format or "?",
        taken_at=_taken_at(outer, inner),
        camera=_joined(outer, ExifTags.Base.Make, ExifTags.Base.Model),
        lens=_joined(inner, ExifTags.Base.LensMake, ExifTags.Base.LensModel),
        latitude=location[0] if location else None,
        longitude=location[1] if location else None,
        orientation=_orientation(outer),
        icc_profile=_profile_name(picture.info.get("icc_profile")),
    )


def _or_none(read: Callable[[], T]) -> T | None:
    try:
        return read()
    except Exception:  # noqa: BLE001  Pillow raises anything at all on a broken EXIF block
        return None


def _joined(tags: Any, *numbers: int) -> str | None:
    """Maker and model as one text; the maker once, where the model repeats it."""
    parts = [text for tag in numbers if (text := _text(_or_none(lambda tag=tag: tags.get(tag))))]  # type: ignore[misc]  # mypy cannot infer a lambda with a default
    if len(parts) == 2 and parts[1].lower().startswith(parts[0].lower()):
        del parts[0]
    return " ".join(parts) or None


def _text(value: object) -> str:
    raw = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value or "")
    clean = "".join(character for character in raw if character.isprintable()).strip()
    return clean.encode("utf-8", "replace").decode()[:MAX_TEXT_CHARACTERS]


def _taken_at(outer: Any, inner: Any) -> datetime | None:
    """Local time of the exposure; where no day can be read in that, of when the picture was made
    digital, and then of the file's last change (EXIF 2.32, tags 36867, 36868, 306)."""
    stamps = (
        _or_none(lambda: inner.get(ExifTags.Base.DateTimeOriginal)),
        _or_none(lambda: inner.get(ExifTags.Base.DateTimeDigitized)),
        _or_none(lambda: outer.get(ExifTags.Base.DateTime)),
    )
    return next((moment for stamp in stamps if (moment := moment_of(_text(stamp)))), None)


def moment_of(stamp: str) -> datetime | None:
    """The clock that a time stamp shows, without fractions and zone; None when it names no day.

    A clock that makes no sense is midnight of that day, so a picture keeps its day. An hour of 24
    is the one after midnight of the same day, as Java's pattern `kk` writes it.
    """
    day = DAY.match(stamp)
    if day is None or int(day[1]) not in YEARS:
        return None
    with suppress(ValueError):
        year, month, number = (int(part) for part in day.groups() if part)
        midnight = datetime(year, month, number)  # noqa: DTZ001  local time
        clock = CLOCK.match(stamp, day.end())
        hour, minute, second = (int(part or 0) for part in clock.groups()) if clock else (0, 0, 0)
        if hour > 24 or minute > 59 or second > 60:
            return midnight
        return midnight.replace(hour=hour % 24, minute=minute, second=min(second, 59))
    return None


def orientation_of(picture: Image.Image) -> int:
    """How the stored pixels of a picture lie, 1 to 8; 1 where it does not say, or is broken."""
    return _orientation(_or_none(picture.getexif) or {})


def turned(picture: Image.Image, orientation: int) -> Image.Image:
    """A picture made upright whose pixels lie as an orientation says; itself for 1 or none.

    Pillow's `exif_transpose` writes the whole EXIF block anew, and fails where a field is odd.
    """
    turn = TURNS.get(orientation)
    return picture if turn is None else picture.transpose(turn)


def _orientation(tags: Any) -> int:
    """How the stored pixels lie, 1 to 8 (EXIF 2.32, tag 274); 1 is upright, and the default."""
    value = _or_none(lambda: int(tags.get(ExifTags.Base.Orientation, 1)))
    return value if value is not None and 1 <= value <= 8 else 1


def _location(tags: Any) -> tuple[float, float] | None:
    """Latitude and longitude in degrees, north and east positive; None unless both make sense.

    Exactly 0, 0 is what receivers without a fix write, and no place.
    """
    latitude = _degrees(tags, ExifTags.GPS.GPSLatitude, ExifTags.GPS.GPSLatitudeRef, "S")
    longitude = _degrees(tags, ExifTags.GPS.GPSLongitude, ExifTags.GPS.GPSLongitudeRef, "W")
    if latitude is None or longitude is None or abs(latitude) > 90 or abs(longitude) > 180:
        return None
    if latitude == 0 and longitude == 0:
        return None
    return round(latitude, 7), round(longitude, 7)


def _degrees(tags: Any, tag: int, side: int, negative: str) -> float | None:
    """Degrees, minutes and seconds as one number; minutes and seconds of 0/0 were not measured."""

    def read() -> float:
        stored = tags[tag]
        parts = [float(part) for part in (stored if isinstance(stored, tuple) else (stored,))]
        finer = (0.0 if math.isnan(part) else part for part in parts[1:])
        value: float = sum((part / 60.0**power for power, part in enumerate(finer, 1)), parts[0])
        return -value if _text(tags.get(side)).upper().startswith(negative) else value

    value = _or_none(read)
    return value if value is not None and math.isfinite(value) else None


def _profile_name(profile: object) -> str | None:
    """The name an ICC profile gives itself; None without one, or when it is broken."""
    if not isinstance(profile, bytes):
        return None
    opened = _or_none(lambda: ImageCms.ImageCmsProfile(io.BytesIO(profile)))
    name = _or_none(lambda: ImageCms.getProfileDescription(opened)) if opened else None
    return _text(name) or None
