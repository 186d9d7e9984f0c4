"""Turns claims and images into bytes or pixels, from a path that still holds the very bytes."""

from __future__ import annotations

import hashlib
from pathlib import Path

from segsearch.decode import Limits, decode, read_file
from segsearch.domain import Image, PictureInfo
from segsearch.errors import FileGoneError, NotFoundError, PictureError, PictureTooLargeError
from segsearch.ports import Claim, Pixels


def read_claimed(claim: Claim, limits: Limits) -> tuple[Pixels, PictureInfo]:
    """Upright RGB pixels (H, W, 3) u8 of a claim, from the first path that holds its very bytes.

    The bytes that are decoded are the bytes that were compared: a file that changes while it is
    read gives no half picture. FileGoneError when no path holds them; PictureError when they are
    no picture.
    """
    problem: PictureError = FileGoneError("The file is gone.")
    for path in claim.paths:
        try:
            data = read_file(Path(path), limits)
        except PictureTooLargeError as found:
            problem = found
            continue
        except PictureError as found:
            problem = FileGoneError(str(found))
            continue
        if hashlib.sha256(data).hexdigest() == claim.sha256:
            return decode(data, limits)
        problem = FileGoneError("The file changed after it was found; index it again.")
    raise problem


def read_original(image: Image, limits: Limits) -> bytes:
    """The bytes of an image's file; NotFoundError when it is gone or was changed since."""
    for path in image.paths:
        try:
            data = read_file(Path(path), limits)
        except PictureError:
            continue
        if hashlib.sha256(data).hexdigest() == image.sha256:
            return data
    raise NotFoundError(
        f"The file of image {image.id} is gone or was changed since: {image.paths}."
    )
