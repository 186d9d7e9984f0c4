"""The HTTP API as Python calls; needs no model and no index.

with Client("http://127.0.0.1:8000") as library:
    for hit in library.search(text="a red umbrella")["hits"]: ...
"""

from __future__ import annotations

from segsearch.client.aio import AsyncClient
from segsearch.client.sync import Client

__all__ = ["AsyncClient", "Client"]
