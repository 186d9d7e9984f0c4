"""What a Ray actor runs in tests: a worker of small models whose pictures take a while.

`python -m tests.support.ray_worker FOLDER PICTURES SECONDS`; the address of the library's database
is in the environment.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tests.support.fleet_workers import work

if __name__ == "__main__":
    folder = Path(sys.argv[1]) / f"worker-{os.getpid()}"
    work(folder, Path(sys.argv[2]), os.environ["SEGSEARCH_CATALOG"], float(sys.argv[3]))
