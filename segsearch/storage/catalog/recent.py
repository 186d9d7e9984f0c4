"""Keeps what takes long to find out for a few seconds, though something else was written."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, NamedTuple, TypeVar

HELD_SECONDS = 5.0
Value = TypeVar("Value")


class Mark(NamedTuple):
    """How far a database has been written: `version` is another one after each commit, None where
    nobody can know; `edits` counts what people have changed through this process."""

    version: Hashable | None
    edits: int


class _Place(Generic[Value]):
    """One value, and what it was read under."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.kept: tuple[Value, Mark, float] | None = None


class Recent(Generic[Value]):
    """Values read of a catalog; each holds while nothing is written, and for 5 seconds whatever is
    written besides, such as how far a run is. What people change here is seen at once. Thread-safe.

    Of those who ask for the same value at once, one reads it. At most `most` values are kept, and
    but for the newest no more than are `largest` together by `size`.
    """

    def __init__(
        self,
        mark: Callable[[], Mark],
        *,
        most: int = 16,
        size: Callable[[Value], int] = lambda _: 0,
        largest: int = 0,
    ) -> None:
        self._mark = mark
        self._most = most
        self._size = size
        self._largest = largest
        self._lock = threading.Lock()
        self._places: OrderedDict[Hashable, _Place[Value]] = OrderedDict()

    def value(self, key: Hashable, read: Callable[[], Value]) -> Value:
        """What `read` returns, or has returned under this key not long ago."""
        with self._lock:
            place = self._places.setdefault(key, _Place())
            self._places.move_to_end(key)
            self._forget()
        with place.lock:
            mark = self._mark()  # first: what is read may be newer, and is then read again
            if place.kept is not None and _holds(place.kept[1], mark, place.kept[2]):
                return place.kept[0]
            fresh = read()
            place.kept = fresh, mark, time.monotonic()
        with self._lock:
            self._forget()
        return fresh

    def _forget(self) -> None:
        """Let go of what has not been asked for the longest, until the rest is small enough."""
        while len(self._places) > self._most or (len(self._places) > 1 and self._is_large()):
            self._places.popitem(last=False)

    def _is_large(self) -> bool:
        kept = [place.kept for place in self._places.values()]
        return sum(self._size(one[0]) for one in kept if one is not None) > self._largest


def _holds(then: Mark, now: Mark, read_at: float) -> bool:
    if now.version is not None and then.version == now.version:
        return True
    return then.edits == now.edits and time.monotonic() - read_at < HELD_SECONDS
