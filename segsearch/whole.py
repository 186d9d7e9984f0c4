"""Lets a file take its name when it is whole."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole(target: Path) -> Iterator[Path]:
    """A path beside `target` to write to: renamed to it when the block ends, removed when the
    block raises. What lay under `target` before stays until then.

    A device or pipe, such as /dev/stdout, is written to as it is: a file may not take its place.
    """
    if target.exists() and not target.is_file():
        yield target
        return
    partial = target.with_name(f"{target.name}.partial")
    try:
        yield partial
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
