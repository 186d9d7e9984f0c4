"""Runs the models in a process that may die: a crash costs one try of one picture, nothing else.

Processes are spawned, not forked (torch's threads do not survive a fork), and renewed after so many
pictures or so much growth, which bounds every leak, and after every fault that may have left them
unusable.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from itertools import count
from multiprocessing import connection as connections
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Self

from segsearch.core.arrays import PictureResult
from segsearch.core.errors import (
    FileGoneError,
    ModelCrashError,
    ModelError,
    PictureError,
    StoreError,
)
from segsearch.core.settings import Settings
from segsearch.core.types import Claim
from segsearch.ingest.model_child import LOADING, Answer, serve
from segsearch.models.pipeline import Pipeline

LOADING_SECONDS = 600.0
STATUS_SECONDS = 5.0  # another thread may be just asking for the status of a process that ended
OUT_OF_MEMORY = "out of memory"
ENDED = "ended by its worker"


@dataclass(frozen=True, slots=True)
class Lifetime:
    """When a model process is killed over one picture, when it is renewed between two, and how
    long it stays without any."""

    picture_seconds: float = 900.0
    pictures: int = 1000
    growth_bytes: int = 1_000_000_000
    idle_seconds: float = 300.0

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """What settings say."""
        return cls(
            picture_seconds=settings.picture_seconds,
            pictures=settings.recycle_pictures,
            growth_bytes=settings.recycle_bytes,
            idle_seconds=settings.idle_model_seconds,
        )


def _oom_kills() -> int:
    """How many processes the kernel has killed for memory since boot; 0 where it does not say."""
    try:
        rows = Path("/proc/vmstat").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(row.split()[1]) for row in rows if row.startswith("oom_kill "))


class ProcessRenewedError(Exception):
    """A process ended, or had to, for what may be none of this picture's doing: it was not alone
    in there, or others were there before. `crash` is what it would be if it were."""

    def __init__(self, crash: ModelCrashError) -> None:
        super().__init__(crash.kind)
        self.crash = crash


@dataclass(slots=True)
class _Asked:
    """A claim that is with a child. `first` of its pictures; `alone` while nothing else was."""

    first: bool
    alone: bool
    answer: Future[Answer] = field(default_factory=Future)
    oom_kills: int = field(default_factory=_oom_kills)

    def blamed(self, crash: ModelCrashError) -> Exception:
        """A crash, as far as it is this picture's."""
        return crash if self.alone or crash.from_outside else ProcessRenewedError(crash)


class _Child:
    """One child process, from its start to its end; a thread hears what it says."""

    def __init__(self, build: Callable[[], Pipeline], settings: Settings) -> None:
        context = get_context("spawn")
        self._connection, theirs = context.Pipe()
        arguments = (theirs, build, settings)
        self.process: SpawnProcess = context.Process(target=serve, args=arguments, daemon=True)
        self._lock = threading.Lock()
        self._asked: dict[int, _Asked] = {LOADING: _Asked(first=False, alone=True)}
        self._numbers = count(LOADING + 1)
        self._loading = self._asked[LOADING]
        self._killed_for: str | None = None
        self._slow: _Asked | None = None
        self._is_doomed = False  # its accelerator has failed
        self._exit_code: int | None = None
        self.first_bytes = 0
        self.pictures = 0
        self.is_spent = False  # no further picture may go to it
        self.process.start()
        theirs.close()
        self._listener = threading.Thread(
            target=_listen, args=[self, self._connection], name="model process", daemon=True
        )
        self._listener.start()

    @property
    def is_loaded(self) -> bool:
        """Whether it has said how loading went."""
        return self._loading.answer.done()

    def device(self) -> str:
        """Where the models run, once they are loaded; ModelError when they cannot be."""
        try:
            answer = self._await(self._loading, LOADING_SECONDS)
        except ModelCrashError as problem:
            if problem.from_outside:
                raise
            raise ModelError(f"The models could not be loaded: {problem.kind}.") from problem
        if answer.kind != "ready":
            raise ModelError(answer.content)
        return str(answer.content)

    def describe(self, claim: Claim, seconds: float) -> tuple[Answer, _Asked]:
        """What the child says of a claim."""
        with self._lock:
            asked = _Asked(first=self.pictures == 0, alone=not (self._asked or self._is_doomed))
            for other in self._asked.values():
                other.alone = False
            self.pictures += 1
            number = next(self._numbers)
            self._asked[number] = asked
            is_gone = self._exit_code is not None
            if not is_gone:
                with contextlib.suppress(OSError):  # one that is gone is found by the listener
                    self._connection.send((number, claim))
        if is_gone:
            self.ended(self._exit_code or 0)
        return self._await(asked, seconds), asked

    def _await(self, asked: _Asked, seconds: float) -> Answer:
        try:
            return asked.answer.result(seconds)
        except TimeoutError:
            self._slow = asked
            self.kill(f"took longer than {seconds:g} seconds")
            return asked.answer.result()

    def kill(self, why: str) -> None:
        """End it at once, for a reason that those who wait are told."""
        self._killed_for = self._killed_for or why
        self.process.kill()

    def end(self) -> None:
        """Kill it, and see that it is gone."""
        self.kill(ENDED)
        self._listener.join()

    def answered(self, answer: Answer) -> None:
        """Hand on what the child has said."""
        with self._lock:
            asked = self._asked.pop(answer.number)
            self._is_doomed |= answer.kind == "accelerator"
        asked.answer.set_result(answer)

    def ended(self, exit_code: int) -> None:
        """Tell all who wait that the child is gone."""
        with self._lock:
            self._exit_code = exit_code
            left = list(self._asked.values())
            self._asked.clear()
        for asked in left:
            asked.answer.set_exception(self._verdict(asked, exit_code))

    def _verdict(self, asked: _Asked, exit_code: int) -> Exception:
        if self._killed_for:
            crash = ModelCrashError(self._killed_for, from_outside=self._killed_for == ENDED)
            return crash if asked is self._slow else asked.blamed(crash)
        if exit_code != -signal.SIGKILL:
            return asked.blamed(ModelCrashError(crash_kind(exit_code)))
        if _oom_kills() > asked.oom_kills:
            return asked.blamed(ModelCrashError(f"{OUT_OF_MEMORY} (killed by the kernel)"))
        # No program kills itself this way: it was a person, or a watchdog.
        return ModelCrashError("killed from outside (SIGKILL)", from_outside=True)


class ModelProcess:
    """One child process at a time that describes pictures; started when first needed.

    `build` is called in the child and must be picklable. Thread-safe: callers side by side share
    the child.
    """

    def __init__(
        self, build: Callable[[], Pipeline], settings: Settings, lifetime: Lifetime
    ) -> None:
        self._build = build
        self._settings = settings
        self._lifetime = lifetime
        self._lock = threading.Lock()
        self._inside = 0
        self._child: _Child | None = None

    @property
    def pid(self) -> int | None:
        """The child's process number; None while there is none."""
        child = self._child
        return child.process.pid if child else None

    @property
    def is_spent(self) -> bool:
        """Whether the child is to be renewed, once what is with it is done."""
        child = self._child
        return child is not None and child.is_spent

    @property
    def is_loaded(self) -> bool:
        """Whether there is a child, with the models in its memory."""
        child = self._child
        return child is not None and child.is_loaded

    def start(self) -> str:
        """The device on which the models run; starts the child if there is none.

        ModelError when they cannot be loaded, ModelCrashError when somebody killed it meanwhile.
        """
        with self._lock:
            return self._started()[1]

    def describe(self, claim: Claim) -> PictureResult:
        """What the models say of a claim's picture: all, or its text alone.

        Raises PictureError as reading and decoding do; ModelCrashError when the child died, or an
        accelerator failed, over this picture; ProcessRenewedError when that may have had another
        reason; ModelError when the models cannot be loaded, RuntimeError with whatever the models
        raised. After all but the first and last there is no child any more.
        """
        with self._lock:
            child, _ = self._started()
            self._inside += 1
        try:
            answer, asked = child.describe(claim, self._lifetime.picture_seconds)
            self._judge(child, answer, asked)
        except (ModelCrashError, ProcessRenewedError):
            child.is_spent = True
            raise
        finally:
            with self._lock:
                self._inside -= 1
                if child.is_spent and not self._inside:
                    self._drop(child)
        return _picture(answer)

    def _judge(self, child: _Child, answer: Answer, asked: _Asked) -> None:
        """Whether a child may go on after an answer; raises what a crash is."""
        child.first_bytes = child.first_bytes or answer.held_bytes
        grown = answer.held_bytes - child.first_bytes
        if child.pictures >= self._lifetime.pictures or grown > self._lifetime.growth_bytes:
            child.is_spent = True
        if answer.kind == "accelerator":
            kind = f"the accelerator failed ({answer.content})"
            crash = ModelCrashError(kind, of_device=True)
            raise asked.blamed(crash) if asked.first else ProcessRenewedError(crash)
        if answer.kind == "memory":
            raise asked.blamed(ModelCrashError(f"{OUT_OF_MEMORY} ({answer.content})"))

    def _started(self) -> tuple[_Child, str]:
        child = self._child
        if child is None:
            child = self._child = _Child(self._build, self._settings)
        try:
            return child, child.device()
        except ModelError:
            self._drop(child)
            raise

    def _drop(self, child: _Child) -> None:
        """End a child; the next picture starts another."""
        child.end()
        if self._child is child:
            self._child = None

    def kill(self, why: str) -> None:
        """End the child at once; `describe` raises ModelCrashError with this reason."""
        child = self._child
        if child is not None:
            child.kill(why)

    def close(self) -> None:
        """End the child, which holds nothing that could be lost; a picture starts another."""
        child = self._child
        if child is not None:
            self._drop(child)


def _listen(child: _Child, connection: Connection) -> None:
    """Hear a child until it has ended."""
    with contextlib.suppress(EOFError, OSError):
        while True:
            connections.wait([connection, child.process.sentinel])
            if not connection.poll():
                break  # it has ended, and had nothing more to say
            child.answered(connection.recv())
    child.process.join()
    deadline = time.monotonic() + STATUS_SECONDS
    while child.process.exitcode is None and time.monotonic() < deadline:
        time.sleep(0.01)
    child.ended(child.process.exitcode or 0)
    connection.close()


def crash_kind(exit_code: int) -> str:
    """A process's end in words: `signal 11 (SIGSEGV)`, or `exit code 3`."""
    if exit_code >= 0:
        return f"exit code {exit_code}"
    try:
        name = signal.Signals(-exit_code).name
    except ValueError:
        name = "unknown"
    return f"signal {-exit_code} ({name})"


def _picture(answer: Answer) -> PictureResult:
    if answer.kind == "done":
        picture: PictureResult = answer.content
        return picture
    if answer.kind == "gone":
        raise FileGoneError(answer.content)
    if answer.kind == "away":
        raise StoreError(answer.content)
    if answer.kind == "refused":
        raise PictureError(answer.content)
    raise RuntimeError(answer.content)
