"""The tests of an index in Milvus hold on a real server, too."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.support.in_milvus import INSIDE, ON_SERVER
from tools.milvus_server import MilvusServer, namespace

ROOT = Path(__file__).parents[2]
FILES = (
    "tests/storage/test_milvus.py", "tests/storage/test_milvus_answers.py",
    "tests/storage/test_milvus_faults.py", "tests/search/test_engine_contract.py",
)  # fmt: skip
LEAST = 30  # tests that have passed there


@pytest.mark.engines
@pytest.mark.process
@pytest.mark.slow
@pytest.mark.skipif(ON_SERVER, reason="it is what runs these tests there")
def test_all_of_it_holds_on_a_server(tmp_path: Path) -> None:
    """In a process of its own: whoever asks the server must be in its network namespace."""
    if namespace() is None:
        assert os.environ.get("CI") != "true", "this user may make no network namespace"
        pytest.skip("this user may make no network namespace")
    report = tmp_path / "report.xml"
    tests = [
        sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}",
        f"--basetemp={tmp_path / 'inside'}", *FILES,
    ]  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "tools.milvus_server", *tests],
        check=False, capture_output=True, text=True, cwd=ROOT, env={**os.environ, INSIDE: "1"},
        timeout=1_200,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-6_000:] + done.stderr[-2_000:]
    read = ElementTree.parse(report)  # noqa: S314 - pytest wrote it
    (suite,) = read.getroot().iter("testsuite")
    counts = {name: int(suite.attrib[name]) for name in ("tests", "skipped")}
    assert counts["tests"] - counts["skipped"] >= LEAST


def test_a_server_starts_nowhere_else() -> None:
    if ON_SERVER:
        pytest.skip("it may, here")
    with pytest.raises(RuntimeError, match="loopback alone"):
        MilvusServer()
