"""Fetches one file over HTTP: progress, resume, retry; it takes its name only when it is proven.

What has arrived lies in `NAME.part`, with the server's mark of the version beside it, so that a
later run goes on. It knows nothing of models.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx

from segsearch.core.atomic import sha256_of
from segsearch.core.errors import ChecksumError, DownloadError, NoRoomError

LOG = logging.getLogger(__name__)
Report = Callable[[int, int | None], None]  # bytes here, bytes in all when the server says

ATTEMPTS = 5  # in a row without a single new byte
PAUSE_SECONDS = 1.0  # before the second attempt, doubled for each further one
TIMEOUT_SECONDS = 30.0  # without any byte
NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
RETRIED = {408, 425, 429, 500, 502, 503, 504}


@dataclass(frozen=True, slots=True)
class Fetched:
    """What came: the sha256 of the bytes, how many, and the hub's commit when it named one."""

    sha256: str
    size_bytes: int
    revision: str | None


@dataclass(frozen=True, slots=True)
class _Answer:
    """One response: bytes in all if known, and what the hub says of the file."""

    total: int | None
    announced: str | None
    revision: str | None


def fetch(
    url: str,
    target: Path,
    *,
    sha256: str | None = None,
    report: Report | None = None,
    pause_seconds: float = PAUSE_SECONDS,
) -> Fetched:
    """The file at a URL as `target`, its bytes proven to be those of `sha256`.

    Without one they are held against the sha256 that the hub announces, if it does. Raises
    DownloadError, ChecksumError, NoRoomError; nothing stands under `target` then.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    idle = 0
    while True:
        before = _size(part)
        try:
            answer = _receive(url, part, report)
            break
        except httpx.HTTPError as problem:
            idle = 0 if _size(part) > before else idle + 1
            if idle >= ATTEMPTS:
                raise DownloadError(
                    f"{url} cannot be fetched ({_reason(problem)}); tried {ATTEMPTS} times. What "
                    "has arrived is kept: run the same command again to go on, or bring the file "
                    "by `segsearch models import`."
                ) from problem
            LOG.info("Fetching %s goes on after %s.", url, _reason(problem))
            time.sleep(pause_seconds * 2 ** max(0, idle - 1))
        except OSError as problem:
            raise no_room(problem, part) from problem
    found = sha256_of(part)
    expected = sha256 or answer.announced
    if expected and found != expected:
        _forget(part)
        raise ChecksumError(
            f"{url} has sha256 {found[:16]}..., expected {expected[:16]}...: the bytes are not "
            "those of this model and were thrown away."
        )
    size = _size(part)
    settle(part, target)
    _mark(part).unlink(missing_ok=True)
    return Fetched(found, size, answer.revision)


def settle(part: Path, target: Path) -> None:
    """Give finished bytes their name, for good: synced before and after."""
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.replace(target)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def no_room(problem: OSError, part: Path) -> NoRoomError | DownloadError:
    """What a failed write means; half a file that found no room is removed to give room back."""
    if problem.errno not in NO_ROOM:
        return DownloadError(f"{part} cannot be written: {problem.strerror or problem}.")
    _forget(part)
    return NoRoomError(
        f"No room for {part.name.removesuffix('.part')} in {part.parent}: {problem.strerror}. Make "
        "room, or name another folder with SEGSEARCH_MODELS."
    )


def _receive(url: str, part: Path, report: Report | None) -> _Answer:
    """Append to `part` what is missing; httpx.HTTPError when the connection ends too early."""
    here, version = _size(part), _version(part, url)
    headers = {"Accept-Encoding": "identity"}
    if here and version:
        headers |= {"Range": f"bytes={here}-", "If-Range": version}
    timeout = httpx.Timeout(TIMEOUT_SECONDS)
    with (
        httpx.Client(follow_redirects=True, timeout=timeout) as client,
        client.stream("GET", url, headers=headers) as response,
    ):
        if response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
            _forget(part)  # what is here is longer than the file: begin anew
        _check(response, url)
        start = here if response.status_code == httpx.codes.PARTIAL_CONTENT else 0
        length = response.headers.get("Content-Length")
        total = start + int(length) if length and length.isdigit() else None
        _check_room(part, start, total)
        version = response.headers.get("ETag") or response.headers.get("Last-Modified") or ""
        if version.startswith("W/"):
            version = ""  # a weak mark does not promise the same bytes (RFC 9110, 13.1.5)
        _mark(part).write_text(json.dumps({"url": url, "version": version}))
        with part.open("ab" if start else "wb") as file:
            for chunk in response.iter_raw():
                file.write(chunk)
                file.flush()
                start += len(chunk)
                if report:
                    report(start, total)
        return _answer(response, total)


def _check(response: httpx.Response, url: str) -> None:
    """DownloadError for an answer that trying again does not change."""
    code = response.status_code
    if url.startswith("https:") and response.url.scheme != "https":
        raise DownloadError(f"{url} leads to {response.url.host} without encryption: refused.")
    if code in RETRIED or code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
        raise httpx.HTTPStatusError(f"status {code}", request=response.request, response=response)
    if not response.is_success:
        raise DownloadError(f"{url} answers with status {code} {response.reason_phrase}.")


def _check_room(part: Path, start: int, total: int | None) -> None:
    free = shutil.disk_usage(part.parent).free
    if total is not None and total - start > free:
        raise NoRoomError(
            f"No room for {part.name.removesuffix('.part')} in {part.parent}: it needs "
            f"{(total - start) / 1e6:.0f} MB, {free / 1e6:.0f} MB are free. Make room, or name "
            "another folder with SEGSEARCH_MODELS."
        )


def _answer(response: httpx.Response, total: int | None) -> _Answer:
    """The hub says sha256 (as the mark of the large file) and commit before it redirects."""
    announced = revision = None
    for one in (*response.history, response):
        mark = one.headers.get("X-Linked-Etag", "").strip('"')
        if len(mark) == 64 and all(letter in "0123456789abcdef" for letter in mark):
            announced = mark
        revision = one.headers.get("X-Repo-Commit") or revision
    return _Answer(total, announced, revision)


def _version(part: Path, url: str) -> str | None:
    """The server's mark of the version that `part` is the beginning of."""
    try:
        note = json.loads(_mark(part).read_text())
    except (OSError, ValueError):
        return None
    return note.get("version") if note.get("url") == url else None


def _mark(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _forget(part: Path) -> None:
    part.unlink(missing_ok=True)
    _mark(part).unlink(missing_ok=True)


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _reason(problem: httpx.HTTPError) -> str:
    return str(problem) or type(problem).__name__
