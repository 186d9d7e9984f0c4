"""Every error segsearch raises on purpose, as one tree, and what each means at the borders.

SegSearchError
  InputError
    PathError
    PictureError
      PictureTooLargeError
      FileGoneError
      StoreError
    QueryError
    NotFoundError
    ConflictError
    EndpointMissingError
  AccessError
    KeyMissingError
    ScopeError
  LibraryError
    LibraryMissingError
    LibraryVersionError
    RecipeError
    DamageError
    BusyError
    ReadOnlyError
    DiskFullError
    EngineError
  ModelError
    ModelMissingError
    DownloadError
    ChecksumError
    NoRoomError
    UnsafeWeightsError
    ModelCrashError
    EndpointError
    AnswerError
  ServerError
    PortBusyError
    OverloadError
    RateError
    OpenAddressError
  RemoteError
    ApiError
    UnreachableError

Each class carries its exit code and its HTTP status, or has its parent's; `table` writes them down
for the documents.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator


def tells_of_full_disk(problem: BaseException | None) -> bool:
    """Whether an error of the system or of SQLite says that a disk or a quota is used up."""
    is_full = getattr(problem, "errno", None) in {errno.ENOSPC, errno.EDQUOT}
    return is_full or getattr(problem, "sqlite_errorname", None) == "SQLITE_FULL"


class SegSearchError(Exception):
    """Base of everything segsearch raises on purpose; its text is one sentence for a person."""

    exit_code: int = 1
    status: int = 500  # of the HTTP answer


class InputError(SegSearchError):
    """Input that cannot be used."""

    exit_code, status = 2, 400


class PathError(InputError):
    """A path that does not exist or holds no pictures."""

    exit_code = 3


class PictureError(InputError):
    """Bytes that are not a picture this program reads."""

    exit_code, status = 4, 422


class PictureTooLargeError(PictureError):
    """A picture refused before decoding, by its bytes or by the size its header claims."""

    status = 413


class FileGoneError(PictureError):
    """A picture whose file is gone, unreadable, or changed since it was found."""


class StoreError(PictureError):
    """A store of pictures that does not answer, or gives half of one; it is tried again."""

    exit_code, status = 9, 503


class QueryError(InputError):
    """An empty query, or a limit out of range."""

    exit_code, status = 5, 422


class NotFoundError(InputError):
    """An id or a name that is not in the library."""

    exit_code, status = 6, 404


class ConflictError(InputError):
    """A name that is taken, or a change that comes too late."""

    exit_code, status = 7, 409


class EndpointMissingError(InputError):
    """No vision endpoint is set that could be asked."""

    exit_code, status = 8, 409


class AccessError(SegSearchError):
    """A caller who may not do this."""

    exit_code, status = 40, 403


class KeyMissingError(AccessError):
    """No API key, or none that is known here."""

    exit_code, status = 41, 401


class ScopeError(AccessError):
    """An API key that does not allow this."""

    exit_code = 42


class LibraryError(SegSearchError):
    """The library cannot be used as it is."""

    exit_code = 10


class LibraryMissingError(LibraryError):
    """Nothing has been indexed there yet."""

    exit_code, status = 11, 503


class LibraryVersionError(LibraryError):
    """The library was made by another version of segsearch."""

    exit_code, status = 12, 503


class RecipeError(LibraryError):
    """The library's vectors come from models or settings that are not loadable here."""

    exit_code, status = 13, 503


class DamageError(LibraryError):
    """What is on disk contradicts itself."""

    exit_code = 14


class BusyError(LibraryError):
    """Another process holds the library's lock for too long, or has switched its models."""

    exit_code, status = 15, 503


class ReadOnlyError(LibraryError):
    """The library may be read, but not written."""

    exit_code, status = 16, 503


class DiskFullError(LibraryError):
    """The disk that holds the library takes no more."""

    exit_code, status = 17, 507


class EngineError(LibraryError):
    """The server that keeps the library's catalog or vectors is away, or does not let us in."""

    exit_code, status = 18, 503


class ModelError(SegSearchError):
    """Weights that are missing, damaged or of another shape."""

    exit_code, status = 20, 503


class ModelMissingError(ModelError):
    """Weights that must be pulled or imported first."""

    exit_code = 21


class DownloadError(ModelError):
    """A server that cannot be reached, or gives no such file."""

    exit_code = 22


class ChecksumError(ModelError):
    """Bytes that are not those of the recorded sha256."""

    exit_code = 23


class NoRoomError(ModelError):
    """No room on disk for the weights."""

    exit_code, status = 24, 507


class UnsafeWeightsError(ModelError):
    """A pickle that wants more than tensors."""

    exit_code = 25


class ModelCrashError(ModelError):
    """The process that ran the models died."""

    exit_code = 26

    def __init__(self, kind: str, *, from_outside: bool = False, of_device: bool = False) -> None:
        super().__init__(kind)
        self.kind = kind
        self.from_outside = from_outside  # killed by somebody else: not the picture's doing
        self.of_device = of_device  # its accelerator failed


class EndpointError(ModelError):
    """A vision endpoint that cannot be asked."""

    exit_code, status = 27, 502


class AnswerError(ModelError):
    """A vision endpoint that gives no answer about one region or picture."""

    exit_code, status = 28, 502


class ServerError(SegSearchError):
    """The server cannot start."""

    exit_code = 30


class PortBusyError(ServerError):
    """The address to serve on is already taken."""

    exit_code = 31


class OverloadError(ServerError):
    """More requests wait than the server can answer soon."""

    exit_code, status = 32, 429


class RateError(ServerError):
    """One caller asks more often than the server allows."""

    exit_code, status = 33, 429

    def __init__(self, text: str, *, seconds: float = 1.0) -> None:
        super().__init__(text)
        self.seconds = seconds  # until the next request is answered


class OpenAddressError(ServerError):
    """An address that others reach, and no API key that keeps them out."""

    exit_code = 34


class RemoteError(SegSearchError):
    """A server elsewhere that the client asks."""

    exit_code, status = 50, 502


class ApiError(RemoteError):
    """What a server elsewhere refuses, with its status, code and request id."""

    exit_code = 51

    def __init__(
        self,
        text: str,
        *,
        status: int = 0,
        code: str = "unknown",
        request_id: str | None = None,
    ) -> None:
        super().__init__(text)
        self.status = status
        self.code = code
        self.request_id = request_id


class UnreachableError(RemoteError):
    """A server elsewhere that cannot be reached."""

    exit_code = 52


def kinds(root: type[SegSearchError] = SegSearchError) -> Iterator[type[SegSearchError]]:
    """A class and all below it, each parent before its children, in the order of this module."""
    yield root
    for child in root.__subclasses__():
        yield from kinds(child)


def table() -> str:
    """All errors with their exit codes and HTTP statuses as a Markdown table."""
    rows = [
        f"| `{kind.__name__}` | {kind.exit_code} | {kind.status} | {kind.__doc__} |"
        for kind in kinds()
        if kind is not SegSearchError
    ]
    return "\n".join(["| error | exit code | HTTP | meaning |", "|---|---|---|---|", *rows])
