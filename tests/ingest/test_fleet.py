"""Sixteen workers in two networks, on one PostgreSQL: faults leave no trace. `make soak` takes
longer about it."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import pytest

from benchmarks import fleet
from tests.support.fleet import Trial, faults_leave_no_trace
from tests.support.two_networks import apart, what_is_missing

pytestmark = [pytest.mark.engines, pytest.mark.process, pytest.mark.slow]


def test_faults_of_workers_link_and_server_leave_no_trace(tmp_path: Path) -> None:
    if why := what_is_missing():
        if os.environ.get("CI") == "true":
            pytest.fail(why)
        pytest.skip(why)
    trial = Trial(pictures=150, workers=16, picture_seconds=0.8, kills=5, stops=3, cut_seconds=3.0)
    apart(partial(faults_leave_no_trace, trial, tmp_path))


def test_the_benchmark_says_what_each_number_of_workers_gives(
    capsys: pytest.CaptureFixture[str],
) -> None:
    fleet.main(["--pictures", "9", "--seconds", "0.05", "--workers", "1", "2"])
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("9 pictures of 0.05 s each")
    rows = [line.strip("| ").split(" | ") for line in said[3:]]
    assert [row[0] for row in rows] == ["1", "2"]
    assert all(float(row[1]) > 0 and row[4].endswith(" ms") for row in rows)
