"""Requests to a store that fsspec knows (`s3://`, `gs://`, `memory://`): bounded in time and bytes.

Retries are the client's own; all tries of a request together end after `seconds`.
"""

from __future__ import annotations

import errno
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from segsearch.core.errors import PathError, PictureError, StoreError

CONNECT_SECONDS = 5.0
READ_SECONDS = 15.0  # without a byte, of one try
TRIES = 4
MOST_AT_ONCE_BYTES = 256 << 20  # of a file that is put in one request, as its bytes
SLOWEST_BYTES_PER_SECOND = 1_000_000  # at which larger ones are waited for
S3 = frozenset({"s3", "s3a"})
CHAIN = "is a chain of file systems (`::`), expected one URL."
BUFFER_BYTES = 1 << 20  # read ahead where somebody seeks in an object


class ObjectStore:
    """Objects by their URLs, with the credentials that the client finds by itself.

    PathError for an address that nothing here can reach, PictureError for one that would be a chain
    of file systems (`is_chain`); StoreError for a store that does not
    answer, or not as it should; FileNotFoundError where there is no such object. Thread-safe.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def below(self, prefix: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Each object below a prefix: its URL, and what the store says of it, a page at a time
        where the store has pages."""
        system, path = self._connect(prefix)
        if not hasattr(system, "call_s3"):
            found = self._ask(prefix, system, "find", path, detail=True)
            yield from ((system.unstrip_protocol(name), info) for name, info in found.items())
            return
        bucket, _, key = path.partition("/")
        given: dict[str, Any] = {"Bucket": bucket, "Prefix": f"{key.rstrip('/')}/" if key else ""}
        while True:
            page = self._ask(prefix, system, "call_s3", "list_objects_v2", **given)
            for row in page.get("Contents", ()):
                if not row["Key"].endswith("/"):  # what some programs make for a folder
                    name = system.unstrip_protocol(f"{bucket}/{row['Key']}")
                    yield name, {**row, "size": row["Size"]}
            if not page.get("IsTruncated"):
                return
            given["ContinuationToken"] = page["NextContinuationToken"]

    def names_in(self, folder: str) -> frozenset[str]:
        """The URLs of what lies right in a folder."""
        system, path = self._connect(folder)
        try:
            names = self._ask(folder, system, "ls", path, detail=False)
        except FileNotFoundError:
            return frozenset()
        return frozenset(map(system.unstrip_protocol, names))

    def info(self, name: str) -> dict[str, Any]:
        """What the store says of one object."""
        system, path = self._connect(name)
        info: dict[str, Any] = self._ask(name, system, "info", path)
        if info.get("type") == "directory":
            raise FileNotFoundError(name)
        return info

    def read(self, name: str, start: int, end: int) -> bytes:
        """An object's bytes from `start` up to before `end`, in one request; fewer at its end."""
        system, path = self._connect(name)
        try:
            data: bytes = self._ask(name, system, "cat_file", path, start=start, end=end)
        except OSError as problem:
            if problem.errno != errno.EINVAL:  # S3 has no empty range, so none of an empty object
                raise
            return b""
        return data

    def write(self, name: str, data: bytes) -> None:
        """Put an object, whole or not at all."""
        system, path = self._connect(name)
        # In one request to S3: of an upload in parts that is killed or takes too long, the parts
        # would stay, and nobody sees them.
        options = {"chunksize": max(1, len(data))} if hasattr(system, "call_s3") else {}
        try:
            self._ask(name, system, "pipe_file", path, data, **options)
        except FileNotFoundError as problem:
            raise StoreError(
                f"{name!r} cannot be put into its store: there is no such bucket."
            ) from problem

    def write_file(self, name: str, path: Path) -> None:
        """Put a file of this disk: in one piece, or, where that is much, in parts that the store
        joins, so that it is never in memory as a whole."""
        if path.stat().st_size <= MOST_AT_ONCE_BYTES:
            self.write(name, path.read_bytes())
            return
        system, place = self._connect(name)
        seconds = max(self._seconds, path.stat().st_size / SLOWEST_BYTES_PER_SECOND)
        try:
            self._ask(name, system, "put_file", str(path), place, seconds=seconds)
        except FileNotFoundError as problem:
            raise StoreError(
                f"{name!r} cannot be put into its store: there is no such bucket."
            ) from problem

    def delete(self, name: str) -> None:
        """Delete an object; nothing happens where there is none."""
        system, path = self._connect(name)
        try:
            self._ask(name, system, "rm_file", path)
        except FileNotFoundError:
            return

    def _connect(self, name: str) -> tuple[Any, str]:
        """The file system and path behind a URL."""
        if is_chain(name):
            raise PictureError(f"{name!r} {CHAIN}")
        try:
            import fsspec
        except ImportError as problem:
            raise PathError(
                f'{name!r} needs another package: `pip install "segsearch[s3]"`, or fsspec and the '
                "file system's own."
            ) from problem
        # What was listed once says nothing of now.
        options: dict[str, Any] = {"use_listings_cache": False}
        if name.partition("://")[0].lower() in S3:
            options["config_kwargs"] = {
                "connect_timeout": min(CONNECT_SECONDS, self._seconds),
                "read_timeout": min(READ_SECONDS, self._seconds),
                "retries": {"total_max_attempts": TRIES, "mode": "standard"},
            }
        try:
            system, path = fsspec.core.url_to_fs(name, **options)
        except (ImportError, ValueError) as problem:
            raise PathError(f"{name!r} cannot be reached: {sentence(problem)}.") from problem
        return system, str(path)

    def _ask(
        self,
        name: str,
        system: Any,
        method: str,
        *args: Any,
        seconds: float | None = None,
        **options: Any,
    ) -> Any:
        """One request, in as many tries as fit into the time."""
        if getattr(system, "async_impl", False):
            options["timeout"] = seconds or self._seconds
        try:
            return getattr(system, method)(*args, **options)
        except FileNotFoundError:
            raise
        except Exception as problem:  # each file system has errors of its own
            if getattr(problem, "errno", None) == errno.EINVAL:
                raise
            import fsspec

            said = sentence(problem)
            if isinstance(problem, fsspec.exceptions.FSTimeoutError):
                said = (
                    f"no whole answer within the {self._seconds:g} seconds allowed by "
                    "SEGSEARCH_STORE_SECONDS"
                )
            raise StoreError(f"{name!r} cannot be had from its store: {said}.") from problem


class ObjectFile(io.RawIOBase):
    """An object as a file that can be sought in; `details` is what the store says of it."""

    def __init__(self, store: ObjectStore, name: str) -> None:
        self._store = store
        self._name = name
        self.details = store.info(name)
        self._size = int(self.details.get("size") or 0)
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, start + offset)
        return self._at

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer)
        end = min(self._at + len(view), self._size)
        if end <= self._at:
            return 0
        data = self._store.read(self._name, self._at, end)
        if len(data) != end - self._at:
            raise StoreError(
                f"{self._name!r} gave {len(data):,} bytes where {end - self._at:,} were expected: "
                "it is being written, or its store gives half of it."
            )
        view[: len(data)] = data
        self._at = end
        return len(data)


class BufferedObject(io.BufferedReader):
    """An `ObjectFile`, read ahead."""

    def __init__(self, store: ObjectStore, name: str) -> None:
        raw = ObjectFile(store, name)
        super().__init__(raw, BUFFER_BYTES)
        self.details = raw.details


def is_chain(name: str) -> bool:
    """Whether fsspec would take a URL for a chain (`a::b`): that would reach web addresses past the
    rules for those."""
    return "::" in name


def sentence(problem: BaseException) -> str:
    """What an error of others says, as the end of a sentence of ours."""
    return (str(problem) or type(problem).__name__).strip().rstrip(".")


def gone(name: str) -> PictureError:
    """The error for an object that is not there any more."""
    return PictureError(f"{name!r} cannot be read: it is not in its store any more.")
