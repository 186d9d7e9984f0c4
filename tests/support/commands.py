"""The command line in this process: what it prints and how it ends, without the seconds in which a
process of its own would load PyTorch. Tests that are about processes start one."""

from __future__ import annotations

import contextlib
import io
import logging
import signal
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from subprocess import CompletedProcess
from unittest.mock import patch

from segsearch.__main__ import main


def run_here(*arguments: str | Path) -> CompletedProcess[str]:
    """Call what `segsearch` calls with these arguments."""
    words = ["segsearch", *map(str, arguments)]
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2))
    code = 0
    with (
        _as_it_was(),
        patch.object(sys, "argv", words),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            main()
        except SystemExit as ended:
            code = int(ended.code or 0)
    said = []
    for stream in (out, err):
        stream.flush()
        stream.seek(0)
        said.append(stream.read())
    return CompletedProcess(words, code, *said)


@contextlib.contextmanager
def _as_it_was() -> Iterator[None]:
    """Undo what a command does to its process, which is another's here."""
    handlers, level = list(logging.root.handlers), logging.root.level
    interrupt = signal.getsignal(signal.SIGINT)
    with warnings.catch_warnings():
        logging.root.handlers.clear()  # or the command would set up none
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, interrupt)
            logging.root.handlers[:] = handlers
            logging.root.setLevel(level)
