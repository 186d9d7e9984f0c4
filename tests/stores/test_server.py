"""The S3 server of these tests answers this machine alone."""

from __future__ import annotations

from pathlib import Path

from tools.s3_server import S3Server

LISTENING = "0A"  # https://www.kernel.org/doc/Documentation/networking/proc_net_tcp.txt
LOOPBACK = {"0100007F", "00000000000000000000000001000000"}


def test_every_port_it_listens_on_is_of_loopback(s3_server: S3Server) -> None:
    process = s3_server._process.pid
    own = {str(handle.readlink()) for handle in Path(f"/proc/{process}/fd").iterdir()}
    places = [
        line.split()[1].partition(":")[0]
        for file in ("tcp", "tcp6")
        for line in Path(f"/proc/net/{file}").read_text().splitlines()[1:]
        if line.split()[3] == LISTENING and f"socket:[{line.split()[9]}]" in own
    ]
    assert len(places) >= 8, "two for each of its parts"
    assert set(places) <= LOOPBACK
