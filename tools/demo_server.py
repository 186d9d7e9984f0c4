"""`make demo-server`: a library on a real PostgreSQL, filled by two workers, served by two nodes.

Everything runs on this machine, on loopback, and goes when it is ended; the commands are those of
`docs/deploy.md`.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from segsearch.cli.demo.run import PICTURES
from tools.postgres_server import PostgresServer, free_port

WORKERS, NODES = 2, 2
FILLED_SECONDS = 1_800.0


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=Path, default=PICTURES, help="A folder of pictures.")
    parser.add_argument("--ask", default="a cup of coffee", help="Words that are searched for.")
    parser.add_argument("--once", action="store_true", help="End when the answer is there.")
    asked = parser.parse_args(words)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with PostgresServer() as server:
        address = server.create_database("photos")
        print(f"PostgreSQL holds the library: {address}", flush=True)
        try:
            run(address, asked.pictures, server.folder, asked.ask, is_once=asked.once)
        except KeyboardInterrupt:
            print("Ended.")


def run(address: str, pictures: Path, folder: Path, words: str, *, is_once: bool) -> None:
    """Fill the library by workers and ask each node the same; wait unless it `is_once`."""
    with running(worker_command(pictures), WORKERS, address, folder):
        wait_until_filled(address, folder)
    ports = [free_port() for _ in range(NODES)]
    nodes = [["serve", "--port", str(port)] for port in ports]
    with running(nodes[0], 1, address, folder / "a"), running(nodes[1], 1, address, folder / "b"):
        for port in ports:
            hit = answer(port, words)["hits"][0]
            place = f"http://127.0.0.1:{port}"
            print(f"{place} finds {words!r} in {hit['path']}", flush=True)
        while not is_once:
            time.sleep(1)


def worker_command(pictures: Path) -> list[str]:
    return ["worker", str(pictures), "--processes", "1"]


@contextmanager
def running(command: list[str], count: int, address: str, folder: Path) -> Iterator[None]:
    """So many processes of `segsearch`, each with a folder of its own for what it keeps."""
    processes = []
    for number in range(count):
        settings = {
            "SEGSEARCH_CATALOG": address,
            "SEGSEARCH_LIBRARY": str(folder / f"{command[0]}-{number}"),
        }
        words = [sys.executable, "-m", "segsearch", *command]
        processes.append(subprocess.Popen(words, env={**os.environ, **settings}))
    try:
        yield
    finally:
        for process in processes:
            process.send_signal(signal.SIGTERM)
        for process in processes:
            process.wait()


def wait_until_filled(address: str, folder: Path) -> None:
    """Until no picture waits, and say how many there are."""
    end = time.monotonic() + FILLED_SECONDS
    shown = (0, 0)
    while time.monotonic() < end:
        time.sleep(1)
        counts = status(address, folder)
        if counts is None:
            continue
        now = counts["images"], counts["images"] - counts["pending"]
        if now != shown:
            print(f"{now[1]} of {now[0]} pictures are indexed", flush=True)
        if now[0] and now == shown and not counts["pending"] and not counts["to_read"]:
            return
        shown = now
    raise SystemExit("The pictures were not indexed in time.")


def status(address: str, folder: Path) -> dict[str, Any] | None:
    """What `segsearch status` says; None while there is no library yet."""
    settings = {"SEGSEARCH_CATALOG": address, "SEGSEARCH_LIBRARY": str(folder / "status")}
    asked = subprocess.run(
        [sys.executable, "-m", "segsearch", "status", "--json"],
        env={**os.environ, **settings}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    found: dict[str, Any] | None = json.loads(asked.stdout) if asked.returncode == 0 else None
    return found


def answer(port: int, words: str) -> dict[str, Any]:
    """What a node answers to words, once it is up."""
    body = json.dumps({"text": words, "limit": 1}).encode()
    headers = {"content-type": "application/json"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/search", body, headers)
    end = time.monotonic() + 120
    while True:
        try:
            with urllib.request.urlopen(request, timeout=60) as found:  # noqa: S310
                answered: dict[str, Any] = json.load(found)
                return answered
        except urllib.error.URLError:
            if time.monotonic() > end:
                raise
            time.sleep(0.5)


if __name__ == "__main__":
    main()
