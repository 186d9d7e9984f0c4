"""Turns the keyframes of a shot into one described picture, whose segments are tracks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from segsearch.core.arrays import (
    DescribedPicture,
    DescribedSegment,
    PictureText,
    Pixels,
    PlacedLine,
    ShotFrame,
)
from segsearch.core.errors import PictureError
from segsearch.core.types import Mask, PictureInfo
from segsearch.core.video import DescribedTrack, KeyMask
from segsearch.masks.flow import FlowFollower
from segsearch.models.pipeline import Pipeline
from segsearch.models.protocols import Follower
from segsearch.models.tracking.linking import LinkedTrack, Linker


def describe_shot(
    pipeline: Pipeline,
    frames: Iterable[ShotFrame],
    info: PictureInfo,
    span: tuple[float, float],
    *,
    reads: bool = True,
) -> DescribedPicture:
    """A shot from its keyframes and the frames between them, in order of time; `span` is from when
    to when it lasts; the size of `info` is that of the keyframes.

    Its segments are tracks: of each the mask where it is seen best, and means of its members'
    vectors; its vector is the mean of those of the keyframes. The frame that stands for it is the
    one in the middle of what was seen, and its text is read there, unless `reads` puts that off.
    One frame at a time is in memory but for the one in the middle. PictureError without any frame;
    else as `Pipeline.describe`.
    """
    seconds: list[float] = []
    described: list[DescribedPicture] = []
    middle = sum(span) / 2
    standing: tuple[float, Pixels] | None = None
    moved: list[list[Mask | None]] = [[]]
    follow = pipeline.follow or FlowFollower
    follower: Follower | None = None
    begin: Callable[[], Follower] | None = None  # once a frame follows: it may cost much
    for frame in frames:
        moment, pixels = min(max(frame.seconds, span[0]), span[1]), frame.pixels
        if seconds and moment <= seconds[-1]:
            continue  # the same frame again, of a video with few
        if begin is not None:
            follower, begin = begin(), None
        if follower is not None:
            follower.step(pixels)
        if not frame.is_key:
            continue
        height, width = pixels.shape[:2]
        one = pipeline.describe(pixels, replace(info, width=width, height=height), reads=False)
        seconds.append(moment)
        described.append(one)
        if follower is not None:
            moved.append(follower.moved())
            follower = None  # what it remembers goes before the next one begins
        begin = partial(follow, pixels, [region.proposal.mask for region in _real(one)])
        if standing is None or abs(moment - middle) < abs(standing[0] - middle):
            standing = moment, pixels
    if standing is None:
        raise PictureError("None of the frames of the shot can be decoded.")
    shown = seconds.index(standing[0])
    regions = _regions(described)
    linker = Linker()
    for moment, some, places in zip(seconds, regions, moved, strict=True):
        linker.add(moment, some, places)
    tracks = linker.tracks
    text = _text(pipeline, standing[1], regions[shown], tracks, shown) if reads else None
    mean = np.mean([one.vector for one in described], axis=0)
    is_unread = pipeline.reader is not None and text is None
    return DescribedPicture(
        described[shown].info,
        (mean / np.linalg.norm(mean)).astype(np.float32),
        tuple(_segment(track) for track in tracks),
        text,
        is_unread,
        standing[0],
        tuple(_life(track, seconds, span) for track in tracks),
    )


def _regions(described: Sequence[DescribedPicture]) -> list[tuple[DescribedSegment, ...]]:
    """The regions of each keyframe. A frame in which nothing stands out has one over all of it, of
    quality 0: that counts only where no frame has another."""
    real = [_real(one) for one in described]
    return real if any(real) else [one.segments for one in described]


def _real(described: DescribedPicture) -> tuple[DescribedSegment, ...]:
    return tuple(one for one in described.segments if one.proposal.predicted_iou > 0)


def _segment(track: LinkedTrack) -> DescribedSegment:
    context, masked = track.vectors()
    return replace(track.best.segment, context=context, masked=masked)


def _life(
    track: LinkedTrack, seconds: Sequence[float], span: tuple[float, float]
) -> DescribedTrack:
    """From halfway after the keyframe before its first one to halfway before the one after its
    last; the shot's own ends where there is none."""
    first, last = track.members[0].keyframe, track.members[-1].keyframe
    start = (seconds[first - 1] + seconds[first]) / 2 if first else span[0]
    end = (seconds[last] + seconds[last + 1]) / 2 if last + 1 < len(seconds) else span[1]
    masks = (KeyMask(one.seconds, one.segment.proposal.mask) for one in track.members)
    return DescribedTrack(
        min(start, seconds[first]), max(end, seconds[last]), track.best.seconds, tuple(masks)
    )


def _text(
    pipeline: Pipeline,
    pixels: Pixels,
    regions: Sequence[DescribedSegment],
    tracks: Sequence[LinkedTrack],
    keyframe: int,
) -> PictureText | None:
    """The text of a keyframe, whose regions are numbered as the tracks they belong to; None where
    nothing reads, or that failed."""
    read = pipeline.read_if_able(pixels, [one.proposal.mask for one in regions])
    if read is None:
        return None
    places = {
        member.place: number
        for number, track in enumerate(tracks)
        for member in track.members
        if member.keyframe == keyframe
    }
    count = len(regions)

    def renumbered(region: int | None) -> int | None:
        if region is None:
            return None
        return places[region] if region < count else len(tracks) + region - count

    lines = tuple(
        PlacedLine(line.line, renumbered(line.region), renumbered(line.element))
        for line in read.lines
    )
    of_track = {number: place for place, number in places.items()}
    kinds = [read.kinds[of_track[n]] if n in of_track else "thing" for n in range(len(tracks))]
    order = [read.order[of_track[n]] if n in of_track else None for n in range(len(tracks))]
    return replace(
        read,
        lines=lines,
        kinds=(*kinds, *read.kinds[count:]),
        order=(*order, *read.order[count:]),
    )
