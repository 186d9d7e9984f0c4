"""Asks what runs in the process of videos, without that process: what it answers, and refuses."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from segsearch.core.arrays import Pixels
from segsearch.media import video_child
from segsearch.media.ffmpeg import VideoLimits

LIMITS = VideoLimits()


def going_on() -> None:
    """Nobody waits."""


def _question(path: Path, limits: VideoLimits) -> dict[str, Any]:
    return {
        "path": str(path),
        "side_px": limits.side_px,
        "max_bytes": limits.max_bytes,
        "max_seconds": limits.max_seconds,
        "max_pixels": limits.max_pixels,
    }


def looked(path: Path, limits: VideoLimits = LIMITS) -> dict[str, Any]:
    """The answer of a look."""
    return video_child.look(_question(path, limits), going_on)[0]


def shown(
    path: Path, times: Sequence[float], limits: VideoLimits = LIMITS
) -> list[tuple[float, Pixels]]:
    """When the frames at some moments begin to be shown, and their pixels; of damaged ones none."""
    answers = []
    with closing(video_child.Reels()) as reels:
        for at in times:
            head, data = reels.frame({**_question(path, limits), "at": at}, going_on)
            if "damaged" not in head:
                shape = (head["height"], head["width"], 3)
                answers.append((head["seconds"], np.frombuffer(data, np.uint8).reshape(shape)))
    return answers
