"""Claims pictures from the catalog, runs the pipeline on them, commits; stops between pictures.

A claim that was not finished is given
back; one of a process that died is picked up by the next.
"""

from __future__ import annotations

import hashlib
import logging
import os
import socket
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from segsearch.decode import Limits, decode
from segsearch.domain import PictureInfo
from segsearch.errors import PictureError
from segsearch.pipeline import Pipeline
from segsearch.ports import Catalog, Claim, DescribedPicture, Pixels

LOG = logging.getLogger(__name__)
Decoded = tuple[Pixels, PictureInfo]


@dataclass(frozen=True, slots=True)
class Step:
    """One picture dealt with: how many segments it gave, or why none."""

    path: str
    segments: int
    reason: str | None


class Worker:
    """One process's hands on one library and recipe.

    `lanes` pictures are read, decoded and described side by side, each by one thread: the models
    are small against a processor, and two threads on one picture wait for each other more than
    they help. Commits happen in the order of the claims, in the caller's thread.
    """

    def __init__(
        self,
        catalog: Catalog,
        recipe_id: int,
        models: Callable[[], Pipeline],
        *,
        read: Callable[[str], bytes],
        limits: Limits,
        lease_seconds: float,
        lanes: int,
    ) -> None:
        self._catalog = catalog
        self._recipe_id = recipe_id
        self._models = models
        self._read = read
        self._limits = limits
        self._lease_seconds = lease_seconds
        self._lanes = lanes
        self._owner = owner_of_this_process()

    def run(self, report: Callable[[Step], None], stop: threading.Event) -> None:
        """Deal with every waiting picture; `report` hears of each, `stop` ends after the current.

        Models load only when there is a picture to look at.
        """
        self._catalog.release(self._recipe_id, is_gone)
        waiting: deque[tuple[Claim, Future[DescribedPicture]]] = deque()
        with ThreadPoolExecutor(self._lanes, "lane") as threads:
            try:
                self._fill(waiting, threads)
                while waiting and not stop.is_set():
                    report(self._finish(*waiting.popleft()))
                    self._fill(waiting, threads)
            finally:
                for _, future in waiting:
                    future.cancel()
                self._catalog.release(self._recipe_id, lambda owner: owner == self._owner)

    def _fill(
        self, waiting: deque[tuple[Claim, Future[DescribedPicture]]], threads: ThreadPoolExecutor
    ) -> None:
        while len(waiting) <= self._lanes:  # one more than run, so that no lane stands idle
            claim = self._catalog.claim(self._recipe_id, self._owner, self._lease_seconds)
            if claim is None:
                return
            waiting.append((claim, threads.submit(self._describe, claim)))

    def _describe(self, claim: Claim) -> DescribedPicture:
        return self._models().describe(*read_claimed(claim, self._read, self._limits))

    def _finish(self, claim: Claim, future: Future[DescribedPicture]) -> Step:
        path = claim.paths[0] if claim.paths else claim.sha256
        try:
            picture = future.result()
        except PictureError as problem:
            self._catalog.fail(claim, str(problem))
            return Step(path, 0, str(problem))
        if not self._catalog.commit(claim, picture):
            return Step(path, 0, "Another worker has taken this picture over.")
        extra = {"action": "picture.done", "image_id": claim.image_id}
        LOG.info("Indexed %s: %d segments.", path, len(picture.segments), extra=extra)
        return Step(path, len(picture.segments), None)


def read_claimed(claim: Claim, read: Callable[[str], bytes], limits: Limits) -> Decoded:
    """The picture of a claim from the first of its paths that still holds the same bytes."""
    problem = PictureError("The file is gone.")
    for path in claim.paths:
        try:
            data = read(path)
        except PictureError as found:
            problem = found
            continue
        if hashlib.sha256(data).hexdigest() == claim.sha256:
            return decode(data, limits)
        problem = PictureError("The file changed after it was found; index it again.")
    raise problem


def owner_of_this_process() -> str:
    """`host:process:start`, unique for as long as the machine runs."""
    return f"{socket.gethostname()}:{os.getpid()}:{_started(os.getpid())}"


def is_gone(owner: str) -> bool:
    """Whether an owner was a process of this machine that no longer runs."""
    host, number, started = owner.rsplit(":", 2)
    if host != socket.gethostname():
        return False
    return _started(int(number)) != started


def _started(process: int) -> str:
    """When a process began, in clock ticks since boot; empty when it does not run.

    A process number alone would do harm: numbers are given out again.
    """
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        return fields[19]
    except (OSError, IndexError):
        pass
    try:
        os.kill(process, 0)  # systems without /proc
    except ProcessLookupError:
        return ""
    except PermissionError:
        pass
    return "running"
