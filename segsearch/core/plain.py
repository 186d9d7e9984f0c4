"""Foreign text as characters that are shown and do nothing: no terminal takes orders from it."""

from __future__ import annotations

import re
import unicodedata

# ECMA-48: CSI sequences; OSC, DCS, PM, APC and SOS strings with their end; other escapes. Each may
# begin with one C1 character instead of ESC and a letter.
_ESCAPES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"
    r"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?"
    r"|\x1b[ -/]*[0-~]?"
)
_KEPT = "\n\t"
# Turn the direction of what follows, so that it reads as something else.
_TURNING = dict.fromkeys([*range(0x202A, 0x202F), *range(0x2066, 0x206A)])


def plain_text(text: str) -> str:
    """The text without control characters, terminal sequences and marks that turn its direction;
    lines and tabs stay. Halves of surrogate pairs become question marks."""
    bare = _ESCAPES.sub("", text.replace("\r\n", "\n")).translate(_TURNING)
    shown = "".join(sign for sign in bare if sign in _KEPT or unicodedata.category(sign) != "Cc")
    return shown.encode("utf-8", "replace").decode()
