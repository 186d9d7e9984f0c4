"""Thirty kills at random instants leave no trace; `make test` kills eight times."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.killing import Kills, kills_leave_no_trace

pytestmark = pytest.mark.process


def test_thirty_kills_leave_no_trace(tmp_path: Path) -> None:
    kills_leave_no_trace(Kills(pictures=60, workers=12, servers=8, models=10), tmp_path)
