"""Names that a look into a folder, a store or an archive passes by, and why: hidden ones, and what
systems, cameras' programs and network storage keep beside people's files."""

from __future__ import annotations

from collections.abc import Iterable

from segsearch.core.names import folded

SYSTEM = frozenset(
    map(
        folded,
        (
            "@eaDir", "#recycle", "#snapshot", "@tmp",  # Synology
            "@Recycle", "@Recently-Snapshot",  # QNAP
            "~snapshot",  # NetApp
            "$RECYCLE.BIN", "RECYCLER", "System Volume Information",  # Windows
            "Thumbs.db", "ehthumbs.db", "desktop.ini",
            "lost+found",  # ext4
            "__MACOSX",  # archives that macOS has packed
        ),
    )
)  # fmt: skip
SYSTEM_S = "belongs to the system or the network storage."
LINK = "Links to folders are not followed, unless they are named themselves."
LIBRARY = "It lies in the folder of the library itself."


def reason_of_name(parts: Iterable[str]) -> str | None:
    """Why a look passes by something whose name below the look's start has these parts; None when
    it does not. What a user names outright is no part."""
    for part in parts:
        if part.startswith("."):
            return f"{part!r} is hidden: its name begins with a dot."
        if folded(part) in SYSTEM:
            return f"{part!r} {SYSTEM_S}"
    return None
