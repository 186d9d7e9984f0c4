"""Who holds a claim or runs a job: `host:process:mark`, and whether that process still runs.

The mark says which boot of which kernel and which of its PID namespaces (proc_pid_ns(5)) gave the
number out, and when the process began. Containers may have one host name and the same numbers: only
a process of the very same namespace is judged, all others are waited for.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path

from segsearch.core.types import Job, JobState

LONGEST_SILENCE = timedelta(minutes=5)  # of a job, which says every 20 seconds that it runs


def owner_of_this_process() -> str:
    """`host:process:mark`, which no other process ever has."""
    return f"{socket.gethostname()}:{os.getpid()}:{_namespace()}-{_started(os.getpid())}"


def host_and_process(owner: str) -> tuple[str, int] | None:
    """Host and process number of an owner; None for text that names none."""
    host, _, rest = owner.rpartition(":")[0].rpartition(":")
    return (host, int(rest)) if host and rest.isdecimal() else None


def is_gone(owner: str) -> bool:
    """Whether an owner was a process of this machine, and of this container of it, that no longer
    runs."""
    _, number, mark = owner.rsplit(":", 2)
    return not is_elsewhere(owner) and _started(int(number)) != mark.rpartition("-")[2]


def is_elsewhere(owner: str) -> bool:
    """Whether an owner is a process of another machine, or of another container on this one."""
    host, _, mark = owner.rsplit(":", 2)
    return host != socket.gethostname() or mark.rpartition("-")[0] != _namespace()


def is_running(process: str) -> bool:
    """Whether a process of this machine has that number; False for what is no number."""
    return process.isdecimal() and bool(_started(int(process)))


def with_real_state(job: Job, clock: Callable[[], datetime]) -> Job:
    """The job, as lost when it runs by the catalog but its process does not."""
    if job.state is JobState.RUNNING and is_lost(job, clock):
        return replace(job, state=JobState.LOST, stage=None, stopping=False)
    return job


def is_lost(job: Job, clock: Callable[[], datetime]) -> bool:
    """Whether a running job's process is gone: one of this machine that does not run, or one of
    another, such as a container that was killed, that has said nothing for five minutes by the
    catalog's `clock`."""
    if not is_elsewhere(job.owner):
        return is_gone(job.owner)
    return clock() - datetime.fromisoformat(job.updated_at) > LONGEST_SILENCE


@cache
def _namespace() -> str:
    """What gives out the process numbers that are seen here; empty on systems without /proc."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot.replace('-', '')}-{Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:
        return ""


def _started(process: int) -> str:
    """When a process began, in clock ticks since boot; empty when it does not run.

    A process number alone would do harm: numbers are given out again.
    """
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        return "" if fields[0] == "Z" else fields[19]  # a zombie holds nothing
    except (OSError, IndexError):
        pass
    try:
        os.kill(process, 0)  # systems without /proc
    except ProcessLookupError:
        return ""
    except PermissionError:
        pass
    return "running"
