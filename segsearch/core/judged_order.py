"""The order of an answer after some of its entries have been judged once more."""

from __future__ import annotations

from collections.abc import Sequence


def judged_order(scores: Sequence[float | None]) -> list[int]:
    """Which entry comes to each place, from the judgement of each, best first.

    Entries that were judged share out their places anew, the higher score first, of equal ones
    the one that was first before. An entry without a score keeps its place: nothing is lost, and
    nothing is moved for which nobody spoke.
    """
    judged = {place: score for place, score in enumerate(scores) if score is not None}
    order = list(range(len(scores)))
    best_first = sorted(judged, key=lambda place: -judged[place])  # stable
    for place, entry in zip(judged, best_first, strict=True):
        order[place] = entry
    return order
