"""What `tools/vendor.py` fetches is what the documents and the checks of the page name."""

from __future__ import annotations

import json
import re

import pytest

from tests.support.documents import ROOT, table
from tools.vendor import PACKAGES, TARGET, rewritten


def test_the_readme_names_what_is_fetched() -> None:
    rows = table("api/static/vendor/README.md", "Libraries of the page")
    named = {(row[1].split()[0], row[2], row[3].split(",")[0]) for row in rows}
    assert named == {(package.name, package.version, package.licence) for package in PACKAGES}
    files = {
        file for row in rows for cell in (row[0], row[3]) for file in re.findall(r"`(.+?)`", cell)
    }
    assert files == {file for package in PACKAGES for file in package.files.values()}
    assert all((TARGET / file).is_file() for file in files)


def test_types_come_from_the_versions_that_are_served() -> None:
    versions = json.loads((ROOT / "package.json").read_text("utf-8"))["devDependencies"]
    assert {p.name: p.version for p in PACKAGES}.items() <= versions.items()
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in versions.values())


def test_specifiers_are_rewritten_and_nothing_else() -> None:
    preact = next(package for package in PACKAGES if package.name == "preact")
    text = (
        'import{options as n}from"preact";export const a = "preact";\n//# sourceMappingURL=x.map\n'
    )
    assert (
        rewritten(text, preact)
        == 'import{options as n}from"./core.js";export const a = "preact";\n'
    )
    with pytest.raises(KeyError, match="elsewhere"):
        rewritten("import a from 'elsewhere';", preact)
