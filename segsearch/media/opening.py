"""Opens bytes with one of Pillow's formats, under the caller's limits instead of Pillow's.

`Image.open` compares each picture with `Image.MAX_IMAGE_PIXELS`, which belongs to the whole process
and so is not ours to set: the program around us may decode pictures of its own.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence

from PIL import Image, UnidentifiedImageError


def open_as(formats: Sequence[str], data: bytes) -> Image.Image:
    """The picture behind bytes, header read, pixels not, in the first of these formats that takes
    them. Its size is not checked.

    UnidentifiedImageError when none does; whatever else a format's reader raises.
    """
    if any(name not in Image.OPEN for name in formats):
        Image.init()
    for name in formats:
        read, accepts = Image.OPEN[name]
        if accepts is not None and accepts(data[:16]) is not True:
            continue
        try:
            return read(io.BytesIO(data), "")
        except (SyntaxError, IndexError, TypeError, struct.error):
            continue  # as Pillow does: a start that looked like this format's
    raise UnidentifiedImageError("cannot identify image file")
