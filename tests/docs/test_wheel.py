"""What is installed: complete, outside the checkout, and under our own names only."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = ("segsearch", "api", "migrations", "pyproject.toml", "README.md", "LICENSE", "NOTICE")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel's content, built from a copy of the sources and unpacked on its own."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name)
        else:
            shutil.copy(ROOT / name, source)
    code = "from setuptools.build_meta import build_wheel; print(build_wheel('..'))"
    subprocess.run([sys.executable, "-c", code], cwd=source, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def run(installed: Path, *arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """The command line from the unpacked wheel, before anything the checkout could offer."""
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    command = [sys.executable, "-P", "-m", "segsearch", *arguments]
    return subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, check=True, timeout=240
    )


def test_only_our_own_names_are_claimed(installed: Path) -> None:
    names = {path.name for path in installed.iterdir() if not path.name.endswith(".dist-info")}
    assert names == {"segsearch", "segsearch_api", "segsearch_migrations"}


@pytest.mark.parametrize(
    "part",
    [
        "segsearch/py.typed",
        "segsearch/models/embedded/sam-lite.safetensors",
        "segsearch/models/embedded/clip-lite.safetensors",
        "segsearch/models/embedded/clip-lite-bpe.txt.gz",
        "segsearch/models/embedded/manifest.json",
        "segsearch/demo/pictures/photo-cat.jpg",
        "segsearch_api/static/index.html",
        "segsearch_migrations/versions/0001_first.py",
    ],
)
def test_what_it_needs_is_in_it(installed: Path, part: str) -> None:
    assert (installed / part).is_file()


def test_it_works_from_there(installed: Path, tmp_path: Path) -> None:
    picture = installed / "segsearch" / "demo" / "pictures" / "photo-coffee-small-grey.jpg"
    library: tuple[str, Path] = ("--library", tmp_path / "library")
    run(installed, *library, "index", picture, cwd=tmp_path)
    found = run(installed, *library, "search", "a cup of coffee", "--json", cwd=tmp_path)
    assert json.loads(found.stdout.splitlines()[0])["path"] == str(picture)
