"""Says what keeps an installation from opening libraries: a missing extra, or the system."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from segsearch.core.errors import InputError

OWN = ("segsearch", "segsearch_api", "segsearch_migrations")


def check_system(platform: str = sys.platform) -> None:
    """InputError on Windows: a library needs the file locks and process limits of POSIX."""
    if platform == "win32":
        raise InputError(
            "Windows is not supported: run segsearch on Linux, for example in WSL or a container."
        )


@contextmanager
def needs_extra() -> Iterator[None]:
    """A block that opens libraries; InputError where `pip install segsearch` alone is not enough.

    A module of ours that is not there is no matter of extras, and its error stays as it is.
    """
    check_system()
    try:
        yield
    except ModuleNotFoundError as problem:
        package = (problem.name or "").partition(".")[0]
        if not package or package in OWN:
            raise
        raise InputError(
            f"The package {package} is missing: install segsearch with the extra 'cpu' or 'gpu', "
            "for example `pip install 'segsearch[cpu]'`."
        ) from problem
