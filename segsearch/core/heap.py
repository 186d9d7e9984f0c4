"""The memory of a process: looks through it less often, hands what was freed back to the system."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Callable
from functools import cache

# Of a picture's pixels: from here on what it took is worth a look through the heap, milliseconds.
LARGE_PIXELS = 12_000_000
# Objects more than before, from which Python looks for cycles among them; 700 by itself.
NEW_OBJECTS = 10_000


def collect_less_often() -> None:
    """For a process that is ours: nearly all that loading makes is kept, and looking for cycles in
    it again and again takes a sixth of the time until a command has loaded its models."""
    gc.set_threshold(NEW_OBJECTS, *gc.get_threshold()[1:])


def give_back() -> bool:
    """Whether anything was handed back; False, too, where the C library has no such call.

    glibc keeps freed memory below what is still in use, gigabytes of it after one large picture
    (https://man7.org/linux/man-pages/man3/malloc_trim.3.html).
    """
    trim = _trim()
    return trim is not None and bool(trim(0))


@cache
def _trim() -> Callable[[int], int] | None:
    try:
        trim: Callable[[int], int] | None = getattr(ctypes.CDLL(None), "malloc_trim", None)
    except (OSError, TypeError):
        return None
    return trim
