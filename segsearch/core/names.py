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

# The fragment that browsers understand (Media Fragments URI 1.0), in seconds.
MOMENT = r"([0-9]{1,6}(?:\.[0-9]{1,3})?)"
VIDEO_SUFFIXES = frozenset({".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mts", ".ts", ".webm"})
ANIMATED_SUFFIXES = frozenset({".avif", ".gif", ".webp"})  # videos only when asked
_MOVING = "|".join(suffix[1:] for suffix in sorted(VIDEO_SUFFIXES | ANIMATED_SUFFIXES))
VIDEO_FILE = re.compile(rf"\.(?:{_MOVING})$", re.IGNORECASE)
SHOT = re.compile(rf"(.*\.(?:{_MOVING}))#t={MOMENT},{MOMENT}", re.IGNORECASE | re.DOTALL)


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


def shot_name(file: str, t_start: float, t_end: float) -> str:
    """What a shot of a video is called: `clip.mp4#t=12.48,18.2` is that from 12.48 to 18.2 s."""
    return f"{file}#t={_seconds(t_start)},{_seconds(t_end)}"


def moment_name(file: str, seconds: float) -> str:
    """What a frame of a video is called: `clip.mp4#t=12.48` is that of second 12.48."""
    return f"{file}#t={_seconds(seconds)}"


def _seconds(seconds: float) -> str:
    return f"{seconds:.3f}".rstrip("0").rstrip(".")


def split_shot(name: str) -> tuple[str, float, float] | None:
    """The video, and from when to when, in seconds, that a name means; None when it names no
    shot."""
    match = SHOT.fullmatch(name)
    return (match[1], float(match[2]), float(match[3])) if match else None


def file_of(name: str) -> str:
    """The file that holds a picture: the PDF of a page, the video of a shot, of anything else the
    name itself."""
    part = split_page(name) or split_shot(name)
    return part[0] if part else name
