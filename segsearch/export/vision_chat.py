"""Asks an OpenAI-compatible endpoint what it sees: paced, retried, within a budget of requests.

It knows nothing of regions. Redirects are not followed: the key goes to the host that was named.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any

import httpx
import tenacity

from segsearch.core.errors import AnswerError, EndpointError, EndpointMissingError, QueryError
from segsearch.core.settings import Settings
from segsearch.export.chat_answer import (
    MAX_BODY_BYTES,
    SpoiltError,
    caption_in,
    error_words,
)
from segsearch.export.deadline import Cutoff, Deadline

LOG = logging.getLogger(__name__)
ATTEMPTS = 5
ATTEMPTS_BILLED = 3  # where the endpoint answers, and so may bill, but something spoils the answer
PAUSE_SECONDS = 1.0  # before the second attempt, doubled for each further one
LONGEST_WAIT_SECONDS = 120.0  # what an endpoint may ask for; it is told to the user if it is more
CONNECT_SECONDS = 10.0
LEAST_SECONDS = 0.001  # of a request that begins when time is nearly up
SAID_BYTES = 2_000  # of an error's body
RETRIED = {408, 409, 425, 429, 500, 502, 503, 504, 529}
SLOW_DOWN = {429, 503, 529}  # meant for all requests, not for the one that was answered
END_OF_RUN = {401, 402, 403, 404, 405}  # key, money, path or model: the next region fares the same


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where to ask: `base_url` ends before `/chat/completions`.

    QueryError when it is no URL, no model is named, or no header takes the key.
    """

    base_url: str
    model: str
    key: str | None = field(default=None, repr=False)
    timeout_seconds: float = 120.0
    pause_seconds: float = PAUSE_SECONDS

    def __post_init__(self) -> None:
        try:
            url = httpx.URL(self.base_url)
        except httpx.InvalidURL as problem:
            raise QueryError(f"{self.base_url!r} is no URL: {problem}.") from problem
        if url.scheme not in {"http", "https"} or not url.host:
            raise QueryError(f"{self.base_url!r} is no URL: expected http://HOST/v1 or https://.")
        if url.userinfo:
            raise QueryError("The URL holds a password: give the key by SEGSEARCH_CAPTION_KEY.")
        if not self.model.strip():
            raise QueryError("The model's name is empty.")
        if self.key is not None and not (self.key.isascii() and self.key.isprintable()):
            raise QueryError("SEGSEARCH_CAPTION_KEY holds characters that no header takes.")

    @property
    def host(self) -> str:
        """Host, and the port where it is not the usual one."""
        return httpx.URL(self.base_url).netloc.decode("ascii")

    @property
    def is_private(self) -> bool:
        """Whether nobody on the way can read along: by encryption, or because it is here."""
        url = httpx.URL(self.base_url)
        return url.scheme == "https" or url.host in {"localhost", "127.0.0.1", "::1"}

    @property
    def url(self) -> str:
        return f"{self.base_url.rstrip('/')}/chat/completions"


def endpoint_of(
    settings: Settings,
    base_url: str | None = None,
    model: str | None = None,
    timeout_seconds: float | None = None,
) -> Endpoint:
    """The endpoint that a caller names, or of what is not named the settings' one.

    EndpointMissingError where neither names it, QueryError as of `Endpoint`.
    """
    url, name = base_url or settings.caption_url, model or settings.caption_model
    if not url or not name:
        missing = "no endpoint" if not url else "no model"
        raise EndpointMissingError(
            f"There is {missing} to ask: set SEGSEARCH_CAPTION_URL and SEGSEARCH_CAPTION_MODEL, or "
            "give a command --base-url and --model."
        )
    key = settings.caption_key.get_secret_value().strip() if settings.caption_key else None
    seconds = settings.caption_seconds if timeout_seconds is None else timeout_seconds
    return Endpoint(url, name, key or None, seconds)


@dataclass
class _AgainError(Exception):
    """A request that may fare better: why, after how many seconds, whether all others wait too;
    whether it was answered, and so may have been billed."""

    reason: str
    seconds: float = 0.0
    for_all: bool = False
    unreachable: bool = False
    answered: bool = False


class VisionChat:
    """One endpoint, asked from several threads. Use as a context manager.

    `most` bounds the requests that may be billed: those that an error status answers, or that
    reached nobody, do not count. `seconds` bounds all of them together, from now on. `reads` takes
    what is wanted out of an answer's body, and raises as `chat_answer.caption_in`. A `cutoff` ends
    it with others.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        most: int | None = None,
        *,
        seconds: float | None = None,
        reads: Callable[[bytes, str], str] = caption_in,
        cutoff: Cutoff | None = None,
    ) -> None:
        self._endpoint = endpoint
        self._most = most
        self._until = math.inf if seconds is None else time.monotonic() + seconds
        self._reads = reads
        self._cutoff = Cutoff()  # of its own requests alone
        self._lock = threading.Lock()
        self._not_before = 0.0  # of the monotonic clock
        self._halted = threading.Event()
        self._held = ExitStack()
        if cutoff:
            self._held.enter_context(cutoff.holding(self.cut))
        self.requests = 0
        self.trouble: str | None = None  # of the last attempt in vain
        if endpoint.key and not endpoint.is_private:
            LOG.warning("The key goes to %s without encryption: use https.", endpoint.host)
        key = {"Authorization": f"Bearer {endpoint.key}"} if endpoint.key else {}
        # Each request on a connection of its own: the deadline shuts it.
        limits = httpx.Limits(max_keepalive_connections=0)
        self._client = httpx.Client(headers=key, limits=limits)

    def __enter__(self) -> VisionChat:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._held.close()
        self._client.close()

    def halt(self) -> None:
        """Send nothing any more; what is under way is still answered."""
        self._halted.set()

    def cut(self) -> None:
        """Send nothing any more, and let go of what is under way."""
        self.halt()
        self._cutoff.cut()

    @property
    def is_spent(self) -> bool:
        """Whether the budget holds no further request."""
        with self._lock:
            return self._most is not None and self.requests >= self._most

    @property
    def is_over(self) -> bool:
        """Whether its time is up."""
        return time.monotonic() >= self._until

    @property
    def is_halted(self) -> bool:
        """Whether somebody, or an error that holds for every request, has ended it."""
        return self._halted.is_set()

    def ask(self, messages: list[dict[str, Any]]) -> str | None:
        """What the endpoint answers; None when it was halted, its time is up or the budget spent.

        Raises AnswerError when it gives no answer to this, EndpointError when it will give none
        to anything; nothing is sent any more then.
        """
        try:
            return self._ask(messages)
        except EndpointError:
            self.halt()
            raise

    def _ask(self, messages: list[dict[str, Any]]) -> str | None:
        ask_again = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(_AgainError),
            stop=_Patience(self._until),
            wait=self._pause_seconds,
            sleep=tenacity.sleep_using_event(self._halted),
            reraise=True,
        )
        try:
            return ask_again(self._attempt, messages)
        except _AgainError as problem:
            kind = EndpointError if problem.unreachable else AnswerError
            count = ask_again.statistics["attempt_number"]
            times = "once" if count == 1 else f"{count} times"
            raise kind(f"{self._endpoint.url}: {problem.reason}; tried {times}.") from problem

    def _attempt(self, messages: list[dict[str, Any]]) -> str | None:
        if not self._is_my_turn() or not self._take():
            return None
        seconds = min(self._endpoint.timeout_seconds, self._until - time.monotonic())
        seconds = max(seconds, LEAST_SECONDS)
        deadline = Deadline(seconds)
        answered = False
        try:
            body = {"model": self._endpoint.model, "messages": messages}
            with (
                deadline,
                self._cutoff.holding(deadline.end),
                self._client.stream(
                    "POST",
                    self._endpoint.url,
                    json=body,
                    timeout=httpx.Timeout(seconds, connect=min(CONNECT_SECONDS, seconds)),
                    extensions={"trace": deadline.hold},
                ) as response,
            ):
                answered = response.is_success
                content = _read(response, MAX_BODY_BYTES if answered else SAID_BYTES)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as problem:
            self._give_back()
            raise _AgainError(f"nobody answers ({problem})", unreachable=True) from problem
        except httpx.HTTPError as problem:
            if deadline.is_over or isinstance(problem, httpx.TimeoutException):
                raise _AgainError(
                    f"no answer within {_in_words(seconds)}", answered=answered
                ) from problem
            broke = f"the connection broke off ({str(problem).rstrip('.')})"
            raise _AgainError(broke, answered=answered) from problem
        if not answered:
            self._give_back()
            raise self._refusal(response, content)
        try:
            return self._reads(content, response.headers.get("Content-Type", ""))
        except SpoiltError as problem:
            raise _AgainError(str(problem), answered=True) from problem

    def _refusal(self, response: httpx.Response, content: bytes) -> Exception:
        """_AgainError, or the error when to ask again changes nothing."""
        code = response.status_code
        words = error_words(content, response.headers.get("Content-Type", ""))
        said = f"status {code} ({words or 'no reason given'})"
        if code in END_OF_RUN or response.is_redirect:
            return EndpointError(
                f"{self._endpoint.url} answers with {said}: look at --base-url, --model and "
                "SEGSEARCH_CAPTION_KEY."
            )
        if code not in RETRIED:
            return AnswerError(f"{self._endpoint.url} answers with {said}.")
        seconds = retry_after_seconds(response.headers.get("Retry-After"))
        if seconds > LONGEST_WAIT_SECONDS:
            return EndpointError(
                f"{self._endpoint.url} answers with {said}, and wants to be asked again in "
                f"{_in_words(seconds)} at the earliest: run it again then."
            )
        return _AgainError(said, seconds, for_all=code in SLOW_DOWN)

    def _pause_seconds(self, attempt: tenacity.RetryCallState) -> float:
        """Before the next attempt; all others wait as long where the refusal is meant for them."""
        failure: Any = attempt.outcome and attempt.outcome.exception()
        LOG.info("Asked %s in vain: %s.", self._endpoint.host, failure.reason)
        self.trouble = failure.reason
        backoff = self._endpoint.pause_seconds * 2.0 ** (attempt.attempt_number - 1)
        seconds: float = max(backoff, failure.seconds)
        if failure.for_all:
            with self._lock:
                self._not_before = max(self._not_before, time.monotonic() + seconds)
        return seconds

    def _is_my_turn(self) -> bool:
        """Wait until the endpoint may be asked; False when it may not be asked any more."""
        while not (self._halted.is_set() or self._cutoff.is_cut or self.is_over):
            with self._lock:
                left = self._not_before - time.monotonic()
            if left <= 0:
                return True
            self._halted.wait(min(left, self._until - time.monotonic()))
        return False

    def _take(self) -> bool:
        with self._lock:
            if self._most is not None and self.requests >= self._most:
                return False
            self.requests += 1
            return True

    def _give_back(self) -> None:
        with self._lock:
            self.requests -= 1


class _Patience(tenacity.stop.stop_base):
    """Ends the attempts at one request; those that may be billed count more than others. None is
    waited for that would come too late."""

    def __init__(self, until: float) -> None:
        self._until = until
        self._billed = 0

    def __call__(self, attempt: tenacity.RetryCallState) -> bool:
        failure: Any = attempt.outcome and attempt.outcome.exception()
        self._billed += failure.answered
        if time.monotonic() + attempt.upcoming_sleep >= self._until:
            return True
        return self._billed >= ATTEMPTS_BILLED or attempt.attempt_number >= ATTEMPTS


def _read(response: httpx.Response, most: int) -> bytes:
    """The body; AnswerError when a successful one is larger than that, else as much as allowed."""
    content = b""
    for piece in response.iter_bytes():
        content += piece
        if len(content) > most:
            if response.is_success:
                raise AnswerError(f"The answer has more than {most:,} bytes, which no model's has.")
            break
    return content[:most]


def retry_after_seconds(header: str | None) -> float:
    """Seconds that a Retry-After header asks for: a number, or a date (RFC 9110, 10.2.3); 0 for
    none, for one that has passed, and for what is neither, such as `inf`."""
    if not header:
        return 0.0
    try:
        seconds = float(header)
    except ValueError:
        try:
            at = parsedate_to_datetime(header)
        except ValueError:
            return 0.0
        at = at if at.tzinfo else at.replace(tzinfo=UTC)
        seconds = (at - datetime.now(UTC)).total_seconds()
    return max(0.0, seconds) if math.isfinite(seconds) else 0.0


def _in_words(seconds: float) -> str:
    if seconds < 1:
        return f"{seconds:.2g} s"
    for unit, long, most in (("s", 1, 600), ("min", 60, 7200), ("h", 3600, 172_800)):
        if seconds < most:
            return f"{seconds / long:.0f} {unit}"
    return f"{seconds / 86_400:,.0f} days"
