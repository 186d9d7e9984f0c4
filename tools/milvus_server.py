"""A real Milvus server for tests (the package `milvus`, 2.3.5), in a network namespace of its own.

It listens on all interfaces, whatever its settings say: so it starts only where loopback is all
there is. `python -m tools.milvus_server COMMAND ...` runs a command in such a namespace.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

PORT, HEALTH_PORT = 19530, 9091
STARTED_SECONDS = 180.0
SESSION_SECONDS = 10
GET_FLAGS, SET_FLAGS, UP = 0x8913, 0x8914, 0x1  # of an interface: linux/sockios.h, linux/if.h
DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG: linux/prctl.h


def namespace() -> list[str] | None:
    """The command that gives another one a network of loopback alone; None where this user may not
    make one."""
    for command in (["unshare", "--net"], ["unshare", "--net", "--user", "--map-root-user"]):
        with suppress(OSError):
            if subprocess.run([*command, "true"], capture_output=True, check=False).returncode == 0:
                return command
    return None


def is_alone() -> bool:
    """Whether this process sees no network but loopback."""
    return [name for _, name in socket.if_nameindex()] == ["lo"]


class MilvusServer:
    """One server with a folder of its own, on the usual port."""

    def __init__(self) -> None:
        if not is_alone():
            raise RuntimeError("A Milvus starts only in a network namespace with loopback alone.")
        self.folder = Path(tempfile.mkdtemp(prefix="segsearch-milvus-"))
        self._process: subprocess.Popen[bytes] | None = None
        self._config: Any = None

    @property
    def address(self) -> str:
        """Where it is, as settings name it."""
        return f"milvus+http://127.0.0.1:{PORT}"

    def start(self, *, asks_for_token: bool = False) -> None:
        """Start it on its folder and wait until it answers; with `asks_for_token`, its user is
        root:Milvus."""
        from milvus import MilvusServerConfig, _initialize_data_files

        if self._config is None:
            self._config = MilvusServerConfig(data_dir=str(self.folder))
            self._config.set("proxy_port", PORT)
            # As long a server that comes back waits for what is left of the one that was killed.
            self._config.set("common.session.ttl", SESSION_SECONDS)
            self._config.resolve()  # once: it would pass by ports that were in use just now
            _initialize_data_files(str(self.folder))
        self._config.set("authorization_enabled", asks_for_token)
        self._config.write_config()
        programs = self.folder / "bin"
        environment = {
            **os.environ,
            "DEPLOY_MODE": "STANDALONE",
            "METRICS_PORT": str(HEALTH_PORT),
            "MILVUS_RUN_DIR": str(self.folder / "run"),
            "LD_LIBRARY_PATH": str(programs),
        }
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(programs / "milvus"), "run", "standalone"],
                stdout=log, stderr=log, cwd=self.folder, env=environment, preexec_fn=_die_too,
            )  # fmt: skip
        end = time.monotonic() + STARTED_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > end:
                raise RuntimeError((self.folder / "log").read_text(errors="replace")[-2000:])
            time.sleep(0.1)

    def _answers(self) -> bool:
        from pymilvus import MilvusClient, MilvusException

        try:
            uri = f"http://127.0.0.1:{PORT}"
            client = MilvusClient(uri, token="root:Milvus", timeout=2)  # noqa: S106 - as it is made
            try:
                client.list_collections(timeout=2)
            finally:
                client.close()
        except MilvusException:
            return False
        return True

    def kill(self) -> None:
        """End it as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._process = None

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Let it stand still meanwhile."""
        if self._process is None:
            raise RuntimeError("The server does not run.")
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def remove(self) -> None:
        """End it and delete what it wrote."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


def _die_too() -> None:
    """Let the process that begins here end with the one that started it."""
    ctypes.CDLL(None).prctl(DEATH_SIGNAL, signal.SIGKILL)


def _bring_up_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sh14x", b"lo", 0)
        (flags,) = struct.unpack_from("16xh", fcntl.ioctl(any_socket, GET_FLAGS, request))
        fcntl.ioctl(any_socket, SET_FLAGS, struct.pack("16sh14x", b"lo", flags | UP))


def main() -> None:
    """Run a command in a network namespace with loopback alone."""
    if not is_alone():
        made = namespace()
        if made is None:
            sys.exit("This user may make no network namespace.")
        again = [*made, sys.executable, "-m", "tools.milvus_server", *sys.argv[1:]]
        os.execvp(again[0], again)  # noqa: S606 - what this file is for
    _bring_up_loopback()
    os.execvp(sys.argv[1], sys.argv[1:])  # noqa: S606


if __name__ == "__main__":
    main()
