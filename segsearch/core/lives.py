"""When things of videos are there, and what part of a video an image is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Life:
    """When a region of a video is there, in seconds of the video: from `t_start` to `t_end`. Its
    mask is that of `best_seconds`, where it is seen best."""

    t_start: float
    t_end: float
    best_seconds: float


@dataclass(frozen=True, slots=True)
class Shot:
    """The part of a video that an image stands for, in seconds of the video; `seconds` is the
    moment of the frame that is shown for it."""

    video_id: int
    t_start: float
    t_end: float
    seconds: float
