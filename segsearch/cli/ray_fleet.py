"""Places worker processes on the nodes of a Ray cluster, and places another for each that ends.

An actor holds one process of `segsearch worker`, so signals, model processes and the loop itself
are those of that command. The process ends with its actor, an actor with its node or with us.
"""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from segsearch.core.errors import EngineError, InputError

LOG = logging.getLogger(__name__)
LOOK_SECONDS = 0.5
GRACE_SECONDS = 15.0  # after the time for draining, in which claims are given back
SHORT_SECONDS = 10.0  # a worker that ended sooner is followed by the next after a pause
LONGEST_PAUSE_SECONDS = 60.0
STORE_BYTES = 80_000_000  # of Ray's objects on a node that is started here: we keep none
END_WITH_PARENT = 1  # PR_SET_PDEATHSIG of prctl(2)
PLACE = {"max_restarts": 0, "max_concurrency": 3, "scheduling_strategy": "SPREAD"}


@dataclass(frozen=True, slots=True)
class WorkerOrder:
    """What a worker is told: arguments of Python, and variables of its environment, among which
    may be a password. They are shown nowhere: not as arguments, nor as Ray's `runtime_env`."""

    arguments: Sequence[str]
    environment: Mapping[str, str] = field(repr=False)


class WorkerActor:
    """Holds one worker process on the node it was placed on."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._is_to_end = False

    def run(self, order: WorkerOrder) -> int:
        """Start the worker and wait for its end; its exit code."""
        # The library of C is loaded here: nothing may be between the fork and the program.
        prctl = ctypes.CDLL(None).prctl
        self._process = subprocess.Popen(
            [sys.executable, *order.arguments],
            env={**os.environ, **order.environment},
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C in a terminal is for us: we drain
            # It comes with the end of the thread that calls this, which waits below.
            preexec_fn=lambda: prctl(END_WITH_PARENT, signal.SIGKILL),
        )
        if self._is_to_end:
            self._process.terminate()
        return self._process.wait()

    def drain(self) -> None:
        """Have the worker finish what it has started, and end."""
        self._is_to_end = True
        if self._process is not None:
            self._process.terminate()

    def where(self) -> tuple[str, int, int | None]:
        """The node, this process, and the worker's, if it has one."""
        import ray

        process = self._process.pid if self._process else None
        return ray.get_runtime_context().get_node_id(), os.getpid(), process


@dataclass(slots=True)
class PlacedWorker:
    """An actor, and since when it runs."""

    actor: Any
    since: float


class RayFleet:
    """So many workers on a cluster that `connect` has joined."""

    def __init__(self, order: WorkerOrder, count: int, *, gpus: float = 0.0) -> None:
        import ray

        self._ray = ray
        self._order = order
        self._count = count
        self._gpus = gpus
        self._placed: dict[Any, PlacedWorker] = {}  # by what `run` will return
        self._short = 0  # workers in a row that ended soon
        self._rests_until = 0.0

    @property
    def actors(self) -> list[Any]:
        """The actors there are, also those that wait for room."""
        return [placed.actor for placed in self._placed.values()]

    def run(self, stop: threading.Event, drain_seconds: float) -> None:
        """Keep the workers running until `stop`; then let them finish what they have started, for
        so long, and give the rest back."""
        while not stop.is_set():
            if time.monotonic() >= self._rests_until:
                self._fill()
            self._look()
            if not self._placed:
                stop.wait(LOOK_SECONDS)
        self._drain(drain_seconds)

    def _fill(self) -> None:
        while len(self._placed) < self._count:
            resources = {"num_cpus": 1, "num_gpus": self._gpus}
            actor: Any = self._ray.remote(WorkerActor).options(**PLACE, **resources).remote()
            self._placed[actor.run.remote(self._order)] = PlacedWorker(actor, time.monotonic())

    def _look(self) -> list[Any]:
        """Note which workers have ended, and why."""
        if not self._placed:
            return []
        runs = list(self._placed)
        ended, _ = self._ray.wait(runs, num_returns=len(runs), timeout=LOOK_SECONDS)
        for run in ended:
            placed = self._placed.pop(run)
            try:
                why = f"with exit code {self._ray.get(run)}"
            except self._ray.exceptions.RayError as problem:  # its actor or its node is gone
                why = f"with its actor: {str(problem).strip().splitlines()[0].rstrip('.')}"
            self._ray.kill(placed.actor)  # its room is free
            self._pause(placed, why)
        return ended

    def _pause(self, placed: PlacedWorker, why: str) -> None:
        is_short = time.monotonic() - placed.since < SHORT_SECONDS
        self._short = self._short + 1 if is_short else 0
        pause = min(2.0 ** (self._short - 1), LONGEST_PAUSE_SECONDS) if self._short else 0.0
        self._rests_until = time.monotonic() + pause
        extra = {"action": "ray.worker_ended", "pause_seconds": pause}
        LOG.warning("A worker ended %s; another is placed.", why, extra=extra)

    def _drain(self, seconds: float) -> None:
        for actor in self.actors:
            with suppress(self._ray.exceptions.RayError):
                actor.drain.remote()
        end = time.monotonic() + seconds + GRACE_SECONDS
        while self._placed and time.monotonic() < end:
            runs = list(self._placed)
            ended, _ = self._ray.wait(runs, num_returns=len(runs), timeout=LOOK_SECONDS)
            for run in ended:
                del self._placed[run]
        for actor in self.actors:
            LOG.warning("A worker did not end in time; its leases will.")
            self._ray.kill(actor)
        self._placed.clear()


def connect(address: str | None, count: int) -> None:
    """Join a running cluster, or start one on this machine, on loopback, for so many workers.

    Ray sends nothing about its use, and shows no pages. InputError where it is not installed,
    EngineError where there is no cluster at the address.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # read when Ray is imported, and by its processes
    try:
        import ray
    except ModuleNotFoundError as problem:
        raise InputError(
            "The package ray is missing: install segsearch with the extra 'ray'."
        ) from problem
    common: dict[str, Any] = {"include_dashboard": False, "logging_level": logging.WARNING}
    if address is None:
        ray.init(
            num_cpus=max(count, os.cpu_count() or 1),
            object_store_memory=STORE_BYTES,
            _node_ip_address="127.0.0.1",
            **common,
        )
        return
    try:
        ray.init(address=address, logging_level=logging.WARNING)
    except (ConnectionError, ValueError, RuntimeError) as problem:
        said = " ".join(str(problem).split()).rstrip(".")
        raise EngineError(f"There is no Ray cluster at {address!r}: {said}.") from problem


def disconnect() -> None:
    """Leave the cluster; one that `connect` has started ends."""
    import ray

    ray.shutdown()
