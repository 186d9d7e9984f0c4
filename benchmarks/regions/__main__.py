"""Prints the drawings' table of RESULTS.md: `python -m benchmarks.regions`, after `.scenes`.

Whole pictures are what rclip and clip-retrieval search, 3 x 3 patches what Marqo does, box crops
what FiftyOne does; the same CLIP and the same masks for all, in one run.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.progress import track

from segsearch.core.settings import Settings
from segsearch.models.loading import build_pipeline, mix_here
from segsearch.search.evaluation.run import evaluate, sampled, table
from segsearch.search.evaluation.truth import read_truth


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--scenes", type=Path, default=Path(".benchmarks/regions/test"))
    options.add_argument("--preset")
    options.add_argument("--limit", type=int)
    options.add_argument("--json", type=Path, help="write the numbers here as well")
    chosen = options.parse_args()
    settings = Settings(preset=chosen.preset)
    truth = read_truth(chosen.scenes / "annotations.json", chosen.scenes / "images")
    shown = track(sampled(truth, chosen.limit), "Describing", console=Console(stderr=True))
    result = evaluate(build_pipeline(settings), shown, mix_here(settings))
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    ).stdout.strip()
    where = f"{platform.system()} {platform.machine()}, {settings.threads} thread"
    print(f"{datetime.now(UTC):%Y-%m-%d}, commit {commit}, {where}")
    print(table(result))
    if chosen.json:
        chosen.json.write_text(json.dumps(result.document) + "\n", "utf-8")


if __name__ == "__main__":
    main()
