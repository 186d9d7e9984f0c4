"""Compares lines that were read with lines that were drawn: which are exact, and how far the others
are off.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from unicodedata import normalize

import numpy as np
from numpy.typing import NDArray

from benchmarks.text.drawing import DrawnLine
from segsearch.core.text import Line, folded_text


@dataclass(frozen=True, slots=True)
class Scored:
    """A drawn line, and what was read where it stands; empty for nothing."""

    drawn: DrawnLine
    kind: str
    read: str

    @property
    def is_exact(self) -> bool:
        """Whether it is the same but for forms that NFKC makes one, and the width of spaces."""
        return plain(self.read) == plain(self.drawn.text)

    @property
    def is_findable(self) -> bool:
        """Whether it is the same to a search: upper and lower case, accents and spaces apart."""
        read, drawn = (folded_text(text).replace(" ", "") for text in (self.read, self.drawn.text))
        return read == drawn

    @property
    def error_rate(self) -> float:
        """Edits for each letter that was drawn, at most 1."""
        drawn = plain(self.drawn.text)
        return min(1.0, edits(plain(self.read), drawn) / len(drawn))


def plain(text: str) -> str:
    """NFKC, one space between words."""
    return " ".join(normalize("NFKC", text).split())


def edits(first: str, second: str) -> int:
    """Levenshtein's distance: letters put in, left out or changed."""
    row = list(range(len(second) + 1))
    for i, letter in enumerate(first, 1):
        before, row[0] = row[0], i
        for j, other in enumerate(second, 1):
            changed = before + (letter != other)
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, changed)
    return row[-1]


def score(drawn: Sequence[DrawnLine], read: Sequence[Line], kind: str) -> list[Scored]:
    """Each drawn line with the read ones whose middle lies in it or close by, in the order of the
    writing."""
    scored = []
    for line in drawn:
        start, axes = _axes(line)
        inside = []
        for other in read:
            x, y = np.linalg.solve(axes, np.mean(other.corners, axis=0) - start)
            if -0.05 < x < 1.05 and -0.3 < y < 1.3:
                inside.append((float(x), other.text))
        scored.append(Scored(line, kind, " ".join(text for _, text in sorted(inside))))
    return scored


def _axes(line: DrawnLine) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The first corner, and as columns what leads along the line and down; they may be oblique."""
    first, second, _, fourth = (np.array(corner, float) for corner in line.corners)
    return first, np.column_stack([second - first, fourth - first])


def table(
    title: str, scored: Iterable[Scored], name: Callable[[Scored], str], names: Sequence[str]
) -> list[str]:
    """Rows of markdown: shares in % and numbers of lines for each name that has lines."""
    groups: dict[str, list[Scored]] = {}
    for one in scored:
        groups.setdefault(name(one), []).append(one)
    rows = [f"| {title} | lines | exact | found by search | character errors | nothing read |",
            "|---|---|---|---|---|---|"]  # fmt: skip
    for key in [*[known for known in names if known in groups]]:
        lines = groups[key]
        shares = (
            np.mean([one.is_exact for one in lines]),
            np.mean([one.is_findable for one in lines]),
            np.mean([one.error_rate for one in lines]),
            np.mean([not one.read for one in lines]),
        )
        cells = " | ".join(f"{100 * float(share):.1f}" for share in shares)
        rows.append(f"| {key} | {len(lines)} | {cells} |")
    return rows
