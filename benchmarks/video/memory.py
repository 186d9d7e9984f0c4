"""What indexing a long video takes: `python -m benchmarks.video.memory`, after `.compose`.

The composed clips are joined, again and again, to one of so many minutes; `segsearch index` takes
it in, and once a second the memory of all its processes is added up (what is theirs alone, from
`/proc/*/smaps_rollup`), beside how much of the video is done. From minute 5 on it should stay
within a tenth.
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from fractions import Fraction
from itertools import cycle
from pathlib import Path

import av

POLL_SECONDS = 1.0
FIRST_MINUTES = 5


def joined(clips: list[Path], minutes: float, path: Path) -> Path:
    """The clips one after another until it is long enough: packets as they are."""
    with av.open(str(path), "w") as container:
        stream = None
        start = 0
        for clip in cycle(clips):
            with av.open(str(clip)) as source:
                first = source.streams.video[0]
                stream = stream or container.add_stream_from_template(first)
                base = first.time_base or Fraction(1, 1000)
                for packet in source.demux(first):
                    if packet.dts is None or packet.pts is None:
                        continue
                    packet.stream = stream
                    packet.pts += start
                    packet.dts += start
                    container.mux(packet)
                start += first.duration or 0
            if start * base >= minutes * 60:
                return path
    raise SystemExit("There are no clips: run `python -m benchmarks.video.compose` first.")


def own_bytes(root: int) -> int:
    """What a process and all that it started have for themselves."""
    children = defaultdict(list)
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = (entry / "stat").read_text().rpartition(")")[2].split()[1]
            except OSError:
                continue
            children[int(parent)].append(int(entry.name))
    total, waiting = 0, [root]
    while waiting:
        process = waiting.pop()
        waiting += children[process]
        try:
            lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += 1024 * sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))
    return total


def done_seconds(catalog: Path) -> float:
    """How much of the video is described already."""
    try:
        with sqlite3.connect(f"file:{catalog}?mode=ro", uri=True) as db:
            (seconds,) = db.execute(
                "SELECT sum(t_end - t_start) FROM shot WHERE seconds IS NOT NULL"
            ).fetchone()
    except sqlite3.OperationalError:
        return 0.0
    return float(seconds or 0)


def said(minute: int, peak: int) -> None:
    """Print the most of a minute of video."""
    print(f"minute {minute}: {peak / 2**20:,.0f} MB at most", flush=True)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--clips", type=Path, default=Path(".benchmarks/video/test"))
    options.add_argument("--minutes", type=float, default=30)
    options.add_argument("--preset", default="demo")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="segsearch-video-") as temporary:
        folder = Path(temporary)
        path = joined(sorted(chosen.clips.glob("*.mp4")), chosen.minutes, folder / "long.mp4")
        library = folder / "library"
        command = [sys.executable, "-m", "segsearch", "--library", str(library)]
        command += ["--preset", chosen.preset, "index", str(path)]
        began = time.monotonic()
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, env=dict(os.environ)) as process:
            peaks: dict[int, int] = defaultdict(int)
            while process.poll() is None:
                minute = int(done_seconds(library / "catalog.sqlite") // 60)
                if peaks and minute not in peaks:
                    said(*max(peaks.items()))
                peaks[minute] = max(peaks[minute], own_bytes(process.pid))
                time.sleep(POLL_SECONDS)
        seconds = time.monotonic() - began
    if process.returncode:
        raise SystemExit(f"`segsearch index` ended with {process.returncode}.")
    said(*max(peaks.items()))
    later = [peak for minute, peak in peaks.items() if minute >= FIRST_MINUTES]
    if later:
        print(f"from minute {FIRST_MINUTES} on {100 * (max(later) / min(later) - 1):.1f} % apart")
    print(f"{seconds / (chosen.minutes * 60):.2f} s of work for a second of video")


if __name__ == "__main__":
    main()
