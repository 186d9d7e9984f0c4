"""The shape of the code: which way imports go, and what an import costs."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Each layer may import from itself only where named, and from the layers before it.
LAYERS: list[set[str]] = [
    {"domain", "errors", "whole"},
    {"filters"},
    {"queries"},
    {"prompts", "settings", "collecting", "keys", "remote", "selecting", "captions"},
    {"ports", "client"},
    {"asyncclient"},
    {"masks", "decode", "metadata", "raw", "likeness", "devices", "weights"},
    {"sources"},
    {"crops", "edges", "render", "outlines", "export", "relations", "claimed", "watch", "uploads"},
    {"visionchat"},
    {"packs", "parquet"},
    {"segmenters", "embedders", "indexes", "catalog", "models"},
    {
        "pipeline",
        "remembering",
        "gathering",
        "prompting",
        "search",
        "snapshots",
        "relevance",
        "ranking",
        "cursors",
    },
    {"hybrid", "listing", "captioning", "everyday"},
    {"closer", "pointing", "projection", "worker", "modelprocess"},
    {"terms", "scenes"},
    {"requests", "comparing"},
    {"asking"},
    {"staging"},
    {"jobs", "upkeep", "curation"},
    {"ingest", "prompters"},
    {"looking"},
    {"service"},
    {"progress", "wiring", "selection", "clicking"},
    {"demo", "evaluation", "assistant"},
    {"commands"},
    {"cli"},
    {"__main__"},
]
ADAPTERS = {"segmenters", "embedders", "indexes", "catalog"}
ADAPTERS_NAMED_BY = {"wiring"}
HOME_OF = {
    "torch": {"segmenters", "embedders", "devices", "weights"},
    "torchvision": {"segmenters", "embedders"},
    "open_clip": {"embedders"},
    "segment_anything": {"segmenters"},
    "transformers": {"segmenters"},
    "timm": {"segmenters"},
    "cv2": {"edges"},
    "faiss": {"indexes"},
    "sqlalchemy": {"catalog"},
    "alembic": {"catalog"},
    "fastapi": set(),
    "mcp": {"assistant"},
    "pyarrow": {"parquet"},
    "typer": {"cli", "commands"},
}


def modules() -> Iterator[tuple[str, Path]]:
    for path in sorted((ROOT / "segsearch").rglob("*.py")):
        part = path.relative_to(ROOT / "segsearch").parts[0].removesuffix(".py")
        if part != "__init__":
            yield part, path


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def layer(part: str) -> int:
    found = [number for number, names in enumerate(LAYERS) if part in names]
    assert found, f"segsearch/{part} has no layer in this test"
    return found[0]


@pytest.mark.parametrize(("part", "path"), list(modules()), ids=lambda value: str(value))
def test_imports_go_one_way(part: str, path: Path) -> None:
    for name in imports(path):
        pieces = name.split(".")
        if pieces[0] in HOME_OF:
            assert part in HOME_OF[pieces[0]], f"{path} imports {name}"
        if pieces[0] != "segsearch" or len(pieces) < 2 or pieces[1] in {part, "__version__"}:
            continue
        other = pieces[1]
        assert layer(other) <= layer(part), f"{path} imports {name}, which stands above it"
        if other in ADAPTERS:
            assert part in ADAPTERS_NAMED_BY, f"{path} names the adapter {name}"
        if part in ADAPTERS:
            assert other not in ADAPTERS


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = (
        "import sys, segsearch; "
        "heavy = {'torch', 'faiss', 'sqlalchemy', 'open_clip', 'transformers', 'httpx'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd="/"
    )
    assert found.stdout.strip() == "[]"


def test_public_names_are_sorted_and_all_there() -> None:
    import segsearch

    assert segsearch.__all__ == sorted(segsearch.__all__, key=lambda name: (name.islower(), name))
    assert all(getattr(segsearch, name) is not None for name in segsearch.__all__)


def test_no_module_is_longer_than_400_lines() -> None:
    folders = ("segsearch", "api", "training", "benchmarks", "tests")
    paths = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    long = {str(path): n for path in paths if (n := len(path.read_text().splitlines())) > 400}
    assert not long
