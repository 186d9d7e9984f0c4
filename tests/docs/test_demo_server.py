"""`make demo-server` fills a library on PostgreSQL by two workers and asks two nodes."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from segsearch.cli.demo.run import PICTURES
from tests.support.documents import ROOT

pytestmark = [pytest.mark.engines, pytest.mark.process, pytest.mark.slow]


def test_two_workers_fill_it_and_two_nodes_find_the_same(tmp_path: Path) -> None:
    for name in ("photo-coffee.jpg", "photo-cat.jpg"):
        shutil.copy(PICTURES / name, tmp_path)
    ran = subprocess.run(
        [sys.executable, "-m", "tools.demo_server", "--pictures", str(tmp_path), "--once"],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert "2 of 2 pictures are indexed" in ran.stdout
    found = [line for line in ran.stdout.splitlines() if " finds " in line]
    assert len(found) == 2
    assert all(line.endswith("photo-coffee.jpg") for line in found)
