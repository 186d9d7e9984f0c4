"""What files that leave a library are called."""

from __future__ import annotations

from unicodedata import category
from urllib.parse import quote, unquote, urlsplit

from segsearch.core.names import composed, file_of, split_page, split_shot

MAX_NAME_CHARACTERS = 80
MAX_FILE_CHARACTERS = 255  # more than any disk takes
FORBIDDEN = frozenset('/\\:*?"<>|')  # somewhere, in the name of a file


def file_name(path: str | None) -> str:
    """The name of the file at a path, a URL or in an archive, as its user knows it, of a page that
    of its PDF, of a shot that of its video; without one, "picture"."""
    text = file_of(path or "")
    if "://" in text:
        text = unquote(urlsplit(text).path)
    return plain_name(text.rpartition("/")[2], MAX_FILE_CHARACTERS) or "picture"


def stem_of(path: str | None) -> str:
    """The name of a file without its ending, of a page with its number, `report-page-3`, of a
    shot with the second at which it begins, `clip-12.48s`."""
    name, page, shot = file_name(path), split_page(path or ""), split_shot(path or "")
    stem = name.rpartition(".")[0] or name
    number = f"-page-{page[1]}" if page else f"-{shot[1]:g}s" if shot else ""
    return (plain_name(stem, MAX_NAME_CHARACTERS - len(number)) or "picture") + number


def plain_name(text: str, most: int = MAX_NAME_CHARACTERS) -> str:
    """Words as a name that any system takes for a file: cut, without what names folders, controls
    a terminal or turns the direction of writing; it may be empty."""
    signs = (
        " " if sign in FORBIDDEN or category(sign)[0] in "CZ" else sign for sign in composed(text)
    )
    return " ".join("".join(signs).split())[:most].strip(" .")


def disposition(kind: str, name: str) -> str:
    """The header Content-Disposition of a file (RFC 6266): its name in ASCII for those who read
    no more, and in UTF-8 where that says more."""
    plain = "".join(sign if " " <= sign <= "~" and sign not in '"\\%' else "_" for sign in name)
    header = f'{kind}; filename="{plain}"'
    return header if plain == name else f"{header}; filename*=UTF-8''{quote(name, safe='')}"
