"""Turns claims and images into bytes or pixels, from a path that still holds the very bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from segsearch.core.arrays import Pixels
from segsearch.core.errors import FileGoneError, NotFoundError, PictureError, PictureTooLargeError
from segsearch.core.settings import Settings
from segsearch.core.types import Claim, Image, PictureInfo
from segsearch.media.decode import Limits, decode
from segsearch.media.sources.reader import Sources


class ClaimReader:
    """Reads pictures wherever they lie, under one library's settings. Thread-safe."""

    def __init__(self, settings: Settings) -> None:
        self._sources = Sources(settings)
        self._limits = Limits.of(settings)

    def read(self, claim: Claim) -> tuple[Pixels, PictureInfo]:
        """Upright RGB pixels (H, W, 3) u8 of a claim, from the first path with its very bytes.

        The bytes that are decoded are the bytes that were compared: a file that changes while it
        is read gives no half picture. FileGoneError when no path holds them; PictureError when
        they are no picture.
        """
        problem: PictureError = FileGoneError("The file is gone.")
        for path in claim.paths:
            try:
                data = self._sources.read(path)
            except PictureTooLargeError as error:
                problem = error
                continue
            except PictureError as error:
                problem = FileGoneError(str(error))
                continue
            if hashlib.sha256(data).hexdigest() == claim.sha256:
                return decode(data, self._limits)
            problem = FileGoneError("The file changed after it was found; index it again.")
        raise problem


def read_original(image: Image, read: Callable[[str], bytes]) -> bytes:
    """The bytes of an image's file; NotFoundError when it is gone or was changed since."""
    for path in image.paths:
        try:
            data = read(path)
        except PictureError:
            continue
        if hashlib.sha256(data).hexdigest() == image.sha256:
            return data
    raise NotFoundError(
        f"The file of image {image.id} is gone or was changed since: {image.paths}."
    )
