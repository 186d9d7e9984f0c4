"""What is installed: complete, under our own names only, and light without extras.

Nothing is fetched: what a new environment would hold is linked from the one that runs the tests.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

pytestmark = pytest.mark.slow

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


@pytest.fixture(scope="module")
def without_extras(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `pip install segsearch` puts into an empty environment: ours, and our requirements."""
    site = tmp_path_factory.mktemp("core") / "site"
    shutil.copytree(installed, site)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for name in required(project["dependencies"]):
        package = distribution(name)
        for top in {file.parts[0] for file in package.files or () if file.parts[0] != ".."}:
            if not (site / top).exists():
                (site / top).symlink_to(Path(str(package.locate_file(top))))
    return site


def required(requirements: list[str]) -> set[str]:
    """The names of all distributions that these requirements bring, without extras."""
    names: set[str] = set()
    waiting = [Requirement(text) for text in requirements]
    while waiting:
        requirement = waiting.pop()
        is_needed = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        if is_needed and requirement.name not in names:
            names.add(requirement.name)
            waiting += map(Requirement, distribution(requirement.name).requires or ())
    return names


def python(site: Path, *arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Python with one folder of packages, and none of the environment that runs the tests."""
    environment = {**os.environ, "PYTHONPATH": str(site)}
    return subprocess.run(
        [sys.executable, "-S", "-P", *arguments],
        cwd=cwd, env=environment, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


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
        "segsearch/cli/demo/pictures/photo-cat.jpg",
        "segsearch/cli/demo/videos/parade.mp4",
        "segsearch_api/static/index.html",
        "segsearch_api/static/vendor/preact/core.js",
        "segsearch_api/static/vendor/preact/LICENSE",
        "segsearch_migrations/versions/0001_first.py",
    ],
)
def test_what_it_needs_is_in_it(installed: Path, part: str) -> None:
    assert (installed / part).is_file()


@pytest.mark.parametrize("package", ["segsearch", "segsearch_api", "segsearch_migrations"])
def test_every_package_is_in_it(installed: Path, package: str) -> None:
    folder = ROOT / package.removeprefix("segsearch_")
    modules = {path.relative_to(folder) for path in folder.rglob("*.py")}
    assert modules == {
        path.relative_to(installed / package) for path in (installed / package).rglob("*.py")
    }


@pytest.mark.slow
def test_it_works_from_there(installed: Path, tmp_path: Path) -> None:
    picture = installed / "segsearch" / "cli" / "demo" / "pictures" / "photo-coffee-small-grey.jpg"
    library: tuple[str, Path] = ("--library", tmp_path / "library")
    run(installed, *library, "index", picture, cwd=tmp_path)
    found = run(installed, *library, "search", "a cup of coffee", "--json", cwd=tmp_path)
    assert json.loads(found.stdout.splitlines()[0])["path"] == str(picture)


@pytest.mark.slow
@pytest.mark.parametrize(
    "code",
    [
        "from segsearch import *",
        "from segsearch import open_library; open_library",
        "import segsearch; segsearch.SegSearch",
    ],
)
def test_without_extras_what_needs_one_says_which(
    without_extras: Path, tmp_path: Path, code: str
) -> None:
    refused = python(without_extras, "-c", code, cwd=tmp_path)
    assert re.search(r"InputError: The package \w+ is missing: .* 'cpu' or 'gpu'", refused.stderr)


@pytest.mark.slow
def test_without_extras_the_client_and_the_values_work(
    without_extras: Path, tmp_path: Path
) -> None:
    code = """
import httpx, segsearch
from segsearch import Box, Query, Settings, TextTerm
from segsearch.client import AsyncClient, Client
status = httpx.MockTransport(lambda request: httpx.Response(200, json={"images": 3}))
with Client("http://localhost", transport=status) as library:
    print(library.status()["images"], Box(1, 2, 4, 6).width, Settings().port)
AsyncClient(), Query((TextTerm("a dog"),))
"""
    done = python(without_extras, "-c", code, cwd=tmp_path)
    assert (done.stdout, done.stderr) == ("3 3 8000\n", "")


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [["index", "x"], ["--help"], []])
def test_without_extras_a_command_says_which_it_needs(
    without_extras: Path, tmp_path: Path, arguments: list[str]
) -> None:
    done = python(without_extras, "-m", "segsearch", *arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(
        r"segsearch: The package typer is missing: [^\n]* `pip install 'segsearch\[cpu\]'`\.\n",
        done.stderr,
    )
