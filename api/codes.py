"""The table of codes: what a request can be refused with. `docs/http-api.md` shows the same.

`python -m segsearch_api.codes` prints the documented table.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from http import HTTPStatus

from segsearch.core import errors
from segsearch.core.errors import HTTP_STATUS, SegSearchError


@dataclass(frozen=True, slots=True)
class Code:
    """A stable name in snake case, its HTTP status, and what it means in one sentence."""

    name: str
    status: int
    title: str


# Errors of ours that a request can meet; any other counts as its nearest ancestor here.
KINDS: tuple[type[SegSearchError], ...] = (
    errors.InputError,
    errors.PictureError,
    errors.PictureTooLargeError,
    errors.QueryError,
    errors.NotFoundError,
    errors.ConflictError,
    errors.KeyMissingError,
    errors.ScopeError,
    errors.LibraryError,
    errors.LibraryMissingError,
    errors.RecipeError,
    errors.DamageError,
    errors.BusyError,
    errors.ReadOnlyError,
    errors.DiskFullError,
    errors.ModelError,
    errors.ModelMissingError,
    errors.OverloadError,
    errors.RateError,
)


def name_of(kind: type[SegSearchError]) -> str:
    """A class's name in snake case."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).lower()


OURS: dict[type[SegSearchError], Code] = {
    kind: Code(name_of(kind), HTTP_STATUS[kind], (kind.__doc__ or "").split("\n")[0])
    for kind in KINDS
}
# What is refused before any of our errors can be raised.
REFUSALS: dict[int, Code] = {
    code.status: code
    for code in (
        Code("bad_request", 400, "The request cannot be read."),
        Code("origin_not_allowed", 403, "A page of another site asks."),
        Code("not_found", 404, "There is no such route."),
        Code("method_not_allowed", 405, "The route does not answer this method."),
        Code("not_acceptable", 406, "None of the formats asked for can be given."),
        Code("body_too_large", 413, "The body is larger than allowed."),
        Code("unsupported_media_type", 415, "The body is of a kind the route does not read."),
        Code("host_not_allowed", 421, "The server does not answer to this name."),
        Code("request_invalid", 422, "A field is missing or has a wrong value."),
        Code("internal_server_error", 500, "The server failed; its log says more."),
        Code("service_unavailable", 503, "The server is not ready yet."),
    )
}
ALL: tuple[Code, ...] = tuple(
    sorted((*OURS.values(), *REFUSALS.values()), key=lambda code: (code.status, code.name))
)


def code_of(kind: type[SegSearchError]) -> Code:
    """The code of a kind of error: its own, or its nearest ancestor's."""
    found = (OURS[one] for one in kind.__mro__ if one in OURS)
    return next(found, REFUSALS[HTTPStatus.INTERNAL_SERVER_ERROR])


def table() -> str:
    """All codes as a Markdown table."""
    rows = [f"| `{code.name}` | {code.status} | {code.title} |" for code in ALL]
    return "\n".join(["| code | status | meaning |", "|---|---|---|", *rows])


if __name__ == "__main__":
    print(table())  # noqa: T201
