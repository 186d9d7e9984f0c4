"""An index that is killed and started again ends as if nothing had happened: with the embedded
models, and few pictures. Many kills of many pictures are in `test_killed`, with small models."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from segsearch.library import SegSearch
from tests.conftest import DEMO
from tests.support.ingest_processes import content, done

pytestmark = pytest.mark.process

PICTURES = 5
PATIENCE_SECONDS = 240  # a run that is told to end finishes the pictures under way


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    scenes = (DEMO / "pictures").glob("scene-*.jpg")
    for path in sorted(scenes, key=lambda path: path.stat().st_size)[:PICTURES]:
        shutil.copy(path, folder)  # the plainest, which take least time
    return folder


def index(pictures: Path, library: Path) -> subprocess.Popen[str]:
    """One picture at a time: few can be done before it is stopped."""
    command: list[str | Path] = [sys.executable, "-m", "segsearch", "--library", library]
    command += ["index", pictures, "--json"]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "SEGSEARCH_LANES": "1"},
    )


def stop_when_some_are_done(process: subprocess.Popen[str], library: Path, number: int) -> None:
    before = done(library)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        if before < done(library) < PICTURES:
            process.send_signal(number)
            break
        time.sleep(0.02)
    process.communicate(timeout=PATIENCE_SECONDS)


def test_a_killed_run_goes_on_to_the_same_end(
    pictures: Path, demo_library: SegSearch, tmp_path: Path
) -> None:
    rough = tmp_path / "rough"
    for number in (signal.SIGKILL, signal.SIGTERM):
        stop_when_some_are_done(index(pictures, rough), rough, number)
    assert 0 < done(rough) < PICTURES
    last = index(pictures, rough)
    out, _ = last.communicate(timeout=PATIENCE_SECONDS)
    assert last.returncode == 0
    assert json.loads(out)["indexed"] < PICTURES - 1
    calm = content(demo_library.settings.library)  # where nothing was killed
    assert content(rough) == {path.name: calm[path.name] for path in pictures.iterdir()}
    command: list[str | Path] = [sys.executable, "-m", "segsearch", "--library", rough, "verify"]
    assert subprocess.run(command, check=False).returncode == 0


STOPPED = """
import os, signal, sys
from segsearch.__main__ import main

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it

class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == "typer":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupting())
main()
"""


def test_a_command_stopped_while_its_parts_load_says_nothing() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", STOPPED], capture_output=True, text=True, check=False, timeout=60
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (-signal.SIGINT, "", "")
