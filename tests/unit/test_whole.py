"""A file takes its name when it is whole, and nothing but a file is replaced by it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from segsearch.whole import whole


def test_what_was_there_stays_until_the_new_file_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "a.json"
    target.write_text("old")
    with pytest.raises(ZeroDivisionError), whole(target) as partial:
        partial.write_text("half")
        raise ZeroDivisionError
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]
    assert target.read_text() == "old"
    with whole(target) as partial:
        partial.write_text("new")
    assert target.read_text() == "new"


def test_a_pipe_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"  # as /dev/stdout may be one
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    with whole(pipe) as partial:
        partial.write_text("all of it")
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert os.read(reader, 100) == b"all of it"
    os.close(reader)
