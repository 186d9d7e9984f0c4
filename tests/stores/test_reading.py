"""Pictures in S3 are read whole or not at all, in few requests, and never for ever."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import s3fs

from segsearch.core.errors import (
    FileGoneError,
    PathError,
    PictureError,
    PictureTooLargeError,
    StoreError,
)
from segsearch.core.settings import Settings
from segsearch.core.types import Claim
from segsearch.media.sources.object_store import ObjectStore
from segsearch.media.sources.reader import Sources
from segsearch.media.sources.verified import ClaimReader
from tests.support.faulty_store import Fault, FaultyStore
from tests.support.small_models import Shape, paint

pytestmark = pytest.mark.server

Put = Callable[[str, bytes], str]
DATA = os.urandom(70_000)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def claim_of(path: str, data: bytes) -> Claim:
    return Claim(image_id=1, sha256=sha256(data), paths=(path,), recipe_id=1, attempt=1, owner="me")


def test_a_picture_is_one_request(put: Put, proxy: FaultyStore, settings: Settings) -> None:
    name, sources = put("a b/ü?#%25.jpg", DATA), Sources(settings)
    assert sources.read(name) == DATA
    assert sources.digest(name) == (sha256(DATA), len(DATA))
    assert [method for method, _ in proxy.requests] == ["GET", "GET"]
    assert list(sources.find([name]).files) == [name]
    assert sources.read(put("empty.jpg", b"")) == b""
    assert sources.digest(put("empty.jpg", b"")) == (sha256(b""), 0)


def test_an_object_whose_name_would_be_a_chain_stops_nobody(
    put: Put, bucket: str, settings: Settings
) -> None:
    good, odd = put("a.jpg", DATA), f"{bucket}/b::c.jpg"
    s3fs.S3FileSystem().pipe_file(odd.removeprefix("s3://"), DATA)
    listing = Sources(settings).find([bucket])
    assert list(listing.files) == [good]
    assert [(file.path, "::" in file.reason) for file in listing.skipped] == [(odd, True)]
    with pytest.raises(FileGoneError, match="chain"):  # an upload that was copied into a store
        ClaimReader(settings).read(claim_of(odd, DATA))


def test_a_large_object_is_written_in_one_request(bucket: str, proxy: FaultyStore) -> None:
    data, store = bytes(101 << 20), ObjectStore(60)
    for content in (b"", data):
        proxy.mend()
        store.write(f"{bucket}/large", content)
        assert [method for method, _ in proxy.requests] == ["PUT"]
    assert store.info(f"{bucket}/large")["size"] == len(data)


def test_a_bucket_that_is_not_there_is_a_sentence(bucket: str, proxy: FaultyStore) -> None:
    proxy.fail("no bucket", 10, method="PUT")
    with pytest.raises(StoreError, match="no such bucket"):
        ObjectStore(10).write(f"{bucket}/a.jpg", DATA)


def test_no_more_is_read_than_the_limit(put: Put) -> None:
    name = put("a.jpg", DATA)
    sources = Sources(Settings(max_bytes=10_000, store_seconds=10))
    with pytest.raises(PictureTooLargeError):
        sources.read(name)
    with pytest.raises(PictureTooLargeError):
        sources.digest(name)
    assert Sources(Settings(max_bytes=len(DATA))).read(name) == DATA


def test_a_large_prefix_is_listed_page_by_page(
    put: Put, bucket: str, proxy: FaultyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [put(f"p/{number:02}.jpg", b"x") for number in range(7)]
    put("p/.hidden.jpg", b"x")
    put("p.jpg", b"x")
    put("p/notes.txt", b"x")
    ask = ObjectStore._ask

    def few(self: ObjectStore, *args: Any, **options: Any) -> Any:
        more = {"MaxKeys": 3} if "list_objects_v2" in args else {}
        return ask(self, *args, **{**options, **more})

    monkeypatch.setattr(ObjectStore, "_ask", few)
    listing = Sources(Settings()).find([f"{bucket}/p/"])
    assert list(listing.files) == names
    assert [skip.path for skip in listing.skipped] == [f"{bucket}/p/notes.txt"]
    assert list(listing.left_out) == [f"{bucket}/p/.hidden.jpg"]
    assert [method for method, _ in proxy.requests] == ["GET"] * 3
    with pytest.raises(PathError, match="nothing at"):
        Sources(Settings()).find([f"{bucket}/q"])


def test_a_stamp_differs_when_the_object_does_and_stays_when_it_does_not(
    put: Put, settings: Settings
) -> None:
    sources, name = Sources(settings), put("a.jpg", b"one")
    before = sources.find([name]).files
    assert sources.find([name]).files == before
    put("a.jpg", b"two")  # in the same second, of the same size
    assert sources.find([name]).files != before
    (stamp,) = sources.find([name.rpartition("/")[0]]).files.values()
    assert {name: stamp} == sources.find([name]).files, "by listing, and by asking for it"
    assert abs(stamp.mtime_ns / 1e9 - time.time()) < 3600


def test_what_is_gone_is_told_from_what_cannot_be_asked(
    put: Put, proxy: FaultyStore, bucket: str
) -> None:
    sources = Sources(Settings(store_seconds=1))
    there, gone = put("f/a.jpg", b"x"), f"{bucket}/f/b.jpg"
    assert (sources.holds(there), sources.holds(gone)) == (True, False)
    assert sources.missing([there, gone]) == ([gone], [])
    with pytest.raises(PictureError, match="not in its store any more") as told:
        sources.read(gone)
    assert not isinstance(told.value, StoreError)
    proxy.fail("503", 100)
    proxy.fail("503", 100, method="HEAD")
    assert sources.holds(gone)
    assert sources.missing([there, gone]) == ([], [there, gone])
    with pytest.raises(PathError, match="cannot be listed"):
        sources.find([f"{bucket}/f"])


@pytest.mark.parametrize("fault", ["503", "reset", "half"])
def test_a_fault_that_passes_is_not_noticed(
    put: Put, proxy: FaultyStore, settings: Settings, fault: Fault
) -> None:
    name = put("a.jpg", DATA)
    proxy.fail(fault, 2)
    assert Sources(settings).read(name) == DATA
    assert proxy.count("GET") == 3


@pytest.mark.parametrize("fault", ["503", "reset", "half", "slow", "trickle"])
def test_a_fault_that_stays_is_one_sentence_in_bounded_time(
    put: Put, proxy: FaultyStore, fault: Fault
) -> None:
    name = put("a.jpg", DATA)
    proxy.fail(fault, 1000)
    with pytest.raises(StoreError, match=r"cannot be had from its store: .*\.$"):
        Sources(Settings(store_seconds=2)).read(name)
    if fault in {"slow", "trickle"}:
        proxy.mend()
        proxy.fail(fault, 1000)
        with pytest.raises(StoreError, match="SEGSEARCH_STORE_SECONDS"):
            Sources(Settings(store_seconds=1)).digest(name)


def test_half_a_picture_that_says_it_is_whole_is_never_taken(
    put: Put, proxy: FaultyStore, settings: Settings, tmp_path: Path
) -> None:
    data = paint(tmp_path / "a.png", [Shape("red", (10, 10, 50, 40))]).read_bytes()
    name = put("a.png", data)
    proxy.fail("short", 1)
    with pytest.raises(StoreError, match="half of it"):
        Sources(settings).digest(name, len(data))
    reader = ClaimReader(settings)
    proxy.fail("short", 1)
    pixels, _ = reader.read(claim_of(name, data))  # asked for once more
    assert pixels.shape[2] == 3
    proxy.fail("short", 2)
    with pytest.raises(FileGoneError, match="changed"):
        reader.read(claim_of(name, data))
    proxy.fail("503", 100)
    with pytest.raises(StoreError):
        ClaimReader(Settings(store_seconds=1)).read(claim_of(name, data))


def test_what_was_looked_at_is_read_from_this_machines_disk_within_a_bound(
    put: Put, proxy: FaultyStore, tmp_path: Path
) -> None:
    settings = Settings(library=tmp_path / "library", store_cache_bytes=200_000)
    sources = Sources(settings)
    pictures = [os.urandom(70_000) for _ in range(4)]
    names = [put(f"{number}.jpg", data) for number, data in enumerate(pictures)]
    for _ in range(3):
        assert sources.read_as(names[0], sha256(pictures[0]), keep=True) == pictures[0]
    assert proxy.count() == 1
    changed = os.urandom(50)
    put("0.jpg", changed)
    assert sources.read_as(names[0], sha256(changed), keep=True) == changed
    assert sources.read_as(names[0], sha256(pictures[0]), keep=True) is None
    for name, data in zip(names, pictures, strict=True):
        sources.read_as(name, sha256(data), keep=True)
    kept = [file.stat().st_size for file in (tmp_path / "library" / "kept-objects").iterdir()]
    assert 0 < sum(kept) <= 200_000
    proxy.mend()
    assert sources.read_as(names[3], sha256(pictures[3]), keep=True) == pictures[3]
    assert proxy.count() == 0
    next((tmp_path / "library" / "kept-objects").iterdir()).write_bytes(b"damaged")
    for name, data in zip(names[1:], pictures[1:], strict=True):
        assert sources.read_as(name, sha256(data), keep=True) == data


def test_members_of_an_archive_are_read_in_place(
    put: Put, proxy: FaultyStore, settings: Settings
) -> None:
    members = {f"{number}.jpg": os.urandom(3_000_000) for number in range(4)}
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    shard, sources = put("shard.tar", packed.getvalue()), Sources(settings)
    listing = sources.find([shard])
    assert list(listing.files) == [f"{shard}/{name}" for name in members]
    assert proxy.count() <= 3 + 2 * len(members)
    proxy.mend()
    data = sources.read(f"{shard}/2.jpg")
    assert data == members["2.jpg"]
    assert proxy.count() <= 4
    proxy.fail("short", 1)
    with pytest.raises(StoreError, match="half of it"):
        sources.read(f"{shard}/2.jpg")
