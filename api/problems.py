"""Turns errors into problem documents (RFC 9457): one sentence, a code, and a status."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from segsearch.errors import HTTP_STATUS, SegSearchError

LOG = logging.getLogger(__name__)
MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = 2
# Codes for what is refused before any of our errors can be raised; other statuses take the
# standard's phrase, which for 413 differs between Python versions.
CODES = {413: "body_too_large", 421: "host_not_allowed", 422: "request_invalid"}


class ProblemResponse(JSONResponse):
    """A problem document."""

    media_type = MEDIA_TYPE


def install(app: FastAPI) -> None:
    """Answer every error of `app` with a problem document."""
    app.add_exception_handler(SegSearchError, _ours)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(Exception, _unexpected)


def status_of(kind: type[SegSearchError]) -> int:
    """The HTTP status of a kind of error: its own row in the table, or its nearest parent's."""
    return next(HTTP_STATUS[one] for one in kind.__mro__ if one in HTTP_STATUS)


def code_of(kind: type[SegSearchError]) -> str:
    """The name of a kind of error in snake case, as clients compare it."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).lower()


def problem(
    status: int,
    code: str,
    title: str,
    detail: str,
    *,
    errors: Sequence[Mapping[str, str]] = (),
    headers: Mapping[str, str] | None = None,
) -> ProblemResponse:
    """A problem document; with 503 the caller is told when to come again."""
    content: dict[str, Any] = {
        "type": f"urn:segsearch:problem:{code}",
        "title": title,
        "status": status,
        "code": code,
        "detail": detail,
    }
    if errors:
        content["errors"] = list(errors)
    given = dict(headers or {})
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        given.setdefault("Retry-After", str(RETRY_AFTER_SECONDS))
    return ProblemResponse(content, status, given)


def problem_of(error: SegSearchError) -> ProblemResponse:
    """The problem document of one of our errors."""
    kind = type(error)
    title = (kind.__doc__ or kind.__name__).split("\n")[0]
    return problem(status_of(kind), code_of(kind), title, str(error))


def refusal(status: int, detail: str, headers: Mapping[str, str] | None = None) -> ProblemResponse:
    """The problem document of a request that HTTP itself has a word for."""
    phrase = HTTPStatus(status).phrase
    code = CODES.get(status) or re.sub(r"\W+", "_", phrase).strip("_").lower()
    return problem(status, code, f"{phrase}.", detail, headers=headers)


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
    return problem(
        422, CODES[422], "A field is missing or has a wrong value.", detail, errors=errors
    )


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


async def _unexpected(request: Request, error: Exception) -> ProblemResponse:
    LOG.error("A request to %s failed: %r", request.url.path, error, extra={"action": "api.fail"})
    return refusal(500, "The server failed on this request; its log says more.")
