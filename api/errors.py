"""Turns errors into problem documents (RFC 9457): one sentence, a code, and a status.

`docs/http-api.md` shows the table of codes; `python -m segsearch_api.errors` prints it.
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Match, Mount
from starlette.types import Receive, Scope, Send

from segsearch.core import errors
from segsearch.core.errors import RateError, SegSearchError

LOG = logging.getLogger(__name__)
MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = 2
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
ENDLESS = "/v1/jobs/events"  # its HEAD would wait for a body that nobody gets
CODE_KEY = "segsearch.problem"  # where a request's scope keeps the code it was refused with


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
    errors.StoreError,
    errors.PictureTooLargeError,
    errors.QueryError,
    errors.NotFoundError,
    errors.ConflictError,
    errors.EndpointMissingError,
    errors.KeyMissingError,
    errors.ScopeError,
    errors.LibraryError,
    errors.LibraryMissingError,
    errors.RecipeError,
    errors.DamageError,
    errors.BusyError,
    errors.ReadOnlyError,
    errors.DiskFullError,
    errors.EngineError,
    errors.ModelError,
    errors.ModelMissingError,
    errors.EndpointError,
    errors.AnswerError,
    errors.OverloadError,
    errors.RateError,
)


def name_of(kind: type[SegSearchError]) -> str:
    """A class's name in snake case."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).lower()


OURS: dict[type[SegSearchError], Code] = {
    kind: Code(name_of(kind), kind.status, kind.__doc__ or "") for kind in KINDS
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
CODES: tuple[Code, ...] = tuple(
    sorted((*OURS.values(), *REFUSALS.values()), key=lambda code: (code.status, code.name))
)


def code_of(kind: type[SegSearchError]) -> Code:
    """The code of a kind of error: its own, or its nearest ancestor's."""
    codes = (OURS[ancestor] for ancestor in kind.__mro__ if ancestor in OURS)
    return next(codes, REFUSALS[HTTPStatus.INTERNAL_SERVER_ERROR])


def code_table() -> str:
    """All codes as a Markdown table."""
    rows = [f"| `{code.name}` | {code.status} | {code.title} |" for code in CODES]
    return "\n".join(["| code | status | meaning |", "|---|---|---|", *rows])


class ProblemResponse(JSONResponse):
    """A problem document."""

    media_type = MEDIA_TYPE

    def __init__(self, code: Code, content: Any, headers: Mapping[str, str]) -> None:
        super().__init__(content, code.status, headers)
        self.code = code

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope[CODE_KEY] = self.code.name
        await super().__call__(scope, receive, send)


def problem(
    code: Code,
    detail: str,
    *,
    fields: Sequence[Mapping[str, str]] = (),
    headers: Mapping[str, str] | None = None,
) -> ProblemResponse:
    """A problem document, with the wrong `fields` of a request if it is about some.

    With 429 and 503 the caller is told when to come again.
    """
    content: dict[str, Any] = {
        "type": f"urn:segsearch:problem:{code.name}",
        "title": code.title,
        "status": code.status,
        "code": code.name,
        "detail": detail,
    }
    if fields:
        content["errors"] = list(fields)
    headers = dict(headers or {})
    if code.status in {HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS}:
        headers.setdefault("Retry-After", str(RETRY_AFTER_SECONDS))
    if code.status == HTTPStatus.UNAUTHORIZED:
        headers.setdefault("WWW-Authenticate", 'Bearer realm="segsearch"')
    return ProblemResponse(code, content, headers)


def problem_of(error: SegSearchError, headers: Mapping[str, str] | None = None) -> ProblemResponse:
    """The problem document of one of our errors."""
    headers = dict(headers or {})
    if isinstance(error, RateError):
        headers["Retry-After"] = str(max(1, math.ceil(error.seconds)))
    return problem(code_of(type(error)), str(error), headers=headers)


def refusal(status: int, detail: str, headers: Mapping[str, str] | None = None) -> ProblemResponse:
    """The problem document of a request that is refused before any error of ours is raised."""
    phrase = HTTPStatus(status).phrase
    unlisted = Code(phrase.lower().replace(" ", "_"), status, f"{phrase}.")
    return problem(REFUSALS.get(status, unlisted), detail, headers=headers)


def install(app: FastAPI) -> None:
    """Answer every foreseen error of `app` with a problem document; `MetricsMiddleware` answers
    the others."""
    app.add_exception_handler(SegSearchError, _ours)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _refused)


async def _ours(_request: Request, error: Exception) -> ProblemResponse:
    if not isinstance(error, SegSearchError):
        raise error
    answer = problem_of(error)
    if answer.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        LOG.warning("Refused a request: %s", error, extra={"action": "api.refuse"})
    return answer


async def _invalid(_request: Request, error: Exception) -> ProblemResponse:
    if not isinstance(error, RequestValidationError):
        raise error
    fields = [
        {"field": ".".join(map(str, details["loc"])), "message": str(details["msg"])}
        for details in error.errors()
    ]
    first = fields[0] if fields else {"field": "body", "message": "cannot be read"}
    return problem(REFUSALS[422], f"{first['field']}: {first['message']}.", fields=fields)


async def _refused(request: Request, error: Exception) -> ProblemResponse:
    if not isinstance(error, HTTPException):
        raise error
    path = request.url.path
    sentences = {
        404: f"There is nothing at {path}.",
        405: f"{path} does not answer {request.method}.",
    }
    detail = sentences.get(error.status_code, str(error.detail))
    headers = dict(error.headers or {})
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = ", ".join(sorted(_methods_at(request)))
    return refusal(error.status_code, detail, headers)


def _is_files(route: BaseRoute) -> bool:
    """Whether a route is a folder of files, which takes any method and then refuses all but GET."""
    return isinstance(route, Mount)


def _methods_at(request: Request) -> set[str]:
    """Every method that the routes at a request's path answer: Starlette names the first's."""
    methods = set()
    scope = request.scope
    root_path = scope.get("app_root_path", scope.get("root_path", ""))  # of the whole, not a mount
    for method in METHODS:
        asked: Scope = {**scope, "root_path": root_path, "method": method}
        routes = [route for route in request.app.routes if method == "GET" or not _is_files(route)]
        if any(route.matches(asked)[0] is Match.FULL for route in routes):
            methods.add(method)
    if "GET" in methods and scope["path"] != f"{root_path}{ENDLESS}":
        methods.add("HEAD")
    return methods


if __name__ == "__main__":
    print(code_table())  # noqa: T201  what it is run for
