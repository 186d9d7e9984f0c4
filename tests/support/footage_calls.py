"""Asks what runs in the process of videos, without that process: what it answers, and refuses."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from segsearch.core.arrays import Pixels
from segsearch.media import video_child
from segsearch.media.video import VideoLimits

LIMITS = VideoLimits()


def _question(path: Path, limits: VideoLimits) -> dict[str, Any]:
    return {
        "path": str(path),
        "side_px": limits.side_px,
        "max_bytes": limits.max_bytes,
        "max_seconds": limits.max_seconds,
        "max_pixels": limits.max_pixels,
    }


def looked(path: Path, limits: VideoLimits = LIMITS) -> dict[str, Any]:
    """The last answer of a look."""
    *_, (head, _) = video_child.look(_question(path, limits))
    return head


def shown(
    path: Path, times: Sequence[float], limits: VideoLimits = LIMITS
) -> list[tuple[float, Pixels]]:
    """When the frames at some moments begin to be shown, and their pixels; of damaged ones none."""
    reels = video_child.Reels()
    answers = []
    for at in times:
        head, data = reels.frame({**_question(path, limits), "at": at})
        if "damaged" not in head:
            shape = (head["height"], head["width"], 3)
            answers.append((head["seconds"], np.frombuffer(data, np.uint8).reshape(shape)))
    return answers
