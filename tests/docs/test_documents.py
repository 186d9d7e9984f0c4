"""The documents say what the code does: settings, commands, errors, filters, links, numbers."""

from __future__ import annotations

import ast
import importlib
import re
import shlex
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.core import TyperGroup

from segsearch.cli.app import app
from segsearch.core import errors
from segsearch.core.filters import Filters
from segsearch.core.settings import Settings
from segsearch.models.presets import PRESETS
from segsearch_api.errors import code_table
from segsearch_api.routers import ROUTERS
from tests.support import documents
from tests.support.documents import ROOT, code, table

every_document = pytest.mark.parametrize(
    "path", documents.documents(), ids=lambda path: str(path.relative_to(ROOT))
)
COMMANDS = typer.main.get_group(app).commands
MODULE = re.compile(r"python -m ((?:segsearch|benchmarks|training)[\w.]*)")
CLAIMS = "Why regions, and where it holds so far"  # README
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def test_settings_are_documented_as_they_are() -> None:
    settings = [
        [
            f"`SEGSEARCH_{name.upper()}`",
            "" if field.default is None else f"`{field.default}`",
            field.description or "",
        ]
        for name, field in Settings.model_fields.items()
    ]
    assert sorted(table("docs/settings.md", "Settings")) == sorted(settings)


@every_document
def test_no_setting_is_named_that_does_not_exist(path: Path) -> None:
    named = set(re.findall(r"\bSEGSEARCH_([A-Z_]*[A-Z])\b", path.read_text("utf-8")))
    assert named <= {name.upper() for name in Settings.model_fields}


def test_commands_are_documented_as_they_are() -> None:
    named = [re.findall(r"`([\w-]+)", row[0]) for row in table("docs/cli.md", "Commands")]
    assert sorted({name for row in named for name in row}) == sorted(COMMANDS)


def test_commands_about_models_are_documented_as_they_are() -> None:
    named = [row[0].strip("`").split()[1] for row in table("docs/real-models.md", "Commands")]
    models = COMMANDS["models"]
    assert isinstance(models, TyperGroup)
    assert sorted(named) == sorted(models.commands)


def test_presets_are_documented_as_they_are() -> None:
    named = [[code(cell) for cell in row[:3]] for row in table("docs/real-models.md", "Presets")]
    assert sorted(named) == sorted([[name, *chosen.models] for name, chosen in PRESETS.items()])


def test_errors_are_documented_as_they_are() -> None:
    assert errors.table() in documents.section("docs/errors.md", "Errors")


def test_codes_of_the_http_api_are_documented_as_they_are() -> None:
    assert code_table() in documents.section("docs/http-api.md", "Codes")


def test_routes_of_the_http_api_are_documented() -> None:
    """By what they are about: `/v1/images/{id}/tags` by `/v1/images`."""
    routes = [route.path for router in ROUTERS for route in router.routes if hasattr(route, "path")]
    text = (ROOT / "docs/http-api.md").read_text("utf-8")
    things = {"/".join(path.split("/")[:3]) for path in routes}
    assert len(things) > 10
    assert [thing for thing in sorted(things) if not re.search(rf"{thing}[`/?]", text)] == []


def test_filters_are_documented_with_their_options() -> None:
    rows = table("docs/queries.md", "Filters")
    assert {code(row[0]) for row in rows} == {field.name for field in fields(Filters)}
    options = {option for parameter in COMMANDS["search"].params for option in parameter.opts}
    assert {option for row in rows if (option := code(row[1]))} <= options


@every_document
def test_links_lead_somewhere(path: Path) -> None:
    for file, anchor in documents.links(path):
        target = path.parent / file if file else path
        assert target.exists(), file
        assert not anchor or anchor in documents.anchors(target), f"{file}#{anchor}"


@every_document
def test_commands_in_documents_exist(path: Path) -> None:
    text = path.read_text("utf-8")
    for name in MODULE.findall(text):
        module = ROOT / name.replace(".", "/")
        assert module.with_suffix(".py").is_file() or (module / "__main__.py").is_file(), name
    assert set(re.findall(r"`make ([a-z-]+)", text)) <= TARGETS
    for block in documents.blocks(text, "sh"):
        for line in block.splitlines():
            words = shlex.split(line.split("docker compose")[-1], comments=True)
            if words[:1] == ["segsearch"]:
                assert_is_understood(words[1:])
            if words[:1] == ["make"]:
                assert words[1] in TARGETS, line


def assert_is_understood(words: list[str]) -> None:
    """That there is this command, and that it takes these options; nothing is run."""
    while words[0].startswith("--"):  # --library DIR, --preset NAME
        words = words[2:]
    command: Any = typer.main.get_group(app)
    while isinstance(command, TyperGroup):
        command, words = command.commands[words[0]], words[1:]
    command.make_context("command", list(words))


@every_document
def test_python_examples_use_names_that_exist(path: Path) -> None:
    for block in documents.blocks(path.read_text("utf-8"), "python"):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("segsearch"):
                module = importlib.import_module(node.module or "")
                missing = [name.name for name in node.names if not hasattr(module, name.name)]
                assert not missing, f"{node.module} has no {missing}"


def test_readme_claims_nothing_that_results_do_not_have() -> None:
    claimed = re.findall(r"\d+\.\d+", documents.section("README.md", CLAIMS))
    results = (ROOT / "benchmarks/RESULTS.md").read_text("utf-8")
    assert claimed
    assert set(claimed) <= set(re.findall(r"\d+\.\d+", results))


def test_readme_and_results_stay_a_page_each() -> None:
    assert (ROOT / "README.md").stat().st_size < 7_000
    assert len((ROOT / "benchmarks/RESULTS.md").read_text("utf-8").splitlines()) <= 80


def test_every_module_stands_in_the_architecture() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
    parts = [path for path in (ROOT / "segsearch").iterdir() if not path.name.startswith("__")]
    names = [p.name if p.is_file() else f"{p.name}/" for p in parts if p.suffix != ".typed"]
    missing = [name for name in names if f"`{name}`" not in text]
    assert not missing
