"""How often one caller may ask: a bucket for each, in this process, that nodes settle together.

No request waits for it: a node counts by itself, and tells the library's server once a second of
those who ask much, every five seconds of the others. What it hears back is what all nodes have let
through. So `n` nodes let at most `n - 1` times fifteen seconds' worth of requests through beyond
what one would, once; it is owed, and callers wait until it is paid back. While the server is away
each node counts for itself, and what it has counted then is forgotten.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass

import anyio
from anyio import CapacityLimiter, to_thread
from cachetools import LRUCache

from segsearch.core.errors import LibraryError, RateError
from segsearch.storage.catalog.sql_catalog import Catalog

LOG = logging.getLogger(__name__)
CALLERS_KEPT = 10_000
BURST_SECONDS = 10.0  # so much of a minute's requests may come at once
SETTLE_SECONDS = 1.0  # between two looks at what other nodes should hear of
CALM_SECONDS = 5.0  # for which those whose bucket is more than half full are not settled


@dataclass(slots=True)
class Bucket:
    """What a caller may still ask, as it was at a time; what no other node knows of yet, and when
    they were last told."""

    left: float
    at: float
    untold: int = 0
    told_at: float = 0.0


class RateLimiter:
    """A bucket for each caller of what may come so often, filled `per_minute`; 0 is no limit.

    `what` names that in the sentence of a refusal. For one thread alone.
    """

    def __init__(self, per_minute: int, what: str = "requests") -> None:
        self.per_second = per_minute / 60
        self.most = max(1.0, self.per_second * BURST_SECONDS)
        self._what = what
        self._buckets: LRUCache[str, Bucket] = LRUCache(CALLERS_KEPT)

    def take(self, caller: str, now: float) -> None:
        """Note that it came once; RateError when the caller's bucket is empty."""
        if not self.per_second:
            return
        bucket = self._buckets.get(caller) or Bucket(self.most, now, told_at=now)
        left = min(self.most, bucket.left + (now - bucket.at) * self.per_second)
        bucket.left, bucket.at = (left - 1 if left >= 1 else left), now
        if left >= 1:
            bucket.untold += 1
        self._buckets[caller] = bucket
        self._check(left)

    def due(self, now: float) -> dict[str, int]:
        """How often callers came that other nodes have not heard of and should; from here on they
        count as told. More than a bucket holds is what was counted without them, and is not told.
        """
        found = {}
        for caller, bucket in self._buckets.items():
            is_calm = bucket.left >= self.most / 2 and now - bucket.told_at < CALM_SECONDS
            if bucket.untold and not is_calm:
                found[caller] = min(bucket.untold, int(self.most))
                bucket.untold, bucket.told_at = 0, now
        return found

    def settled(self, remaining: Mapping[str, float], now: float) -> None:
        """Go on with what remains of buckets that all nodes take from."""
        for caller, left in remaining.items():
            if bucket := self._buckets.get(caller):
                bucket.left, bucket.at = left - bucket.untold, now

    def _check(self, left: float) -> None:
        if left < 1:
            seconds = (1 - left) / self.per_second
            raise RateError(
                f"More than {self.per_second * 60:.0f} {self._what} a minute, allowed by "
                f"SEGSEARCH_RATE_PER_MINUTE: the next one in {seconds:.1f} seconds.",
                seconds=seconds,
            )


class SharedRates:
    """Has the nodes of a library settle their limiters, each under its name, once a second."""

    def __init__(self, catalog: Catalog, limiters: Mapping[str, RateLimiter]) -> None:
        self._catalog = catalog
        self._limiters = {name: each for name, each in limiters.items() if each.per_second}
        self._thread = CapacityLimiter(1)  # its own: a server that hangs takes nobody else's
        self._is_away = False

    async def run(self) -> None:
        """Settle until cancelled; at once over for a library whose nodes share nothing."""
        if not self._limiters or not self._catalog.shares_limits:
            return
        while True:
            await anyio.sleep(SETTLE_SECONDS)
            for name in self._limiters:
                await self.settle(name)

    async def settle(self, name: str) -> None:
        """Tell the other nodes what one limiter has let through, and hear what they have."""
        limiter = self._limiters[name]
        due = limiter.due(time.monotonic())
        if not due:
            return
        callers = {_row(name, caller): caller for caller in due}
        spent = {row: due[caller] for row, caller in callers.items()}

        def work() -> dict[str, float]:
            return self._catalog.settle_requests(
                spent, per_second=limiter.per_second, most=limiter.most
            )

        try:
            left = await to_thread.run_sync(work, abandon_on_cancel=True, limiter=self._thread)
        except LibraryError as problem:
            if not self._is_away:
                LOG.warning(
                    "Each server counts requests for itself until the library's answers again: %s",
                    problem,
                    extra={"action": "api.limits_apart"},
                )
            self._is_away = True
            return
        self._is_away = False
        limiter.settled({callers[row]: rest for row, rest in left.items()}, time.monotonic())


def _row(name: str, caller: str) -> str:
    """What a caller is called on the server: not by its address."""
    return f"{name} {hashlib.sha256(caller.encode()).hexdigest()[:32]}"
