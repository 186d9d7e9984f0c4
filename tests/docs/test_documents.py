"""The documents say what the code does: settings, commands, errors, links."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer

from segsearch.cli.app import app
from segsearch.core import errors
from segsearch.core.settings import Settings
from segsearch_api.errors import code_table

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_is_documented_with_its_default(name: str) -> None:
    field = Settings.model_fields[name]
    default = "" if field.default is None else f"`{field.default}`"
    row = f"| `SEGSEARCH_{name.upper()}` | {default} | {field.description} |"
    assert re.sub(r"\s+", " ", row) in re.sub(r"\s+", " ", README)


def test_no_setting_is_documented_that_does_not_exist() -> None:
    named = set(re.findall(r"`SEGSEARCH_([A-Z_]+)`", README))
    assert named == {name.upper() for name in Settings.model_fields}


def test_every_command_is_documented() -> None:
    commands = set(typer.main.get_group(app).commands)
    table = README.split("| command |")[1].split("\n\n")[0]
    first = [row.split("|")[1] for row in table.splitlines() if row.startswith("| `")]
    assert {name for cell in first for name in re.findall(r"`(\w+)", cell)} == commands


def test_every_error_is_documented() -> None:
    assert errors.table() in README


@pytest.mark.parametrize(
    "document",
    [
        "README.md",
        "ARCHITECTURE.md",
        "training/README.md",
        "docs/real-models.md",
        "docs/http-api.md",
    ],
)
def test_links_lead_somewhere(document: str) -> None:
    path = ROOT / document
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text())
    missing = [link for link in links if not (path.parent / link).exists()]
    assert not missing


def test_every_module_stands_in_the_architecture() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    parts = [path for path in (ROOT / "segsearch").iterdir() if not path.name.startswith("__")]
    names = [p.name if p.is_file() else f"{p.name}/" for p in parts if p.suffix != ".typed"]
    missing = [name for name in names if f"`{name}`" not in text]
    assert not missing


def test_every_code_of_the_http_api_is_documented() -> None:
    assert code_table() in (ROOT / "docs" / "http-api.md").read_text()
