"""Types and limits that fields of values and documents share, and values that check themselves.

A value that is built in Python or by the command line refuses what cannot be meant by a QueryError
with one sentence. Parsed as a part of a document, it tells pydantic which field is wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field, fields
from functools import cache, wraps
from typing import Annotated, Any, TypeVar, dataclass_transform

from pydantic import ConfigDict, Field, FiniteFloat, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from segsearch.core.errors import QueryError
from segsearch.core.types import MAX_ID

Id = Annotated[int, Field(ge=1, le=MAX_ID)]
PictureId = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
SidePx = Annotated[int, Field(ge=0, le=MAX_ID)]
Share = Annotated[FiniteFloat, Field(ge=0, le=1)]
Name = Annotated[str, Field(min_length=1, max_length=1_000)]
Quad = tuple[FiniteFloat, FiniteFloat, FiniteFloat, FiniteFloat]
OUT_OF_RANGE = {"finite_number", "greater_than_equal", "less_than_equal"}
T = TypeVar("T")


def about(description: str, **limits: Any) -> Any:
    """What a field means, for OpenAPI and for the help of the command line, and its limits."""
    return Field(description=description, **limits)


def strict(example: dict[str, Any] | None = None) -> ConfigDict:
    """Unknown fields are an error: misspelt ones in requests, undocumented ones in answers; an
    example for OpenAPI."""
    extra: Any = {"examples": [example]} if example else None
    return ConfigDict(extra="forbid", json_schema_extra=extra)


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def value(noun: str = "", example: dict[str, Any] | None = None) -> Callable[[type[T]], type[T]]:
    """A frozen dataclass whose fields pydantic checks. Its constructor raises QueryError, in which
    `noun` says whose field is wrong."""

    def checked(cls: type[T]) -> type[T]:
        made: Any = dataclass(frozen=True, slots=True, config=strict(example))(cls)
        construct = made.__init__

        @wraps(construct)
        def refusing(self: T, *args: Any, **given: Any) -> None:
            try:
                construct(self, *args, **given)
            except ValidationError as problem:
                raise QueryError(_sentence(made, noun, problem)) from problem

        made.__init__ = refusing
        return made  # type: ignore[no-any-return]  # the class that was given, with checks

    return checked


@cache
def _schema(kind: Any) -> dict[str, Any]:
    return TypeAdapter(kind).json_schema()


def field_schema(kind: Any, name: str) -> dict[str, Any]:
    """JSON schema of one field, that of its items or of its only type among its own keys."""
    whole: dict[str, Any] = _schema(kind)["properties"][name]
    given = next(iter(whole.get("anyOf", [])), whole)  # null stands last
    return {**given.get("items", {}), **given, **whole}


def _sentence(kind: Any, noun: str, problem: ValidationError) -> str:
    """What is wrong with the first wrong field of a value, and what was expected."""
    error = problem.errors()[0]
    wrong, limits = error["input"], error.get("ctx", {})
    if error["type"] == "value_error":
        return f"{limits['error']}."
    place = error["loc"][0]
    positional = [entry.name for entry in fields(kind) if not entry.kw_only]
    name = positional[place] if isinstance(place, int) else place
    what = f"The {noun} {name}" if noun else f"The {name}"
    if error["type"] == "too_long":
        return f"{what} lists {len(wrong)} values, expected at most {limits['max_length']}."
    if error["type"] == "string_too_short":
        return f"{what} holds an empty name."
    if error["type"] in OUT_OF_RANGE:
        return f"{what} is {wrong:g}, expected {_range(field_schema(kind, name))}."
    return f"{what} is wrong: {error['msg']}."


def _range(schema: dict[str, Any]) -> str:
    least, most = schema.get("minimum"), schema.get("maximum")
    if least is None or most is None:
        return "a finite number"
    return f"{'a share from ' if most == 1 else ''}{least} to {most}"
