"""What a command costs from the shell, cold: a process of its own each time.

    python -m benchmarks.start [--library DIR] [--large DIR] [--runs 5]

`--help`, `status` and `search "a cat"` on the demo library, and on a large one when it is given;
`search` by ONNX Runtime, by torch (its words made unavailable, as before they were made), and
answered by a running server. The kinds take turns, so that a busy moment meets all of them; shown
are the median and the least of the runs.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import segsearch.cli.demo
from benchmarks.load import serving

PICTURES = Path(segsearch.cli.demo.__file__).parent / "pictures"
# Torch answers where the words of an embedder have not been made, and cannot be.
BY_TORCH = """
import segsearch.models.embed.onnx_words as words
words.open_words = lambda document, identity: None
words.is_known = lambda document, identity: True
from segsearch.__main__ import main
main()
"""


def seconds(start: Sequence[str], library: Path, arguments: Sequence[str]) -> float:
    """How long a command takes; SystemExit when it fails."""
    began = time.perf_counter()
    command = [sys.executable, *start, "--library", str(library), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: {done.stderr}")
    return time.perf_counter() - began


@contextmanager
def with_server(library: Path, *, is_wanted: bool) -> Iterator[None]:
    """A server of the library beside the block, if it is wanted."""
    if not is_wanted:
        yield
        return
    with serving(library):
        yield


def measure(library: Path, runs: int) -> None:
    """Print how long each kind of start takes on a library."""
    plain = ("-m", "segsearch")
    by_torch = ("-c", BY_TORCH)
    alone = {
        "--help": (plain, ["--help"]),
        "status": (plain, ["status", "--json"]),
        "search by ONNX Runtime": (plain, ["search", "a cat", "--json"]),
        "search by torch": (by_torch, ["search", "a cat", "--json"]),
    }
    beside_a_server = {"search by a running server": (plain, ["search", "a cat", "--json"])}
    taken: dict[str, list[float]] = defaultdict(list)
    for kinds, is_wanted in ((alone, False), (beside_a_server, True)):
        with with_server(library, is_wanted=is_wanted):
            for _ in range(runs):
                for name, (start, arguments) in kinds.items():
                    taken[name].append(seconds(start, library, arguments))
    print(f"{library}, {runs} runs each, {len(os.sched_getaffinity(0))} cores")
    print(f"{'':28}{'median s':>10}{'least s':>10}")
    for name, times in taken.items():
        print(f"{name:28}{statistics.median(times):10.2f}{min(times):10.2f}")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--library", type=Path, help="Of the demo's pictures; else made anew.")
    options.add_argument("--large", type=Path, help="Another library to measure, such as a large.")
    options.add_argument("--runs", type=int, default=5)
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        library = chosen.library or Path(folder) / "library"
        if not library.exists():
            seconds(("-m", "segsearch"), library, ["index", str(PICTURES), "--json"])
        measure(library, chosen.runs)
    if chosen.large:
        measure(chosen.large, chosen.runs)


if __name__ == "__main__":
    main()
