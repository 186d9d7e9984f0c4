"""Fetches one file over HTTP: progress, resume, retry; it takes its name only when it is proven.

What has arrived lies in `NAME.part`, with the server's mark of the version beside it, so that a
later run goes on. It knows nothing of models. Written here because huggingface_hub asks no other
servers than hubs, checks no sha256, and only warns of a full disk; pooch resumes nothing.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx
import tenacity

from segsearch.core.atomic import sha256_of
from segsearch.core.errors import ChecksumError, DownloadError, NoRoomError

LOG = logging.getLogger(__name__)
Report = Callable[[int, int | None], None]  # bytes here, bytes in all when the server says

ATTEMPTS = 5  # in a row without a single new byte
PAUSE_SECONDS = 1.0  # before the second attempt, doubled for each further one
LONGEST_PAUSE_SECONDS = 8.0
TIMEOUT_SECONDS = 30.0  # without any byte
NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
RETRIED = {408, 416, 425, 429, 500, 502, 503, 504}


@dataclass(frozen=True, slots=True)
class Fetched:
    """What came: the sha256 of the bytes, how many, and the hub's commit when it named one."""

    sha256: str
    size_bytes: int
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
    try:
        announced, revision = _retrying(part, pause_seconds)(_receive, url, part, report)
    except httpx.HTTPError as problem:
        raise DownloadError(
            f"{url} cannot be fetched ({str(problem) or type(problem).__name__}); tried {ATTEMPTS} "
            "times. What has arrived is kept: run the same command again to go on, or bring the "
            "file by `segsearch models import`."
        ) from problem
    except OSError as problem:
        raise write_error(problem, part) from problem
    digest, expected, size = sha256_of(part), sha256 or announced, _size(part)
    if expected and digest != expected:
        _forget(part)
        raise ChecksumError(
            f"{url} has sha256 {digest[:16]}..., expected {expected[:16]}...: the bytes are not "
            "those of this model and were thrown away."
        )
    settle(part, target)
    _mark(part).unlink(missing_ok=True)
    return Fetched(digest, size, revision)


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


def write_error(problem: OSError, part: Path) -> NoRoomError | DownloadError:
    """What a failed write means; half a file that found no room is removed to give room back."""
    if problem.errno not in NO_ROOM:
        return DownloadError(f"{part} cannot be written: {problem.strerror or problem}.")
    _forget(part)
    return _no_room_error(part, str(problem.strerror))


def _no_room_error(part: Path, why: str) -> NoRoomError:
    return NoRoomError(
        f"No room for {part.name.removesuffix('.part')} in {part.parent}: {why}. Make room, or "
        "name another folder with SEGSEARCH_MODELS."
    )


def _retrying(part: Path, pause_seconds: float) -> tenacity.Retrying:
    """Asks again until several attempts in a row have left `part` as long as it was."""
    sizes = [_size(part)]

    def stalled(_: tenacity.RetryCallState) -> bool:
        sizes.append(_size(part))
        return len(sizes) > ATTEMPTS and len(set(sizes[-ATTEMPTS - 1 :])) == 1

    return tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(httpx.HTTPError),
        stop=stalled,
        wait=tenacity.wait_exponential(pause_seconds, max=LONGEST_PAUSE_SECONDS),
        before_sleep=tenacity.before_sleep_log(LOG, logging.INFO),
        reraise=True,
    )


def _receive(url: str, part: Path, report: Report | None) -> tuple[str | None, str | None]:
    """Append to `part` what is missing; the sha256 and the commit that the hub names, if it does.

    httpx.HTTPError when the connection ends too early.
    """
    start, version = _size(part), _version(part, url)
    headers = {"Accept-Encoding": "identity"}
    if start and version:
        headers |= {"Range": f"bytes={start}-", "If-Range": version}
    with (
        httpx.Client(follow_redirects=True, timeout=TIMEOUT_SECONDS) as client,
        client.stream("GET", url, headers=headers) as response,
    ):
        if response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
            _forget(part)  # what is here is longer than the file: begin anew
        _check(response, url)
        if response.status_code != httpx.codes.PARTIAL_CONTENT:
            start = 0
        length = response.headers.get("Content-Length", "")
        total = start + int(length) if length.isdigit() else None
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
        return _announced(response)


def _check(response: httpx.Response, url: str) -> None:
    """DownloadError for an answer that trying again does not change, else httpx.HTTPError."""
    code = response.status_code
    if url.startswith("https:") and response.url.scheme != "https":
        raise DownloadError(f"{url} leads to {response.url.host} without encryption: refused.")
    if code in RETRIED:
        raise httpx.HTTPStatusError(f"status {code}", request=response.request, response=response)
    if not response.is_success:
        raise DownloadError(f"{url} answers with status {code} {response.reason_phrase}.")


def _check_room(part: Path, start: int, total: int | None) -> None:
    free = shutil.disk_usage(part.parent).free
    if total is not None and total - start > free:
        needed = (total - start) / 1e6
        raise _no_room_error(part, f"it needs {needed:.0f} MB, {free / 1e6:.0f} MB are free")


def _announced(response: httpx.Response) -> tuple[str | None, str | None]:
    """The hub says sha256 (as the mark of the large file) and commit before it redirects."""
    digest = revision = None
    for answer in (*response.history, response):
        mark = answer.headers.get("X-Linked-Etag", "").strip('"')
        if len(mark) == 64 and all(letter in "0123456789abcdef" for letter in mark):
            digest = mark
        revision = answer.headers.get("X-Repo-Commit") or revision
    return digest, revision


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
