"""The command line as a process of its own, for tests that kill it or watch it wait."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def start_command(library: Path, *arguments: str, **settings: str) -> subprocess.Popen[str]:
    """A command on a library, with more in its environment."""
    return subprocess.Popen(
        [sys.executable, "-m", "segsearch", "--library", str(library), *arguments],
        env={**os.environ, **settings}, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def ended(process: subprocess.Popen[str], code: int = 0) -> tuple[str, str]:
    """What a command printed and said, once it has ended with this code."""
    out, err = process.communicate(timeout=120)
    assert process.returncode == code, err
    return out, err
