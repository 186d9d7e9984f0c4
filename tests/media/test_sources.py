"""Where pictures lie: what is found in folders, archives and stores, and what is passed over."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from segsearch.core.errors import PathError, PictureError, PictureTooLargeError
from segsearch.core.settings import Settings
from segsearch.media.sources import base as reasons
from segsearch.media.sources.base import FileSelection, SourceListing
from segsearch.media.sources.paths import album_of, normal, split_shard
from segsearch.media.sources.reader import Sources
from segsearch.media.sources.tar import NO_SEEKING, NONE_INSIDE
from segsearch.media.sources.tar_members import OUTSIDE


def write(path: Path, data: bytes = b"bytes") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def archive(path: Path, members: dict[str, bytes], mode: str = "w") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode) as made:  # type: ignore[call-overload]  # mode is a str here
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            made.addfile(info, io.BytesIO(data))
    return path


def find(*names: str | Path, **settings: object) -> SourceListing:
    return Sources(Settings.model_validate(settings)).find(names)


def below(found: SourceListing, folder: Path) -> list[str]:
    return [os.path.relpath(name, folder) for name in found.files]


def refused(found: SourceListing, folder: Path) -> dict[str, str]:
    return {os.path.relpath(one.path, folder): one.reason for one in found.skipped}


def test_folders_are_walked_and_hidden_files_left_out(tmp_path: Path) -> None:
    for name in ("b.jpg", "a/c.PNG", "a/b/d.heic", ".e.jpg", "a/._c.PNG", ".git/f.jpg", "g.txt"):
        write(tmp_path / name)
    found = find(tmp_path)
    assert below(found, tmp_path) == ["a/b/d.heic", "a/c.PNG", "b.jpg"]
    assert refused(found, tmp_path) == {"g.txt": reasons.NO_PICTURE}


def test_link_loops_end_and_broken_links_are_said(tmp_path: Path) -> None:
    write(tmp_path / "in" / "a.jpg")
    (tmp_path / "in" / "loop").symlink_to(tmp_path)
    (tmp_path / "in" / "self.jpg").symlink_to(tmp_path / "in" / "self.jpg")
    (tmp_path / "in" / "nowhere.jpg").symlink_to(tmp_path / "gone")
    (tmp_path / "in" / "again.jpg").symlink_to(tmp_path / "in" / "a.jpg")
    found = find(tmp_path / "in")
    assert below(found, tmp_path / "in") == ["a.jpg", "again.jpg"]
    assert set(refused(found, tmp_path / "in")) == {"self.jpg", "nowhere.jpg"}
    outright = find(tmp_path / "in" / "loop" / "in")
    assert len(outright.files) == 2


def test_pipes_and_names_that_are_no_text_are_passed_over(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe.jpg")).write_bytes(b"x")
    found = find(tmp_path)
    assert found.files == {}
    assert sorted(refused(found, tmp_path).values()) == [reasons.NO_FILE, reasons.BAD_NAME]


@pytest.mark.parametrize(
    ("settings", "kept"),
    [
        ({"include": ["*.jpg"]}, ["a/two.JPG", "one.jpg"]),
        ({"include": ["a/"]}, ["a/two.JPG", "a/x/three.png"]),
        ({"exclude": ["x/"]}, ["a/two.JPG", "one.jpg"]),
        ({"exclude": ["/a/*.jpg"]}, ["a/x/three.png", "one.jpg"]),
        ({"include": ["*.png", "*.jpg"], "exclude": ["two.*"]}, ["a/x/three.png", "one.jpg"]),
        ({"include": "*.png, one.*"}, ["a/x/three.png", "one.jpg"]),
    ],
)
def test_globs_choose_and_leave_out(
    settings: dict[str, object], kept: list[str], tmp_path: Path
) -> None:
    for name in ("one.jpg", "a/two.JPG", "a/x/three.png"):
        write(tmp_path / name)
    found = find(tmp_path, **settings)
    assert below(found, tmp_path) == kept
    assert found.skipped == ()


def test_a_file_that_is_named_is_taken_whatever_its_ending_and_the_globs(tmp_path: Path) -> None:
    path = write(tmp_path / "picture.dat")
    assert list(find(path, exclude=["*"]).files) == [str(path)]


def test_globs_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEGSEARCH_INCLUDE", "*.jpg, 2024/ ,")
    assert Settings().include == ("*.jpg", "2024/")
    monkeypatch.setenv("SEGSEARCH_INCLUDE", "")
    assert Settings().include is None


def test_of_a_raw_and_the_picture_beside_it_the_picture_is_taken(tmp_path: Path) -> None:
    for name in ("a.CR2", "a.jpg", "b.nef", "c.DNG", "c.HEIC", "sub/a.arw"):
        write(tmp_path / name)
    found = find(tmp_path)
    assert below(found, tmp_path) == ["a.jpg", "b.nef", "c.HEIC", "sub/a.arw"]
    assert refused(found, tmp_path) == dict.fromkeys(["a.CR2", "c.DNG"], reasons.COMPANION)
    assert below(find(tmp_path, exclude=["*.jpg"]), tmp_path)[0] == "a.CR2"
    notes = write(tmp_path / "b.xmp")  # what a shell makes of *: no picture by its name
    assert below(find(tmp_path / "b.nef", notes), tmp_path) == ["b.nef", "b.xmp"]


def test_archives_are_folders(tmp_path: Path) -> None:
    sidecars = {"0.json": b"{}", "0.txt": b"a cat"}
    pictures = {"0.jpg": b"zero", "in/1.png": b"one", "./2.webp": b"two"}
    odd = {".h.jpg": b"h", "../up.jpg": b"u", "/root.jpg": b"r", "a//b.jpg": b"e"}
    made = archive(tmp_path / "s.tar", {**sidecars, **pictures, **odd})
    found = find(tmp_path)
    assert below(found, made) == ["0.jpg", "2.webp", "a/b.jpg", "in/1.png", "root.jpg"]
    assert refused(found, tmp_path) == {"up.jpg": OUTSIDE}
    assert found.files == find(made).files
    sources = Sources(Settings())
    assert [sources.read(name) for name in found.files] == [b"zero", b"two", b"e", b"one", b"r"]
    assert find(tmp_path, include=["s.tar/in/"]).files.keys() == {f"{made}/in/1.png"}


def test_members_of_one_name_are_the_last_one(tmp_path: Path) -> None:
    made = archive(tmp_path / "s.tar", {"a.jpg": b"first"})
    archive(made, {"a.jpg": b"second"}, mode="a")
    assert Sources(Settings()).read(f"{made}/a.jpg") == b"second"


def test_an_archive_written_anew_is_read_anew(tmp_path: Path) -> None:
    made = archive(tmp_path / "s.tar", {"a.jpg": b"first", "b.jpg": b"b"})
    sources = Sources(Settings())
    before = sources.find([made]).files
    archive(made, {"b.jpg": b"moved"})
    os.utime(made, ns=(1, 1))
    after = sources.find([made]).files
    assert sources.read(f"{made}/b.jpg") == b"moved"
    assert after[f"{made}/b.jpg"] != before[f"{made}/b.jpg"]
    with pytest.raises(PictureError, match="holds no"):
        sources.read(f"{made}/a.jpg")
    assert (sources.holds(f"{made}/a.jpg"), sources.holds(f"{made}/b.jpg")) == (False, True)


def test_a_member_is_read_where_it_lies_now(tmp_path: Path) -> None:
    made = archive(tmp_path / "s.tar", {"a.jpg": b"first", "b.jpg": b"second"})
    sources = Sources(Settings())
    assert sources.read(f"{made}/b.jpg") == b"second"
    os.utime(
        archive(made, {"b.jpg": b"second", "a.jpg": b"first"}), ns=(1, 1)
    )  # by another process
    assert sources.read(f"{made}/b.jpg") == b"second"


def test_a_damaged_archive_gives_what_comes_before_the_damage(tmp_path: Path) -> None:
    whole = archive(tmp_path / "s.tar", {"a.jpg": b"a" * 2000, "b.jpg": b"b" * 2000})
    data = whole.read_bytes()
    whole.write_bytes(data[:3500])
    cut = find(tmp_path)
    assert f"{whole}/a.jpg" in cut.files
    assert "damaged" in refused(cut, tmp_path)["s.tar"]
    second = 512 + 2048
    whole.write_bytes(data[:second] + b"\xff" * 512 + data[second + 512 :])
    flipped = find(tmp_path)
    assert list(flipped.files) == [f"{whole}/a.jpg"]
    assert "damaged" in refused(flipped, tmp_path)["s.tar"]


def test_archives_that_give_nothing_say_why(tmp_path: Path) -> None:
    archive(tmp_path / "a.tar", {"notes.txt": b"n"})
    archive(tmp_path / "b.tar.gz", {"a.jpg": b"a"}, mode="w:gz")
    write(tmp_path / "c.tar", b"no archive")
    found = refused(find(tmp_path), tmp_path)
    assert found["a.tar"] == NONE_INSIDE
    assert found["b.tar.gz"] == NO_SEEKING
    assert "damaged" in found["c.tar"]


def test_a_folder_may_be_called_like_an_archive(tmp_path: Path) -> None:
    path = write(tmp_path / "x.tar" / "a.jpg", b"here")
    assert split_shard(str(path)) is None
    assert Sources(Settings()).read(str(path)) == b"here"
    assert below(find(tmp_path), tmp_path) == ["x.tar/a.jpg"]


def test_sizes_are_bounded_before_more_is_in_memory(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jpg", b"x" * 1000)
    sources = Sources(Settings(max_bytes=999))
    for call in (sources.read, sources.digest):
        with pytest.raises(PictureTooLargeError, match="SEGSEARCH_MAX_BYTES"):
            call(str(path))


@pytest.fixture
def store() -> Iterator[str]:
    """A store of fsspec with three objects and a shard."""
    memory = fsspec.filesystem("memory")
    memory.pipe({"/box/a.jpg": b"a", "/box/sub/b.png": b"b", "/box/.c.jpg": b"c"})
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as made:
        info = tarfile.TarInfo("0.jpg")
        info.size = 4
        made.addfile(info, io.BytesIO(b"zero"))
    memory.pipe("/box/s.tar", packed.getvalue())
    yield "memory://box"
    memory.rm("/box", recursive=True)


def test_stores_are_folders_too(store: str) -> None:
    sources = Sources(Settings())
    found = sources.find([store])
    assert [name.removeprefix("memory://").lstrip("/") for name in found.files] == [
        "box/a.jpg",
        "box/s.tar/0.jpg",
        "box/sub/b.png",
    ]
    assert [sources.read(name) for name in found.files] == [b"a", b"zero", b"b"]
    assert all(stamp.is_known for stamp in found.files.values())
    assert sources.find([store]) == found
    assert list(sources.find([f"{store}/sub"]).files) == list(found.files)[2:]


def test_an_object_that_changes_has_another_stamp(store: str) -> None:
    sources = Sources(Settings())
    before = sources.find([f"{store}/a.jpg"]).files
    fsspec.filesystem("memory").pipe("/box/a.jpg", b"b")
    assert sources.find([f"{store}/a.jpg"]).files != before
    fsspec.filesystem("memory").rm("/box/a.jpg")
    assert not sources.holds(next(iter(before)))
    with pytest.raises(PictureError, match="cannot be read"):
        sources.read(next(iter(before)))


def test_a_shard_of_a_store_written_anew_at_the_same_size_is_read_anew(
    store: str, tmp_path: Path
) -> None:
    sources = Sources(Settings())
    for members in ({"1.jpg": b"one", "2.jpg": b"two"}, {"2.jpg": b"two", "1.jpg": b"one"}):
        packed = archive(tmp_path / "s.tar", members).read_bytes()
        fsspec.filesystem("memory").pipe("/box/s.tar", packed)
        assert sources.read(f"{store}/s.tar/1.jpg") == b"one"


def test_a_store_is_listed_for_what_is_gone_from_it(store: str, tmp_path: Path) -> None:
    sources = Sources(Settings())
    names = list(sources.find([store]).files)
    here = tmp_path / "a.jpg"
    here.touch()
    names = [*names, str(here), str(tmp_path / "b.jpg"), "https://example.org/a.jpg"]
    unknown = ["nonsense://box/a.jpg"]
    assert sources.missing([*names, *unknown]) == ([names[4]], unknown)
    for name in ("/box/s.tar", "/box/sub/b.png"):
        fsspec.filesystem("memory").rm(name)
    assert sources.missing(names) == ([names[4], *names[1:3]], [])


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("memory://nothing/here", "nothing at|cannot be listed"),
        ("memory://box::file:///x", "chain"),
        ("nonsense://box", "cannot be reached"),
        ("https://example.org/a.jpg", "SEGSEARCH_ALLOW_URLS"),
        ("/nowhere/at/all", "no file or folder"),
        ("", "names no path"),
        (" ", "names no path"),
        ("file://", "names no path"),
    ],
)
def test_names_that_lead_nowhere_are_refused(name: str, words: str) -> None:
    with pytest.raises(PathError, match=words):
        find(name)


def test_file_urls_are_paths(tmp_path: Path) -> None:
    path = write(tmp_path / "a b.jpg")
    assert normal(path.as_uri()) == str(path)
    assert list(find(path.as_uri()).files) == [str(path)]


@pytest.mark.parametrize(
    ("name", "album"),
    [
        ("/p/Summer 2024/a.jpg", "Summer 2024"),
        ("/p/s.tar/a.jpg", "s"),
        ("s3://bucket/trip/a.jpg", "trip"),
        ("/a.jpg", None),
        (f"/library/uploads/ab/{'ab' * 32}.jpg", None),
        (f"/library/uploads/ab/{'ab' * 32}/a.jpg", None),
        (f"/library/uploads/ab/{'ab' * 32}/trip/a.jpg", "trip"),
        (f"/library/uploads/ab/{'ab' * 32}/deep/er/a.jpg", "er"),  # no upload lies so
    ],
)
def test_albums_are_folders(name: str, album: str | None) -> None:
    assert album_of(name) == album


@pytest.mark.parametrize(
    ("glob", "name"),
    [
        ("#recycle/", "#recycle/a.jpg"),
        ("thumbs/", "two\nlines/thumbs/a.jpg"),
        ("**/thumbs/**", "two\nlines/thumbs/a\nb.jpg"),
        ("two\nlines/", "two\nlines/a.jpg"),
        ("über/", "u\u0308ber/a.jpg"),
        ("u\u0308ber/", "Über/a.jpg"),
        ("*.ÉT\u00c9", "a.e\u0301te\u0301"),
    ],
)
def test_a_glob_means_the_name_that_a_person_reads(glob: str, name: str) -> None:
    assert FileSelection(exclude=(glob,)).compiled()(name) == reasons.EXCLUDED
    assert FileSelection(include=(glob,)).compiled()(name) is None
    assert FileSelection(include=(glob,)).compiled()("other/b.jpg") == reasons.NOT_INCLUDED
    assert FileSelection(exclude=(glob,)).compiled()("other/b.jpg") is None


SYSTEM_PLACES = (
    "@eaDir", "#recycle", "#snapshot", "@Recycle", ".thumbnails", "$RECYCLE.BIN", "$Recycle.Bin",
    "lost+found", ".Trash-1000", ".Trashes", "System Volume Information", "__MACOSX", "@EADIR",
)  # fmt: skip


@pytest.mark.parametrize("place", SYSTEM_PLACES)
def test_folders_of_systems_are_passed_by_wherever_they_lie(place: str, tmp_path: Path) -> None:
    write(tmp_path / "a" / place / "deep" / "thumb.jpg")
    for name in ("a/one.jpg", f"a/{place} of mine/two.jpg", "a/lost/three.jpg"):
        write(tmp_path / name)
    listing = find(tmp_path)
    expected = {"a/lost/three.jpg", "a/one.jpg"}
    mine = {f"a/{place} of mine/two.jpg"} if not place.startswith(".") else set()
    assert set(below(listing, tmp_path)) == expected | mine
    assert listing.skipped == ()
    assert place in listing.left_out[str(tmp_path / "a" / place)]
    assert len(find(tmp_path / "a" / place).files) == 1, "named outright"
    made = archive(tmp_path / "s.tar", {f"{place}/a.jpg": b"a", "b.jpg": b"b"})
    assert below(find(made), made) == ["b.jpg"]
    memory = fsspec.filesystem("memory")
    memory.pipe({f"/nas/{place}/a.jpg": b"a", "/nas/b.jpg": b"b"})
    assert [name[-6:] for name in find("memory://nas").files] == ["/b.jpg"]
    memory.rm("/nas", recursive=True)


def test_of_everything_left_out_the_reason_is_kept(tmp_path: Path) -> None:
    for name in ("a.jpg", "b.png", ".c.jpg", "Thumbs.db", "lib/d.jpg", "x/e.jpg"):
        write(tmp_path / name)
    listing = find(tmp_path, include=["*.jpg"], exclude=["x/"], library=tmp_path / "lib")
    left_out = {os.path.relpath(name, tmp_path): why for name, why in listing.left_out.items()}
    assert left_out.keys() == {"b.png", ".c.jpg", "Thumbs.db", "lib", "x/e.jpg"}
    assert left_out["b.png"] == reasons.NOT_INCLUDED
    assert left_out["x/e.jpg"] == reasons.EXCLUDED
    assert "library" in left_out["lib"]
    assert "hidden" in left_out[".c.jpg"]
