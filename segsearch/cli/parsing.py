"""Reads terms and filters as they are typed: `q.jpg:0.5`, `photo.jpg:320,200`, `48.1,11.6,5`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from segsearch.core.errors import InputError, PathError, QueryError
from segsearch.core.filters import Filters
from segsearch.core.query import (
    NOT_WEIGHT,
    ImageTerm,
    PictureTerm,
    RegionTerm,
    SegmentTerm,
    Term,
    TextTerm,
    VectorTerm,
)
from segsearch.core.types import MAX_ID
from segsearch.masks.rle import from_coco
from segsearch.media.sources.paths import scheme_of

WEIGHT = re.compile(r"(.+):([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Typed:
    """What was typed for one query, option by option."""

    text: str | None = None
    words: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    images: tuple[str, ...] = ()
    segments: tuple[str, ...] = ()
    stored: tuple[str, ...] = ()
    vectors: tuple[str, ...] = ()
    clicks: tuple[str, ...] = ()
    boxes: tuple[str, ...] = ()
    masks: tuple[str, ...] = ()
    candidate: int | None = None


Read = Callable[[str], bytes]  # the bytes of a file or URL, within the limits


def terms_of(typed: Typed, read: Read) -> tuple[Term, ...]:
    """The terms, in the order of `Typed`; PathError, PictureError, QueryError for what is wrong.

    Pictures are files, or URLs that `read` allows.
    """
    wanted = tuple(_wanted(typed, read))
    return (*wanted, *(TextTerm(words, NOT_WEIGHT) for words in typed.without))


def _wanted(typed: Typed, read: Read) -> Iterator[Term]:
    if typed.text is not None:
        yield TextTerm(typed.text)
    for one in typed.words:
        yield TextTerm(*weighed(one))
    for one in typed.images:
        data, weight = _bytes(one, read)
        yield PictureTerm(data, weight)
    for one in typed.segments:
        name, weight = weighed(one)
        yield SegmentTerm(_number(name), weight)
    for one in typed.stored:
        name, weight = weighed(one)
        yield ImageTerm(_number(name), weight)
    for one in typed.vectors:
        path, weight = _file(one)
        yield VectorTerm(_vector(path), weight)
    yield from _regions(typed, read)


def _regions(typed: Typed, read: Read) -> Iterator[Term]:
    for one in typed.clicks:
        image, where = _picture(one, read)
        points, labels = _points(where)
        yield RegionTerm(image, points, labels, candidate=typed.candidate)
    for one in typed.boxes:
        image, where = _picture(one, read)
        x0, y0, x1, y1 = numbers(where, 4, "a box is X0,Y0,X1,Y1")
        yield RegionTerm(image, box=(x0, y0, x1, y1), candidate=typed.candidate)
    for one in typed.masks:
        image, where = _picture(one, read)
        yield RegionTerm(image, mask=from_coco(_json(Path(where))))


def weighed(text: str) -> tuple[str, float]:
    """`WHAT:WEIGHT` in its two parts; without a weight it is 1."""
    found = WEIGHT.fullmatch(text)
    return (found[1], float(found[2])) if found else (text, 1.0)


def numbers(text: str, count: int, expected: str) -> list[float]:
    """Numbers between commas; QueryError that says what was expected."""
    try:
        found = [float(one) for one in text.split(",")]
    except ValueError:
        found = []
    if len(found) != count:
        raise QueryError(f"{text!r} cannot be read: {expected}.")
    return found


def filters_of(given: dict[str, Any]) -> Filters:
    """Filters from options by their fields' names; those left out are None or empty."""
    kept = {name: value for name, value in given.items() if value not in (None, [], ())}
    for name in ("taken_after", "taken_before"):
        if name in kept:
            kept[name] = _moment(kept[name])
    for name, count, expected in (
        ("gps_box", 4, "a GPS box is SOUTH,WEST,NORTH,EAST in degrees"),
        ("near", 3, "near is LATITUDE,LONGITUDE,KILOMETRES"),
        ("box", 4, "a box in shares of the picture is X0,Y0,X1,Y1"),
    ):
        if name in kept:
            kept[name] = tuple(numbers(kept[name], count, expected))
    lists = {name: tuple(value) for name, value in kept.items() if isinstance(value, list)}
    return Filters(**{**kept, **lists})


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as problem:
        raise QueryError(
            f"{text!r} is no date such as 2024-07-14 or 2024-07-14T12:00."
        ) from problem
    return moment.replace(tzinfo=None)  # cameras tell local time without saying where


def _number(text: str) -> int:
    if not text.isdecimal() or len(text) > len(str(MAX_ID)) or int(text) > MAX_ID:
        raise QueryError(f"{text!r} is no id.")
    return int(text)


def _file(text: str) -> tuple[Path, float]:
    """A file that is there and its weight; a name that ends like a weight wins over the weight."""
    name, weight = (text, 1.0) if Path(text).is_file() else weighed(text)
    if not Path(name).is_file():
        raise PathError(f"There is no file {name!r}.")
    return Path(name), weight


def _bytes(text: str, read: Read) -> tuple[bytes, float]:
    """A picture file's bytes, or a URL's, and its weight."""
    name, weight = weighed(text) if scheme_of(text) else _file(text)
    return read(str(name)), weight


def _picture(text: str, read: Read) -> tuple[int | bytes, str]:
    """`PICTURE:WHERE`: a file's or URL's bytes or a stored image's id, and the rest."""
    name, colon, where = text.rpartition(":")
    if not colon:
        raise QueryError(f"{text!r} cannot be read: expected PICTURE:WHERE.")
    if name.isdecimal() and not Path(name).is_file():
        return _number(name), where
    return _bytes(name, read)[0], where


def _points(where: str) -> tuple[tuple[tuple[float, float], ...], tuple[int, ...]]:
    """`X,Y;X,Y;!X,Y`: points, and labels of which those behind a `!` are 0."""
    places, labels = [], []
    for one in where.split(";"):
        x, y = numbers(one.removeprefix("!"), 2, "a click is PICTURE:X,Y;X,Y;!X,Y")
        places.append((x, y))
        labels.append(0 if one.startswith("!") else 1)
    return tuple(places), tuple(labels)


def _vector(path: Path) -> tuple[float, ...]:
    document = _json(path)
    try:
        return tuple(float(one) for one in document)
    except (TypeError, ValueError, OverflowError) as problem:
        raise InputError(f"{str(path)!r} holds no JSON list of numbers.") from problem


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text("utf-8"))
    except OSError as problem:
        raise PathError(f"{str(path)!r} cannot be read: {problem.strerror}.") from problem
    except (ValueError, RecursionError) as problem:
        raise InputError(f"{str(path)!r} is no JSON: {problem}.") from problem
