"""What a collection or a tag may be called, and when two names are the same."""

from __future__ import annotations

import re
from unicodedata import category, normalize

from segsearch.core.errors import InputError, QueryError

MAX_CHARACTERS = 100
NAME = r"^[\w][\w .,()+&'-]{0,99}$"  # no slash: a name stands in a path of the HTTP API
_NAME = re.compile(NAME)
JOINERS = "\u200c\u200d"  # shape letters of Persian and Indic scripts, and join emoji
MAX_TAG_CHARACTERS = 100
# The fragment that PDF viewers understand (RFC 8118); pages count from 1.
PAGE = re.compile(r"(.*\.pdf)#page=([1-9][0-9]{0,6})", re.IGNORECASE | re.DOTALL)


def composed(text: str) -> str:
    """Text in the one form that is stored (NFC): macOS and some keyboards part a letter from its
    accent, and the same word would be two."""
    return normalize("NFC", text)


def folded(text: str) -> str:
    """What names are compared by: one form, and upper and lower case alike."""
    return composed(composed(text).casefold())


def checked_name(name: str) -> str:
    """The name without surrounding space, composed; InputError when it cannot name a
    collection."""
    bare = composed(name.strip())
    # Python's \w is no vowel sign and no accent of its own, unlike that of the API's patterns.
    letters = (sign for sign in bare if category(sign)[0] != "M" and sign not in JOINERS)
    if len(bare) > MAX_CHARACTERS or not _NAME.match("".join(letters)):
        raise InputError(
            f"The name {name[:120]!r} cannot name a collection: expected up to 100 letters, "
            "digits, spaces and . , ( ) + & ' - _, a letter or digit first."
        )
    return bare


def check_tag(text: str) -> str:
    """A tag without surrounding space, composed; QueryError when it is empty, overlong or
    unprintable."""
    tag = composed(" ".join(text.split()))
    seen = tag.translate(dict.fromkeys(map(ord, JOINERS)))
    if not seen or len(tag) > MAX_TAG_CHARACTERS or not seen.isprintable():
        raise QueryError(
            f"The tag {text[:MAX_TAG_CHARACTERS]!r} has to have 1 to {MAX_TAG_CHARACTERS} "
            "printable characters."
        )
    return tag


def page_name(file: str, page: int) -> str:
    """What a page of a PDF is called: `report.pdf#page=3` is the third one."""
    return f"{file}#page={page}"


def split_page(name: str) -> tuple[str, int] | None:
    """The PDF and the page, from 1, that a name means; None when it names no page."""
    match = PAGE.fullmatch(name)
    return (match[1], int(match[2])) if match else None


def file_of(name: str) -> str:
    """The file that holds a picture: the PDF of a page, of anything else the name itself."""
    page = split_page(name)
    return page[0] if page else name
