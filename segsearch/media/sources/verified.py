"""Turns claims and images into bytes or pixels, from a path that still holds the very bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace

from segsearch.core.arrays import Pixels, ShotFrame
from segsearch.core.errors import (
    FileGoneError,
    NotFoundError,
    PictureError,
    PictureTooLargeError,
    StoreError,
)
from segsearch.core.names import VIDEO_SUFFIXES, split_shot
from segsearch.core.settings import Settings
from segsearch.core.types import Claim, Image, PictureInfo
from segsearch.core.video import shot_times
from segsearch.media.decode import Limits, decode
from segsearch.media.ffmpeg import VideoLimits, look, shot_frames
from segsearch.media.sources.paths import suffix_of
from segsearch.media.sources.reader import Sources

CHANGED = "The file changed after it was found; index it again."
AWAY_FIRST = (PictureTooLargeError, StoreError)


class ClaimReader:
    """Reads pictures wherever they lie, under one library's settings. Thread-safe."""

    def __init__(self, settings: Settings) -> None:
        self._sources = Sources(settings)
        self._limits = Limits.of(settings)
        self._video_limits = VideoLimits.of(settings)

    def read(self, claim: Claim) -> tuple[Pixels, PictureInfo]:
        """Upright RGB pixels (H, W, 3) u8 of a claim, from the first path with its very bytes.

        The bytes that are decoded are the bytes that were compared: a file that changes while it
        is read gives no half picture. FileGoneError when no path holds them, StoreError when
        one may, in a store that is away; PictureError when they are no picture.
        """
        self._refuse_videos(claim.paths)
        problems: list[PictureError] = [FileGoneError("The file is gone.")]
        for path in claim.paths:
            try:
                data = self._sources.read_as(path, claim.sha256)
            except AWAY_FIRST as error:
                problems.append(error)
            except PictureError as error:
                problems.append(FileGoneError(str(error)))
            else:
                if data is not None:
                    return decode(data, self._limits)
                problems.append(FileGoneError(CHANGED))
        raise _worst(problems)

    def _refuse_videos(self, paths: Sequence[str]) -> None:
        """PictureError for a video that has no shots: why a look through it found none. Whoever
        enters one notes that, so it is looked through here for other models alone."""
        for path in paths:
            if suffix_of(path) not in VIDEO_SUFFIXES:
                continue
            with ExitStack() as stack:
                try:
                    on_disk = stack.enter_context(self._sources.videos.file(path))
                except AWAY_FIRST:
                    raise
                except PictureError as problem:
                    raise FileGoneError(str(problem)) from problem
                look(on_disk, self._video_limits)
            raise PictureError(CHANGED)

    @contextmanager
    def frames(
        self, claim: Claim, *, followed: bool = True
    ) -> Iterator[tuple[tuple[float, float], Iterator[ShotFrame]]]:
        """Of a claim of a shot: from when to when it lasts, and the frames at its keyframes, with
        those between them where things are to be `followed`, of the first path with its very
        bytes; errors as `read`."""
        problems: list[PictureError] = [FileGoneError("The file is gone.")]
        for path in claim.paths:
            shot = split_shot(path)
            if shot is None:
                continue
            _, start, end = shot
            with ExitStack() as stack:
                try:
                    found = stack.enter_context(self._sources.videos.of_shot(path, claim.sha256))
                except AWAY_FIRST as error:
                    problems.append(error)
                    continue
                except PictureError as error:
                    problems.append(FileGoneError(str(error)))
                    continue
                if found is None:
                    problems.append(FileGoneError(CHANGED))
                    continue
                times = shot_times(start, end)
                if not followed:
                    times = replace(times, between=())
                frames = shot_frames(found, times, self._video_limits)
                # Of their own: models take no arrays that cannot be written.
                yield (start, end), (replace(one, pixels=one.pixels.copy()) for one in frames)
                return
        raise _worst(problems)


def _worst(problems: Sequence[PictureError]) -> PictureError:
    """What may be over soon, else the last."""
    away = (problem for problem in problems if isinstance(problem, StoreError))
    return next(away, problems[-1])


def read_original(image: Image, read_as: Callable[[str, str], bytes | None]) -> bytes:
    """The bytes of an image's file; NotFoundError when it is gone or was changed since, StoreError
    when it may only be away."""
    away: StoreError | None = None
    for path in image.paths:
        try:
            data = read_as(path, image.sha256)
        except StoreError as problem:
            away = problem
            continue
        except PictureError:
            continue
        if data is not None:
            return data
    if away is not None:
        raise away
    raise NotFoundError(
        f"The file of image {image.id} is gone or was changed since: {image.paths}."
    )
