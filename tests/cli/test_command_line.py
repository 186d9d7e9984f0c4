"""The commands as a user types them: one sentence and an exit code for each kind of bad input."""

from __future__ import annotations

import io
import json
import os
import socket
import struct
import subprocess
import sys
import zlib
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
from PIL import Image
from rich.console import Console

from segsearch.cli.commands.keys import ScopeName
from segsearch.cli.commands.search import _write_overlay
from segsearch.cli.output import status_table
from segsearch.cli.targets import check_target
from segsearch.core import errors
from segsearch.core.errors import PathError, PictureError, QueryError
from segsearch.storage.api_keys import Scope
from tests.conftest import DEMO
from tests.support.commands import run_here
from tests.support.small_models import Shape, open_small_service, paint

pytestmark = pytest.mark.slow


def run(*arguments: str | Path, library: Path) -> subprocess.CompletedProcess[str]:
    """A command in this process; a few tests below start one."""
    return run_here("--library", library, *arguments)


def started(*arguments: str | Path, library: Path) -> subprocess.CompletedProcess[str]:
    """A command as a process."""
    command = [sys.executable, "-m", "segsearch", "--library", library, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One picture, indexed with the embedded models."""
    folder = tmp_path_factory.mktemp("cli")
    picture = Image.new("RGB", (120, 90), (240, 240, 240))
    picture.paste((200, 30, 30), (30, 20, 80, 70))
    picture.save(folder / "one.png")
    library = folder / "library"
    done = started("index", folder / "one.png", "--json", library=library)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["indexed"] == 1
    assert report["segments"] >= 1
    return library


def fails(done: subprocess.CompletedProcess[str], kind: type[errors.SegSearchError]) -> None:
    """The exit code of a kind of error, one sentence on stderr, no traceback."""
    assert done.returncode == kind.exit_code, (done.returncode, done.stderr)
    assert done.stderr.startswith("segsearch: ")
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_hits_are_json_lines_of_the_agreed_shape(library: Path) -> None:
    done = started("search", "a red square", "--limit", "3", "--json", library=library)
    assert done.returncode == 0, done.stderr
    hits = [json.loads(line) for line in done.stdout.splitlines()]
    assert [hit["rank"] for hit in hits] == list(range(1, len(hits) + 1))
    assert list(hits[0]) == [
        "rank", "score", "relevance", "segment_id", "image_id", "path", "width", "height", "shot",
        "box", "area", "mask", "predicted_iou", "stability", "kind", "reading_order", "life",
        "captions", "folded", "lines",
    ]  # fmt: skip
    assert hits[0]["mask"]["size"] == [hits[0]["height"], hits[0]["width"]] == [90, 120]


def test_a_second_run_finds_nothing_to_do(library: Path) -> None:
    done = run("index", library.parent / "one.png", "--json", library=library)
    report = json.loads(done.stdout)
    assert (report["indexed"], report["unchanged"]) == (0, 1)


def test_without_paths_it_is_about_what_the_library_holds(library: Path, tmp_path: Path) -> None:
    fails(run("index", library=library), errors.PathError)
    done = run("index", "--rebuild", "--retry-failed", "--json", library=library)
    assert (done.returncode, json.loads(done.stdout)["files"]) == (0, 0), done.stderr
    fails(run("index", "--rebuild", library=tmp_path / "none"), errors.LibraryMissingError)


def test_an_overlay_replaces_neither_the_library_nor_a_picture(library: Path) -> None:
    for target in (library / "catalog.sqlite", library.parent / "one.png"):
        before = target.read_bytes()
        fails(run("search", "red", "--overlay", target, library=library), PathError)
        assert target.read_bytes() == before


def test_status_counts(library: Path) -> None:
    status = json.loads(run("status", "--json", library=library).stdout)
    assert (status["images"], status["pending"], status["failed"]) == (1, 0, 0)
    assert status["preset"] == "demo"
    assert status["segments"] >= 1
    assert status["bytes"] > 1000


def test_the_library_may_be_named_after_the_command(library: Path, tmp_path: Path) -> None:
    for place in (["--library", library], [f"--library={library}"]):
        done = run("status", "--json", *place, library=tmp_path / "another")
        assert json.loads(done.stdout)["images"] == 1
    fails(run("search", "--", "--library", library=tmp_path / "none"), errors.LibraryMissingError)


def test_the_library_without_its_folder_is_asked_for(library: Path) -> None:
    done = run("search", "cat", "--library", library=library)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Option '--library' requires an argument" in done.stderr


def test_verify_says_yes_only_when_all_agree(library: Path) -> None:
    assert run("verify", library=library).returncode == 0
    snapshot = next((library / "index").glob("*.rows"))
    data = snapshot.read_bytes()
    snapshot.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    try:
        done = run("verify", "--json", library=library)
        assert done.returncode == errors.DamageError.exit_code
        assert not json.loads(done.stdout)["ok"]
    finally:
        snapshot.write_bytes(data)
    assert run("verify", library=library).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [
        (["search", ""], QueryError),
        (["search", "   "], QueryError),
        (["search"], QueryError),
        (["search", "a", "--limit", "0"], QueryError),
        (["search", "a", "--limit", "-3"], QueryError),
        (["search", "--image", "/no/such/file.jpg"], PathError),
        (["search", "--segment", "999999"], errors.NotFoundError),
        (["index", "/no/such/folder"], PathError),
        (["remove", "/no/such/folder"], errors.NotFoundError),
        (["remove"], QueryError),
        (["tag", "--add", "x"], QueryError),
        (["search", "--image", "a" * 300], PathError),  # no file system has such a name
        (["remove", "\udcff"], errors.NotFoundError),  # a byte that is no UTF-8, as Python has it
        (["tag", "\udcff"], errors.NotFoundError),
        (["search", "a", "--tag", "\udcff"], QueryError),
    ],
    ids=lambda value: ascii(" ".join(value)) if isinstance(value, list) else value.__name__,
)
def test_bad_input_gets_one_sentence(
    arguments: list[str], kind: type[errors.SegSearchError], library: Path
) -> None:
    fails(run(*arguments, library=library), kind)


def test_a_query_picture_that_cannot_be_read_is_refused(
    library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "no.jpg").write_bytes(b"nothing of the kind")
    fails(run("search", "--image", tmp_path / "no.jpg", library=library), PictureError)
    monkeypatch.setenv("SEGSEARCH_MAX_BYTES", "4")
    large = run("search", "--image", tmp_path / "no.jpg", library=library)
    fails(large, errors.PictureTooLargeError)
    assert "more than the 4 bytes allowed" in large.stderr  # it was not read to its end


def test_an_empty_folder_is_refused(library: Path, tmp_path: Path) -> None:
    fails(run("index", tmp_path, library=library), PathError)


def test_what_is_under_way_is_told_in_words(library: Path) -> None:
    with open_small_service(library) as service:
        status = replace(service.status(), jobs=tuple(service.jobs()))
    said = io.StringIO()
    status_table(Console(file=said, width=100), status)
    assert "index 1: 1 of 1 pictures" in said.getvalue()


def test_a_library_that_is_not_there_is_said(tmp_path: Path) -> None:
    fails(run("search", "a", library=tmp_path / "none"), errors.LibraryMissingError)
    assert not (tmp_path / "none").exists()


def test_a_busy_port_is_said(library: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        fails(run("serve", "--port", str(port), library=library), errors.PortBusyError)


def test_unknown_presets_and_settings_are_said(tmp_path: Path) -> None:
    Image.new("RGB", (9, 9)).save(tmp_path / "one.png")
    done = run("--preset", "nonsense", "index", tmp_path / "one.png", library=tmp_path / "l")
    fails(done, errors.ModelError)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's /dev/full")
def test_output_that_finds_no_room_is_no_success(tmp_path: Path) -> None:
    asked = ["--library", str(tmp_path), "keys", "list", "--json"]
    command = [sys.executable, "-m", "segsearch", *asked]
    environment = {name: text for name, text in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            command, stdout=full, stderr=subprocess.PIPE, text=True, check=False, env=environment
        )
    fails(done, errors.DiskFullError)
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False, env=environment
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, "")  # its reader left, as `head` does


def test_settings_that_contradict_each_other_are_said(tmp_path: Path) -> None:
    environment = {**os.environ, "SEGSEARCH_CONTEXT_WEIGHT": "0", "SEGSEARCH_MASKED_WEIGHT": "0"}
    command = [sys.executable, "-m", "segsearch", "--library", str(tmp_path), "status"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 2
    assert done.stderr == (
        "segsearch: SEGSEARCH_CONTEXT_WEIGHT, SEGSEARCH_MASKED_WEIGHT and SEGSEARCH_PICTURE_WEIGHT "
        "add up to 0, expected more than 0 and a finite number.\n"
    )


def test_an_overlay_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    paint(tmp_path / "a.png", [Shape("red", (10, 10, 50, 40))])
    with open_small_service(tmp_path / "library") as service:
        service.index([tmp_path / "a.png"])
        best = service.search_text("red", limit=1).hits[0]
        _write_overlay(service, best, tmp_path / "best.png")
        assert (tmp_path / "best.png").read_bytes().startswith(b"\x89PNG")
        with pytest.raises(PathError, match=r"Cannot write to '.*none/best\.png': No such file"):
            _write_overlay(service, best, tmp_path / "none" / "best.png")


def test_what_is_the_library_s_is_no_target(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    picture = paint(tmp_path / "in" / "a.png", [Shape("red", (10, 10, 50, 40))])
    (tmp_path / "link.png").symlink_to(picture)
    with open_small_service(tmp_path / "library") as service:
        service.index([picture])
        (tmp_path / "way").symlink_to(tmp_path / "library")
        for own in ("library/catalog.sqlite", "library", "library/new.png", "way/new.png"):
            with pytest.raises(PathError, match="library's folder"):
                check_target(service, tmp_path / own)
        for known in ("in/a.png", "in", "link.png"):
            with pytest.raises(PathError, match="holds pictures"):
                check_target(service, tmp_path / known)
        for free in ("in/b.png", "library.png", "in/a.png.png"):
            check_target(service, tmp_path / free)


def rubbish(folder: Path) -> set[str]:
    """Files that give nothing; their names."""
    whole = folder / "whole.png"
    Image.effect_noise((64, 64), 80).convert("RGB").save(whole)
    (folder / "truncated.png").write_bytes(whole.read_bytes()[:2000])
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "text.jpg").write_text("I am no picture")
    (folder / "notes.txt").write_text("nor am I")
    header = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
    checksum = struct.pack(">I", zlib.crc32(b"IHDR" + header))
    chunk = struct.pack(">I", 13) + b"IHDR" + header + checksum
    (folder / "huge.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunk)
    (folder / ".hidden.png").write_bytes(whole.read_bytes())
    return {"truncated.png", "empty.jpg", "text.jpg", "notes.txt", "huge.png"}


def test_rubbish_in_a_folder_costs_nothing_but_itself(tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    bad = rubbish(pictures)
    done = run("index", pictures, "--json", library=tmp_path / "library")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["indexed"] == 1
    assert {Path(file["path"]).name for file in report["skipped"]} == bad
    assert all(file["reason"].endswith(".") for file in report["skipped"])
    (huge,) = [file for file in report["skipped"] if file["path"].endswith("huge.png")]
    assert "50,000 x 50,000" in huge["reason"]
    again = json.loads(run("index", pictures, "--json", library=tmp_path / "library").stdout)
    assert again["indexed"] == 0
    assert {Path(file["path"]).name for file in again["skipped"]} == bad


def test_a_folder_of_nothing_but_rubbish_ends_with_the_code_of_a_bad_picture(
    tmp_path: Path,
) -> None:
    (tmp_path / "text.jpg").write_text("I am no picture")
    done = run("index", tmp_path, library=tmp_path / "library")
    assert done.returncode == PictureError.exit_code
    assert "text.jpg" in done.stdout


def test_tags_globs_and_vanished_files_from_the_command_line(tmp_path: Path) -> None:
    pictures, library = tmp_path / "pictures", tmp_path / "library"
    pictures.mkdir()
    for number, name in enumerate(("keep.png", "go.png", "no.png")):
        Image.new("RGB", (40, 30 + number), (200, 30, 30)).save(pictures / name)
    index: list[str | Path] = ["index", pictures, "--exclude", "no.*", "--json"]
    report = json.loads(run(*index, library=library).stdout)
    assert (report["files"], report["indexed"]) == (2, 2)
    tagged = run("tag", pictures, "--add", "red", "--add", "plain", "--json", library=library)
    assert [json.loads(line)["tags"] for line in tagged.stdout.splitlines()] == [
        ["plain", "red"],
        ["plain", "red"],
    ]
    assert "keep.png: plain, red" in run("tag", pictures, library=library).stdout
    fails(run("tag", pictures / "none.png", "--add", "x", library=library), errors.NotFoundError)
    fails(run("tag", pictures, "--add", " ", library=library), QueryError)
    partly = run("tag", pictures / "go.png", "lost", "--add", "z", "--json", library=library)
    assert json.loads(partly.stdout)["tags"] == ["plain", "red", "z"]
    fails(partly, errors.NotFoundError)
    assert "no image at lost;" in partly.stderr
    (pictures / "copy.png").write_bytes((pictures / "keep.png").read_bytes())
    run(*index, library=library)
    assert "other paths lead there" in run("remove", pictures / "copy.png", library=library).stdout
    (pictures / "copy.png").unlink()
    (pictures / "go.png").unlink()
    run(*index, library=library)
    assert json.loads(run("status", "--json", library=library).stdout)["missing"] == 1
    looked = json.loads(run("prune", "--dry-run", "--json", library=library).stdout)
    assert looked == {"paths": [str(pictures / "go.png")], "images": 1}
    assert (
        "1 paths, 1 images would be removed." in run("prune", "--dry-run", library=library).stdout
    )
    assert "1 paths, 1 images removed" in run("prune", library=library).stdout
    assert json.loads(run("verify", "--json", library=library).stdout)["ok"]
    partly = run("remove", pictures / "keep.png", "lost", "--image-id", "99", library=library)
    assert partly.stdout == "Removed 1 images.\n"
    fails(partly, errors.NotFoundError)
    assert "no image at lost, 99;" in partly.stderr


def test_addresses_are_refused_unless_allowed(tmp_path: Path, library: Path) -> None:
    address = "https://example.org/a.jpg"
    refused = run("search", "--image", address, library=library)
    fails(refused, PictureError)
    assert "SEGSEARCH_ALLOW_URLS" in refused.stderr
    fails(run("index", "https://example.org/a.jpg", library=tmp_path / "none"), PathError)
    fails(run("index", "nonsense://box", library=tmp_path / "some"), PathError)
    assert not (tmp_path / "none").exists()


def test_eval_measures_annotated_pictures(tmp_path: Path) -> None:
    pictures, truth = DEMO / "pictures", DEMO / "truth.json"
    given = ("eval", "--coco", truth, "--images", pictures, "--limit", "1", "--json")
    done = run(*given, library=tmp_path / "none")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["pictures"] == 1
    assert [row["method"] for row in document["rows"]][-1] == "both (ours)"
    assert all(0 <= row["map_50"] <= 1 for row in document["rows"])
    assert not (tmp_path / "none").exists()
    fails(run("eval", "--coco", tmp_path, "--images", pictures, library=tmp_path), PathError)
    (tmp_path / "empty").mkdir()
    lost = run("eval", "--coco", truth, "--images", tmp_path / "empty", library=tmp_path)
    fails(lost, PathError)


def test_regions_are_exported_for_other_programs(library: Path, tmp_path: Path) -> None:
    target = tmp_path / "regions.json"
    done = run("export", "a red square", "--into", target, "--limit", "1", library=library)
    assert done.returncode == 0, done.stderr
    assert len(json.loads(target.read_text())["annotations"]) == 1
    fails(run("export", "--into", tmp_path / "no" / "x.json", library=library), PathError)


def test_a_library_is_backed_up_and_restored(library: Path, tmp_path: Path) -> None:
    done = run("backup", tmp_path / "copy", "--json", library=library)
    assert done.returncode == 0, done.stderr
    fails(run("backup", tmp_path / "copy", library=library), PathError)
    fails(run("restore", tmp_path / "none", library=tmp_path / "restored"), PathError)
    assert not (tmp_path / "restored").exists()
    done = run("restore", tmp_path / "copy", "--json", library=tmp_path / "restored")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["images"] == 1
    pruned = json.loads(run("prune", "--json", library=tmp_path / "restored").stdout)
    assert pruned == {"paths": [], "images": 0}
    assert run("repair", library=tmp_path / "restored").returncode == 0


def test_every_scope_of_a_key_can_be_asked_for() -> None:
    assert get_args(ScopeName) == tuple(Scope)
