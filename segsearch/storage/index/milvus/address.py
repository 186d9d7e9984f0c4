"""Where a Milvus is, from one text of the settings; its token is kept apart and never shown."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr

from segsearch.core.errors import InputError

PORT = 19530


@dataclass(frozen=True, slots=True)
class MilvusAddress:
    """What a client connects to, a database of it ("" for the usual one) and what it shows there;
    `name` is what sentences call it. `is_lite`: a file that this process opens itself."""

    uri: str
    name: str
    database: str = ""
    token: SecretStr | None = None
    is_lite: bool = False

    @classmethod
    def of(cls, text: str) -> MilvusAddress:
        """From `milvus+http://[user:password@]host[:port][/database]`, or `milvus:FILE.db`; a token
        in `MILVUS_TOKEN` counts where the address has none. InputError for anything else."""
        token = os.environ.get("MILVUS_TOKEN", "")
        if text.startswith("milvus:"):
            file = Path(text.removeprefix("milvus:")).expanduser().absolute()
            return cls(str(file), f"the Milvus Lite in {str(file)!r}", is_lite=True)
        try:
            parts = urlsplit(text.removeprefix("milvus+"))
            host, port = parts.hostname, parts.port or PORT
        except ValueError as problem:
            raise InputError("The address of the Milvus is none: look at its port.") from problem
        if parts.username is not None:
            token = ":".join(map(unquote, filter(None, (parts.username, parts.password))))
        place = f"[{host}]:{port}" if host and ":" in host else f"{host}:{port}"
        database = parts.path.strip("/")
        name = f"the Milvus at {place}" + (f", database {database}" if database else "")
        return cls(f"{parts.scheme}://{place}", name, database, SecretStr(token) if token else None)
