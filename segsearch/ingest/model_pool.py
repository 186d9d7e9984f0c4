"""Keeps the model processes of one library from run to run, and hands pictures to them.

On a CPU each caller gets a process of its own: threads of one would wait for each other. On any
other device all share one, so that there is one copy of the models there. A picture over which a
process ended is tried again alone, in a fresh one, before anything is held against it.
"""

from __future__ import annotations

import atexit
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from segsearch.core.arrays import PictureResult
from segsearch.core.errors import ModelCrashError
from segsearch.core.settings import Settings
from segsearch.core.types import Claim
from segsearch.ingest.model_process import ENDED, Lifetime, ModelProcess, ProcessRenewedError
from segsearch.models.pipeline import Models, Pipeline

Loaded = Callable[[str], object]  # hears the device on which the models are


class ModelProcesses:
    """The model processes of one recipe: as many as callers at once on a CPU, else one for all.

    Thread-safe.
    """

    def __init__(
        self, build: Callable[[], Pipeline], settings: Settings, lifetime: Lifetime
    ) -> None:
        self._make = partial(ModelProcess, build, settings, lifetime)
        self._turn = threading.Condition()
        self._is_shared = False if settings.device == "cpu" else None  # None: nobody knows yet
        self._is_starting = False
        self._idle: list[ModelProcess] = []
        self._all: list[ModelProcess] = []
        self._inside = 0
        self._waits_alone = 0
        self._is_alone = False
        self._is_closed = False
        self.last_used = time.monotonic()

    @property
    def pids(self) -> list[int]:
        """Process numbers of the children there are."""
        with self._turn:
            return [process.pid for process in self._all if process.pid is not None]

    @property
    def is_loaded(self) -> bool:
        """Whether the models are in the memory of a child."""
        with self._turn:
            return any(process.is_loaded for process in self._all)

    def describe(
        self,
        claim: Claim,
        has_ended: Callable[[], bool] = lambda: False,
        loaded: Loaded = lambda _: None,
    ) -> PictureResult:
        """What the models say of a claim's picture; errors as `ModelProcess.describe`, but for
        ProcessRenewedError. Once `has_ended`, nothing is begun any more: ModelCrashError. `loaded`
        hears the device once the models are there."""
        is_suspect = bool(claim.interruptions or claim.crashes or claim.errors)
        if not is_suspect:
            try:
                with self._process(has_ended, loaded, alone=False) as process:
                    return process.describe(claim)
            except ProcessRenewedError:
                pass  # by whatever was in there with it, or before it
        with self._process(has_ended, loaded, alone=True) as process:
            try:
                return process.describe(claim)
            except ProcessRenewedError as renewed:
                if has_ended():
                    raise ModelCrashError(ENDED, from_outside=True) from renewed
            try:
                return process.describe(claim)
            except ProcessRenewedError as renewed:
                raise renewed.crash from renewed

    @contextmanager
    def _process(
        self, has_ended: Callable[[], bool], loaded: Loaded, *, alone: bool
    ) -> Iterator[ModelProcess]:
        """A process for one picture; a shared one to itself when it is to be `alone`."""
        self._learn_device()
        with self._turn:
            self._waits_alone += alone
            try:
                self._turn.wait_for(lambda: self._may_enter(alone=alone))
            finally:
                self._waits_alone -= alone
            if has_ended() or self._is_closed:
                self._turn.notify_all()
                raise ModelCrashError(ENDED, from_outside=True)
            process = self._take()
            self._inside += 1
            self._is_alone = alone
        try:
            loaded(process.start())
            yield process
        finally:
            if self._is_closed:
                process.close()
            with self._turn:
                self._inside -= 1
                self._is_alone = False
                self.last_used = time.monotonic()
                if not self._is_shared:
                    self._idle.append(process)
                self._turn.notify_all()

    def _learn_device(self) -> None:
        """Start the first process, when nobody knows yet where the models run."""
        with self._turn:
            self._turn.wait_for(lambda: not self._is_starting)
            if self._is_shared is not None:
                return
            self._is_starting = True
            process = self._take()
        try:
            is_shared = process.start() != "cpu"
        except BaseException:
            is_shared = None
            raise
        finally:
            with self._turn:
                self._is_shared = is_shared
                self._is_starting = False
                self._idle.append(process)
                self._turn.notify_all()

    def _may_enter(self, *, alone: bool) -> bool:
        """Whether a picture may go to a process now, the lock held."""
        if not self._is_shared:
            return True
        if alone or not self._inside:
            return not self._inside and (alone or not self._waits_alone)
        is_open = not (self._is_alone or self._waits_alone)
        return is_open and not any(process.is_spent for process in self._all)

    def _take(self) -> ModelProcess:
        """The shared process, or an idle one of one's own; the lock held."""
        if self._is_shared:
            return self._all[0]
        if not self._idle:
            self._idle.append(self._make())
            self._all.append(self._idle[-1])
        return self._idle.pop()

    def kill(self) -> None:
        """End every child at once, whatever it does."""
        with self._turn:
            for process in self._all:
                process.kill(ENDED)
            self._turn.notify_all()

    def close(self) -> None:
        """End every child for good; what is with one is put back."""
        with self._turn:
            self._is_closed = True
            everyone = list(self._all)
            self._turn.notify_all()
        for process in everyone:
            process.close()


class Loan:
    """Model processes for one run. After `kill` every `describe` raises soon, and none begins."""

    def __init__(self, processes: ModelProcesses) -> None:
        self._processes = processes
        self._ended = threading.Event()

    @property
    def is_loaded(self) -> bool:
        """See `ModelProcesses.is_loaded`."""
        return self._processes.is_loaded

    def describe(self, claim: Claim, loaded: Loaded = lambda _: None) -> PictureResult:
        """See `ModelProcesses.describe`."""
        return self._processes.describe(claim, self._ended.is_set, loaded)

    def kill(self) -> None:
        """End what is under way at once."""
        self._ended.set()
        self._processes.kill()


class ModelPool:
    """The model processes of a library's recipe in use, lent to its runs one after the other.

    They go when another recipe is asked for, after `idle_seconds` without a picture, and with
    `close`, at the latest when the program ends. Thread-safe.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lifetime = Lifetime.of(settings)
        self._lock = threading.Lock()
        self._of: dict[str, ModelProcesses] = {}  # by fingerprint
        self._lent: dict[str, int] = {}  # how many runs have them
        self._timer: threading.Timer | None = None

    @property
    def pids(self) -> list[int]:
        """Process numbers of the children there are."""
        with self._lock:
            return [pid for processes in self._of.values() for pid in processes.pids]

    @contextmanager
    def lend(self, models: Models) -> Iterator[Loan]:
        """The processes of a recipe, which start when first asked for a picture."""
        fingerprint = models.recipe.fingerprint
        with self._lock:
            self._stop_timer()
            self._drop([other for other in self._of if other != fingerprint])
            if fingerprint not in self._of:
                if not self._of:  # at the end before multiprocessing's own, which waits for them
                    atexit.register(self.close)
                self._of[fingerprint] = ModelProcesses(
                    models.builder(), self._settings, self._lifetime
                )
            processes = self._of[fingerprint]
            self._lent[fingerprint] = self._lent.get(fingerprint, 0) + 1
        try:
            yield Loan(processes)
        finally:
            with self._lock:
                self._lent[fingerprint] -= 1
                self._rest()

    def _rest(self) -> None:
        """Let go of what has been idle for long enough, and look again when the next has."""
        self._stop_timer()
        now = time.monotonic()
        ends = {
            fingerprint: processes.last_used + self._lifetime.idle_seconds
            for fingerprint, processes in self._of.items()
            if not self._lent.get(fingerprint)
        }
        self._drop([fingerprint for fingerprint, end in ends.items() if end <= now])
        later = [end for end in ends.values() if end > now]
        if later:
            self._timer = threading.Timer(min(later) - now, self._look)
            self._timer.daemon = True
            self._timer.start()

    def _look(self) -> None:
        with self._lock:
            self._rest()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _drop(self, fingerprints: list[str]) -> None:
        """Close what no run has; the lock held."""
        for fingerprint in fingerprints:
            if not self._lent.get(fingerprint):
                self._of.pop(fingerprint).close()
        if not self._of:
            atexit.unregister(self.close)

    def close(self) -> None:
        """End every child."""
        with self._lock:
            self._stop_timer()
            for processes in self._of.values():
                processes.close()
            self._of.clear()
            atexit.unregister(self.close)
