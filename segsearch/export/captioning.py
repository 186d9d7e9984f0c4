"""Has regions described by a vision model and keeps each caption as soon as it is there.

Killed at any instant, it has lost at most the captions under way: run again, it sends only what
has none by this model to this prompt.
"""

from __future__ import annotations

import hashlib
import itertools
import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass, field
from typing import Any

from segsearch.core.errors import (
    AnswerError,
    EndpointError,
    NotFoundError,
    PictureError,
    QueryError,
)
from segsearch.core.types import Hit, Origin
from segsearch.export.caption_pack import QUESTION, RegionSources, messages, views
from segsearch.export.vision_chat import Endpoint, VisionChat
from segsearch.storage.catalog.sql_catalog import Catalog

LOG = logging.getLogger(__name__)
BATCH = 500  # regions looked up at once
POLL_SECONDS = 0.2
MOST_AT_ONCE = 64
DRAWN_AT_ONCE = 4  # decoded pictures, 600 MB each at most
MOST_IN_A_ROW = 10  # regions without a caption, then it is the endpoint and not the regions
Report = Callable[["CaptionReport"], None]


@dataclass(frozen=True, slots=True)
class CaptionOptions:
    """What to ask, how many regions at once, and the most requests that may be billed."""

    prompt: str = QUESTION
    at_once: int = 4
    most: int | None = None

    def __post_init__(self) -> None:
        if not self.prompt.strip():
            raise QueryError("The prompt is empty.")
        if not 1 <= self.at_once <= MOST_AT_ONCE:
            raise QueryError(
                f"{self.at_once} requests at once, expected 1 to {MOST_AT_ONCE} (--at-once)."
            )
        if self.most is not None and self.most < 1:
            raise QueryError(f"At most {self.most} requests, expected 1 or more (--most).")


@dataclass(slots=True)
class CaptionReport:
    """What a run did: `requests` may be billed, `already` had a caption, `failed` has reasons by
    segment id; `is_spent` when `most` ended it before the last region."""

    captioned: int = 0
    already: int = 0
    requests: int = 0
    is_spent: bool = False
    seconds: float = 0.0
    failed: dict[int, str] = field(default_factory=dict)


def origin_of(endpoint: Endpoint, prompt: str) -> Origin:
    """Who will have said the captions."""
    return Origin(endpoint.model, endpoint.host, hashlib.sha256(prompt.encode()).hexdigest())


def caption(  # noqa: PLR0913  what to caption, from where, to where, by whom, and how
    hits: Iterable[Hit],
    sources: RegionSources,
    captions: Catalog,
    endpoint: Endpoint,
    options: CaptionOptions,
    *,
    stop: threading.Event | None = None,
    report: Report | None = None,
) -> CaptionReport:
    """Caption regions that have no caption by this model to this prompt.

    Set `stop` to end it after the requests under way. EndpointError when the endpoint cannot be
    used or fails ten regions in a row; captions that came before are kept. ReadOnlyError before
    anything is sent.
    """
    origin = origin_of(endpoint, options.prompt)
    captions.add_caption(0, "", origin)  # keeps nothing, but says now if nothing can be kept
    with VisionChat(endpoint, options.most) as chat:
        run = _CaptionRun(chat, sources, captions, origin, options.prompt)
        run.caption_all(
            hits, options.at_once, stop or threading.Event(), report or (lambda _: None)
        )
    return run.report


class _CaptionRun:
    """One run: threads ask the endpoint, the caller's thread writes captions down."""

    def __init__(
        self,
        chat: VisionChat,
        sources: RegionSources,
        captions: Catalog,
        origin: Origin,
        prompt: str,
    ) -> None:
        self._chat = chat
        self._sources = sources
        self._captions = captions
        self._origin = origin
        self._prompt = prompt
        self._drawing = threading.BoundedSemaphore(DRAWN_AT_ONCE)
        self._failed_in_a_row = 0
        self._postponed: list[Hit] = []
        self._started = time.monotonic()
        self.report = CaptionReport()

    def caption_all(
        self, hits: Iterable[Hit], at_once: int, stop: threading.Event, report: Report
    ) -> None:
        """Keep `at_once` requests under way, and as many more waiting, until all are done."""
        waiting: dict[Future[str | None], Hit] = {}
        todo = self._without_caption(hits)
        with ThreadPoolExecutor(at_once, thread_name_prefix="caption") as pool:
            try:
                while not stop.is_set():
                    room = 0 if self._chat.is_spent else 2 * at_once - len(waiting)
                    for hit in self._next(todo, room):
                        waiting[pool.submit(self._ask, hit)] = hit
                    if not waiting:
                        break
                    self._write_answers(waiting, report)
                self._chat.halt()
                while waiting:
                    self._write_answers(waiting, report)
                left = bool(self._postponed) or next(todo, None) is not None
                self.report.is_spent = self._chat.is_spent and left
            except Exception:
                self._chat.halt()
                self._write_the_rest(waiting)
                raise
            finally:
                self._chat.halt()
                self._count()

    def _without_caption(self, hits: Iterable[Hit]) -> Iterator[Hit]:
        each = iter(hits)
        while batch := list(itertools.islice(each, BATCH)):
            done = self._captions.captioned([hit.segment.id for hit in batch], self._origin)
            self.report.already += len(done)
            yield from (hit for hit in batch if hit.segment.id not in done)

    def _ask(self, hit: Hit) -> str | None:
        with self._drawing:
            # By no name of its own: it would be held until the answer is there.
            shown = views(self._sources.pixels(hit.image.id, hit.segment.seen_at), hit.segment.mask)
        return self._chat.ask(messages(*shown, self._prompt))

    def _next(self, todo: Iterator[Hit], room: int) -> list[Hit]:
        """Regions to send: first those for which the budget had no room just then."""
        again, self._postponed = self._postponed[:room], self._postponed[room:]
        return [*again, *itertools.islice(todo, room - len(again))]

    def _write_answers(self, waiting: dict[Future[str | None], Hit], report: Report) -> None:
        """Write down what has been answered."""
        done, _ = wait(waiting, timeout=POLL_SECONDS, return_when=FIRST_COMPLETED)
        for future in done:
            self._write(waiting.pop(future), future)
        if done:
            self._count()
            report(self.report)

    def _write(self, hit: Hit, future: Future[str | None]) -> None:
        segment_id = hit.segment.id
        try:
            text = future.result()
        except (NotFoundError, PictureError) as problem:  # the region's own fault
            self.report.failed[segment_id] = str(problem)
            return
        except AnswerError as problem:
            self.report.failed[segment_id] = str(problem)
            self._failed_in_a_row += 1
            if self._failed_in_a_row >= MOST_IN_A_ROW:
                raise EndpointError(
                    f"{MOST_IN_A_ROW} regions in a row got no caption. The last: {problem}"
                ) from problem
            return
        if text is None:
            self._postponed.append(hit)
            return
        self._failed_in_a_row = 0
        if self._captions.add_caption(segment_id, text, self._origin):
            self.report.captioned += 1
        else:
            self.report.failed[segment_id] = "The region was removed while it was described."

    def _write_the_rest(self, waiting: dict[Future[str | None], Hit]) -> None:
        """What is under way may be billed: keep it, whatever else went wrong."""
        for future in waiting:
            future.cancel()
        for future in wait([future for future in waiting if not future.cancelled()]).done:
            if future.exception() is None and (text := future.result()):
                self.report.captioned += self._captions.add_caption(
                    waiting[future].segment.id, text, self._origin
                )

    def _count(self) -> None:
        self.report.requests = self._chat.requests
        self.report.seconds = time.monotonic() - self._started


def caption_report_document(report: CaptionReport) -> dict[str, Any]:
    """What a run did, as plain values."""
    failed = [
        {"segment_id": segment_id, "reason": reason}
        for segment_id, reason in sorted(report.failed.items())
    ]
    return {**asdict(report), "failed": failed, "seconds": round(report.seconds, 3)}
