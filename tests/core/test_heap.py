"""What has been freed goes back to the system, though something above it is still in use."""

from __future__ import annotations

import subprocess
import sys

import pytest

from segsearch.core.heap import NEW_OBJECTS, give_back

# Pieces below the size from which malloc maps them apart, and one at the end that stays.
CODE = """
import gc
from pathlib import Path
from segsearch.core.heap import give_back

def held():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

pieces = [bytearray(64_000) for _ in range(4_000)]
last = bytearray(64_000)
full = held()
pieces.clear()
gc.collect()
kept = held()
print(give_back(), full, kept, held())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="of glibc alone")
def test_freed_memory_below_what_is_in_use_goes_back() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    gave, full, kept, left = done.stdout.split()
    if gave == "False" and kept == left:
        pytest.skip("this C library keeps nothing, or has no call to hand it back")
    assert int(full) - int(left) > 200_000_000


def test_it_may_be_called_at_any_time() -> None:
    assert give_back() in (True, False)


def test_the_command_looks_for_cycles_less_often_and_who_imports_it_as_before() -> None:
    """A library leaves the collector of whoever uses it alone."""
    code = (
        "import gc, sys; import segsearch.library, segsearch.__main__ as m; a = gc.get_threshold()"
    )
    code += "; sys.argv = ['segsearch', '--version']\ntry: m.main()\nexcept SystemExit: pass"
    code += "\nprint(*a[:1], *gc.get_threshold()[:1])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    before, after = map(int, done.stdout.splitlines()[-1].split())
    assert before < NEW_OBJECTS
    assert after == NEW_OBJECTS
