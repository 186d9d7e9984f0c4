"""A file takes its name when it is whole, and nothing but a file is replaced by it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from segsearch.core.atomic import is_stream, whole


def test_what_was_there_stays_until_the_new_file_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "a.json"
    target.write_text("old")

    def break_off() -> None:
        with whole(target) as partial:
            partial.write_text("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        break_off()
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


def test_an_open_file_is_written_to_and_the_link_to_it_stays(tmp_path: Path) -> None:
    link = tmp_path / "stdout"
    with (tmp_path / "redirected").open("w+b") as opened:
        link.symlink_to(f"/proc/self/fd/{opened.fileno()}")
        assert is_stream(link)
        with whole(link) as partial:
            partial.write_text("all of it")
        assert opened.read() == b"all of it"
    assert link.is_symlink()


def test_a_link_to_a_file_keeps_leading_to_it(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    target, link = tmp_path / "there" / "a.json", tmp_path / "link"
    link.symlink_to(target)
    for text in ("made", "made again"):
        with whole(link) as partial:
            partial.write_text(text)
        assert (link.is_symlink(), target.read_text()) == (True, text)
    assert len(list(tmp_path.rglob("*"))) == 3


def test_of_two_at_once_each_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "a.jsonl"
    with whole(target) as long:
        long.write_text("long" * 100)
        with whole(target) as short:
            short.write_text("short")
        assert target.read_text() == "short"
    assert target.read_text() == "long" * 100
    assert list(tmp_path.iterdir()) == [target]
