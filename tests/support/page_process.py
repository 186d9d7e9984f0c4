"""A server with small models in a process of its own, which a test ends as a crash would.

    python -m tests.support.page_process LIBRARY PORT

`PageProcess` starts it, kills it and brings it back at the same address.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx

START_SECONDS = 60.0


class PageProcess:
    """A server over the library in `folder`; settings are given as environment variables."""

    def __init__(self, folder: Path, **settings: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self._port}"
        self._command = [sys.executable, "-m", "tests.support.page_process", str(folder)]
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        self._process = subprocess.Popen(
            [*self._command, str(self._port)], env={**os.environ, **self._settings}
        )
        deadline = time.monotonic() + START_SECONDS
        while True:
            assert self._process.poll() is None, "the server has ended"
            assert time.monotonic() < deadline, "the server does not answer"
            try:
                if httpx.get(f"{self.url}/readyz").status_code == 200:
                    return
            except httpx.TransportError:
                time.sleep(0.05)

    def kill(self) -> None:
        """End it as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


def main(library: Path, port: int) -> None:
    # Here, so that who starts a process need not load a server.
    from segsearch.core.settings import Settings
    from segsearch.ingest.background import working
    from segsearch_api.server import serve
    from tests.support.clicking_models import ClickModels
    from tests.support.small_models import open_small_service

    given = Settings(library=library)
    chosen = {name: getattr(given, name) for name in ("require_key", "rate_per_minute")}
    with (
        open_small_service(library, models=ClickModels(), lanes=1, **chosen) as service,
        working(service.ingest, 0.2),
    ):
        serve(service, "127.0.0.1", port, announce=lambda _: None)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
