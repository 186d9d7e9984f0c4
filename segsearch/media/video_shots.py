"""Finds the shots of a video from its frames, one after another, with PySceneDetect.

Cuts are found by how far a frame differs from the one before it, compared with its neighbours
(`AdaptiveDetector`); fades by when the picture is dark (`ThresholdDetector`): a shot begins in the
middle of the dark. Frames are looked at once and not kept.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from fractions import Fraction
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scenedetect.common import FrameTimecode
from scenedetect.detectors import AdaptiveDetector, ThresholdDetector

TICKS = 1000  # a second: what the detectors take for frames, so that uneven ones are no matter
SHORTEST_SECONDS = 0.5
NEAR_FADE_SECONDS = 0.25  # a cut so near to the dark says that it is no fade


class ShotFinder:
    """Where shots begin: `add` every frame, then ask for `shots`."""

    def __init__(self) -> None:
        shortest = round(SHORTEST_SECONDS * TICKS)
        self._cut = AdaptiveDetector(min_scene_len=shortest)
        self._fade = ThresholdDetector(min_scene_len=shortest, fade_bias=1.0)
        self._dark_since: float | None = None
        self._cuts: list[float] = []
        self._fades: list[tuple[float, float]] = []

    def add(self, seconds: float, pixels: npt.NDArray[np.uint8]) -> None:
        """Look at the frame (H, W, 3), BGR, that is shown from then on."""
        at = FrameTimecode(round(seconds * TICKS), Fraction(TICKS))
        self._cuts += [cut.frame_num / TICKS for cut in self._cut.process_frame(at, pixels)]
        lit = [fade.frame_num / TICKS for fade in self._fade.process_frame(at, pixels)]
        if self._dark_since is not None:
            self._fades += [(self._dark_since, at_light) for at_light in lit]
        fade = self._fade.last_fade
        self._dark_since = fade["frame"].frame_num / TICKS if fade["type"] == "out" else None

    def shots(self, end: float, longest_seconds: float) -> list[tuple[float, float]]:
        """The shots from 0 to the end of the last frame, in seconds, without a gap: none shorter
        than half a second unless the video is, none longer than `longest_seconds`."""
        starts = [0.0]
        for at in sorted({*self._cuts, *self._middles()}):
            if at - starts[-1] >= SHORTEST_SECONDS and end - at >= SHORTEST_SECONDS:
                starts.append(at)
        return [
            part
            for start, stop in pairwise([*starts, round(end, 3)])
            for part in _parts(start, stop, longest_seconds)
        ]

    def _middles(self) -> list[float]:
        """The middles of fades: of dark that neither begins nor ends with a cut."""
        return [
            round((dark + light) / 2, 3)
            for dark, light in self._fades
            if not self._has_cut(dark - NEAR_FADE_SECONDS, light + NEAR_FADE_SECONDS)
        ]

    def _has_cut(self, start: float, end: float) -> bool:
        first = bisect_left(self._cuts, start)
        return first < len(self._cuts) and self._cuts[first] <= end


def _parts(start: float, end: float, longest: float) -> list[tuple[float, float]]:
    """A shot in as few equal parts as are short enough."""
    count = max(1, math.ceil((end - start) / longest))
    edges = [round(start + (end - start) * number / count, 3) for number in range(count + 1)]
    return list(pairwise(edges))
