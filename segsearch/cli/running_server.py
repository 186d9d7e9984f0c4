"""Asks the server that runs for a library, which has it and the models in memory already.

Only one on a loopback address of this machine, that shows it is the one the library's folder names.
Where there is none, or it cannot answer now, the caller searches by itself.
"""

from __future__ import annotations

import ipaddress
import json
import logging
import secrets
from dataclasses import fields
from http.client import HTTPConnection, HTTPException
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from segsearch.core.query import (
    ImageTerm,
    KeptPictureTerm,
    Query,
    RegionPrompt,
    RegionTerm,
    SearchOptions,
    SegmentTerm,
    Term,
    TextTerm,
    VectorTerm,
    WrittenTerm,
)
from segsearch.storage.announcement import CHALLENGE, PROOF, Announcement, read_announcement

if TYPE_CHECKING:
    from segsearch.core.settings import Settings

LOG = logging.getLogger(__name__)
CHECK_SECONDS = 1.0  # a server that is this slow to say that it lives is no help
ANSWER_SECONDS = 30.0
MAX_ANSWER_BYTES = 200_000_000


def ask_running_server(settings: Settings, query: Query) -> dict[str, Any] | None:
    """The answer to a query as `POST /v1/search` gives it, from a running server of the library.

    None where no server of this version and these settings runs here, is ready, and answers with
    success; and for queries that hold a file's bytes.
    """
    document = document_of(query)
    found = read_announcement(settings.library) if document else None
    if document is None or found is None or found.mix != settings.mix:
        return None
    try:
        answer = _ask(found, json.dumps(document).encode())
    except (OSError, HTTPException, ValueError) as problem:
        LOG.info("The server at %s does not answer (%s): searching here.", found.url, problem)
        return None
    if answer is not None:
        LOG.info("Answered by the server at %s.", found.url, extra={"action": "search.served"})
    return answer


def document_of(query: Query) -> dict[str, Any] | None:
    """The body of `POST /v1/search` that asks the same; None where a term holds what that cannot
    say: a file's bytes, or a mask."""
    from pydantic_core import to_jsonable_python

    terms = [_term(term) for term in query.terms]
    if None in terms:
        return None
    options = {option.name: getattr(query, option.name) for option in fields(SearchOptions)}
    return cast(dict[str, Any], to_jsonable_python({**options, "terms": terms}))


def _term(term: Term) -> dict[str, Any] | None:
    if isinstance(term, TextTerm):
        return {"text": term.text, "weight": term.weight}
    if isinstance(term, WrittenTerm):
        return {"written": term.text, "weight": term.weight}
    if isinstance(term, SegmentTerm):
        return {"segment_id": term.segment_id, "weight": term.weight}
    if isinstance(term, ImageTerm):
        return {"image_id": term.image_id, "weight": term.weight}
    if isinstance(term, KeptPictureTerm):
        return {"picture_id": term.picture_id, "weight": term.weight}
    if isinstance(term, VectorTerm):
        return {"vector": term.values, "weight": term.weight}
    if isinstance(term, RegionTerm) and isinstance(term.image, int) and term.mask is None:
        prompt = {part.name: getattr(term, part.name) for part in fields(RegionPrompt)}
        region = {"image_id": term.image, "points": term.points, **prompt}
        return {"region": region, "weight": term.weight}
    return None


def _ask(found: Announcement, body: bytes) -> dict[str, Any] | None:
    """What the server answers over one connection; None unless it is the one that was announced,
    and answers with success."""
    url = urlsplit(found.url)
    if url.scheme != "http" or not ipaddress.ip_address(url.hostname or "").is_loopback:
        return None
    connection = HTTPConnection(str(url.hostname), url.port, timeout=CHECK_SECONDS)
    try:
        challenge = secrets.token_hex(16)
        connection.request("GET", "/readyz", headers={CHALLENGE: challenge})
        ready = connection.getresponse()
        ready.read(MAX_ANSWER_BYTES)
        proof = ready.getheader(PROOF, "")
        if ready.status != 200 or not secrets.compare_digest(proof, found.proof(challenge)):
            LOG.info("The server at %s is not ready: searching here.", found.url)
            return None
        # Over the same connection, so to the same process.
        if connection.sock is None:
            return None
        connection.sock.settimeout(ANSWER_SECONDS)
        headers = {
            "Content-Type": "application/json",
            "Authorization": f"Bearer {found.token}",
        }
        connection.request("POST", "/v1/search", body, headers)
        answer = connection.getresponse()
        text = answer.read(MAX_ANSWER_BYTES)
        if answer.status != 200:  # what is wrong with a query, we say as well ourselves
            LOG.info("The server answers %d: searching here.", answer.status)
            return None
        document = json.loads(text)
    finally:
        connection.close()
    return document if isinstance(document, dict) and "hits" in document else None
