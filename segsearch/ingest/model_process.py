"""Runs the models in processes that may die: a crash costs one try of one picture, nothing else.

Decoding happens there too: a decoder that crashes takes no worker with it. Processes are spawned,
not forked (torch's threads do not survive a fork), and renewed after so many pictures or so much
growth, which bounds every leak.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from multiprocessing import connection as connections
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any, Self

from segsearch.core.arrays import DescribedPicture
from segsearch.core.errors import (
    FileGoneError,
    ModelCrashError,
    ModelError,
    PictureError,
    SegSearchError,
)
from segsearch.core.settings import Settings
from segsearch.core.types import Claim
from segsearch.media.sources.verified import ClaimReader
from segsearch.models.pipeline import Pipeline

LOADING_SECONDS = 600.0
OUT_OF_MEMORY = "out of memory"
ENDED = "ended by its worker"
OOM_PREFERENCE = "500"  # of -1000 to 1000: the kernel takes the model process before its parent


@dataclass(frozen=True, slots=True)
class Lifetime:
    """When a model process is killed over one picture, and when it is renewed between two."""

    picture_seconds: float = 900.0
    pictures: int = 1000
    growth_bytes: int = 1_000_000_000

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """What settings say."""
        return cls(settings.picture_seconds, settings.recycle_pictures, settings.recycle_bytes)


class ModelProcess:
    """One child process that describes one picture at a time; started when first needed.

    `build` is called in the child and must be picklable. Not thread-safe; `kill` may come from
    any thread.
    """

    def __init__(
        self, build: Callable[[], Pipeline], settings: Settings, lifetime: Lifetime
    ) -> None:
        self._build = build
        self._settings = settings
        self._lifetime = lifetime
        self._process: SpawnProcess | None = None
        self._connection: Connection | None = None
        self._pictures = 0
        self._first_bytes = 0
        self._killed_for: str | None = None

    @property
    def pid(self) -> int | None:
        """The child's process number; None while there is none."""
        return self._process.pid if self._process else None

    def describe(self, claim: Claim) -> DescribedPicture:
        """What the models say of a claim's picture.

        Raises PictureError as reading and decoding do, ModelCrashError when the child died over
        it, ModelError when the models cannot be loaded, RuntimeError with whatever the models
        raised.
        """
        connection = self._connection or self._start()
        oom_kills = _oom_kills()
        with contextlib.suppress(OSError):  # a child that is gone is found below
            connection.send(claim)
        kind, content, held_bytes = self._receive(self._lifetime.picture_seconds, oom_kills)
        self._pictures += 1
        self._first_bytes = self._first_bytes or held_bytes
        grown = held_bytes - self._first_bytes
        if self._pictures >= self._lifetime.pictures or grown > self._lifetime.growth_bytes:
            self.close()
        return _outcome(kind, content)

    def _start(self) -> Connection:
        context = get_context("spawn")
        ours, theirs = context.Pipe()
        self._killed_for = None
        oom_kills = _oom_kills()
        arguments = (theirs, self._build, self._settings)
        process = context.Process(target=_serve, args=arguments, daemon=True)
        process.start()
        self._process = process
        theirs.close()
        self._connection = ours
        self._pictures = self._first_bytes = 0
        try:
            kind, content, _ = self._receive(LOADING_SECONDS, oom_kills)
        except ModelCrashError as problem:
            if problem.from_outside:
                raise
            raise ModelError(f"The models could not be loaded: {problem.kind}.") from problem
        if kind != "ready":
            self.close()
            raise ModelError(content)
        return ours

    def _receive(self, seconds: float, oom_kills: int) -> Any:
        """(kind, content, bytes held) from the child; ModelCrashError when it died instead."""
        if self._process is None or self._connection is None:
            raise ModelCrashError(ENDED, from_outside=True)
        ready = connections.wait([self._connection, self._process.sentinel], seconds)
        if not ready:
            self.kill(f"took longer than {seconds:g} seconds")
        elif self._connection in ready:
            with contextlib.suppress(EOFError, OSError):
                return self._connection.recv()
        self._process.join()
        crash = self._verdict(self._process.exitcode or 0, oom_kills)
        self.close()
        raise crash

    def _verdict(self, exit_code: int, oom_kills: int) -> ModelCrashError:
        if self._killed_for:
            return ModelCrashError(self._killed_for, from_outside=self._killed_for == ENDED)
        if exit_code != -signal.SIGKILL:
            return ModelCrashError(crash_kind(exit_code))
        if _oom_kills() > oom_kills:
            return ModelCrashError(f"{OUT_OF_MEMORY} (killed by the kernel)")
        # No program kills itself this way: it was a person, or a watchdog.
        return ModelCrashError("killed from outside (SIGKILL)", from_outside=True)

    def kill(self, why: str) -> None:
        """End the child at once; `describe` raises ModelCrashError with this reason."""
        self._killed_for = why
        if self._process is not None:
            self._process.kill()

    def close(self) -> None:
        """End the child, which holds nothing that could be lost; a picture starts another."""
        process, connection = self._process, self._connection
        self._process = self._connection = None
        if connection is not None:
            connection.close()
        if process is not None:
            process.kill()
            process.join()
            process.close()


class ModelProcesses:
    """As many model processes as callers at once; each caller gets one for the call."""

    def __init__(
        self, build: Callable[[], Pipeline], settings: Settings, lifetime: Lifetime
    ) -> None:
        self._make = partial(ModelProcess, build, settings, lifetime)
        self._lock = threading.Lock()
        self._idle: list[ModelProcess] = []
        self._all: list[ModelProcess] = []

    def describe(self, claim: Claim) -> DescribedPicture:
        """See `ModelProcess.describe`; thread-safe."""
        with self._lock:
            if not self._idle:
                self._idle.append(self._make())
                self._all.append(self._idle[-1])
            process = self._idle.pop()
        try:
            return process.describe(claim)
        finally:
            with self._lock:
                self._idle.append(process)

    def kill(self) -> None:
        """End every child at once, whatever it does."""
        with self._lock:
            for process in self._all:
                process.kill(ENDED)

    def close(self) -> None:
        """End every child; call when no picture is with one."""
        with self._lock:
            for process in self._all:
                process.close()


def crash_kind(exit_code: int) -> str:
    """A process's end in words: `signal 11 (SIGSEGV)`, or `exit code 3`."""
    if exit_code >= 0:
        return f"exit code {exit_code}"
    try:
        name = signal.Signals(-exit_code).name
    except ValueError:
        name = "unknown"
    return f"signal {-exit_code} ({name})"


def _outcome(kind: str, content: Any) -> DescribedPicture:
    if kind == "done":
        picture: DescribedPicture = content
        return picture
    if kind == "gone":
        raise FileGoneError(content)
    if kind == "refused":
        raise PictureError(content)
    if kind == "memory":
        raise ModelCrashError(f"{OUT_OF_MEMORY} ({content})")
    raise RuntimeError(content)


def _serve(connection: Connection, build: Callable[[], Pipeline], settings: Settings) -> None:
    """The child: answers one claim after the other until the parent is gone."""
    # The parent decides when to end; a signal to the whole group must not cut a picture short.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(OOM_PREFERENCE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core dump can be as large as memory
    try:
        pipeline = build()
    except SegSearchError as problem:
        connection.send(("unloadable", str(problem), 0))
        return
    reader = ClaimReader(settings)
    connection.send(("ready", None, 0))
    while True:
        try:
            claim = connection.recv()
        except EOFError:
            return
        kind, content = _answer(pipeline, claim, reader)
        connection.send((kind, content, _held_bytes()))


def _answer(pipeline: Pipeline, claim: Claim, reader: ClaimReader) -> tuple[str, Any]:
    try:
        return "done", pipeline.describe(*reader.read(claim))
    except FileGoneError as problem:
        return "gone", str(problem)
    except PictureError as problem:
        return "refused", str(problem)
    except MemoryError as problem:
        return "memory", str(problem) or "MemoryError"
    except Exception as problem:  # noqa: BLE001  the outermost loop of the child
        text = f"{type(problem).__name__}: {problem}"
        return ("memory" if "memory" in text.lower() else "error"), text


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        connections.wait([parent.sentinel])
        os._exit(1)


def _held_bytes() -> int:
    """Resident memory of this process; 0 where the system does not say."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    except (OSError, ValueError):
        return 0


def _oom_kills() -> int:
    """How many processes the kernel has killed for memory since boot; 0 where it does not say."""
    try:
        rows = Path("/proc/vmstat").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(row.split()[1]) for row in rows if row.startswith("oom_kill "))
