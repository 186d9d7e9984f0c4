"""Workers, model processes and the API are killed at random instants; nothing shows in the end.

A few kills here; `make soak` kills thirty.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.killing import Kills, kills_leave_no_trace

pytestmark = pytest.mark.process


def test_kills_leave_no_trace(tmp_path: Path) -> None:
    kills_leave_no_trace(Kills(pictures=40, workers=3, servers=2, models=3), tmp_path)
