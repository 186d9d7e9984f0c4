"""Faults of a fleet for longer: `tests/ingest/test_fleet.py` has eight of them."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from tests.support.fleet import Trial, faults_leave_no_trace
from tests.support.two_networks import apart, what_is_missing

pytestmark = pytest.mark.process


def test_sixty_faults_of_a_fleet_leave_no_trace(tmp_path: Path) -> None:
    if why := what_is_missing():
        pytest.skip(why)
    # Cut for longer than anybody waits for a lock, or stands still in a transaction.
    trial = Trial(
        pictures=1_200, workers=16, picture_seconds=2.0, kills=40, stops=7, cut_seconds=75.0,
        patience_seconds=600.0,
    )  # fmt: skip
    apart(partial(faults_leave_no_trace, trial, tmp_path))
