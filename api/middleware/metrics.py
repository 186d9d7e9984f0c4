"""Around every request: an id to find it by, a measurement, security headers, and the last resort.

Metrics are counted a process; what the library holds is asked of the catalog at each look.
"""

from __future__ import annotations

import logging
import re
import time
import uuid
from collections.abc import Iterator
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from segsearch.core.errors import SegSearchError
from segsearch_api.deps import Shared
from segsearch_api.errors import CODE_KEY, refusal

LOG = logging.getLogger(__name__)
REQUEST_ID = "X-Request-Id"
REQUEST_ID_KEY = "segsearch.request_id"  # where a request's scope keeps it
_GIVEN_ID = re.compile(r"^[\w.:-]{1,128}$", re.ASCII)
BUCKETS_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
# Scripts, styles and pictures come from this server alone.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
# The page also shows pictures that it has in memory, what is dropped on it and what it draws, and
# plays videos of this server.
PAGE_POLICY = CONTENT_SECURITY_POLICY.replace(
    "img-src 'self'", "img-src 'self' blob: data:; media-src 'self'"
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


class Metrics:
    """One application's registry: requests, refusals, the process, and the library behind it."""

    def __init__(self, shared: Shared) -> None:
        self.registry = CollectorRegistry()
        self.seconds = Histogram(
            "segsearch_request_seconds",
            "Time from a request's headers to the end of its answer.",
            ("method", "route", "status"),
            registry=self.registry,
            buckets=BUCKETS_SECONDS,
        )
        self.problems = Counter(
            "segsearch_problems", "Refused requests by code.", ("code",), registry=self.registry
        )
        ProcessCollector(registry=self.registry)
        self.registry.register(LibraryCollector(shared))


class LibraryCollector(Collector):
    """What the library holds, and which requests wait, asked for at each look."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared

    def describe(self) -> list[GaugeMetricFamily]:
        return []  # nothing is asked of the catalog before the first look

    def collect(self) -> Iterator[GaugeMetricFamily]:
        lanes = GaugeMetricFamily(
            "segsearch_callers", "Requests that are worked on or wait, by lane.", labels=["lane"]
        )
        for lane in self._shared.lanes:
            lanes.add_metric([lane.what], lane.inside)
        yield lanes
        try:
            held = self._shared.library.catalog.statistics()["states"]
            jobs = self._shared.library.jobs(running=True)
        except SegSearchError as problem:
            yield GaugeMetricFamily("segsearch_catalog_up", "Whether it can be read.", 0)
            LOG.warning("No metrics of the library: %s", problem, extra={"action": "api.metrics"})
            return
        yield GaugeMetricFamily("segsearch_catalog_up", "Whether it can be read.", 1)
        images = GaugeMetricFamily(
            "segsearch_images",
            "Images by state: pending and running are the queue; done grows by images a second.",
            labels=["state"],
        )
        for state in ("pending", "running", "done", "failed", "quarantined"):
            images.add_metric([state], held.get(state, 0))
        yield images
        yield GaugeMetricFamily("segsearch_jobs_running", "Runs that fill the library.", len(jobs))


class FailureMiddleware:
    """ASGI middleware: answers what nobody foresaw, and logs it under the request's id."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        has_begun = False

        async def send_noted(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await self._app(scope, receive, send_noted)
        except Exception:
            if scope["type"] != "http":
                raise
            request_id = scope[REQUEST_ID_KEY]
            LOG.exception(
                "Request %s to %s failed.",
                request_id,
                scope["path"],
                extra={"action": "api.fail", "request_id": request_id},
            )
            if has_begun:  # only breaking it off tells the caller
                raise
            sentence = f"The server failed on request {request_id}; its log says more."
            await refusal(500, sentence)(scope, receive, send)


class MetricsMiddleware:
    """ASGI middleware, around all that answers: it measures every request, whatever answers it."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.perf_counter(), 0
        given = Headers(scope=scope).get(REQUEST_ID, "")
        request_id = given if _GIVEN_ID.match(given) else uuid.uuid4().hex

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers[REQUEST_ID] = request_id
                for name, text in HEADERS.items():
                    headers.setdefault(name, text)  # the page has a policy of its own
            await send(message)

        scope[REQUEST_ID_KEY] = request_id
        try:
            await self._app(scope, receive, send_with_headers)
        finally:
            self._note(scope, status, time.perf_counter() - started)

    def _note(self, scope: dict[str, Any] | Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "none")
        labels = (scope["method"], route, str(status))
        if scope["method"] in KNOWN_METHODS:  # a caller could invent any number of others
            self._metrics.seconds.labels(*labels).observe(seconds)
        if CODE_KEY in scope:
            self._metrics.problems.labels(scope[CODE_KEY]).inc()


KNOWN_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
