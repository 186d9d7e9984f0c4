"""Turns the time stamps of a video's frames into seconds that always go on.

Seconds count from the first frame, in thousandths. Stamps may be missing, repeat themselves, go
back or jump. A frame without one comes a frame's usual time after the one before it. Stamps that go
back by more than a second, or on by more than a minute, begin anew there: the frame comes a usual
time after the one before it, and what follows counts from it. Smaller steps back cost a
thousandth.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

LONGEST_FRAME_SECONDS = 60.0
STEP_BACK_SECONDS = 1.0
LEAST_FRAME_SECONDS = 0.001
USUAL_SECONDS = 0.04  # where the file does not say


def usual_seconds(rate: Fraction | None) -> float:
    """How long a frame lasts as a rule, of so many a second."""
    if not rate or rate <= 0:
        return USUAL_SECONDS
    return min(max(float(1 / rate), LEAST_FRAME_SECONDS), 1.0)


class Clock:
    """The seconds of frames, asked in the order in which they are shown. `is_broken` once a stamp
    was not what it should be."""

    def __init__(self, time_base: Fraction, usual: float, origin: int | None = None) -> None:
        self._time_base = time_base
        self._usual = usual
        self._zero = None if origin is None else origin * time_base
        self._last: float | None = None
        self.is_broken = False

    def seconds(self, stamp: int | None) -> float:
        """When a frame is shown."""
        at = self._at(None if stamp is None else stamp * self._time_base)
        self._last = round(at, 3)
        return self._last

    def _at(self, stamp: Fraction | None) -> float:
        last = self._last
        if stamp is None:
            self.is_broken = True
            return 0.0 if last is None else last + self._usual
        if self._zero is None:
            self._zero = stamp
        at = float(stamp - self._zero)
        if (
            last is None
            or last + LEAST_FRAME_SECONDS <= round(at, 3) <= last + LONGEST_FRAME_SECONDS
        ):
            return max(at, 0.0)
        self.is_broken = True
        if last - STEP_BACK_SECONDS <= at <= last + LONGEST_FRAME_SECONDS:
            return last + LEAST_FRAME_SECONDS
        at = last + self._usual
        self._zero = stamp - Fraction(at)
        return at


def is_steady(stamps: Iterable[int | None], time_base: Fraction) -> bool:
    """Whether time stamps of packets, in the order in which they are decoded, never go back, jump
    or miss: then a moment can be sought."""
    last: int | None = None
    longest = LONGEST_FRAME_SECONDS / time_base
    for stamp in stamps:
        if stamp is None or (last is not None and not 0 <= stamp - last <= longest):
            return False
        last = stamp
    return True
