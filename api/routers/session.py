"""A browser's session: its key goes into a cookie that no script can read."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response

from segsearch.core.errors import KeyMissingError
from segsearch.library import SegSearch
from segsearch.storage.api_keys import Key
from segsearch.storage.api_keys import Scope as KeyScope
from segsearch_api.deps import LibraryDep
from segsearch_api.drawings import mark_of
from segsearch_api.errors import refusal
from segsearch_api.middleware.auth import Access
from segsearch_api.middleware.cookie import forget_key, is_foreign, keep_key, key_in_cookie
from segsearch_api.openapi import BODY_TOO_LARGE, INVALID, KEY_MISSING, TOO_OFTEN, refusals
from segsearch_api.schemas.session import SessionDocument, SessionRequest

router = APIRouter(prefix="/v1/session", tags=["keys"])
NO_STORE = {"Cache-Control": "no-store"}
FOREIGN = refusal(403, "Pages of other origins may not sign in or out here.")


def get_access(request: Request) -> Access:
    """What `create_app` has put into the application."""
    access: Access = request.app.state.access
    return access


AccessDep = Annotated[Access, Depends(get_access)]


@router.get(
    "",
    response_model=SessionDocument,
    responses=refusals(KEY_MISSING, library=False, busy=True),
)
async def read_session(
    request: Request, response: Response, access: AccessDep, library: LibraryDep
) -> SessionDocument:
    """What the caller may do. A cookie whose key was revoked counts as none, and is dropped."""
    response.headers.update(NO_STORE)
    try:
        key = access.key_of(request.scope)
    except KeyMissingError:
        if "authorization" in request.headers:
            raise
        key = None
    if key is None and key_in_cookie(request.scope) is not None:
        forget_key(request, response)
    return await _document(access, library, key)


@router.post(
    "",
    response_model=SessionDocument,
    responses=refusals(KEY_MISSING, TOO_OFTEN, INVALID, BODY_TOO_LARGE, library=False, busy=True),
)
async def sign_in(
    body: SessionRequest,
    request: Request,
    response: Response,
    access: AccessDep,
    library: LibraryDep,
) -> SessionDocument | Response:
    """Check a key and keep it in a cookie, until the browser is closed.

    The cookie counts for pages of this server alone: `Origin` or `Sec-Fetch-Site` must say so for
    what changes something. Wrong keys are counted by the caller's address.
    """
    if is_foreign(request.headers):
        return FOREIGN
    await access.look_up(body.key.strip())
    key = access.try_key(body.key, request.scope)
    document = await _document(access, library, key)
    response.headers.update(NO_STORE)
    keep_key(request, response, body.key.strip())
    return document


@router.delete("", status_code=204, response_class=Response, responses=refusals(library=False))
async def sign_out(request: Request) -> Response:
    """Drop the cookie; the key goes on working."""
    if is_foreign(request.headers):
        return FOREIGN
    answer = Response(status_code=204, headers=NO_STORE)
    forget_key(request, answer)
    return answer


async def _document(access: Access, library: SegSearch, key: Key | None) -> SessionDocument:
    scope = key.scope if key else None if access.need_key else KeyScope.ADMIN
    mark = await run_in_threadpool(mark_of, library) if scope else None
    return SessionDocument(
        needs_key=access.need_key, scope=scope, key=key.name if key else None, library=mark
    )
