"""What a picture file says about itself: EXIF and ICC fields; a broken field costs only itself."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Any, TypeVar

from PIL import ExifTags, Image, ImageCms

from segsearch.core.types import PictureInfo

MAX_TEXT_CHARACTERS = 200
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
    """Local time of the exposure, or, where that is missing, of the file's last change."""
    stamps = (
        _or_none(lambda: inner.get(ExifTags.Base.DateTimeOriginal)),
        _or_none(lambda: outer.get(ExifTags.Base.DateTime)),
    )
    for stamp in stamps:
        with suppress(ValueError):
            return datetime.strptime(_text(stamp), "%Y:%m:%d %H:%M:%S")  # noqa: DTZ007  local time
    return None


def orientation_of(picture: Image.Image) -> int:
    """How the stored pixels of a picture lie, 1 to 8; 1 where it does not say, or is broken."""
    return _orientation(_or_none(picture.getexif) or {})


def _orientation(tags: Any) -> int:
    """How the stored pixels lie, 1 to 8 (EXIF 2.32, tag 274); 1 is upright, and the default."""
    value = _or_none(lambda: int(tags.get(ExifTags.Base.Orientation, 1)))
    return value if value is not None and 1 <= value <= 8 else 1


def _location(tags: Any) -> tuple[float, float] | None:
    """Latitude and longitude in degrees, north and east positive; None unless both make sense."""
    latitude = _degrees(tags, ExifTags.GPS.GPSLatitude, ExifTags.GPS.GPSLatitudeRef, "S")
    longitude = _degrees(tags, ExifTags.GPS.GPSLongitude, ExifTags.GPS.GPSLongitudeRef, "W")
    if latitude is None or longitude is None or abs(latitude) > 90 or abs(longitude) > 180:
        return None
    return round(latitude, 7), round(longitude, 7)


def _degrees(tags: Any, tag: int, side: int, negative: str) -> float | None:
    def read() -> float:
        parts = [float(part) for part in tags[tag]]
        value: float = sum((part / 60.0**power for power, part in enumerate(parts)), 0.0)
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
