"""Two networks of this machine, joined by a link that can be cut: namespaces of Linux, seen by
nobody else. Needs root and iproute2."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

NEW_NETWORK = 0x40000000  # CLONE_NEWNET of <sched.h>
NEAR, FAR = "10.77.0.1", "10.77.0.2"
_LIBC = ctypes.CDLL(None, use_errno=True)


def what_is_missing() -> str | None:
    """Why there can be no such networks here; None where there can."""
    if os.geteuid() != 0:
        return "Only root makes networks."
    if shutil.which("ip") is None:
        return "The command `ip` is missing: install iproute2."
    return None


def apart(work: Callable[[], None]) -> None:
    """Do some work in a thread that has a network of its own, as have all processes that it starts;
    raises what the work raises."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            _in_new_network()
            _ip("link", "set", "lo", "up")
            work()
        except BaseException as problem:  # noqa: BLE001  it is raised again by who waits
            raised.append(problem)

    thread = threading.Thread(target=run, name="apart")
    thread.start()
    thread.join()
    if raised:
        raise raised[0]


class NetworkLink:
    """The other network: what runs there reaches this one's `NEAR` unless the link is cut."""

    def __init__(self, process: int) -> None:
        self._network = Path(f"/proc/{process}/ns/net")

    def enter(self) -> None:
        """Move the calling thread there, before a program is run."""
        with self._network.open("rb") as file:
            _check(_LIBC.setns(file.fileno(), NEW_NETWORK))

    def cut(self) -> None:
        """What is sent from now on is lost, in both directions."""
        _ip("link", "set", "near", "down")

    def mend(self) -> None:
        """Let the two networks hear each other again."""
        _ip("link", "set", "near", "up")


@contextmanager
def linked() -> Iterator[NetworkLink]:
    """A second network beside that of the calling thread, which has one of its own."""
    waiting = ["sh", "-c", "echo; exec sleep infinity"]
    with subprocess.Popen(
        waiting, preexec_fn=_in_new_network, stdout=subprocess.PIPE, text=True
    ) as holder:
        try:
            assert holder.stdout is not None
            holder.stdout.readline()
            far = NetworkLink(holder.pid)
            _ip("link", "add", "near", "type", "veth", "peer", "name", "far", "netns", holder.pid)
            _ip("address", "add", f"{NEAR}/24", "dev", "near")
            _ip("link", "set", "near", "up")
            _ip("address", "add", f"{FAR}/24", "dev", "far", there=far)
            for device in ("lo", "far"):
                _ip("link", "set", device, "up", there=far)
            yield far
        finally:
            holder.kill()


def _in_new_network() -> None:
    _check(_LIBC.unshare(NEW_NETWORK))


def _check(status: int) -> None:
    if status != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _ip(*words: str | int, there: NetworkLink | None = None) -> None:
    command = ["ip", *map(str, words)]
    subprocess.run(command, check=True, preexec_fn=there.enter if there else None)
