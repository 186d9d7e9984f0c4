"""Claims pictures from the catalog, has them described, commits; drains when told to stop.

A claim that was not finished is given back; one of a process that died is picked up by the next.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Self

from segsearch.core.arrays import PictureResult, PictureText
from segsearch.core.errors import (
    FileGoneError,
    LibraryError,
    ModelCrashError,
    ModelError,
    PictureError,
    SegSearchError,
    StoreError,
)
from segsearch.core.names import split_shot
from segsearch.core.settings import Settings
from segsearch.core.types import LONGEST_PAUSE_SECONDS, Claim, Setback, Task
from segsearch.ingest.model_child import TRIAL
from segsearch.storage.catalog.sql_catalog import Catalog
from segsearch.storage.owners import is_gone, owner_of_this_process

LOG = logging.getLogger(__name__)
CRASHES = 2  # a picture that ends this many model processes is quarantined
OUTSIDE_KILLS = 8  # kills that nobody can tell from bad luck; past them it is the picture
DEVICE_FAULTS = 3  # so many pictures in a row, and it is asked whether the accelerator works at all
TRIES = 3  # of a picture over which the models raise an error
MAX_LANES = 8  # a lane holds a whole picture in memory
LOOK_SECONDS = 0.2  # between two looks at `stop` while a picture is under way
Described = Callable[[Claim], PictureResult]


@dataclass(frozen=True, slots=True)
class Step:
    """One picture dealt with: how many segments it gave, or why none; `again` when it is put back
    to be tried once more. `lines` of text, None where it was not read."""

    path: str
    segments: int
    reason: str | None
    again: bool = False
    lines: int | None = None

    @property
    def video_seconds(self) -> float | None:
        """How long a shot of a video lasts that was described, which gives a segment at least; None
        of what is none, and where its text alone was read."""
        shot = split_shot(self.path) if self.reason is None and self.segments else None
        return shot[2] - shot[1] if shot else None


@dataclass(frozen=True, slots=True)
class Pace:
    """How many pictures side by side, and the times a worker keeps to, in seconds."""

    lanes: int
    lease_seconds: float = 60.0
    picture_seconds: float = 900.0
    retry_seconds: float = 5.0
    drain_seconds: float = 60.0

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """What settings say; without a number of lanes, one for each processor."""
        return cls(
            lanes=settings.lanes or min(os.cpu_count() or 1, MAX_LANES),
            lease_seconds=settings.lease_seconds,
            picture_seconds=settings.picture_seconds,
            retry_seconds=settings.retry_seconds,
            drain_seconds=settings.drain_seconds,
        )


@dataclass(frozen=True, slots=True)
class WorkQueue:
    """One of the two queues of a recipe. A worker of one that `yields` ends once pictures wait to
    be described: they come first."""

    recipe_id: int
    task: Task = "describe"
    yields: bool = False


class Worker:
    """One process's hands on one library and recipe, and one of its queues.

    `describe` is called for `pace.lanes` pictures side by side, each in its own thread: the models
    are small against a processor, and two threads on one picture wait for each other more than
    they help. Commits happen in the caller's thread, in the order in which pictures are done: one
    that takes long holds up no other, and at most one more than there are lanes is held. `abandon`
    is called when draining takes too long; it makes every `describe` return or raise soon.
    """

    def __init__(
        self,
        catalog: Catalog,
        queue: WorkQueue,
        describe: Described,
        pace: Pace,
        *,
        abandon: Callable[[], None] = lambda: None,
    ) -> None:
        self._catalog = catalog
        self._recipe_id = queue.recipe_id
        self._queue = queue
        self._task = queue.task
        self._describe = describe
        self._pace = pace
        self._abandon = abandon
        self._owner = owner_of_this_process()
        self._held: dict[Future[PictureResult], Claim] = {}  # in the order of the claims
        self._since: dict[int, float] = {}  # image id -> when it was claimed
        self._device_faults: set[int] = set()  # ids of images since the last one described

    def run(
        self,
        report: Callable[[Step], None],
        stop: threading.Event,
        more: Callable[[], bool] = lambda: False,
    ) -> None:
        """Deal with every waiting picture; `report` hears of each.

        ModelError when the accelerator fails over every picture, also over one of our own: they
        wait, and nothing is held against them. After `stop` is set, pictures under way are finished
        within `drain_seconds`; the others are given back. Pictures put back for a pause are waited
        for, and so are those that somebody still enters: as long as there will be `more`.
        """
        self._catalog.release(self._recipe_id, is_gone, interrupted=True)
        with ThreadPoolExecutor(self._pace.lanes, "lane") as threads, self._heartbeats():
            try:
                while self._fill(threads, stop, more):
                    for future in self._next(stop):
                        report(self._finish(self._held.pop(future), future))
                self._drain(report)
            finally:
                for future in self._held:
                    future.cancel()
                with contextlib.suppress(LibraryError):  # whatever ended the run is what counts
                    self._catalog.release(self._recipe_id, lambda owner: owner == self._owner)
                self._held.clear()

    def _fill(
        self, threads: ThreadPoolExecutor, stop: threading.Event, more: Callable[[], bool]
    ) -> bool:
        """Claim for every lane, and one more so that none stands idle; False at the end."""
        while not stop.is_set():
            is_last_look = not more()  # before it: what is entered in between is not missed
            while len(self._held) <= self._pace.lanes and not self._gives_way():
                seconds = self._pace.lease_seconds
                claim = self._catalog.claim(self._recipe_id, self._owner, seconds, self._task)
                if claim is None:
                    break
                self._since[claim.image_id] = time.monotonic()
                self._held[threads.submit(self._describe, claim)] = claim
            if self._held:
                return True
            if self._gives_way():
                return False
            pause = self._catalog.retry_seconds(self._recipe_id, self._task)
            if pause is None and is_last_look:
                return False
            stop.wait(LOOK_SECONDS if pause is None else min(pause, 1.0) + 0.01)
        return False

    def _gives_way(self) -> bool:
        return self._queue.yields and self._catalog.has_waiting(self._recipe_id)

    def _next(self, stop: threading.Event) -> list[Future[PictureResult]]:
        """What is described by now, at least one, in the order of the claims; nothing when `stop`
        comes first, or when a lane is free and something may have come to fill it."""
        while not stop.is_set():
            done = wait(self._held, LOOK_SECONDS, FIRST_COMPLETED).done
            if done:
                return [future for future in self._held if future in done]
            if len(self._held) < self._pace.lanes:
                break
        return []

    def _drain(self, report: Callable[[Step], None]) -> None:
        """Finish what is under way, within the time set for it."""
        started = {future: claim for future, claim in self._held.items() if not future.cancel()}
        deadline = time.monotonic() + self._pace.drain_seconds
        while started:
            left = max(0.0, deadline - time.monotonic())
            done = wait(started, left, FIRST_COMPLETED).done
            if not done:
                break
            for future in done:
                report(self._finish(started.pop(future), future))
        if started:
            LOG.info("Gave up %d pictures: draining took too long.", len(started))
            self._abandon()

    @contextlib.contextmanager
    def _heartbeats(self) -> Iterator[None]:
        """Extend the leases of what is held, unless it has been held for far too long."""
        ended = threading.Event()

        def beat() -> None:
            while not ended.wait(self._pace.lease_seconds / 3):
                latest = time.monotonic() - 2 * self._pace.picture_seconds
                held = list(self._held.values())
                alive = [claim for claim in held if self._since.get(claim.image_id, 0) > latest]
                with contextlib.suppress(LibraryError):
                    self._catalog.extend(alive, self._pace.lease_seconds)

        thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def _finish(self, claim: Claim, future: Future[PictureResult]) -> Step:
        """Commit a picture that is described, or note why it is not."""
        path = claim.paths[0] if claim.paths else claim.sha256
        self._since.pop(claim.image_id, None)
        try:
            result = future.result()
        except StoreError as problem:
            return self._away(claim, path, str(problem))
        except PictureError as problem:
            self._catalog.fail(claim, str(problem), gone=isinstance(problem, FileGoneError))
            return Step(path, 0, str(problem))
        except ModelCrashError as crash:
            step = self._crashed(claim, path, crash)
            self._doubt_device(claim, crash)
            return step
        except SegSearchError:
            raise
        except Exception as problem:  # the models' own errors, of any kind
            LOG.exception("The models failed on %s.", path, extra={"action": "picture.error"})
            return self._failed(claim, path, str(problem))
        if not self._commit(claim, result):
            extra = {"action": "picture.late", "image_id": claim.image_id}
            LOG.info("%s: another worker has taken it over; nothing is stored.", path, extra=extra)
            return Step(path, 0, "Another worker has taken this picture over.", again=True)
        self._device_faults.clear()
        text = result if isinstance(result, PictureText) else result.text
        count = 0 if isinstance(result, PictureText) else len(result.segments)
        count += len(text.regions) if text else 0
        lines = len(text.lines) if text else None
        extra = {"action": "picture.done", "image_id": claim.image_id}
        said = "not read" if lines is None else f"{lines} lines"
        verb = "Read" if isinstance(result, PictureText) else "Indexed"
        LOG.info("%s %s: %d segments, %s.", verb, path, count, said, extra=extra)
        return Step(path, count, None, lines=lines)

    def _commit(self, claim: Claim, result: PictureResult) -> bool:
        if isinstance(result, PictureText):
            return self._catalog.commit_text(claim, result)
        return self._catalog.commit(claim, result)

    def _crashed(self, claim: Claim, path: str, crash: ModelCrashError) -> Step:
        """Try again later, once; a kill from outside is not held against the picture."""
        extra = {"action": "picture.crash", "image_id": claim.image_id, "kind": crash.kind}
        LOG.warning("%s: the model process ended: %s.", path, crash.kind, extra=extra)
        counts: Setback = "interruptions" if crash.from_outside else "crashes"
        tries = claim.interruptions if crash.from_outside else claim.crashes
        if tries + 1 < (OUTSIDE_KILLS if crash.from_outside else CRASHES):
            reason = f"The model process ended: {crash.kind}."
            return self._put_back(claim, path, reason, tries, counts)
        reason = f"It crashed the models {tries + 1} times: {crash.kind}."
        if crash.from_outside:
            reason = f"It was under way {tries + 1} times when a process was killed: {crash.kind}."
        self._catalog.quarantine(claim, reason)
        return Step(path, 0, reason)

    def _doubt_device(self, claim: Claim, crash: ModelCrashError) -> None:
        """ModelError where the accelerator fails whatever the picture; what it was held against
        waits again as if nothing had been."""
        if not crash.of_device:
            return
        self._device_faults.add(claim.image_id)
        if len(self._device_faults) < DEVICE_FAULTS:
            return
        try:
            self._describe(TRIAL)
        except ModelCrashError as again:
            if not again.of_device:
                return  # killed, for one: the next fault asks again
            count = len(self._device_faults)
            faulted = sorted(self._device_faults)
            self._catalog.forgive_crash(self._recipe_id, faulted, self._task)
            why = crash.kind.partition("\n")[0].rstrip(".")
            raise ModelError(
                f"The accelerator fails over every picture, {count} in a row and one of our own: "
                f"{why}. They wait, and nothing is held against them. See whether other programs "
                "can use it, or set SEGSEARCH_DEVICE to cpu."
            ) from again
        except SegSearchError:
            raise
        except Exception:
            LOG.exception("The models failed on a picture of our own.")  # but the accelerator works
        self._device_faults.clear()

    def _failed(self, claim: Claim, path: str, problem: str) -> Step:
        """Try again later, twice."""
        if claim.errors + 1 < TRIES:
            return self._put_back(claim, path, problem, claim.errors, "errors")
        reason = f"The models failed on it: {problem.rstrip('.')}."
        self._catalog.fail(claim, reason)
        return Step(path, 0, reason)

    def _away(self, claim: Claim, path: str, problem: str) -> Step:
        """Ask a store again later, twice; then it counts as gone until it is listed again."""
        if claim.errors + 1 < TRIES:
            return self._put_back(claim, path, problem, claim.errors, "errors")
        self._catalog.fail(claim, problem, gone=True)
        return Step(path, 0, problem)

    def _put_back(self, claim: Claim, path: str, reason: str, tries: int, counts: Setback) -> Step:
        """Put a picture back for a pause that doubles with each try."""
        pause = min(self._pace.retry_seconds * 2.0**tries, LONGEST_PAUSE_SECONDS)
        self._catalog.put_back(claim, reason, pause_seconds=pause, counts=counts)
        return Step(path, 0, reason, again=True)
