"""Sends requests to a library's server, and asks again when it says that it is too busy.

A refusal raises ApiError; a server that does not answer, or answers as another program does,
raises UnreachableError.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Generic, TypeVar, cast

import httpx

from segsearch.core.errors import ApiError, InputError, UnreachableError

Document = dict[str, Any]
T = TypeVar("T")
File = Path | str | bytes  # a path, or a file's bytes
Part = tuple[str, IO[bytes] | bytes]  # of a form: a file's name and content
TOO_MANY = 429
LONGEST_PAUSE_SECONDS = 60.0
FORM_FILES, FORM_BYTES = 200, 50_000_000  # sent at once; the server's limit is for a whole form
UNREACHED = (httpx.TransportError, httpx.DecodingError)


class Connection:
    """A connection to one server. Thread-safe."""

    def __init__(
        self,
        url: str,
        key: str | None,
        timeout_seconds: float,
        retries: int,
        transport: httpx.BaseTransport | None,
    ) -> None:
        key = (key or "").strip()  # from a file, with its line's end
        if not (key.isascii() and key.isprintable()):
            raise InputError("The API key holds characters that no key has.")
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._retries = retries
        self._http = httpx.Client(
            base_url=url, headers=headers, timeout=timeout_seconds, transport=transport
        )

    def close(self) -> None:
        self._http.close()

    def says_ok(self, path: str) -> bool:
        """Whether a GET succeeds."""
        try:
            return self._http.get(path).is_success
        except UNREACHED:
            return False

    def document(self, method: str, path: str, **options: Any) -> Document:
        """The JSON object of an answer; options are httpx's."""
        answer = self.send(method, path, **options)
        try:
            document = answer.json()
        except ValueError:
            document = None
        if not isinstance(document, dict):
            raise _other_program(answer)
        return cast(Document, document)

    def documents(self, path: str, name: str, **params: Any) -> list[Document]:
        """The list under a name in the answer to a GET."""
        return cast("list[Document]", self.document("GET", path, params=params)[name])

    def bytes_of(self, path: str, **params: Any) -> bytes:
        """The body of a GET."""
        return self.send("GET", path, params=params).content

    def send(self, method: str, path: str, **options: Any) -> httpx.Response:
        """The answer to a request, read to its end; options are httpx's."""
        with self.streamed(method, path, **options) as answer:
            answer.read()
            return answer

    @contextmanager
    def streamed(self, method: str, path: str, **options: Any) -> Iterator[httpx.Response]:
        """The answer to a request, its body still to be read; a refusal raises ApiError."""
        try:
            for retries_left in range(self._retries, -1, -1):
                with self._http.stream(method, path, **options) as answer:
                    if answer.is_success:
                        if answer.headers.get("content-type", "").startswith("text/html"):
                            raise _other_program(answer)
                        yield answer
                        return
                    answer.read()
                    if answer.status_code != TOO_MANY or not retries_left:
                        raise _refusal(answer)
                time.sleep(_pause_seconds(answer))
                _rewind(options.get("files"))
        except UNREACHED as problem:
            address = f"{str(self._http.base_url).rstrip('/')}/{path.lstrip('/')}"
            raise UnreachableError(f"{address} cannot be reached: {problem}.") from problem


class Events(Generic[T]):
    """An iterator over server-sent events; `read` turns the data of each into an item.

    `close` may be called from another thread, and ends a read that waits there.
    """

    def __init__(self, server: Connection, path: str, read: Callable[[str], T]) -> None:
        self._answer: httpx.Response | None = None
        self._is_closed = False
        self._steps = self._read(server, path, read)

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        return next(self._steps)

    def close(self) -> None:
        """End the stream."""
        self._is_closed = True
        network = self._answer.extensions.get("network_stream") if self._answer else None
        connected = network.get_extra_info("socket") if network else None
        if connected is not None:
            with suppress(OSError):
                connected.shutdown(socket.SHUT_RDWR)
        with suppress(ValueError):  # another thread runs it, and is about to end
            self._steps.close()

    def _read(
        self, server: Connection, path: str, read: Callable[[str], T]
    ) -> Generator[T, None, None]:
        with server.streamed("GET", path) as answer:
            self._answer = answer
            for line in answer.iter_lines():
                if self._is_closed:
                    return
                if line.startswith("data: "):
                    yield read(line.removeprefix("data: "))


def _other_program(answer: httpx.Response) -> UnreachableError:
    """Something between us and the server answered, such as a proxy's sign-in page."""
    return UnreachableError(f"{answer.url} does not answer as segsearch does.")


def _refusal(answer: httpx.Response) -> ApiError:
    try:
        problem = answer.json()
        code, detail = str(problem["code"]), str(problem["detail"])
    except (ValueError, KeyError, TypeError):  # something between us and the server answered
        code, detail = "unknown", f"{answer.status_code} {answer.reason_phrase}"
    request_id = answer.headers.get("x-request-id")
    return ApiError(detail, status=answer.status_code, code=code, request_id=request_id)


def _pause_seconds(answer: httpx.Response) -> float:
    asked = answer.headers.get("retry-after", "")
    return min(LONGEST_PAUSE_SECONDS, float(asked)) if asked.isdecimal() else 1.0


def field(value: Any) -> str:
    """A value as the text of a form's field."""
    return value if isinstance(value, str) else json.dumps(value)


def forms(files: Sequence[File]) -> list[list[File]]:
    """Files divided among forms, at least one; a file larger than a form has one of its own."""
    divided: list[list[File]] = [[]]
    total = 0
    for file in files:
        size = len(file) if isinstance(file, bytes) else Path(file).stat().st_size
        total += size
        if divided[-1] and (total > FORM_BYTES or len(divided[-1]) == FORM_FILES):
            divided.append([])
            total = size
        divided[-1].append(file)
    return divided


def name_of(file: File) -> str:
    """The name a file is sent under; a form holds no bytes that are not UTF-8."""
    name = "picture" if isinstance(file, bytes) else Path(file).name
    return name.encode("utf-8", "replace").decode()


@contextmanager
def as_parts(files: Sequence[File]) -> Iterator[list[Part]]:
    """Files as the parts of a form; paths are open within the block."""
    with ExitStack() as streams:

        def part(file: File) -> Part:
            if isinstance(file, bytes):
                return name_of(file), file
            return name_of(file), streams.enter_context(Path(file).open("rb"))

        yield list(map(part, files))


def _rewind(files: Mapping[str, Part] | Sequence[tuple[str, Part]] | None) -> None:
    """Set files to their start, to be sent once more."""
    parts = files.values() if isinstance(files, Mapping) else [part for _, part in files or ()]
    for _, content in parts:
        if not isinstance(content, bytes):
            content.seek(0)
