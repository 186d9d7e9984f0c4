"""Clips that were just encoded, as files of this disk: a player asks for one in many parts, and
looks at it again."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from anyio import Event
from cachetools import LRUCache

from segsearch.media.sources.videos import SpooledFile

CLIPS_BYTES, MOST_CLIPS = 256_000_000, 64  # each holds an open file


class RunsWork(Protocol):
    """A lane of blocking work (`deps.Lane`)."""

    async def run(self, work: Callable[[], SpooledFile]) -> SpooledFile:
        """What `work` returns."""


class KeptClips:
    """Clips by their tags, those asked for last. Only the event loop touches it."""

    def __init__(self, most_bytes: int = CLIPS_BYTES) -> None:
        self._kept: LRUCache[str, SpooledFile] = LRUCache(
            most_bytes,
            getsizeof=lambda clip: max(clip.path.stat().st_size, most_bytes // MOST_CLIPS),
        )
        self._under_way: dict[str, Event] = {}

    async def get(self, tag: str, lane: RunsWork, make: Callable[[], SpooledFile]) -> SpooledFile:
        """The clip of a tag, made in the lane where it is not kept, once for all who wait. It is
        there for as long as it is held."""
        while tag not in self._kept and tag in self._under_way:
            await self._under_way[tag].wait()
        if tag in self._kept:
            return self._kept[tag]
        self._under_way[tag] = Event()
        try:
            clip = await lane.run(make)
            with suppress(ValueError):  # larger than all that is kept
                self._kept[tag] = clip
            return clip
        finally:
            self._under_way.pop(tag).set()
