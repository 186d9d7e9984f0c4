"""Sixteen workers in two networks, on one PostgreSQL: faults leave no trace. `make soak` takes
longer about it."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import pytest

from tests.support.fleet import Trial, faults_leave_no_trace
from tests.support.two_networks import apart, what_is_missing

pytestmark = [pytest.mark.process, pytest.mark.slow]


def test_faults_of_workers_link_and_server_leave_no_trace(tmp_path: Path) -> None:
    if why := what_is_missing():
        if os.environ.get("CI") == "true":
            pytest.fail(why)
        pytest.skip(why)
    trial = Trial(pictures=150, workers=16, picture_seconds=0.8, kills=5, stops=3, cut_seconds=3.0)
    apart(partial(faults_leave_no_trace, trial, tmp_path))
