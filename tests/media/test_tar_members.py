"""What tar archives hold: joined archives, holes, links, headers that make no sense."""

from __future__ import annotations

import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from segsearch.core.settings import Settings
from segsearch.media.sources import base as reasons
from segsearch.media.sources.reader import Sources
from segsearch.media.sources.tar_members import NESTED, NOT_ALL
from tests.media.test_sources import archive, below, find, refused, write
from tests.support import zoo
from tests.support.small_models import open_small_service


def header(name: str, size: bytes = b"", kind: bytes = tarfile.REGTYPE, link: str = "") -> bytes:
    """One header block; `size` may be what no program writes."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    block = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    block[124:136] = size.ljust(12, b"\0") if size else block[124:136]
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block[:512])
    return bytes(block)


def member(name: str, data: bytes) -> bytes:
    return header(name, b"%011o\0" % len(data)) + data + b"\0" * (-len(data) % 512)


def read_all(made: Path) -> dict[str, bytes]:
    sources = Sources(Settings())
    names = sources.find([made]).files
    return {name.removeprefix(f"{made}/"): sources.read(name) for name in names}


@pytest.mark.parametrize("zeros", [0, 1024, 1024 * 20, 3 << 20])
def test_archives_that_were_joined_are_read_to_the_end(zeros: int, tmp_path: Path) -> None:
    parts = [
        archive(tmp_path / f"{n}.tar", {f"{n}.jpg": b"%d" % n, "same.jpg": b"%d" % n})
        for n in range(3)
    ]
    made = write(tmp_path / "all" / "s.tar", bytes(zeros).join(p.read_bytes() for p in parts))
    assert read_all(made) == {"0.jpg": b"0", "1.jpg": b"1", "2.jpg": b"2", "same.jpg": b"2"}
    assert find(made).skipped == ()
    write(made, made.read_bytes() + b"rubbish behind it".ljust(512))
    assert len(read_all(made)) == 4
    assert refused(find(made), tmp_path) == {"all/s.tar": NOT_ALL}


@pytest.mark.parametrize("form", ["oldgnu", "0.0", "0.1", "1.0"])
def test_files_with_holes_are_whole(form: str, tmp_path: Path) -> None:
    data = bytearray(400_000)
    data[100_000:101_000] = b"a" * 1000
    data[300_000:300_010] = b"b" * 10
    write(tmp_path / "holes.jpg", b"")
    with (tmp_path / "holes.jpg").open("wb") as file:
        for start in (100_000, 300_000):
            file.seek(start)
            file.write(data[start : start + 1000].rstrip(b"\0"))
        file.truncate(len(data))
    write(tmp_path / "after.jpg", b"after")
    version = [] if form == "oldgnu" else [f"--sparse-version={form}"]
    kind = "gnu" if form == "oldgnu" else "posix"
    command = ["tar", f"--format={kind}", "-S", *version, "-cf", "s.tar", "holes.jpg", "after.jpg"]
    subprocess.run(command, cwd=tmp_path, check=True)
    made = tmp_path / "s.tar"
    assert made.stat().st_size < 50_000
    assert read_all(made) == {"holes.jpg": bytes(data), "after.jpg": b"after"}
    assert find(made).files[f"{made}/holes.jpg"].size_bytes == len(data)


def test_links_in_an_archive_are_followed_or_listed(tmp_path: Path) -> None:
    made = write(
        tmp_path / "s.tar",
        member("in/a.jpg", b"first")
        + header("hard.jpg", kind=tarfile.LNKTYPE, link="in/a.jpg")
        + header("in/soft.jpg", kind=tarfile.SYMTYPE, link="../in/a.jpg")
        + header("chain.jpg", kind=tarfile.SYMTYPE, link="in/soft.jpg")
        + header("early.jpg", kind=tarfile.LNKTYPE, link="late.bin")
        + header("nowhere.jpg", kind=tarfile.LNKTYPE, link="gone.jpg")
        + header("away.jpg", kind=tarfile.SYMTYPE, link="/etc/passwd.jpg")
        + header("loop.jpg", kind=tarfile.SYMTYPE, link="loop.jpg")
        + header("pipe.jpg", kind=tarfile.FIFOTYPE)
        + header("notes.txt", kind=tarfile.SYMTYPE, link="gone")
        + member("late.bin", b"late")
        + member("in/a.jpg", b"second")
        + bytes(1024),
    )
    second = dict.fromkeys(["in/a.jpg", "in/soft.jpg", "chain.jpg"], b"second")
    assert read_all(made) == {**second, "hard.jpg": b"first", "early.jpg": b"late"}
    assert refused(find(made), made) == {
        **dict.fromkeys(["nowhere.jpg", "away.jpg", "loop.jpg"], reasons.NOWHERE),
        "pipe.jpg": reasons.NO_FILE,
    }


def test_archives_inside_archives_are_listed(tmp_path: Path) -> None:
    made = archive(tmp_path / "s.tar", {"a.jpg": b"a", "in/more.tar": b"t", "x.TGZ": b"z"})
    assert read_all(made) == {"a.jpg": b"a"}
    assert refused(find(made), made) == dict.fromkeys(["in/more.tar", "x.TGZ"], NESTED)


def test_members_of_a_kind_that_nobody_knows_are_files(tmp_path: Path) -> None:
    contiguous = header("c.jpg", b"%011o\0" % 3, kind=tarfile.CONTTYPE) + b"abc".ljust(512, b"\0")
    unknown = header("u.jpg", b"%011o\0" % 3, kind=b"Z") + b"abc".ljust(512, b"\0")
    made = write(tmp_path / "s.tar", contiguous + unknown + bytes(1024))
    assert read_all(made) == {"c.jpg": b"abc", "u.jpg": b"abc"}


SIZES = {
    "-1": b"\xff" * 12,
    "-1 in digits": b"-0000000001\0",
    "-512": b"\xff" * 10 + b"\xfe\0",
    "-1024": b"\xff" * 10 + b"\xfc\0",
    "2 to the 87": b"\x80" + b"\xff" * 11,
    "2 to the 62": b"\x80\0\0\0\x40" + bytes(7),
    "letters": b"abc",
}


@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE])
@pytest.mark.parametrize("size", SIZES)
def test_a_size_that_makes_no_sense_costs_one_archive(
    size: str, kind: bytes, tmp_path: Path
) -> None:
    bad = header("b.jpg", SIZES[size], kind) + bytes(1024)
    write(tmp_path / "s.tar", member("a.jpg", b"first") + bad)
    write(tmp_path / "z.jpg", b"next")
    found = find(tmp_path)
    assert {"s.tar/a.jpg", "z.jpg"} <= set(below(found, tmp_path))
    assert "damaged" in refused(found, tmp_path)["s.tar"]


def test_a_file_with_holes_of_less_than_no_size_is_not_read_for_ever(tmp_path: Path) -> None:
    bad = bytearray(header("b.jpg", b"\xff" * 10 + b"\xfe\0", b"S"))  # -512 bytes are stored
    bad[386:410] = b"%011o\0%011o\0" % (0, 1)
    bad[148:156] = b" " * 8
    bad[148:156] = b"%06o\0 " % sum(bad)
    write(tmp_path / "s.tar", header("d/", kind=tarfile.DIRTYPE) + bytes(bad) + bytes(1024))
    code = (
        "import sys; from segsearch.core.settings import Settings;"
        "from segsearch.media.sources.reader import Sources;"
        "print(Sources(Settings()).find([sys.argv[1]]).skipped)"
    )
    told = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert "damaged" in told.stdout


def test_of_a_pipe_and_a_file_of_one_name_the_last_counts(tmp_path: Path) -> None:
    pipe = header("a.jpg", kind=tarfile.FIFOTYPE)
    write(tmp_path / "s.tar", pipe + member("a.jpg", b"1") + member("b.jpg", b"2") + bytes(1024))
    assert below(find(tmp_path), tmp_path) == ["s.tar/a.jpg", "s.tar/b.jpg"]
    assert refused(find(tmp_path), tmp_path) == {}


def test_a_pax_header_cannot_say_a_size_that_makes_no_sense(tmp_path: Path) -> None:
    for number, value in enumerate(("-1", "-1024", "9" * 30, "x")):
        said = b"%d size=%s\n"
        length = len(f" size={value}\n") + 2
        words = said % (length, value.encode())
        assert len(words) == length
        pax = header("p", b"%011o\0" % len(words), tarfile.XHDTYPE) + words.ljust(512, b"\0")
        write(tmp_path / f"{number}.tar", member("a.jpg", b"1") + pax + member("b.jpg", b"2"))
    found = find(tmp_path)
    assert {f"{number}.tar/a.jpg" for number in range(4)} <= set(below(found, tmp_path))
    assert {"0.tar", "1.tar", "2.tar"} <= refused(found, tmp_path).keys()


def test_a_hostile_archive_ends_no_run(tmp_path: Path) -> None:
    picture = zoo.saved(zoo.painted(), "PNG")
    bad = header("b.png", SIZES["-1"]) + bytes(1024)
    write(tmp_path / "in" / "s.tar", member("a.png", picture) + bad)
    write(tmp_path / "in" / "z.png", picture + b"other")
    with open_small_service(tmp_path / "library") as service:
        report = service.index([tmp_path / "in"])
        assert (report.files, report.indexed) == (2, 2)
        assert [file.path for file in report.skipped] == [str(tmp_path / "in" / "s.tar")]
        assert service.maintenance.verify() == []
