"""Every error segsearch raises on purpose, as one tree, and what each means at the borders.

SegSearchError
  InputError            the caller handed over something unusable
    PathError             a path that does not exist or holds no pictures
    PictureError          bytes that are not a picture this program reads
      PictureTooLargeError  refused before decoding
      FileGoneError         its file is gone, or not what was found
    QueryError            an empty query, a limit out of range
    NotFoundError         an id that is not in the library
    ConflictError         a name that is taken
  AccessError           a caller who may not do this
    KeyMissingError       no API key, or none that is known
    ScopeError            an API key that does not allow this
  LibraryError          the library cannot be used as it is
    LibraryMissingError   nothing has been indexed there yet
    LibraryVersionError   made by another version
    RecipeError           its vectors come from models that are not loadable here
    DamageError           what is on disk contradicts itself
    BusyError             another process holds the lock for too long, or switched models
    ReadOnlyError         it may be read, not written
    DiskFullError         the disk takes no more
  ModelError            weights that are missing, damaged or of another shape
    ModelMissingError     weights that must be pulled or imported first
    DownloadError         a server that cannot be reached, or gives no such file
    ChecksumError         bytes that are not those of the recorded sha256
    NoRoomError           no room on disk for the weights
    UnsafeWeightsError    a pickle that wants more than tensors
    ModelCrashError       the process that ran the models died
    EndpointError         an endpoint that cannot be asked for captions
    AnswerError           an endpoint that gives no caption of one region
  ServerError           the server cannot start
    PortBusyError         the address is taken
    OverloadError         more requests wait than it can answer soon
    RateError             one caller asks more often than allowed
    OpenAddressError      others could reach it, and no key keeps them out
  RemoteError           a server elsewhere, asked by the client
    ApiError              it refuses
    UnreachableError      it cannot be reached

`EXIT_CODES` and `HTTP_STATUS` give every leaf a row; a test walks the tree.
"""

from __future__ import annotations

import errno


def tells_of_full_disk(problem: BaseException | None) -> bool:
    """Whether an error of the system or of SQLite says that a disk or a quota is used up."""
    is_full = getattr(problem, "errno", None) in {errno.ENOSPC, errno.EDQUOT}
    return is_full or getattr(problem, "sqlite_errorname", None) == "SQLITE_FULL"


class SegSearchError(Exception):
    """Base of everything segsearch raises on purpose; its text is one sentence for a person."""


class InputError(SegSearchError):
    """The caller handed over something unusable."""


class PathError(InputError):
    """A path that does not exist or holds no pictures."""


class PictureError(InputError):
    """Bytes that are not a picture this program reads."""


class PictureTooLargeError(PictureError):
    """A picture refused before decoding, by its bytes or by the size its header claims."""


class FileGoneError(PictureError):
    """A picture whose file is gone, unreadable, or changed since it was found."""


class QueryError(InputError):
    """An empty query, or a limit out of range."""


class NotFoundError(InputError):
    """An id or a name that is not in the library."""


class ConflictError(InputError):
    """A name that is taken."""


class AccessError(SegSearchError):
    """A caller who may not do this."""


class KeyMissingError(AccessError):
    """No API key, or none that is known here."""


class ScopeError(AccessError):
    """An API key that does not allow this."""


class LibraryError(SegSearchError):
    """The library cannot be used as it is."""


class LibraryMissingError(LibraryError):
    """Nothing has been indexed there yet."""


class LibraryVersionError(LibraryError):
    """The library was made by another version of segsearch."""


class RecipeError(LibraryError):
    """The library's vectors come from models or settings that are not loadable here."""


class DamageError(LibraryError):
    """What is on disk contradicts itself."""


class BusyError(LibraryError):
    """Another process holds the library's lock for too long, or has switched its models."""


class ReadOnlyError(LibraryError):
    """The library may be read, but not written."""


class DiskFullError(LibraryError):
    """The disk that holds the library takes no more."""


class ModelError(SegSearchError):
    """Weights that are missing, damaged or of another shape."""


class ModelMissingError(ModelError):
    """Weights that must be pulled or imported first."""


class DownloadError(ModelError):
    """A server that cannot be reached, or gives no such file."""


class ChecksumError(ModelError):
    """Bytes that are not those of the recorded sha256."""


class NoRoomError(ModelError):
    """No room on disk for the weights."""


class UnsafeWeightsError(ModelError):
    """A pickle that wants more than tensors."""


class ModelCrashError(ModelError):
    """The process that ran the models died."""

    def __init__(self, kind: str, *, from_outside: bool = False) -> None:
        super().__init__(kind)
        self.kind = kind
        self.from_outside = from_outside  # killed by somebody else: not the picture's doing


class EndpointError(ModelError):
    """An endpoint that cannot be asked for captions."""


class AnswerError(ModelError):
    """An endpoint that gives no caption of one region."""


class ServerError(SegSearchError):
    """The server cannot start."""


class PortBusyError(ServerError):
    """The address to serve on is already taken."""


class OverloadError(ServerError):
    """More requests wait than the server can answer soon."""


class RateError(ServerError):
    """One caller asks more often than the server allows."""

    def __init__(self, text: str, *, seconds: float = 1.0) -> None:
        super().__init__(text)
        self.seconds = seconds  # until the next request is answered


class OpenAddressError(ServerError):
    """An address that others reach, and no API key that keeps them out."""


class RemoteError(SegSearchError):
    """A server elsewhere that the client asks."""


class ApiError(RemoteError):
    """What a server elsewhere refuses, with its status, code and request id."""

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


EXIT_CODES: dict[type[SegSearchError], int] = {
    SegSearchError: 1,
    InputError: 2,
    PathError: 3,
    PictureError: 4,
    PictureTooLargeError: 4,
    FileGoneError: 4,
    QueryError: 5,
    NotFoundError: 6,
    ConflictError: 7,
    AccessError: 40,
    KeyMissingError: 41,
    ScopeError: 42,
    LibraryError: 10,
    LibraryMissingError: 11,
    LibraryVersionError: 12,
    RecipeError: 13,
    DamageError: 14,
    BusyError: 15,
    ReadOnlyError: 16,
    DiskFullError: 17,
    ModelError: 20,
    ModelMissingError: 21,
    DownloadError: 22,
    ChecksumError: 23,
    NoRoomError: 24,
    UnsafeWeightsError: 25,
    ModelCrashError: 26,
    EndpointError: 27,
    AnswerError: 28,
    ServerError: 30,
    PortBusyError: 31,
    OverloadError: 32,
    RateError: 33,
    OpenAddressError: 34,
    RemoteError: 50,
    ApiError: 51,
    UnreachableError: 52,
}

HTTP_STATUS: dict[type[SegSearchError], int] = {
    SegSearchError: 500,
    InputError: 400,
    PathError: 400,
    PictureError: 422,
    PictureTooLargeError: 413,
    FileGoneError: 422,
    QueryError: 422,
    NotFoundError: 404,
    ConflictError: 409,
    AccessError: 403,
    KeyMissingError: 401,
    ScopeError: 403,
    LibraryError: 500,
    LibraryMissingError: 503,
    LibraryVersionError: 503,
    RecipeError: 503,
    DamageError: 500,
    BusyError: 503,
    ReadOnlyError: 503,
    DiskFullError: 507,
    ModelError: 503,
    ModelMissingError: 503,
    DownloadError: 503,
    ChecksumError: 503,
    NoRoomError: 507,
    UnsafeWeightsError: 503,
    ModelCrashError: 503,
    EndpointError: 502,
    AnswerError: 502,
    ServerError: 500,
    PortBusyError: 500,
    OverloadError: 429,
    RateError: 429,
    OpenAddressError: 500,
    RemoteError: 502,
    ApiError: 502,
    UnreachableError: 502,
}
