"""The shape of the code: what an import loads, how long a file may be, what names may repeat.

Which way imports go is held by import-linter (`make check`, contracts in pyproject.toml).
"""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Collection
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("segsearch", "api", "training", "benchmarks", "tests", "tools")
HEAVY = (
    "torch", "faiss", "sqlalchemy", "alembic", "open_clip", "transformers", "timm", "fastapi",
    "starlette", "uvicorn", "cv2", "scipy", "PIL", "pycocotools", "typer",
)  # fmt: skip


def loaded_by(code: str, packages: Collection[str] = HEAVY) -> set[str]:
    """Which of some packages a new process has loaded after running code."""
    code += "; import sys; print(*sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd="/"
    )
    return set(packages) & set(run.stdout.splitlines()[-1].split())


@pytest.mark.parametrize(
    "code",
    [
        "import segsearch",
        "from segsearch import Settings; Settings()",
        "from segsearch.client import AsyncClient, Client",
        "from segsearch import Query, TextTerm; Query((TextTerm('a'),), limit=5)",
    ],
)
def test_values_and_the_client_load_nothing_heavy(code: str) -> None:
    assert loaded_by(code) == set()


def test_the_help_loads_only_what_it_prints() -> None:
    help_ = "import segsearch.cli.app as cli; cli.app(['--help'], standalone_mode=False)"
    others = ("numpy", "pydantic_settings", "httpx", "rich")
    assert loaded_by(help_, {*HEAVY, *others} - {"typer"}) == set()


def test_public_names_are_sorted_and_all_there() -> None:
    import segsearch

    assert segsearch.__all__ == sorted(segsearch.__all__)
    names: dict[str, object] = {}
    exec("from segsearch import *", names)  # noqa: S102
    assert names.keys() - {"__builtins__"} == set(segsearch.__all__)


def test_the_version_is_the_one_that_is_installed() -> None:
    import segsearch

    document = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert segsearch.__version__ == document["project"]["version"]


def sources() -> list[Path]:
    return [path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")]


def test_no_module_is_longer_than_400_lines() -> None:
    long = {str(path): n for path in sources() if (n := len(path.read_text().splitlines())) > 400}
    assert not long


def test_no_class_name_stands_for_two_things() -> None:
    names = Counter(
        node.name
        for path in sources()
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ClassDef)
    )
    assert [name for name, count in names.items() if count > 1] == []


def test_no_room_has_the_name_of_a_module_in_another() -> None:
    """A stranger who looks for `search` or `export` finds one place."""
    package = ROOT / "segsearch"
    rooms = [path.stem for path in package.iterdir() if path.stem[0] not in "_."]
    inside = [
        path.stem
        for room in package.iterdir()
        if room.is_dir()
        for path in room.iterdir()
        if path.stem[0] not in "_." and (path.is_dir() or path.suffix == ".py")
    ]
    names = Counter([*rooms, *inside])
    assert [name for name, count in names.items() if count > 1] == []
