"""Collections of a Milvus: rows with numbers beside them, under the catalog's ids.

Foreign errors become ours here. Nothing is inserted, only upserted: a Milvus keeps a second row
under an id that it is given twice.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from segsearch.core.arrays import Ids, Vector, Vectors
from segsearch.core.errors import EngineError
from segsearch.storage.index.milvus.address import MilvusAddress
from segsearch.storage.index.milvus.conditions import REAL, WHOLE, Condition, among

if TYPE_CHECKING:
    from pymilvus import MilvusClient

CONNECT_SECONDS = 5.0
CALL_SECONDS = 20.0
WRITE_SECONDS = 120.0
LOAD_SECONDS = 300.0
MOST_HITS = 16_384  # the most that one call gives (quotaAndLimits.limits.topK)
ANSWER_BYTES = 48_000_000  # of rows in one answer: a server sends 100 MB at most
WRITTEN_ROWS = 1_000  # upserted in one call
# Of the graph (HNSW): links of a row, and how many candidates are looked at for it.
LINKS, LINKED = 16, 200
WIDEST = 32_768  # candidates that a search may look at
# The client asks every ten seconds whether a server is there. Lite's ends a connection that does.
NO_PINGS = {"grpc.keepalive_time_ms": 2**31 - 1, "grpc.keepalive_permit_without_calls": False}
LOOKED_AT = 384  # at least; of 25,000 rows 128 gave 88 % of the ten best
OLDEST = (2, 3)
BOUNDED, SESSION, STRONG = "Bounded", "Session", "Strong"
GONE = frozenset({4, 100})  # codes: there is no such collection
NOT_LOADED = frozenset({101, 106, 503})
EVERY = Condition("", is_whole=True)


@dataclass(frozen=True, slots=True)
class RowSearch:
    """What a search asks of rows: a condition, how new they must be, and the highest id that there
    can be."""

    condition: Condition
    level: str
    newest: int


class CollectionMissingError(Exception):
    """A collection that was there is gone, or out of memory: it is to be looked for again. Leaves
    this folder as an EngineError only."""


class MilvusStore:
    """One database of a Milvus. Thread-safe; connects when it is first asked."""

    def __init__(self, address: MilvusAddress) -> None:
        self._address = address
        self._lock = threading.Lock()
        self._opened: MilvusClient | None = None
        self.is_lite = address.is_lite

    @property
    def name(self) -> str:
        """What sentences call it."""
        return self._address.name

    def close(self) -> None:
        """Let go of the connection, and of the file of a Milvus Lite."""
        with self._lock:
            client, self._opened = self._opened, None
        if client is None:
            return
        client.close()
        if self.is_lite:
            from milvus_lite.server_manager import server_manager_instance

            server_manager_instance.release_server(self._address.uri)

    def has(self, name: str) -> bool:
        """Whether there is a collection of this name."""
        with self._calls() as client:
            return bool(client.has_collection(name, timeout=CALL_SECONDS))

    def names(self) -> list[str]:
        """Names of all collections."""
        with self._calls() as client:
            return sorted(client.list_collections())

    def create(self, name: str, width: int) -> None:
        """Make an empty collection for rows of a length w, and load it."""
        from pymilvus import DataType, MilvusClient

        schema = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False)
        schema.add_field("id", DataType.INT64, is_primary=True)
        schema.add_field("row", DataType.FLOAT_VECTOR, dim=width)
        for field in WHOLE:
            schema.add_field(field, DataType.INT64)
        for field in REAL:
            schema.add_field(field, DataType.DOUBLE)
        index = MilvusClient.prepare_index_params()
        # Of a part of a collection below 1,024 rows a server makes no graph: it compares with each.
        kind, how = "HNSW", {"M": LINKS, "efConstruction": LINKED}
        if self.is_lite:
            kind, how = "FLAT", {}
        index.add_index("row", index_type=kind, metric_type="IP", params=how)
        with self._calls() as client:
            client.create_collection(
                name,
                schema=schema,
                index_params=index,
                consistency_level=BOUNDED,
                timeout=LOAD_SECONDS,
            )

    def load(self, name: str) -> None:
        """Have a collection in the server's memory: a Milvus Lite that was killed forgets it."""
        with self._calls() as client:
            client.load_collection(name, timeout=LOAD_SECONDS)

    def drop(self, name: str) -> None:
        """Delete a collection, if it is there, with the names that lead to it."""
        with self._calls() as client:
            if not client.has_collection(name, timeout=CALL_SECONDS):
                return
            found = client.list_aliases(name, timeout=CALL_SECONDS)
            aliases = found.get("aliases", []) if isinstance(found, dict) else found
            for alias in aliases:
                client.drop_alias(alias, timeout=CALL_SECONDS)
            client.drop_collection(name, timeout=CALL_SECONDS)

    def target(self, alias: str) -> str | None:
        """The collection that an alias leads to; None where there is no such alias."""
        with self._calls() as client:
            from pymilvus import MilvusException

            try:
                found = client.describe_alias(alias, timeout=CALL_SECONDS)
            except MilvusException as problem:
                if problem.code not in {100, 1600}:
                    raise
                return None
            return str(found["collection_name"])

    def point(self, alias: str, name: str) -> None:
        """Let an alias lead to a collection from now on."""
        is_known = self.target(alias) is not None
        with self._calls() as client:
            change = client.alter_alias if is_known else client.create_alias
            change(name, alias, timeout=CALL_SECONDS)

    def upsert(self, name: str, ids: Ids, rows: Vectors, scalars: dict[str, list[Any]]) -> None:
        """Write rows (n, w) under ids (n,), with the numbers beside them."""
        written = rows.astype(np.float32)
        if not np.isfinite(written).all():  # a Milvus Lite takes them, and finds them nearest
            raise EngineError("A row of the index has numbers that are none.")
        fields = list(scalars)
        columns = zip(*scalars.values(), strict=True)
        data = [
            {"id": number, "row": row, **dict(zip(fields, values, strict=True))}
            for number, row, values in zip(ids.tolist(), written, columns, strict=True)
        ]
        with self._calls() as client:
            for start in range(0, len(data), WRITTEN_ROWS):
                some = data[start : start + WRITTEN_ROWS]
                client.upsert(name, some, timeout=WRITE_SECONDS)

    def delete(self, name: str, ids: Ids) -> None:
        """Forget rows; those that are not there are no matter."""
        with self._calls() as client:
            for start in range(0, ids.size, MOST_HITS):
                client.delete(
                    name, ids=ids[start : start + MOST_HITS].tolist(), timeout=WRITE_SECONDS
                )

    def nearest(self, name: str, query: Vector, k: int, asked: RowSearch) -> tuple[Vector, Ids]:
        """Scores and ids of at most `k` rows that pass, nearest to a query (w,), best first, ties
        by the smaller id; scores are ours, of the rows that came back. Beyond what one answer
        holds, every row that passes is looked at: spans of ids, halved until one answer does."""
        if k <= self._most(query.size):
            found = self._hits(name, query, k, asked.condition.text, asked.level)
        else:
            found = self._spans(name, query, asked)
        scores, ids = found
        order = np.lexsort((ids, -scores))[:k]
        return scores[order], ids[order]

    def _spans(self, name: str, query: Vector, asked: RowSearch) -> tuple[Vector, Ids]:
        low, high = 0, asked.newest + 1
        scores, ids = [np.empty(0, np.float32)], [np.empty(0, np.int64)]
        most = self._most(query.size)
        size = most  # ids lie close together, or a few far apart
        while low < high:
            text = asked.condition.within(low, low + size)
            found = self._hits(name, query, most, text, asked.level)
            if found[1].size >= most and size > 1:
                size = (size + 1) // 2
                continue
            scores.append(found[0])
            ids.append(found[1])
            low += size
            size = min(2 * size, high - low) if found[1].size < most // 2 else size
        return np.concatenate(scores), np.concatenate(ids)

    def _hits(self, name: str, query: Vector, k: int, text: str, level: str) -> tuple[Vector, Ids]:
        looked_at = min(WIDEST, max(LOOKED_AT, 2 * k))
        how = {"metric_type": "IP", "params": {} if self.is_lite else {"ef": looked_at}}
        with self._calls() as client:
            (hits,) = client.search(
                name,
                data=[query.astype(np.float32)],
                anns_field="row",
                filter=text,
                limit=k,
                output_fields=["row"],
                search_params=how,
                consistency_level=level,
                timeout=CALL_SECONDS,
            )
            pairs = [(hit["id"], hit["entity"]["row"]) for hit in hits]
        ids, rows = _arrays(pairs, query.size)
        return np.einsum("nw,w->n", rows, query.astype(np.float32)), ids

    def rows(self, name: str, width: int, ids: Ids, *, level: str) -> tuple[Ids, Vectors]:
        """The rows (m, w) under these ids, by ascending id; those that are not there are left
        out."""
        pairs: list[tuple[int, Any]] = []
        step = self._most(width)
        with self._calls() as client:
            for start in range(0, ids.size, step):
                found = client.query(
                    name,
                    filter=among(ids[start : start + step]),
                    output_fields=["id", "row"],
                    limit=step,
                    consistency_level=level,
                    timeout=CALL_SECONDS,
                )
                pairs += [(row["id"], row["row"]) for row in found]
        held, rows = _arrays(pairs, width)
        order = np.argsort(held)
        return held[order], rows[order]

    def ids(self, name: str) -> Ids:
        """Every id of a collection, ascending, as it is now: span by span, each as wide as one
        answer holds."""
        found = [np.empty(0, np.int64)]
        low, size = 0, MOST_HITS
        with self._calls() as client:
            left = self._count(client, name, STRONG)
            while left > 0 and low < 2**62:
                text = EVERY.within(low, low + size)
                inside = client.query(
                    name,
                    filter=text,
                    output_fields=["id"],
                    limit=MOST_HITS,
                    consistency_level=STRONG if low == 0 else SESSION,
                    timeout=CALL_SECONDS,
                )
                if len(inside) >= MOST_HITS and size > MOST_HITS:
                    size //= 2
                    continue
                found.append(np.array([row["id"] for row in inside], np.int64))
                left -= len(inside)
                low += size
                size *= 2
        return np.unique(np.concatenate(found))

    def count(self, name: str, *, level: str) -> int:
        """How many rows a collection holds."""
        with self._calls() as client:
            return self._count(client, name, level)

    def _count(self, client: MilvusClient, name: str, level: str) -> int:
        how = {"consistency_level": level, "timeout": CALL_SECONDS}
        (row,) = client.query(name, filter="", output_fields=["count(*)"], **how)
        return int(row["count(*)"])

    def _most(self, width: int) -> int:
        """Rows that one answer may hold."""
        return max(1, min(MOST_HITS, ANSWER_BYTES // (4 * width)))

    @contextmanager
    def _calls(self) -> Iterator[MilvusClient]:
        """The client, and its errors as ours: CollectionMissingError where a collection is gone or
        not in the server's memory, EngineError for the rest."""
        client = self._client()
        foreign = _foreign()
        try:
            yield client
        except foreign as problem:
            text = f"{_subject(self._address)} cannot be used: {_said(problem)}."
            code = getattr(problem, "code", None)  # of gRPC's own errors a method
            if code in GONE | NOT_LOADED or "not loaded" in text:
                raise CollectionMissingError(text) from problem
            raise EngineError(text) from problem

    def _client(self) -> MilvusClient:
        with self._lock:
            if self._opened is None:
                self._opened = _connected(self._address)
            return self._opened


def _arrays(pairs: Sequence[tuple[int, Any]], width: int) -> tuple[Ids, Vectors]:
    ids = np.array([number for number, _ in pairs], np.int64)
    rows = np.empty((len(pairs), width), np.float32)
    for place, (_, row) in enumerate(pairs):
        rows[place] = row
    return ids, rows


def _connected(address: MilvusAddress) -> MilvusClient:
    try:
        client_class = _pymilvus()
    except ModuleNotFoundError as problem:
        raise EngineError(
            "An index in Milvus needs the package pymilvus: install segsearch[milvus]."
        ) from problem
    try:
        client = client_class(
            address.uri,
            token=address.token.get_secret_value() if address.token else "",
            db_name=address.database,
            timeout=CONNECT_SECONDS,
            grpc_options=NO_PINGS if address.is_lite else {},
        )
        version = str(client.get_server_version(timeout=CONNECT_SECONDS))
    except _foreign() as problem:
        said = _said(problem)
        if "milvus-lite is required" in said:
            text = "Milvus Lite needs the package milvus-lite: install it, or name a server."
        elif address.is_lite:
            text = (
                f"{_subject(address)} cannot be opened: its folder is missing, or another process "
                "has it open; one process at a time can."
            )
        else:
            text = f"{_subject(address)} cannot be reached, or does not let us in: {said}."
        raise EngineError(text) from problem
    if not address.is_lite and _version(version) < OLDEST:
        client.close()
        raise EngineError(
            f"{_subject(address)} is version {version}, segsearch needs "
            f"{'.'.join(map(str, OLDEST))} or later."
        )
    return client


def _foreign() -> tuple[type[Exception], ...]:
    """What a client raises: its own errors, those of gRPC that it hands on (a wrong token, a server
    that does not answer in time), and what a closed channel says."""
    import grpc
    from pymilvus import MilvusException

    return (MilvusException, grpc.RpcError, ValueError)


def _said(problem: Exception) -> str:
    """What a client's error says, as a part of a sentence."""
    details = getattr(problem, "details", None)
    text = details() if callable(details) else getattr(problem, "message", problem)
    return " ".join(str(text).split()).rstrip(".")[:300]


def _subject(address: MilvusAddress) -> str:
    return f"{address.name[0].upper()}{address.name[1:]}"


def _pymilvus() -> type[MilvusClient]:
    """The client's class. Its package reads a file `.env` into this process's environment, and logs
    what it raises besides: neither is for us."""
    before = set(os.environ)
    from pymilvus import MilvusClient

    for name in set(os.environ) - before:
        del os.environ[name]
    for logger in ("pymilvus", "milvus_lite", "grpc._server"):
        logging.getLogger(logger).setLevel(logging.CRITICAL)
    client: type[MilvusClient] = MilvusClient
    return client


def _version(text: str) -> tuple[int, ...]:
    """2.3 of "v2.3.5-lite"; what is no version is as new as can be."""
    parts = text.lstrip("v").split(".")
    if len(parts) < 2 or not (parts[0].isdecimal() and parts[1].isdecimal()):
        return (99,)
    return (int(parts[0]), int(parts[1]))
