"""Weights come whole and proven, or not at all: a real server that misbehaves, real full disks."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from segsearch.core.errors import (
    ChecksumError,
    DownloadError,
    ModelError,
    ModelMissingError,
    NoRoomError,
    PathError,
)
from segsearch.models.zoo.download import fetch
from segsearch.models.zoo.pullable import TABLE, ModelSource, PullableModel, find_pullable
from segsearch.models.zoo.store import ModelStore
from tests.support.hub import Hub, serving

pytestmark = pytest.mark.server

DATA = bytes(range(256)) * 8192  # 2 MiB
SHA256 = hashlib.sha256(DATA).hexdigest()
FILE = "/weights.safetensors"


@pytest.fixture
def hub() -> Iterator[Hub]:
    with serving({FILE: DATA}) as running:
        yield running


def leftovers(folder: Path) -> list[str]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return sorted(path.name for path in files if path.suffix != ".lock")


def row(
    sha256: str | None = None, companions: tuple[tuple[str, ModelSource], ...] = ()
) -> PullableModel:
    weights = ModelSource("weights.safetensors", "owner/name", revision="abc", sha256=sha256)
    return PullableModel(
        "tiny", "segmenter", "hiera-tiny", (weights,), "MIT",
        commercial=True, parameters=1, input_px=64, companions=companions,
    )  # fmt: skip


def test_a_file_comes_whole_with_its_progress(hub: Hub, tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    fetched = fetch(
        hub.url + FILE, tmp_path / "w", sha256=SHA256, report=lambda *step: seen.append(step)
    )
    assert (tmp_path / "w").read_bytes() == DATA
    assert (fetched.sha256, fetched.size_bytes) == (SHA256, len(DATA))
    assert seen[-1] == (len(DATA), len(DATA))
    assert leftovers(tmp_path) == ["w"]


def test_of_pulls_at_once_one_fetches_and_the_others_wait_for_it(hub: Hub, tmp_path: Path) -> None:
    hub.files["/owner/name/resolve/abc/weights.safetensors"] = DATA
    start = threading.Barrier(4)

    def pull(_: int) -> bool:
        start.wait()
        return ModelStore(tmp_path, hub.url).pull(row(SHA256), None)

    with ThreadPoolExecutor(4) as threads:
        assert sorted(threads.map(pull, range(4))) == [False, False, False, True]
    assert len(hub.asked) == 1
    assert ModelStore(tmp_path, hub.url).model(row(SHA256)).problems() == []


def test_a_pull_waits_while_another_process_changes_the_model(
    hub: Hub, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    hub.files["/owner/name/resolve/abc/weights.safetensors"] = DATA
    holding = (
        "import sys; from filelock import FileLock; lock = FileLock(sys.argv[1]); lock.acquire(); "
        "print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", holding, str(tmp_path / ".tiny.lock")]
    with (
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other,
        ThreadPoolExecutor(1) as threads,
    ):
        assert other.stdout
        assert other.stdout.readline() == b"held\n"
        pulled = threads.submit(ModelStore(tmp_path, hub.url).pull, row(SHA256), None)
        while "waiting for it" not in caplog.text and not pulled.done():
            time.sleep(0.01)
        asked = list(hub.asked)
        other.kill()  # a holder that dies frees the model
        assert pulled.result(timeout=60)
    assert asked == []


def test_a_cut_connection_is_resumed_where_it_broke(hub: Hub, tmp_path: Path) -> None:
    hub.cuts = [1_000_000, 500_000]
    fetch(hub.url + FILE, tmp_path / "w", sha256=SHA256, pause_seconds=0)
    assert (tmp_path / "w").read_bytes() == DATA
    assert [bytes_range for _, bytes_range in hub.asked] == [
        None,
        "bytes=1000000-",
        "bytes=1500000-",
    ]


def test_attempts_that_bring_bytes_do_not_count(hub: Hub, tmp_path: Path) -> None:
    hub.cuts = [200_000] * 9
    fetch(hub.url + FILE, tmp_path / "w", sha256=SHA256, pause_seconds=0)
    assert len(hub.asked) == 10


def test_a_later_run_goes_on_with_what_an_earlier_one_got(hub: Hub, tmp_path: Path) -> None:
    hub.cuts = [700_000] + [0] * 5
    with pytest.raises(DownloadError, match="run the same command again"):
        fetch(hub.url + FILE, tmp_path / "w", sha256=SHA256, pause_seconds=0)
    assert leftovers(tmp_path) == ["w.part", "w.part.json"]
    fetch(hub.url + FILE, tmp_path / "w", sha256=SHA256, pause_seconds=0)
    assert hub.asked[-1][1] == "bytes=700000-"
    assert (tmp_path / "w").read_bytes() == DATA


def test_a_file_that_changed_meanwhile_is_begun_anew(hub: Hub, tmp_path: Path) -> None:
    hub.cuts = [700_000] + [0] * 5
    with pytest.raises(DownloadError):
        fetch(hub.url + FILE, tmp_path / "w", pause_seconds=0)
    hub.files[FILE] = DATA[::-1]
    fetch(hub.url + FILE, tmp_path / "w", pause_seconds=0)
    assert (tmp_path / "w").read_bytes() == DATA[::-1]


def test_more_bytes_than_the_file_has_are_thrown_away(hub: Hub, tmp_path: Path) -> None:
    hub.cuts = [700_000] + [0] * 5
    with pytest.raises(DownloadError):
        fetch(hub.url + FILE, tmp_path / "w", pause_seconds=0)
    with (tmp_path / "w.part").open("ab") as part:
        part.write(DATA)
    fetch(hub.url + FILE, tmp_path / "w", sha256=SHA256, pause_seconds=0)
    assert (tmp_path / "w").read_bytes() == DATA


def test_a_busy_server_is_asked_again(hub: Hub, tmp_path: Path) -> None:
    hub.failures = [503, 429]
    fetch(hub.url + FILE, tmp_path / "w", sha256=SHA256, pause_seconds=0)
    assert len(hub.asked) == 3


def test_wrong_bytes_never_take_the_name(hub: Hub, tmp_path: Path) -> None:
    with pytest.raises(ChecksumError, match=r"expected 0000000000000000\.\.\."):
        fetch(hub.url + FILE, tmp_path / "w", sha256="0" * 64)
    assert leftovers(tmp_path) == []


def test_bytes_are_held_against_what_the_hub_announces(hub: Hub, tmp_path: Path) -> None:
    hub.announced[FILE] = SHA256
    assert fetch(hub.url + FILE, tmp_path / "good").revision == "c0ffee"
    hub.announced[FILE] = "1" * 64
    with pytest.raises(ChecksumError):
        fetch(hub.url + FILE, tmp_path / "bad")
    assert leftovers(tmp_path) == ["good"]


def test_a_missing_file_is_not_asked_for_again(hub: Hub, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="status 404"):
        fetch(hub.url + "/other", tmp_path / "w")
    assert len(hub.asked) == 1


def test_no_network_is_said_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="models import"):
        fetch("http://127.0.0.1:1/w", tmp_path / "w", pause_seconds=0)
    assert leftovers(tmp_path) == []


def test_a_file_larger_than_the_disk_is_not_begun(hub: Hub, tmp_path: Path) -> None:
    hub.claimed_length = 10**18
    with pytest.raises(NoRoomError, match="it needs 1000000000000 MB"):
        fetch(hub.url + FILE, tmp_path / "w")
    assert leftovers(tmp_path) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's /dev/full")
def test_a_disk_that_fills_up_leaves_nothing_behind(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "w.part").symlink_to("/dev/full")  # every write to it says: no space left
    with pytest.raises(NoRoomError, match="SEGSEARCH_MODELS"):
        fetch(hub.url + FILE, tmp_path / "w")
    assert not list(tmp_path.iterdir())


def test_a_pulled_model_is_recorded_and_found(hub: Hub, tmp_path: Path) -> None:
    hub.files["/owner/name/resolve/abc/weights.safetensors"] = DATA
    store = ModelStore(tmp_path, hub.url)
    assert not store.holds(row())
    assert store.pull(row(), None)
    assert store.holds(row())
    model = store.model(row())
    assert model.identity == f"tiny@{SHA256}"
    assert model.path("weights").read_bytes() == DATA
    assert store.files(row())["weights"].revision == "abc"
    assert not store.pull(row(), None)  # it is here
    assert leftovers(tmp_path) == ["record.json", "weights.safetensors"]


def test_what_was_recorded_at_first_pull_binds_every_later_one(hub: Hub, tmp_path: Path) -> None:
    path = "/owner/name/resolve/abc/weights.safetensors"
    hub.files[path] = DATA
    store = ModelStore(tmp_path, hub.url)
    store.pull(row(), None)
    store.model(row()).path("weights").unlink()
    hub.files[path] = DATA[::-1]
    with pytest.raises(ChecksumError):
        store.pull(row(), None)
    with pytest.raises(ModelMissingError, match="models pull tiny"):
        store.model(row()).path("weights")


def test_another_pull_mends_what_is_damaged(hub: Hub, tmp_path: Path) -> None:
    hub.files["/owner/name/resolve/abc/weights.safetensors"] = DATA
    store = ModelStore(tmp_path, hub.url)
    store.pull(row(), None)
    store.model(row()).path("weights").write_bytes(DATA[:-1] + b"x")
    with pytest.raises(ChecksumError, match="run `segsearch models pull tiny`"):
        store.model(row()).path("weights")
    assert store.pull(row(), None)
    assert store.model(row()).path("weights").read_bytes() == DATA


def test_a_pull_without_a_format_keeps_the_weights_that_are_here(hub: Hub, tmp_path: Path) -> None:
    hub.files["/owner/name/resolve/abc/weights.safetensors"] = DATA
    official = ModelSource(hub.url + "/weights.pth")
    both = replace(row(), weights=(official, *row().weights))
    store = ModelStore(tmp_path / "models", hub.url)
    assert store.pull(both, None, format="safetensors")
    hub.files["/weights.pth"] = DATA[::-1]
    assert not store.pull(both, None)
    (tmp_path / "mine.bin").write_bytes(b"weights")
    store.put(both, tmp_path / "mine.bin", None)
    assert not store.pull(both, None)
    assert store.pull(both, None, format="pth")
    assert store.files(both)["weights"].name == "weights.pth"


def test_damage_is_found_and_said(hub: Hub, tmp_path: Path) -> None:
    hub.files["/owner/name/resolve/abc/weights.safetensors"] = DATA
    store = ModelStore(tmp_path, hub.url)
    store.pull(row(), {"model_cfg": {"embed_dim": 3}})
    assert store.model(row()).problems() == []
    path = store.model(row()).path("weights")
    path.write_bytes(DATA[:-1] + b"x")
    assert len(store.model(row()).problems()) == 1
    with pytest.raises(ChecksumError, match="damaged or was replaced"):
        store.model(row()).path("weights")
    assert store.kept() == ["tiny"]
    (tmp_path / "tiny" / "record.json").write_text("{")
    for look in (store.kept, lambda: store.holds(row())):
        with pytest.raises(ModelError, match=r"record\.json' cannot be read .* delete its folder"):
            look()
    assert store.remove(row()) >= len(DATA)
    assert leftovers(tmp_path) == []
    with pytest.raises(ModelMissingError):
        store.remove(row())


def test_an_imported_file_must_be_the_one_the_row_names(tmp_path: Path) -> None:
    store = ModelStore(tmp_path / "models", "http://127.0.0.1:1")
    file = tmp_path / "weights.safetensors"
    with pytest.raises(PathError):
        store.put(row(), file, None)
    file.write_bytes(DATA)
    with pytest.raises(ChecksumError, match="not the file of tiny"):
        store.put(row("0" * 64), file, None)
    assert not store.holds(row())
    store.put(row(SHA256), file, None)
    assert store.model(row()).path("weights").read_bytes() == DATA
    text = tmp_path / "weights.txt"
    text.write_text("words")
    with pytest.raises(ModelError, match="no weights file"):
        store.put(row(), text, None)


def test_a_tokenizer_is_imported_with_its_model(tmp_path: Path) -> None:
    words = replace(row(), companions=(("tokenizer.json", ModelSource("tokenizer.json", "o/n")),))
    store = ModelStore(tmp_path / "models", "http://127.0.0.1:1")
    file = tmp_path / "weights.safetensors"
    file.write_bytes(DATA)
    with pytest.raises(ModelMissingError, match=r"tokenizer\.json of o/n"):
        store.put(words, file, None)
    assert not store.holds(words)
    (tmp_path / "tokenizer.json").write_text(json.dumps({}))
    store.put(words, file, None)
    assert store.model(words).path("tokenizer.json").read_text() == "{}"


def test_a_model_that_is_here_outlives_an_import_that_lacks_a_file(tmp_path: Path) -> None:
    words = replace(row(), companions=(("tokenizer.json", ModelSource("tokenizer.json", "o/n")),))
    store = ModelStore(tmp_path / "models", "http://127.0.0.1:1")
    file = tmp_path / "weights.safetensors"
    file.write_bytes(DATA)
    (tmp_path / "tokenizer.json").write_text("{}")
    store.put(words, file, None)
    (tmp_path / "tokenizer.json").unlink()
    file.write_bytes(DATA[::-1])
    with pytest.raises(ModelMissingError, match=r"tokenizer\.json of o/n"):
        store.put(words, file, None)
    assert store.model(words).problems() == []


def test_a_file_that_cannot_be_read_is_no_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = ModelStore(tmp_path / "models", "http://127.0.0.1:1")
    file = tmp_path / "weights.safetensors"
    file.write_bytes(DATA)

    def refuse(source: Path, _target: Path) -> None:  # no mode keeps root from a file
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(source))

    monkeypatch.setattr("shutil.copyfile", refuse)
    with pytest.raises(PathError, match=r"weights\.safetensors' cannot be read: Permission denied"):
        store.put(row(), file, None)


def test_a_user_without_a_home_hears_which_setting_helps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOME")
    monkeypatch.setattr("pwd.getpwuid", {}.__getitem__)
    with pytest.raises(ModelError, match="SEGSEARCH_MODELS"):
        ModelStore(Path("~/.cache/segsearch/models"), "http://127.0.0.1:1")


def test_the_table_names_each_model_once_and_pins_no_invented_hash() -> None:
    assert len({row.name for row in TABLE}) == len(TABLE) == 18
    for model in TABLE:
        for source in model.weights:
            assert source.sha256 is None or len(bytes.fromhex(source.sha256)) == 32
            assert source.url("https://hub").startswith("https://")
    assert not find_pullable("mobileclip2-s0").commercial
    with pytest.raises(ModelError, match="open_clip:ARCHITECTURE/TAG"):
        find_pullable("sam9")
