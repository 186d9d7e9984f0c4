"""Pictures that queries name: one file for the same bytes, a bound, and nothing half written."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from segsearch.core.errors import NotFoundError, PictureTooLargeError, ReadOnlyError
from segsearch.storage.kept_pictures import FOLDER, LEAST_BYTES, STALE_SECONDS, KeptPictures

SIZE = LEAST_BYTES * 2


def picture(number: int) -> bytes:
    return bytes([number]) * SIZE


def names(library: Path) -> set[str]:
    return {path.name for path in (library / FOLDER).iterdir()}


def aged(library: Path, picture_id: str, seconds: float) -> None:
    """As if a picture had last been used so long ago."""
    path = library / FOLDER / picture_id
    then = path.stat().st_mtime - seconds
    os.utime(path, (then, then))


def test_the_same_bytes_are_one_file_named_by_their_sha256(tmp_path: Path) -> None:
    kept = KeptPictures(tmp_path, 10 * SIZE)
    picture_id = kept.keep(picture(1))
    assert picture_id == hashlib.sha256(picture(1)).hexdigest()
    assert kept.keep(picture(1)) == picture_id
    assert KeptPictures(tmp_path, 10 * SIZE).keep(picture(1)) == picture_id
    assert names(tmp_path) == {picture_id}
    assert kept.read(picture_id) == picture(1)


def test_the_least_recently_used_go_first(tmp_path: Path) -> None:
    kept = KeptPictures(tmp_path, 3 * SIZE)
    ids = [kept.keep(picture(number)) for number in range(3)]
    for seconds, picture_id in zip((30, 20, 10), ids, strict=True):
        aged(tmp_path, picture_id, seconds)
    kept.use(ids[0])
    newest = kept.keep(picture(3))
    assert names(tmp_path) == {ids[0], ids[2], newest}
    with pytest.raises(NotFoundError, match="choose it again"):
        kept.use(ids[1])
    with pytest.raises(NotFoundError, match="choose it again"):
        kept.read(ids[1])
    aged(tmp_path, ids[2], 10)
    kept.keep(picture(2))  # sent again counts as used
    kept.keep(picture(4))
    assert ids[2] in names(tmp_path)


def test_small_pictures_are_bounded_in_number(tmp_path: Path) -> None:
    kept = KeptPictures(tmp_path, 5 * LEAST_BYTES)
    for number in range(20):
        kept.keep(bytes([number]))
    assert len(names(tmp_path)) == 5


def test_a_picture_larger_than_all_may_be_is_refused_and_drops_nothing(tmp_path: Path) -> None:
    kept = KeptPictures(tmp_path, 2 * SIZE)
    first = kept.keep(picture(1))
    with pytest.raises(PictureTooLargeError, match="SEGSEARCH_QUERY_PICTURE_BYTES"):
        kept.keep(bytes(2 * SIZE + 1))
    assert names(tmp_path) == {first}


@pytest.mark.parametrize("name", ["../catalog.sqlite", "", "0" * 63, "0" * 64, "A" * 64])
def test_no_other_file_is_reached(name: str, tmp_path: Path) -> None:
    (tmp_path / "catalog.sqlite").write_bytes(b"secret")
    kept = KeptPictures(tmp_path, 10 * SIZE)
    kept.keep(picture(1))
    with pytest.raises(NotFoundError):
        kept.read(name)
    with pytest.raises(NotFoundError):
        kept.use(name)


def test_a_damaged_file_counts_as_gone_and_is_written_again(tmp_path: Path) -> None:
    kept = KeptPictures(tmp_path, 10 * SIZE)
    picture_id = kept.keep(picture(1))
    for damage in (picture(2), b""):  # as a power cut may leave it
        (tmp_path / FOLDER / picture_id).write_bytes(damage)
        with pytest.raises(NotFoundError):
            kept.read(picture_id)
        assert kept.keep(picture(1)) == picture_id
        assert kept.read(picture_id) == picture(1)


def test_a_read_only_library_keeps_none_but_gives_those_it_has(tmp_path: Path) -> None:
    picture_id = KeptPictures(tmp_path, 10 * SIZE).keep(picture(1))
    kept = KeptPictures(tmp_path, 10 * SIZE, read_only=True)
    with pytest.raises(ReadOnlyError, match="send the picture with each search"):
        kept.keep(picture(2))
    kept.use(picture_id)
    assert kept.read(picture_id) == picture(1)


KILLED = """
import os, signal, sys
from pathlib import Path
from segsearch.storage.kept_pictures import KeptPictures

Path.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
KeptPictures(Path(sys.argv[1]), 10**6).keep(bytes(50_000))
"""


@pytest.mark.process
def test_killed_in_the_middle_nothing_half_written_has_a_name_and_it_is_swept(
    tmp_path: Path,
) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False)
    assert done.returncode == -signal.SIGKILL
    (left,) = names(tmp_path)
    assert left.endswith(".partial")
    kept = KeptPictures(tmp_path, 10 * SIZE)
    kept.keep(picture(1))
    assert left in names(tmp_path), "another process may be writing it"
    aged(tmp_path, left, STALE_SECONDS + 1)
    picture_id = kept.keep(picture(1))
    assert names(tmp_path) == {picture_id}


def test_several_that_keep_and_read_at_once_see_whole_pictures_within_the_bound(
    tmp_path: Path,
) -> None:
    problems: list[str] = []

    def work(first: int) -> None:
        kept = KeptPictures(tmp_path, 4 * SIZE)  # as each process has its own
        for number in range(60):
            data = picture((first + number) % 12)
            picture_id = kept.keep(data)
            try:
                if kept.read(picture_id) != data:
                    problems.append(picture_id)
            except NotFoundError:
                pass  # others have sent four since

    threads = [threading.Thread(target=work, args=[first]) for first in (0, 3, 6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    KeptPictures(tmp_path, 4 * SIZE).keep(picture(99))
    assert len(names(tmp_path)) <= 4
