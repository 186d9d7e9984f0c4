"""Gives commands their options from the fields of values, and reads what is typed for them:
`q.jpg:0.5`, `photo.jpg:320,200`, `48.1,11.6,5`."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from segsearch.core.errors import InputError, PathError, QueryError
from segsearch.core.fields import about, field_schema, value
from segsearch.core.filters import Filters
from segsearch.core.query import (
    NOT_WEIGHT,
    ImageTerm,
    PictureTerm,
    RegionTerm,
    SegmentTerm,
    Term,
    VectorTerm,
    terms_of_words,
)
from segsearch.core.types import MAX_ID
from segsearch.media.sources.paths import scheme_of

WEIGHT = re.compile(r"(.+):([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)", re.DOTALL)
TYPES: dict[str, type] = {"string": str, "integer": int, "number": float, "boolean": bool}
FORMS = {
    "gps_box": "SOUTH,WEST,NORTH,EAST", "near": "LATITUDE,LONGITUDE,KILOMETRES",
    "box": "X0,Y0,X1,Y1", "between": "FROM,TO",
}  # fmt: skip
Command = TypeVar("Command", bound=Callable[..., Any])
Read = Callable[[str], bytes]  # the bytes of a file or URL, within the limits
Texts = tuple[str, ...]


@value("option")
class TypedTerms:
    """What was typed for the terms of one query, option by option."""

    text: str | None = None
    words: Annotated[Texts, about("More words: WORDS:WEIGHT.")] = ()
    without: Annotated[Texts, about("Words to steer away from.")] = ()
    images: Annotated[Texts, about("A picture to look like: FILE_OR_URL[:WEIGHT].")] = ()
    segments: Annotated[Texts, about("A stored segment: ID[:WEIGHT].")] = ()
    stored: Annotated[Texts, about("A stored image as a whole: ID[:WEIGHT].")] = ()
    vectors: Annotated[
        Texts, about("A JSON list of numbers of the embedder's: FILE[:WEIGHT].")
    ] = ()
    clicks: Annotated[Texts, about("A thing in a picture: FILE_OR_ID:X,Y[;X,Y;!X,Y].")] = ()
    boxes: Annotated[Texts, about("A thing in a box in a picture: FILE_OR_ID:X0,Y0,X1,Y1.")] = ()
    masks: Annotated[Texts, about("A region by its COCO run lengths: FILE_OR_ID:MASK.json.")] = ()
    candidate: Annotated[
        int | None, about("Which mask of a click or box, from 0; without it the best.")
    ] = None


def with_options(options: Mapping[type, Mapping[str, str]]) -> Callable[[Command], Command]:
    """Give a command, as keyword arguments, an option for each of these fields of values.

    `options` has the flags by the fields' names. Help and default are those of the field.
    """

    def with_them(command: Command) -> Command:
        own = inspect.signature(command, eval_str=True).parameters.values()
        positional = [given for given in own if given.kind is given.POSITIONAL_OR_KEYWORD]
        keyword = [given for given in own if given.kind is given.KEYWORD_ONLY]
        made = [
            _option(kind, name, flag)
            for kind, flags in options.items()
            for name, flag in flags.items()
        ]
        signature = inspect.Signature([*positional, *made, *keyword])
        command.__signature__ = signature  # type: ignore[attr-defined]  # what Typer looks at
        return command

    return with_them


def _option(kind: Any, name: str, flag: str) -> inspect.Parameter:
    field, schema = kind.__pydantic_fields__[name], field_schema(kind, name)
    items = schema.get("items", {})
    is_list, is_choice = bool(items), "enum" in schema and not items  # typer takes none in lists
    named = items.get("type", schema.get("type"))
    typed: Any = field.annotation if is_choice else TYPES.get(named, field.annotation)
    if name in FORMS:
        typed = str
    # Numbers beyond 64 bits are refused by the option's name, others by the value that they make.
    limits = schema if schema.get("maximum") == MAX_ID else {}
    option = typer.Option(
        flag,
        help=schema["description"],
        metavar=FORMS.get(name),
        min=limits.get("minimum"),
        max=limits.get("maximum"),
    )
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=None if is_list else field.default,
        annotation=Annotated[list[typed] | None if is_list else typed | None, option],
    )


def terms_of(typed: TypedTerms, read: Read) -> tuple[Term, ...]:
    """The terms, in the order of `TypedTerms`; PathError, PictureError, QueryError for what is
    wrong.

    Pictures are files, or URLs that `read` allows.
    """
    looked_for = tuple(_looked_for(typed, read))
    unwanted = [term for words in typed.without for term in terms_of_words(words, NOT_WEIGHT)]
    return (*looked_for, *unwanted)


def _looked_for(typed: TypedTerms, read: Read) -> Iterator[Term]:
    if typed.text is not None:
        yield from terms_of_words(typed.text)
    for text in typed.words:
        yield from terms_of_words(*weighed(text))
    for text in typed.images:
        data, weight = _bytes(text, read)
        yield PictureTerm(data, weight)
    for text in typed.segments:
        name, weight = weighed(text)
        yield SegmentTerm(_number(name), weight)
    for text in typed.stored:
        name, weight = weighed(text)
        yield ImageTerm(_number(name), weight)
    for text in typed.vectors:
        path, weight = _file(text)
        yield VectorTerm(_vector(path), weight)
    yield from _regions(typed, read)


def _regions(typed: TypedTerms, read: Read) -> Iterator[Term]:
    for text in typed.clicks:
        image, where = _picture(text, read)
        points, labels = _points(where)
        yield RegionTerm(image, points, labels=labels, candidate=typed.candidate)
    for text in typed.boxes:
        image, where = _picture(text, read)
        x0, y0, x1, y1 = numbers(where, 4, "a box is X0,Y0,X1,Y1")
        yield RegionTerm(image, box=(x0, y0, x1, y1), candidate=typed.candidate)
    for text in typed.masks:
        from segsearch.masks.rle import from_coco  # loads NumPy: few searches need it

        image, where = _picture(text, read)
        yield RegionTerm(image, mask=from_coco(read_json(Path(where))))


def weighed(text: str) -> tuple[str, float]:
    """`WHAT:WEIGHT` in its two parts; without a weight it is 1."""
    match = WEIGHT.fullmatch(text)
    return (match[1], float(match[2])) if match else (text, 1.0)


def numbers(text: str, count: int, expected: str) -> list[float]:
    """Numbers between commas; QueryError that says what was expected."""
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    if len(values) != count:
        raise QueryError(f"{text!r} cannot be read: {expected}.")
    return values


def filters_of(given: Mapping[str, Any]) -> Filters:
    """Filters from options by their fields' names; those left out are None or empty."""
    kept = {name: value for name, value in given.items() if value not in (None, [])}
    for name in set(FORMS) & set(kept):
        count = FORMS[name].count(",") + 1
        kept[name] = tuple(numbers(kept[name], count, f"{name} is {FORMS[name]}"))
    return Filters(**kept)


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
    points, labels = [], []
    for point in where.split(";"):
        x, y = numbers(point.removeprefix("!"), 2, "a click is PICTURE:X,Y;X,Y;!X,Y")
        points.append((x, y))
        labels.append(0 if point.startswith("!") else 1)
    return tuple(points), tuple(labels)


def _vector(path: Path) -> tuple[float, ...]:
    document = read_json(path)
    try:
        return tuple(float(number) for number in document)
    except (TypeError, ValueError, OverflowError) as problem:
        raise InputError(f"{str(path)!r} holds no JSON list of numbers.") from problem


def read_json(path: Path) -> Any:
    """What a JSON file holds; PathError, InputError when it cannot be read."""
    try:
        return json.loads(path.read_text("utf-8"))
    except OSError as problem:
        raise PathError(f"{str(path)!r} cannot be read: {problem.strerror}.") from problem
    except (ValueError, RecursionError) as problem:
        raise InputError(f"{str(path)!r} is no JSON: {problem}.") from problem
