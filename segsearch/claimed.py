"""Turns a claim into pixels, from a path that still holds the bytes the claim is for."""

from __future__ import annotations

import hashlib

from segsearch.decode import Limits, decode
from segsearch.domain import PictureInfo
from segsearch.errors import FileGoneError, PictureError, PictureTooLargeError
from segsearch.ports import Claim, Pixels
from segsearch.settings import Settings
from segsearch.sources.reader import Sources


class ClaimReader:
    """Reads pictures wherever they lie, under one library's settings. Thread-safe."""

    def __init__(self, settings: Settings) -> None:
        self._sources = Sources(settings)
        self._limits = Limits(settings.max_bytes, settings.max_pixels)

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
            except PictureTooLargeError as found:
                problem = found
                continue
            except PictureError as found:
                problem = FileGoneError(str(found))
                continue
            if hashlib.sha256(data).hexdigest() == claim.sha256:
                return decode(data, self._limits)
            problem = FileGoneError("The file changed after it was found; index it again.")
        raise problem
