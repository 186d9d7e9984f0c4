"""How long a training runs: minutes of the clock, or steps, which another machine can repeat."""

from __future__ import annotations

import argparse
from dataclasses import dataclass


@dataclass(frozen=True)
class Length:
    """Minutes, unless `steps` says more exactly how long."""

    minutes: float
    steps: int | None = None

    def done(self, steps: int, seconds: float) -> float:
        """The share of a run, in [0, 1], that is over after so many steps and seconds."""
        share = steps / self.steps if self.steps else seconds / (self.minutes * 60)
        return min(share, 1.0)


def with_length(options: argparse.ArgumentParser, minutes: float) -> None:
    """Let a command line say how long; `length_of` reads it."""
    options.add_argument("--minutes", type=float, default=minutes, help="of the clock")
    options.add_argument("--steps", type=int, help="instead of minutes: the same on every machine")


def length_of(chosen: argparse.Namespace) -> Length:
    """What the command line says."""
    return Length(chosen.minutes, chosen.steps)
