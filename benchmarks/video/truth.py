"""The truth of composed clips, and how well shots and tracks agree with it."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np

from segsearch.core.types import Mask
from segsearch.core.video import MOMENT_GAP_SECONDS
from segsearch.masks.rle import iou, read_coco

LEAST_IOU = 0.5  # of a region that is the thing
CUT_FRAMES = 2  # that a boundary may lie beside a cut; beside a fade's ends, too


@dataclass(frozen=True, slots=True)
class TrueShot:
    """From when to when, in seconds; how much of its beginning and end is a fade; names of what
    its ground shows."""

    start: float
    end: float
    fade_in: float
    fade_out: float
    ground: frozenset[str]


@dataclass(frozen=True, slots=True)
class TrueThing:
    """A thing: its name, `drawing` or `photograph`, how it moves, and the number of its shot."""

    name: str
    source: str
    moves: str
    shot: int


@dataclass(frozen=True)
class TrueClip:
    """A composed clip; `masks[n]` are those of frame n as compressed run lengths, by the number of
    the thing."""

    path: Path
    rate: int
    size: tuple[int, int]
    shots: tuple[TrueShot, ...]
    things: tuple[TrueThing, ...]
    masks: tuple[dict[str, str], ...]

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return self.shots[-1].end

    def at(self, seconds: float) -> dict[int, Mask]:
        """What is seen in the frame of a moment: masks by the numbers of things."""
        frame = min(int(seconds * self.rate + 0.5), len(self.masks) - 1)
        found = {}
        for number, counts in self.masks[frame].items():
            mask = read_coco({"size": list(self.size), "counts": counts})
            if mask is not None:
                found[int(number)] = mask
        return found

    def moments(self, name: str) -> list[tuple[float, float]]:
        """When a name is seen; what lies no further apart than moments may is one."""
        numbers = {str(n) for n, thing in enumerate(self.things) if thing.name == name}
        found: list[tuple[float, float]] = []
        for frame, masks in enumerate(self.masks):
            if not numbers & masks.keys():
                continue
            start, end = frame / self.rate, (frame + 1) / self.rate
            if found and start - found[-1][1] <= MOMENT_GAP_SECONDS:
                found[-1] = found[-1][0], end
            else:
                found.append((start, end))
        return found


def read_clips(folder: Path) -> list[TrueClip]:
    """The clips of a folder that `compose` wrote, by name."""
    return [_read(path) for path in sorted(folder.glob("*.mp4"))]


def _read(path: Path) -> TrueClip:
    with gzip.open(path.with_suffix(".json.gz"), "rt", encoding="utf-8") as file:
        document = json.load(file)
    shots = tuple(
        TrueShot(row["from"], row["to"], row["fade_in"], row["fade_out"], frozenset(row["ground"]))
        for row in document["shots"]
    )
    things = tuple(TrueThing(**row) for row in document["things"])
    height, width = document["size"]
    return TrueClip(
        path, document["rate"], (height, width), shots, things, tuple(document["masks"])
    )


@dataclass
class Counted:
    """Right ones, of those found and of those there are."""

    right: int = 0
    found: int = 0
    there: int = 0

    @property
    def f1(self) -> float:
        """2 right / (found + there)."""
        return 2 * self.right / max(1, self.found + self.there)


def count_boundaries(clip: TrueClip, starts: Sequence[float], into: dict[str, Counted]) -> None:
    """Compare where shots begin, the first one left out, with the truth; a boundary is right for
    one cut or one fade. Counted as `cuts`, `fades` and `both`."""
    slack = CUT_FRAMES / clip.rate + 1e-6
    left = list(starts)
    for before, after in pairwise(clip.shots):
        kind = "fades" if after.fade_in or before.fade_out else "cuts"
        low, high = after.start - before.fade_out - slack, after.start + after.fade_in + slack
        near = [one for one in left if low <= one <= high]
        for name in (kind, "both"):
            into[name].there += 1
            into[name].right += bool(near)
            into[name].found += bool(near)
        if near:
            left.remove(min(near, key=lambda one: abs(one - after.start)))
    for name in ("cuts", "both"):  # what is none of them was taken for a cut
        into[name].found += len(left)


@dataclass(frozen=True, slots=True)
class FoundTrack:
    """Masks of one thing as they were found, by keyframe's seconds."""

    masks: dict[float, Mask]


@dataclass
class Identity:
    """Sums over things, one row each. `seen`: at how many keyframes it is; `found`: at how many
    some track's mask is the thing; `held`: at how many that is its main track's; `switches`: how
    often it changes; `overlap`: the sum of IoUs with its main track."""

    rows: list[tuple[str, int, int, int, int, float]] = field(default_factory=list)

    def table(self, moves: str | None = None) -> dict[str, float]:
        """Shares in %, over things that are seen at two keyframes or more; of one kind of
        movement, or of all."""
        rows = [row for row in self.rows if row[1] > 1 and moves in {None, row[0]}]
        if not rows:
            return {}
        seen, found, held, switches, overlap = np.array([row[1:] for row in rows], float).T
        with_any = found > 0
        return {
            "things": len(rows),
            "found": 100 * found.sum() / seen.sum(),
            "held": 100 * float(np.mean(held / seen)),
            "held_of_found": 100 * float(np.mean(held[with_any] / found[with_any])),
            "switches": float(switches.mean()),
            "iou": 100 * overlap.sum() / seen.sum(),
        }


def count_identity(
    clip: TrueClip, keyframes: Sequence[float], tracks: Sequence[FoundTrack], into: Identity
) -> None:
    """Compare tracks with the truth at keyframes."""
    answers: dict[int, list[tuple[float, int | None]]] = {}
    for seconds in keyframes:
        there = [
            (n, track.masks[seconds]) for n, track in enumerate(tracks) if seconds in track.masks
        ]
        for thing, mask in clip.at(seconds).items():
            met = [(iou(mask, other), n) for n, other in there]
            best = max(met, default=(0.0, None))
            answers.setdefault(thing, []).append(
                (seconds, best[1] if best[0] >= LEAST_IOU else None)
            )
    for thing, row in answers.items():
        met_by = [track for _, track in row if track is not None]
        main = Counter(met_by).most_common(1)[0][0] if met_by else None
        switches = sum(one != other for one, other in pairwise(met_by))
        overlap = 0.0
        for seconds, _ in row:
            tracked = tracks[main].masks.get(seconds) if main is not None else None
            if tracked is not None:
                overlap += iou(clip.at(seconds)[thing], tracked)
        held = sum(track == main for track in met_by)
        moves = clip.things[thing].moves
        into.rows.append((moves, len(row), len(met_by), held, switches, overlap))
