"""What is known of videos: the file, its shots, and how things live through them.

A video is to a library what a PDF is: a file of several pictures. Each of its shots is an image,
called `clip.mp4#t=12.48,18.2` (Media Fragments URI 1.0), and queued, claimed and committed as one.
A region of a shot is a thing that lives for a while, with masks at the keyframes that show it.
Times are seconds from the video's first frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from segsearch.core.errors import NotFoundError, QueryError
from segsearch.core.lives import Life, Shot
from segsearch.core.types import Mask

FORMAT = "VIDEO"  # of an image that is a shot
RULE = 1  # by which videos become shots and frames; another one makes other pictures of all shots
KEYFRAME_SECONDS = 3.0  # between two, at most
FOLLOWED_A_SECOND = 6.0  # frames in which things are followed from one keyframe to the next
MOMENT_GAP_SECONDS = 2.0  # what lies no further apart is one moment
LONGEST_SHOT_SECONDS = 120.0  # a longer one is cut, so that a claim stays small
LONGEST_CLIP_SECONDS = 60.0  # of a video, that are encoded again at a time
CLIP_SIDE_PX = 1280  # the longer side of a clip, at most, where nothing else is asked for
LEAST_CLIP_SIDE_PX, MOST_CLIP_SIDE_PX = 64, 1920


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """What a first look at a video says: sizes are of upright frames as they are indexed, `seconds`
    from the first frame to the end of the last, `frame_rate` in frames a second on average, 0 where
    that is not known. `shots` follow each other without a gap. `lost` says in a sentence what of
    the file could not be read; None for nothing."""

    width: int
    height: int
    seconds: float
    frame_rate: float
    codec: str
    container: str
    shots: tuple[tuple[float, float], ...]
    made_at: datetime | None = None
    has_sound: bool = False
    lost: str | None = None


@dataclass(frozen=True, slots=True)
class Video:
    """A video known to the catalog: identified by the sha256 of its file, which lies at `paths`,
    uploads last. `shots` are the ids of its images with their times, in order of time; the rest is
    what `VideoInfo` says."""

    id: int
    sha256: str
    width: int
    height: int
    seconds: float
    frame_rate: float
    codec: str
    container: str
    paths: tuple[str, ...]
    shots: tuple[tuple[int, Shot], ...]
    made_at: datetime | None = None
    has_sound: bool = False
    lost: str | None = None


@dataclass(frozen=True, slots=True)
class KeyMask:
    """The mask of a thing at one moment of its video."""

    seconds: float
    mask: Mask


@dataclass(frozen=True, slots=True)
class DescribedTrack:
    """How a thing lives in a shot: from `t_start` to `t_end`, seen best at `best_seconds`; its
    masks at its keyframes, in order of time."""

    t_start: float
    t_end: float
    best_seconds: float
    masks: tuple[KeyMask, ...]


@dataclass(frozen=True, slots=True)
class Moment:
    """A part of a video in which things answer a query, from `t_start` to `t_end`: what answers
    best is seen best at `best_seconds`. `ranks` are those of the hits it covers, rising."""

    video_id: int
    t_start: float
    t_end: float
    best_seconds: float
    ranks: tuple[int, ...]


def keyframes(t_start: float, t_end: float, spacing: float = KEYFRAME_SECONDS) -> list[float]:
    """The moments at which a shot is looked at: the middles of equal parts, none longer than
    `spacing` seconds; at least one, and two where it lasts a second."""
    length = max(0.0, t_end - t_start)
    count = max(1 if length < 1 else 2, -int(-length // spacing))
    return [round(t_start + (number + 0.5) * length / count, 3) for number in range(count)]


@dataclass(frozen=True, slots=True)
class ShotTimes:
    """The moments at which a shot is looked at, in order of time: its keyframes, and those between
    them in which things are only followed."""

    keyframes: tuple[float, ...]
    between: tuple[float, ...]

    @property
    def all(self) -> list[float]:
        """Both."""
        return sorted({*self.keyframes, *self.between})


def shot_times(t_start: float, t_end: float) -> ShotTimes:
    """Those of a shot: `FOLLOWED_A_SECOND` frames a second from its first keyframe to its last."""
    keys = keyframes(t_start, t_end)
    between: list[float] = []
    for before, after in pairwise(keys):
        steps = max(1, round((after - before) * FOLLOWED_A_SECOND))
        between += [round(before + (after - before) * step / steps, 3) for step in range(1, steps)]
    return ShotTimes(tuple(keys), tuple(between))


def image_at(video: Video, seconds: float) -> int:
    """The id of the image that a moment of a video belongs to; QueryError past its end,
    NotFoundError where it has no shots."""
    if not 0 <= seconds <= video.seconds:
        raise QueryError(
            f"The video {video.id} lasts {video.seconds:.2f} seconds, there is no second "
            f"{seconds:.2f} in it."
        )
    if not video.shots:
        raise NotFoundError(f"The video {video.id} has no shots in the library.")
    return next(
        (image_id for image_id, shot in video.shots if seconds < shot.t_end), video.shots[-1][0]
    )


def check_clip(video: Video, t_start: float, t_end: float, side_px: int = CLIP_SIDE_PX) -> int:
    """The id of the image at whose moment a clip begins; QueryError for a part that is none, is not
    within the video or is too long, and for a size that no clip has."""
    if not LEAST_CLIP_SIDE_PX <= side_px <= MOST_CLIP_SIDE_PX:
        raise QueryError(
            f"A clip's longer side has {LEAST_CLIP_SIDE_PX} to {MOST_CLIP_SIDE_PX} pixels, not "
            f"{side_px}."
        )
    image_id = image_at(video, t_start)
    image_at(video, t_end)
    if round(t_end - t_start, 3) <= 0:
        raise QueryError(f"A clip from {t_start:g} to {t_end:g} seconds has no length.")
    if t_end - t_start > LONGEST_CLIP_SECONDS + 0.0005:  # as times are rounded
        raise QueryError(
            f"A clip has {LONGEST_CLIP_SECONDS:g} seconds at most, not {t_end - t_start:g}."
        )
    return image_id


def clip_of_life(life: Life, longest_seconds: float) -> tuple[float, float]:
    """From and to which second a thing is shown: its life, of a longer one so many seconds around
    the one in which it is seen best."""
    length = min(life.t_end - life.t_start, longest_seconds)
    start = min(max(life.best_seconds - length / 2, life.t_start), life.t_end - length)
    return round(start, 3), round(start + length, 3)
