"""`segsearch status` says what is wrong with a library, and what helps; with --json, too."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.support.ingest_processes import paint_many
from tests.support.small_models import open_small_service


def test_problems_stand_below_the_counts(tmp_path: Path) -> None:
    folder = paint_many(tmp_path / "pictures", 2)
    (folder / "bad.png").write_text("no picture")
    with open_small_service(tmp_path / "library") as service:
        service.index([folder])
    command = [sys.executable, "-m", "segsearch", "--library", str(tmp_path / "library"), "status"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert any("GB free of" in line for line in lines)
    told = [line for line in lines if line.startswith(("error: ", "warning: "))]
    assert told[0].startswith("error: The models of the library's preset 'small' are not here: ")
    assert any("1 picture could not be indexed. Try them again: by" in line for line in told)
    done = subprocess.run([*command, "--json"], capture_output=True, text=True, check=True)
    status = json.loads(done.stdout)
    codes = [problem["code"] for problem in status["problems"]]
    assert codes[0] == "models_missing"
    assert "pictures_failed" in codes
    assert (status["paused"], status["workers"]) == (False, [])
