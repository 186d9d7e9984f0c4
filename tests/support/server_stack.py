"""The services of `deploy/server.compose.yml` as processes of this machine, on loopback: its very
commands, environments and files, with the addresses, ports and folders that are free here."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import httpx
import pytest

from tests.support.deployments import DEPLOY, SERVER, Document, compose
from tools.postgres_server import PostgresServer, free_port

Process = subprocess.Popen[bytes]
READY_SECONDS = 180.0
HERE = "127.0.0.1"
# What the image and the machine give every process; nothing of ours and no credentials.
INHERITED = ("LANG", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "TMPDIR")


def program(name: str) -> str:
    """Where a program is that pip or apt installs; without it tests are skipped, but fail in CI."""
    beside = Path(sys.executable).parent
    found = shutil.which(name, path=f"{beside}:{os.environ['PATH']}:/usr/sbin")
    if found is None:
        assert os.environ.get("CI") != "true", f"{name} is missing"
        pytest.skip(f"{name} is not here")
    return found


def until(holds: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + READY_SECONDS
    while not holds():
        assert time.monotonic() < end, f"{what} took too long"
        time.sleep(0.2)


def answers(url: str, *, headers: dict[str, str] | None = None) -> bool:
    """Whether an address says 200."""
    try:
        return httpx.get(url, headers=headers, timeout=10, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


class ServerStack:
    """PostgreSQL and S3 run when it is entered; `start` starts what else the file names."""

    def __init__(self, folder: Path, pictures: Path) -> None:
        self.folder, self.pictures = folder, pictures
        self.secrets = folder / "secrets"
        subprocess.run(["/bin/sh", str(DEPLOY / "make-secrets.sh"), str(self.secrets)], check=True)
        self.services: Document = compose(SERVER, environment={"PRESET": "demo-fast"})["services"]
        self.ports = {name: free_port() for name in (*self.services, "pod")}
        self._closing = ExitStack()
        self.running: dict[str, Process] = {}
        self.key = ""  # of the API, once one is made

    def __enter__(self) -> Self:
        password = (self.secrets / "database_password").read_text()
        self.postgres = self._closing.enter_context(PostgresServer(password=password))
        self.ports["postgres"] = self.postgres.port
        self.postgres.create_database(self.services["postgres"]["environment"]["POSTGRES_DB"])
        self._start_s3()
        return self

    def __exit__(self, *_: object) -> None:
        for name, process in self.running.items():  # S3 would take half a minute to end well
            process.send_signal(signal.SIGKILL if name == "s3" else signal.SIGTERM)
        for process in self.running.values():
            process.wait(timeout=60)
        self._closing.close()

    def here(self, text: str) -> str:
        """A text of the file with this machine's addresses and folders."""
        for old, new in (
            ("@postgres/", f"@{HERE}:{self.ports['postgres']}/"),
            ("@postgres.example/segsearch?sslmode=require",
             f"@{HERE}:{self.ports['postgres']}/segsearch"),
            ("http://s3:8333", f"http://{HERE}:{self.ports['s3']}"),
            ("https://s3.example", f"http://{HERE}:{self.ports['s3']}"),
            ("s3://photos/pictures", str(self.pictures)),
            ("/run/secrets", str(self.secrets)),
        ):  # fmt: skip
            text = text.replace(old, new)
        return str(self.pictures) if text == "/pictures" else text

    def environment(self, given: dict[str, Any]) -> dict[str, str]:
        """What a container's process has: the file's, and what the image says."""
        home = self.folder / "home"
        home.mkdir(exist_ok=True)
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        kept = {name: os.environ[name] for name in INHERITED if name in os.environ}
        # One folder for all, though containers have one each: it may be shared, which is how keys
        # that are a file beside the catalog reach every node.
        of_image = {"SEGSEARCH_LIBRARY": tempfile.mkdtemp(dir=self.folder), "HOME": str(home)}
        mine = {name: self.here(str(value or "")) for name, value in given.items()}
        return {"PATH": path, **kept, **of_image, **mine}

    def call(self, name: str, *words: str) -> str:
        """What a command in a service's container prints, by its entrypoint."""
        service = self.services[name]
        entry = [self.here(word) for word in service["entrypoint"]]
        done = subprocess.run(
            [*entry, *words], env=self.environment(service["environment"]), cwd=self.folder,
            check=False, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self, name: str) -> Process:
        """Start a service of ours by its entrypoint and command."""
        service = self.services[name]
        entry = [self.here(word) for word in service["entrypoint"]]
        words = [self.here(word) for word in self.at_port(name, service["command"])]
        return self.run(name, [*entry, *words], service["environment"])

    def run(self, name: str, words: list[str], environment: dict[str, Any]) -> Process:
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                words, env=self.environment(environment), cwd=self.folder, stdout=log, stderr=log
            )
        self.running[name] = process
        return process

    def at_port(self, name: str, words: list[str]) -> list[str]:
        """A command that listens at this machine's port instead of the container's."""
        if "--port" not in words:
            return words
        return [
            str(self.ports[name]) if words[at - 1 : at] == ["--port"] else word
            for at, word in enumerate(words)
        ]

    def url(self, name: str) -> str:
        return f"http://{HERE}:{self.ports[name]}"

    def start_nginx(self) -> None:
        """The system's nginx with the template, filled in as the image does."""
        nodes = {f"NODE_{n}": f"{HERE}:{self.ports[f'api-{n}']}" for n in (1, 2)}
        given = {**nodes, "LISTEN": f"{HERE}:{self.ports['nginx']}", "RESOLVER": HERE}
        assert set(given) == set(self.services["nginx"]["environment"])
        template = (DEPLOY / "nginx.conf.template").read_text("utf-8")
        block = re.sub(r"\$\{(\w+)\}", lambda name: given[name[1]], template)
        folder = self.folder / "nginx"
        folder.mkdir()
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        temporary = "".join(f"{kind}_temp_path {folder / kind};\n" for kind in kinds)
        (folder / "nginx.conf").write_text(
            f"daemon off;\nerror_log {folder / 'error.log'};\npid {folder / 'nginx.pid'};\n"
            f"events {{}}\nhttp {{\naccess_log off;\n{temporary}{block}}}\n"
        )
        self.run("nginx", [program("nginx"), "-p", str(folder), "-c", f"{folder}/nginx.conf"], {})

    def _start_s3(self) -> None:
        weed = program("weed")
        words = [self.here(word) for word in self.services["s3"]["command"]]
        data = self.folder / "objects"
        data.mkdir()
        # The last of two options counts. No port of it may be reached from outside.
        own = {
            "dir": data, "ip": HERE, "ip.bind": HERE, "s3.port": self.ports["s3"],
            **{f"{part}.port": free_port() for part in ("master", "volume", "filer")},
            **{f"{part}.port.grpc": free_port() for part in ("master", "volume", "filer", "s3")},
            "s3.port.iceberg": 0, "s3.port.lance": 0, "filer.localSocket": data / "filer.sock",
            "s3.localSocket": data / "s3.sock",
        }  # fmt: skip
        self.run("s3", [weed, *words, *(f"-{name}={value}" for name, value in own.items())], {})
        path = self.services["s3"]["healthcheck"]["test"][-1].partition(":8333")[2]
        until(lambda: answers(f"{self.url('s3')}{path}"), "S3")
