"""README's table of ways to ask: each command line is parsed, each document is a query."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

from segsearch.cli import app
from segsearch.requests import SceneRequest, SearchRequest
from segsearch.scenes import check_scene

README = (Path(__file__).parents[2] / "README.md").read_text()
SECTION = README.split("## Ways to ask\n")[1].split("\n## ")[0]
ROWS = [row for row in SECTION.splitlines() if row.startswith("| ") and "`search " in row]


def codes(row: str) -> list[str]:
    return re.findall(r"`([^`]+)`", row)


def documents(row: str) -> list[dict[str, Any]]:
    return [json.loads(code) for code in codes(row) if code.startswith("{")]


def command_lines(row: str) -> list[str]:
    return [code for code in codes(row) if code.startswith(("search ", "--"))]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.split("|")[1].strip())
def test_each_way_is_understood(row: str) -> None:
    (document,) = documents(row)
    query = SearchRequest.model_validate(document).query(None)
    assert query.terms
    commands = typer.main.get_group(app).commands
    for line in command_lines(row):
        words = shlex.split(line.removeprefix("search "))
        parsed = commands["search"].make_context("search", words)
        assert {name for name, value in parsed.params.items() if value not in (None, [], False)}


def test_the_scene_is_understood() -> None:
    (text,) = re.findall(r"```json\n(.*?)\n```", SECTION, re.DOTALL)
    check_scene(SceneRequest.model_validate_json(text).query())
    row = next(line for line in README.splitlines() if line.startswith("| `scene [FILE]`"))
    words = shlex.split(next(code for code in codes(row) if code.startswith("--")))
    scene = typer.main.get_group(app).commands["scene"]
    parsed = scene.make_context("scene", words)
    assert parsed.params["thing"] == ["dog", "frisbee"]
    assert parsed.params["no"] == ["person"]
    assert parsed.params["where"] == ["dog left of frisbee"]


def test_the_table_is_there() -> None:
    assert len(ROWS) >= 8
