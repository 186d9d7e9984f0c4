"""Turns claims and images into bytes or pixels, from a path that still holds the very bytes."""

from __future__ import annotations

from collections.abc import Callable

from segsearch.core.arrays import Pixels
from segsearch.core.errors import (
    FileGoneError,
    NotFoundError,
    PictureError,
    PictureTooLargeError,
    StoreError,
)
from segsearch.core.settings import Settings
from segsearch.core.types import Claim, Image, PictureInfo
from segsearch.media.decode import Limits, decode
from segsearch.media.sources.reader import Sources

CHANGED = "The file changed after it was found; index it again."


class ClaimReader:
    """Reads pictures wherever they lie, under one library's settings. Thread-safe."""

    def __init__(self, settings: Settings) -> None:
        self._sources = Sources(settings)
        self._limits = Limits.of(settings)

    def read(self, claim: Claim) -> tuple[Pixels, PictureInfo]:
        """Upright RGB pixels (H, W, 3) u8 of a claim, from the first path with its very bytes.

        The bytes that are decoded are the bytes that were compared: a file that changes while it
        is read gives no half picture. FileGoneError when no path holds them, StoreError when
        one may, in a store that is away; PictureError when they are no picture.
        """
        problems: list[PictureError] = [FileGoneError("The file is gone.")]
        for path in claim.paths:
            try:
                data = self._sources.read_as(path, claim.sha256)
            except (PictureTooLargeError, StoreError) as error:
                problems.append(error)
            except PictureError as error:
                problems.append(FileGoneError(str(error)))
            else:
                if data is not None:
                    return decode(data, self._limits)
                problems.append(FileGoneError(CHANGED))
        away = (problem for problem in problems if isinstance(problem, StoreError))
        raise next(away, problems[-1])


def read_original(image: Image, read_as: Callable[[str, str], bytes | None]) -> bytes:
    """The bytes of an image's file; NotFoundError when it is gone or was changed since, StoreError
    when it may only be away."""
    away: StoreError | None = None
    for path in image.paths:
        try:
            data = read_as(path, image.sha256)
        except StoreError as problem:
            away = problem
            continue
        except PictureError:
            continue
        if data is not None:
            return data
    if away is not None:
        raise away
    raise NotFoundError(
        f"The file of image {image.id} is gone or was changed since: {image.paths}."
    )
