"""The project's documents: found by their names, read by headings, tables and links."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDERS = ("docs", "benchmarks", "training", "segsearch")
Row = list[str]


def documents() -> list[Path]:
    """Every Markdown file of the project."""
    below = (path for folder in FOLDERS for path in (ROOT / folder).rglob("*.md"))
    return sorted([*ROOT.glob("*.md"), *below])


def section(name: str, heading: str) -> str:
    """What a document has under a heading, up to the next one of the same level or above."""
    lines = (ROOT / name).read_text("utf-8").split("\n")
    marks = {f"{'#' * level} {heading}": level for level in range(1, 7)}
    (start,) = (number for number, line in enumerate(lines) if line in marks)
    level = marks[lines[start]]
    ends = (
        number
        for number, line in enumerate(lines[start + 1 :], start + 1)
        if re.match(rf"#{{1,{level}}} ", line)
    )
    return "\n".join(lines[start + 1 : next(ends, len(lines))])


def table(name: str, heading: str) -> list[Row]:
    """The rows of the first table under a heading, without its head; cells hold no `|`."""
    text = section(name, heading)
    rows = re.search(r"^\|[- |]+\|\n((?:\|.*\n?)+)", text, re.MULTILINE)
    assert rows, f"{name} has no table under {heading!r}"
    return [
        [cell.strip() for cell in line.strip().strip("|").split("|")]
        for line in rows[1].splitlines()
    ]


def code(cell: str) -> str | None:
    """A cell that is one code span, without its quotes; None for any other."""
    span = re.fullmatch(r"`([^`]+)`", cell)
    return span[1] if span else None


def blocks(text: str, language: str) -> list[str]:
    """The fenced blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def links(path: Path) -> list[tuple[str, str]]:
    """(file, anchor) of each link within the project, either may be empty."""
    text = re.sub(r"`[^`\n]*`", "", path.read_text("utf-8"))
    targets = re.findall(r"\]\(([^)\s]+)\)", text)
    inner = (target for target in targets if not re.match(r"[a-z]+:", target))
    return [(file, anchor) for file, _, anchor in (target.partition("#") for target in inner)]


def anchors(path: Path) -> set[str]:
    """What GitHub calls the headings of a document."""
    headings = re.findall(r"^#+ (.+)$", path.read_text("utf-8"), re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.strip().replace(" ", "-") for heading in plain}
