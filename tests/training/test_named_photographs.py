"""The table of photographs that training learns names from, and files that hold some of them."""

from __future__ import annotations

import json
import struct
import zlib

import pytest

from training.data.named_photographs import DEFLATED, DIRECTORY, TABLE, resources


def resource_file(version: int, files: dict[str, tuple[bytes, bool]]) -> bytes:
    """A Qt resource file of one folder, `pictures`; each file plain or deflated."""
    names = contents = b""
    rows = [struct.pack(">IHII", 0, DIRECTORY, 1, 1)]
    places = []
    for name in ("pictures", *files):
        places.append(len(names))
        names += struct.pack(">HI", len(name), 0) + name.encode("utf-16-be")
    rows.append(struct.pack(">IHII", places[0], DIRECTORY, len(files), 2))
    for place, (data, deflated) in zip(places[1:], files.values(), strict=True):
        held = struct.pack(">I", len(data)) + zlib.compress(data) if deflated else data
        flags = DEFLATED if deflated else 0
        rows.append(struct.pack(">IHHHI", place, flags, 0, 0, len(contents)))
        contents += struct.pack(">I", len(held)) + held
    tree = b"".join(row + bytes(8 if version > 1 else 0) for row in rows)
    start = 20
    begins = (start, start + len(tree), start + len(tree) + len(contents))
    return b"qres" + struct.pack(">IIII", version, *begins) + tree + contents + names


@pytest.mark.parametrize("version", [1, 3])
def test_a_resource_file_gives_its_files_by_path(version: int) -> None:
    held = {"fish.webp": (b"a fish", False), "list.json": (b"[1, 2, 3]" * 9, True)}
    found = dict(resources(resource_file(version, held)))
    assert found == {"pictures/fish.webp": b"a fish", "pictures/list.json": b"[1, 2, 3]" * 9}


def test_every_listed_photograph_has_names_and_its_package_a_version_and_a_licence() -> None:
    table = json.loads(TABLE.read_text("utf-8"))
    assert len({entry["name"] for entry in table}) == len(table)
    for entry in table:
        assert entry["client"] in {"npm", "apt-get"}
        assert entry["version"]
        assert entry["licence"]
        for path, told in entry["photographs"].items():
            names = told.split(", ")
            assert all(name == name.strip().lower() and name for name in names), path
            assert len(set(names)) == len(names), path


def test_no_listed_package_is_one_that_the_benchmark_reads() -> None:
    from training.data.packaged_photographs import TABLE as MEASURED

    measured = {row["package"] for row in json.loads(MEASURED.read_text("utf-8"))["photographs"]}
    assert not measured & {entry["name"] for entry in json.loads(TABLE.read_text("utf-8"))}
