"""Turns errors into problem documents (RFC 9457): one sentence, a code, and a status."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from segsearch.core.errors import RateError, SegSearchError
from segsearch_api.codes import (
    REFUSALS,
    Code,
    code_of,
)

LOG = logging.getLogger(__name__)
MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = 2
NOTED = "segsearch.problem"  # where a request's scope keeps the code it was refused with


class ProblemResponse(JSONResponse):
    """A problem document."""

    media_type = MEDIA_TYPE

    def __init__(self, code: Code, content: Any, headers: Mapping[str, str]) -> None:
        super().__init__(content, code.status, headers)
        self.code = code

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope[NOTED] = self.code.name
        await super().__call__(scope, receive, send)


def install(app: FastAPI) -> None:
    """Answer every error of `app` with a problem document; `observing` takes unexpected ones."""
    app.add_exception_handler(SegSearchError, _ours)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _refused)


def problem(
    code: Code,
    detail: str,
    *,
    errors: Sequence[Mapping[str, str]] = (),
    headers: Mapping[str, str] | None = None,
) -> ProblemResponse:
    """A problem document; with 429 and 503 the caller is told when to come again."""
    content: dict[str, Any] = {
        "type": f"urn:segsearch:problem:{code.name}",
        "title": code.title,
        "status": code.status,
        "code": code.name,
        "detail": detail,
    }
    if errors:
        content["errors"] = list(errors)
    given = dict(headers or {})
    if code.status in {HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS}:
        given.setdefault("Retry-After", str(RETRY_AFTER_SECONDS))
    if code.status == HTTPStatus.UNAUTHORIZED:
        given.setdefault("WWW-Authenticate", 'Bearer realm="segsearch"')
    return ProblemResponse(code, content, given)


def problem_of(error: SegSearchError, headers: Mapping[str, str] | None = None) -> ProblemResponse:
    """The problem document of one of our errors."""
    given = dict(headers or {})
    if isinstance(error, RateError):
        given["Retry-After"] = str(max(1, math.ceil(error.seconds)))
    return problem(code_of(type(error)), str(error), headers=given)


def refusal(status: int, detail: str, headers: Mapping[str, str] | None = None) -> ProblemResponse:
    """The problem document of a request that is refused before any error of ours is raised."""
    phrase = HTTPStatus(status).phrase
    unlisted = Code(phrase.lower().replace(" ", "_"), status, f"{phrase}.")
    return problem(REFUSALS.get(status, unlisted), detail, headers=headers)


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
    errors = [
        {"field": ".".join(map(str, one["loc"])), "message": str(one["msg"])}
        for one in error.errors()
    ]
    first = errors[0] if errors else {"field": "body", "message": "cannot be read"}
    detail = f"{first['field']}: {first['message']}."
    return problem(REFUSALS[422], detail, errors=errors)


async def _refused(request: Request, error: Exception) -> ProblemResponse:
    if not isinstance(error, HTTPException):
        raise error
    path = request.url.path
    sentences = {
        404: f"There is nothing at {path}.",
        405: f"{path} does not answer {request.method}.",
    }
    detail = sentences.get(error.status_code, str(error.detail))
    return refusal(error.status_code, detail, error.headers)
