"""What files a page of ours consists of: the page, and what it names and imports, without end."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

from tests.support.documents import ROOT

STATIC = ROOT / "api" / "static"
VENDOR = STATIC / "vendor"
FILM = STATIC / "app" / "film.js"  # what a page without a video never loads
COMMENTS = re.compile(r"/\*.*?\*/|(?:^|(?<=[\s;{}]))//[^\n]*", re.DOTALL)
STATIC_IMPORT = re.compile(r"""(?:\bfrom|\bimport|@import(?:\s+url\()?)\s*(["'])([^"']+)\1""")
LAZY_IMPORT = re.compile(r"""\bimport\(\s*(["'])([^"']+)\1""")
SHEET = re.compile(r"""["'](static/[\w/]+\.css)["']""")  # that a module links to
CSS_URL = re.compile(r"""\burl\(\s*["']?([^"')]+)""")


class NamedFiles(HTMLParser):
    """Scripts, style sheets and icons that a page names."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attribute = {"script": "src", "link": "href", "img": "src"}.get(tag)
        self.names += [value for name, value in attrs if name == attribute and value]


def imports(file: Path, *, lazy: bool) -> list[Path]:
    """The files that a page, module or style sheet names; with `lazy` those by `import(...)` too.

    ValueError for an import that a browser would not find by its path alone.
    """
    text = file.read_text("utf-8")
    if file.suffix == ".html":
        named = NamedFiles()
        named.feed(text)
        return [
            (STATIC.parent / name).resolve() for name in named.names
        ]  # pages are served beside static/
    if file.suffix not in (".js", ".css"):
        return []
    text = COMMENTS.sub("", text)
    names = [found[2] for found in STATIC_IMPORT.finditer(text)]
    if file.suffix == ".css":
        names += [name for name in CSS_URL.findall(text) if not name.startswith(("#", "data:"))]
    elif lazy:
        names += [found[2] for found in LAZY_IMPORT.finditer(text)]
    sheets = SHEET.findall(text) if file.suffix == ".js" else []
    if file.suffix == ".js" and (bare := [name for name in names if not name.startswith(".")]):
        raise ValueError(f"{file} imports {bare}: expected ./ or ../.")
    return [
        *((file.parent / name).resolve() for name in names),
        *((STATIC.parent / name).resolve() for name in sheets),
    ]


def files_of(page: Path) -> set[Path]:
    """The page's file and all that it loads, at once or when a view is opened.

    Libraries that only `import(...)` brings are left out, and the view of a video: they are for who
    opens the map, or a video.
    """
    found: set[Path] = set()
    waiting = [page]
    while waiting:
        file = waiting.pop()
        if file in found:
            continue
        found.add(file)
        at_once = imports(file, lazy=False)
        later = [
            other
            for other in imports(file, lazy=True)
            if not other.is_relative_to(VENDOR) and other != FILM
        ]
        waiting += at_once + later
    return found
