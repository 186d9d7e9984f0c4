"""A library whose index is in a Milvus: Lite, in a file; or the server, inside of its namespace."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from functools import cache
from pathlib import Path

from segsearch.storage.catalog.sql_catalog import Catalog
from segsearch.storage.index.library_index import LibraryIndex, MixOf
from segsearch.storage.index.milvus.address import MilvusAddress
from segsearch.storage.index.milvus.index import MilvusIndex
from tools.milvus_server import MilvusServer

# Set by test_milvus_server.py, which runs these tests once more where a server may run.
INSIDE = "SEGSEARCH_TESTS_IN_NAMESPACE"
ON_SERVER = INSIDE in os.environ


@cache
def server() -> MilvusServer:
    """The server of this process's tests, running."""
    made = MilvusServer()
    atexit.register(made.remove)
    made.start()
    return made


@cache
def milvus() -> MilvusAddress:
    """The Milvus of this process's tests."""
    if ON_SERVER:
        return MilvusAddress.of(server().address)
    folder = Path(tempfile.mkdtemp(prefix="segsearch-milvus-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return MilvusAddress.of(f"milvus:{folder / 'tested.db'}")


def index_of(catalog: Catalog, _folder: Path, mix_of: MixOf) -> LibraryIndex:
    """A library's index there."""
    return MilvusIndex(catalog, milvus(), mix_of)
