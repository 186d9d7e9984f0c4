"""What is written of videos as JSON: when regions live, what shots are part of, and tracks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

from pydantic import BaseModel, Field

from segsearch.core.fields import strict
from segsearch.core.lives import Life, Shot
from segsearch.core.types import Segment
from segsearch.core.video import KeyMask, Moment, Video
from segsearch.masks.rle import CocoMask, to_coco

LIFE_TIMES = ("t_start", "t_end", "best_seconds")
SHOT_TIMES = ("t_start", "t_end", "seconds")
EXAMPLE_LIFE: dict[str, Any] = {"t_start": 12.48, "t_end": 18.2, "best_seconds": 15.1}
EXAMPLE_MOMENT: dict[str, Any] = {"video_id": 4, **EXAMPLE_LIFE, "ranks": [1, 3]}
EXAMPLE_SHOT: dict[str, Any] = {"video_id": 4, "t_start": 12.48, "t_end": 18.2, "seconds": 15.1}
EXAMPLE_VIDEO: dict[str, Any] = {
    "video_id": 4,
    "sha256": "60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752",
    "paths": ["/pictures/beach/waves.mp4"],
    "width": 1280,
    "height": 720,
    "seconds": 18.2,
    "frame_rate": 29.97,
    "codec": "h264",
    "container": "mp4",
    "has_sound": True,
    "made_at": "2024-07-14T12:31:05",
    "lost": None,
    "shots": [
        {"image_id": 31, "t_start": 0.0, "t_end": 12.48, "seconds": 4.2},
        {"image_id": 32, "t_start": 12.48, "t_end": 18.2, "seconds": 15.1},
    ],
}
EXAMPLE_KEY_MASK: dict[str, Any] = {
    "seconds": 15.1,
    "box": [37, 60, 211, 302],
    "area": 21877,
    "mask": {"size": [480, 640], "counts": "Zd81k>6L2N2N2N2N2N2N"},
}
EXAMPLE_TRACK: dict[str, Any] = {
    "segment_id": 812, "image_id": 32, "video_id": 4, **EXAMPLE_LIFE, "masks": [EXAMPLE_KEY_MASK],
}  # fmt: skip


class LifeDocument(BaseModel):
    """When a region of a video is there, in seconds from the video's first frame."""

    model_config = strict(EXAMPLE_LIFE)

    t_start: float
    t_end: float
    best_seconds: float = Field(description="Where it is seen best: its mask is of that moment.")

    @classmethod
    def of(cls, life: Life | None) -> Self | None:
        """The document of a life; None for that of a picture's region."""
        if life is None:
            return None
        return cls(**_rounded(life, LIFE_TIMES))


class ShotDocument(BaseModel):
    """The part of a video that an image stands for, in seconds from the video's first frame."""

    model_config = strict(EXAMPLE_SHOT)

    video_id: int
    t_start: float
    t_end: float
    seconds: float = Field(description="Of the frame that is shown for it.")

    @classmethod
    def of(cls, shot: Shot | None) -> Self | None:
        """The document of a shot; None for a picture."""
        if shot is None:
            return None
        return cls(video_id=shot.video_id, **_rounded(shot, SHOT_TIMES))


class MomentDocument(BaseModel):
    """A part of a video in which things answer: hits less than two seconds apart are one."""

    model_config = strict(EXAMPLE_MOMENT)

    video_id: int
    t_start: float
    t_end: float
    best_seconds: float = Field(description="Where what answers best is seen best.")
    ranks: list[int] = Field(description="Of the hits that it covers.")

    @classmethod
    def of(cls, moment: Moment) -> Self:
        """The document of a moment."""
        times = _rounded(moment, LIFE_TIMES)
        return cls(video_id=moment.video_id, ranks=list(moment.ranks), **times)


class VideoShotDocument(BaseModel):
    """A shot of a video, which is an image of the library."""

    model_config = strict()

    image_id: int
    t_start: float
    t_end: float
    seconds: float = Field(description="Of the frame that is shown for it.")


class VideoDocument(BaseModel):
    """A video: its content, every path it lies at, and its shots."""

    model_config = strict(EXAMPLE_VIDEO)

    video_id: int
    sha256: str = Field(description="Of the file's bytes, as hex.")
    paths: list[str] = Field(description="Copies of one file are one video with several paths.")
    width: int = Field(description="Of upright frames as they are indexed, in pixels.")
    height: int = Field(description="Of upright frames as they are indexed, in pixels.")
    seconds: float
    frame_rate: float = Field(description="Frames a second on average; 0 where it is not known.")
    codec: str
    container: str
    has_sound: bool
    made_at: str | None = Field(description="When it was recorded, local time.")
    lost: str | None = Field(description="What of the file could not be read.")
    shots: list[VideoShotDocument] = Field(description="In order, without a gap.")

    @classmethod
    def of(cls, video: Video) -> Self:
        """The document of a video."""
        same = (
            "sha256", "width", "height", "seconds", "frame_rate", "codec", "container", "has_sound",
            "lost",
        )  # fmt: skip
        return cls(
            video_id=video.id,
            paths=list(video.paths),
            made_at=video.made_at.isoformat() if video.made_at else None,
            shots=[
                VideoShotDocument(image_id=image_id, **_rounded(shot, SHOT_TIMES))
                for image_id, shot in video.shots
            ],
            **{name: getattr(video, name) for name in same},
        )


class KeyMaskDocument(BaseModel):
    """Where a thing is at one moment."""

    model_config = strict(EXAMPLE_KEY_MASK)

    seconds: float
    box: list[int] = Field(
        description="x0, y0, x1, y1 in pixels of the upright frame, half-open.",
        min_length=4,
        max_length=4,
    )
    area: int = Field(description="Pixels inside the mask.")
    mask: CocoMask = Field(
        description="COCO's compressed run lengths of the whole upright frame; size is H, W."
    )

    @classmethod
    def of(cls, key: KeyMask) -> Self:
        """The document of a mask at its moment."""
        box = list(key.mask.box.as_tuple())
        seconds = round(key.seconds, 3)
        return cls(seconds=seconds, box=box, area=key.mask.area, mask=to_coco(key.mask))


class TrackDocument(LifeDocument):
    """A thing of a video through its shot: when it is there, and its masks at keyframes."""

    model_config = strict(EXAMPLE_TRACK)

    segment_id: int
    image_id: int
    video_id: int
    masks: list[KeyMaskDocument] = Field(description="In order of time.")

    @classmethod
    def of_segment(cls, segment: Segment, shot: Shot, masks: Sequence[KeyMask]) -> Self:
        """The document of a region that has a life, in its shot."""
        life = segment.life or Life(shot.t_start, shot.t_end, shot.seconds)
        return cls(
            segment_id=segment.id,
            image_id=segment.image_id,
            video_id=shot.video_id,
            masks=[KeyMaskDocument.of(key) for key in masks],
            **_rounded(life, LIFE_TIMES),
        )


def _rounded(value: Life | Moment | Shot, names: Sequence[str]) -> dict[str, float]:
    """Times to the thousandth of a second."""
    return {name: round(getattr(value, name), 3) for name in names}
