"""Fetches photographs whose packages, or somebody who looked at them, say what they show.

`named_photographs.json` lists them: web templates, themes and demonstration shops of npm, whose
photographs of people, rooms, food, clothes and landscapes were named by eye or by their file names;
GCompris of Debian, whose animals, tools and monuments are named already; and backgrounds,
wallpapers and examples of other packages of Debian. Photographs that benchmarks/photographs reads
are not among them, nor known persons.
Run `python -m training.data.named_photographs`; it needs `npm` and `apt-get`.
"""

from __future__ import annotations

import io
import json
import struct
import tempfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.data.fetch import parser
from training.data.photographs import PhotographSource, save_small, unpacked

TABLE = Path(__file__).with_suffix(".json")
LONG_SIDE_PX = 480
DEFLATED, DIRECTORY = 1, 2  # flags of an entry in a Qt resource file


@dataclass(frozen=True)
class NamedFile:
    """One photograph in the cache and what it shows, the most prominent first."""

    path: Path
    names: tuple[str, ...]


def folder(cache: Path) -> Path:
    """Where the named photographs lie."""
    return cache / "named-photographs"


def listed(cache: Path) -> list[NamedFile]:
    """The photographs in the cache, in the table's order; FileNotFoundError before `fetch`."""
    report = folder(cache) / "names.json"
    if not report.is_file():
        raise FileNotFoundError(f"expected {report}: run python -m training.data.named_photographs")
    rows = json.loads(report.read_text("utf-8"))
    return [NamedFile(folder(cache) / row["file"], tuple(row["names"])) for row in rows]


def fetch(cache: Path) -> Path:
    """Fetch every package of the table and keep its photographs; returns the JSON file of names."""
    folder(cache).mkdir(parents=True, exist_ok=True)
    rows = [row for entry in json.loads(TABLE.read_text("utf-8")) for row in _kept(entry, cache)]
    report = folder(cache) / "names.json"
    report.write_text(json.dumps(rows, indent=1) + "\n", "utf-8")
    return report


def _kept(entry: dict[str, Any], cache: Path) -> Iterator[dict[str, Any]]:
    """Save a package's photographs; a row for each: file, names, package, version, licence."""
    source = PhotographSource(
        entry["client"], entry["name"], entry["version"], entry["licence"], ()
    )
    with tempfile.TemporaryDirectory() as name:
        files = dict(_contents(Path(name), unpacked(source, Path(name))))
        for index, (inside, told) in enumerate(entry["photographs"].items()):
            own = f"{source.name.split('/')[-1]}-{index:03d}.png"
            save_small(io.BytesIO(files[inside]), folder(cache) / own, LONG_SIDE_PX)
            yield {"file": own, "names": told.split(", "), "path": inside, **source.origin}


def _contents(root: Path, files: list[Path]) -> Iterator[tuple[str, bytes]]:
    """(path, bytes) of a package's files; of Qt resource files what they hold."""
    for file in files:
        if file.suffix == ".rcc":
            yield from resources(file.read_bytes())
        else:
            yield file.relative_to(root).as_posix(), file.read_bytes()


def resources(data: bytes) -> Iterator[tuple[str, bytes]]:
    """(path, bytes) of every file in a Qt resource file, all of whose numbers are big-endian.

    After the mark "qres" come the version and where tree, contents and names begin. An entry of the
    tree is its name's place, flags, and either count and first of its children or, after the
    locale, the place of its contents; from version 2 on with a time.
    """
    version, tree, contents, names = struct.unpack_from(">IIII", data, 4)
    entry_bytes = 14 if version < 2 else 22

    def walk(number: int, inside: str) -> Iterator[tuple[str, bytes]]:
        place = tree + number * entry_bytes
        name, flags = struct.unpack_from(">IH", data, place)
        if number:
            (length,) = struct.unpack_from(">H", data, names + name)
            start = names + name + 6  # after the length and a hash
            inside = f"{inside}/{data[start : start + 2 * length].decode('utf-16-be')}"
        if flags & DIRECTORY:
            count, first = struct.unpack_from(">II", data, place + 6)
            for child in range(first, first + count):
                yield from walk(child, inside)
            return
        (start,) = struct.unpack_from(">I", data, place + 10)
        (length,) = struct.unpack_from(">I", data, contents + start)
        held = data[contents + start + 4 : contents + start + 4 + length]
        # A deflated file begins with its plain length.
        yield inside.lstrip("/"), zlib.decompress(held[4:]) if flags & DEFLATED else held

    yield from walk(0, "")


def main() -> None:
    """Command line."""
    print(fetch(parser(__doc__).parse_args().cache.expanduser()))


if __name__ == "__main__":
    main()
