"""How things and cameras move through a shot of a composed clip.

Places and sizes are shares of the frame's longer side; `progress` goes from 0 to 1 over a shot.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

KINDS = ("still", "drifts", "crosses", "returns", "arrives", "goes")
CHANCES = (0.25, 0.25, 0.2, 0.12, 0.09, 0.09)
MOST_TURN = 25.0  # degrees over a shot, to either side
OUTSIDE = 0.75  # how far from the frame's middle a thing is out of sight, of its longer side


@dataclass(frozen=True, slots=True)
class CameraPath:
    """A camera that pans, and comes closer or goes away: where its middle is, and its zoom."""

    start: tuple[float, float, float]
    end: tuple[float, float, float]

    def at(self, progress: float) -> tuple[float, float, float]:
        """x, y and zoom; slow at both ends, as a hand is."""
        eased = progress * progress * (3 - 2 * progress)
        first, last = np.array(self.start), np.array(self.end)
        x, y, zoom = first + (last - first) * eased
        return float(x), float(y), float(zoom)


def camera(rng: np.random.Generator) -> CameraPath:
    """Stands still in a fourth of all shots, else pans by up to a fifth of the frame."""
    if rng.random() < 0.25:
        zoom = float(rng.uniform(1, 1.1))
        return CameraPath((0, 0, zoom), (0, 0, zoom))
    ends = [(*rng.uniform(-0.1, 0.1, 2), float(rng.uniform(1, 1.25))) for _ in range(2)]
    return CameraPath(ends[0], ends[1])


@dataclass(frozen=True, slots=True)
class ThingPath:
    """Where a thing's middle is in the scene, how large it is, and how far turned, at points of
    the shot between which it moves evenly. Rows are progress, x, y, side, degrees."""

    points: tuple[tuple[float, ...], ...]
    wobble: float

    def at(self, progress: float) -> tuple[float, float, float, float]:
        """x, y, side and degrees."""
        rows = np.array(self.points)
        x, y, side, degrees = (
            float(np.interp(progress, rows[:, 0], rows[:, column])) for column in range(1, 5)
        )
        swing = self.wobble * np.sin(progress * 9)
        return x, y + 0.01 * swing, side, degrees + 4 * swing


def thing_path(rng: np.random.Generator, kind: str, side: float, half_height: float) -> ThingPath:
    """A path of a kind (`KINDS`) for a thing of a size; the frame reaches from -0.5 to 0.5 in x,
    and from minus to plus `half_height` in y."""
    y, to_y = rng.uniform(-0.75, 0.75, 2) * half_height
    x, to_x = rng.uniform(-0.36, 0.36, 2)
    grows = np.exp(rng.uniform(-0.35, 0.35))
    degrees = rng.normal(0, 10)
    turned = degrees + rng.uniform(-MOST_TURN, MOST_TURN)
    way = 1 if rng.random() < 0.5 else -1
    out = way * (OUTSIDE + side / 2)
    first, last = (side, degrees), (side * grows, turned)
    half = (side * np.sqrt(grows), (degrees + turned) / 2)
    leave, back = rng.uniform(0.2, 0.4), rng.uniform(0.6, 0.8)
    points: list[tuple[float, ...]]
    if kind == "still":
        points = [(0, x, y, side, degrees), (1, x, y, side, degrees)]
    elif kind == "drifts":
        points = [(0, x, y, *first), (1, to_x, to_y, *last)]
    elif kind == "crosses":
        reach = rng.uniform(0.25, 0.42)
        points = [(0, -way * reach, y, *first), (1, way * reach, y + (to_y - y) * 0.3, *last)]
    elif kind == "returns":
        points = [(0, x, y, *first), (leave, x, y, *first), ((leave + back) / 2, out, y, *half)]
        points += [(back, to_x, y, *last), (1, to_x, y, *last)]
    elif kind == "arrives":
        points = [(0, out, y, *first), (leave, out, y, *first), (back, x, y, *last)]
        points += [(1, x, y, *last)]
    else:
        points = [(0, x, y, *first), (leave, x, y, *first), (back, out, y, *last)]
        points += [(1, out, y, *last)]
    rows = tuple(tuple(float(number) for number in point) for point in points)
    return ThingPath(rows, float(rng.uniform(0, 1)))
