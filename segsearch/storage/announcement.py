"""Says in a library's folder where a server answers for it, and finds that server again.

The file is its owner's alone to read, and holds a secret: with it a server shows that it is the one
that wrote the file, before it is told what is asked for.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import os
import secrets
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from segsearch.core.atomic import whole
from segsearch.core.version import __version__

LOG = logging.getLogger(__name__)
FILE = "server.json"
CHALLENGE, PROOF = "X-Segsearch-Challenge", "X-Segsearch-Proof"  # headers of a check
MAX_CHALLENGE = 128  # characters


@dataclass(frozen=True, slots=True)
class Announcement:
    """A server of a library on this machine: its process, its URL on loopback, its version.

    `mix` are the shares of the vectors in a score that its settings name, None where they name
    none. Whoever sends `token` as an API key may read.
    """

    pid: int
    url: str
    token: str
    version: str = __version__
    mix: tuple[float, float, float] | None = None

    def proof(self, challenge: str) -> str:
        """What only those who know the token can answer to a challenge."""
        text = challenge[:MAX_CHALLENGE].encode("utf-8", "replace")
        return hmac.new(self.token.encode(), text, hashlib.sha256).hexdigest()

    def allows(self, text: str) -> bool:
        """Whether a text is the token."""
        return hmac.compare_digest(text.encode("utf-8", "replace"), self.token.encode())


def make_announcement(url: str, mix: tuple[float, float, float] | None) -> Announcement:
    """That of a server in this process."""
    return Announcement(os.getpid(), url, secrets.token_urlsafe(32), mix=mix)


@contextmanager
def announced(folder: Path, announcement: Announcement) -> Iterator[None]:
    """The announcement in a library's folder until the block ends.

    Of two servers the later one stays. Where nothing can be written, nobody is told.
    """
    file = folder / FILE
    try:
        with whole(file) as partial:
            handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "w", encoding="utf-8") as stream:
                json.dump({**asdict(announcement), "host": socket.gethostname()}, stream)
    except OSError as problem:
        LOG.info("Commands of this machine do not find this server: %s.", problem.strerror)
    try:
        yield
    finally:
        known = read_announcement(folder)
        if known is not None and known.token == announcement.token:
            file.unlink(missing_ok=True)


def read_announcement(folder: Path) -> Announcement | None:
    """The server that answers for a library: None where there is none, its process no longer runs
    on this machine, it is of another version, or others could have written or read the file."""
    try:
        with (folder / FILE).open("rb") as stream:
            state = os.fstat(stream.fileno())
            if state.st_uid != os.geteuid() or stat.S_IMODE(state.st_mode) & 0o077:
                return None
            known = json.load(stream)
        pid, host, mix = int(known["pid"]), known["host"], known["mix"]
        if mix is not None:
            context, masked, picture = map(float, mix)
            mix = (context, masked, picture)
        found = Announcement(pid, str(known["url"]), str(known["token"]), known["version"], mix)
        if host != socket.gethostname() or found.version != __version__ or pid < 1:
            return None
        os.kill(pid, 0)
    except (OSError, OverflowError, ValueError, KeyError, TypeError):
        return None
    return found
