"""The pictures of a library as bytes and pixels, from wherever their files still lie."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from tempfile import gettempdir

from cachetools import LRUCache

from segsearch.core.arrays import Pixels
from segsearch.core.errors import NotFoundError, PictureError, StoreError
from segsearch.core.types import Image
from segsearch.core.video import CLIP_SIDE_PX, check_clip
from segsearch.media.decode import Limits, decode, decode_small
from segsearch.media.ffmpeg import (
    DEFAULT_LIMITS,
    VideoLimits,
    frame_png,
    frames_at,
    write_clip,
)
from segsearch.media.pdf import split_page_bytes
from segsearch.media.sources.reader import Sources
from segsearch.media.sources.verified import read_original
from segsearch.media.sources.videos import SpooledFile
from segsearch.storage.catalog.sql_catalog import Catalog
from segsearch.storage.disk_errors import disk_errors_as_ours

FRAMES_BYTES = 64_000_000  # of frames that are kept: a cutout follows an overlay


class StoredPictures:
    """Reads the files that a catalog names; thread-safe.

    An image that is a shot of a video shows the frame of the second that is asked for, else the
    one that stands for it.
    """

    def __init__(
        self,
        catalog: Catalog,
        sources: Sources,
        limits: Limits,
        video_limits: VideoLimits = DEFAULT_LIMITS,
    ) -> None:
        self._catalog = catalog
        self._sources = sources
        self.limits = limits
        self._video_limits = video_limits
        self._frames: LRUCache[tuple[str, float, int], Pixels] = LRUCache(
            FRAMES_BYTES, getsizeof=lambda pixels: pixels.nbytes
        )
        self._lock = threading.Lock()

    def small(self, image_id: int, side_px: int, seconds: float | None = None) -> Pixels:
        """As `pixels`, shrunk until the longer side is at most `side_px`; see `decode_small`."""
        image = self._catalog.image(image_id)
        if image.shot is not None:
            return self._frame(image, image.shot.seconds if seconds is None else seconds, side_px)
        return decode_small(self._original(image), side_px, self.limits)

    def sha256(self, image_id: int) -> str:
        """Of an image's bytes, as hex; NotFoundError for an unknown id."""
        return self._catalog.image(image_id).sha256

    def original(self, image_id: int) -> bytes:
        """The bytes of an image's file, of a page as `pdf.page_bytes`, of a shot its frame as PNG;
        NotFoundError when it is gone or was changed since, StoreError when its store is away."""
        image = self._catalog.image(image_id)
        if image.shot is not None:
            return frame_png(self._frame(image, image.shot.seconds))
        return self._original(image)

    def file(self, image_id: int) -> bytes:
        """As `original`, but of a page all of its PDF; NotFoundError for a shot, whose video
        `open_file` opens."""
        image = self._catalog.image(image_id)
        if image.shot is not None:
            raise NotFoundError(
                f"The image {image_id} is a shot of video {image.shot.video_id}, which has a file."
            )
        data = self._original(image)
        page = split_page_bytes(data)
        return page[0] if page else data

    def pixels(self, image_id: int, seconds: float | None = None) -> Pixels:
        """Upright RGB pixels (H, W, 3) u8 of an image; NotFoundError as `original`."""
        image = self._catalog.image(image_id)
        if image.shot is not None:
            return self._frame(image, image.shot.seconds if seconds is None else seconds)
        return decode(self._original(image), self.limits)[0]

    @contextmanager
    def open_file(self, image_id: int) -> Iterator[Path]:
        """The file of a shot's video on this disk, for as long as the block lasts; NotFoundError
        as `original`, and for what is no shot."""
        image = self._catalog.image(image_id)
        with ExitStack() as stack:
            yield self._open(image, stack)

    def clip(
        self, video_id: int, t_start: float, t_end: float, *, side_px: int = CLIP_SIDE_PX
    ) -> bytes:
        """A part of a video, from and to which seconds, as the bytes of an MP4 (H.264, AAC), its
        longer side at most `side_px`. QueryError for a part that is not in the video or lasts
        more than a minute, NotFoundError as `original`, and where it cannot be decoded."""
        clip = self.clip_file(video_id, t_start, t_end, side_px=side_px)
        return clip.path.read_bytes()

    def clip_file(
        self, video_id: int, t_start: float, t_end: float, *, side_px: int = CLIP_SIDE_PX
    ) -> SpooledFile:
        """As `clip`, in a file of this disk that goes when nobody holds it any more."""
        image_id = check_clip(self._catalog.video(video_id), t_start, t_end, side_px)
        with self.open_file(image_id) as path:
            with disk_errors_as_ours(Path(gettempdir())):
                clip = self._sources.videos.new_file(".mp4")
            try:
                write_clip(path, t_start, t_end, clip.path, self._video_limits, side_px=side_px)
            except PictureError as problem:
                raise NotFoundError(
                    f"There is no clip of video {video_id} from {t_start:.2f} to {t_end:.2f} s: "
                    f"{problem}"
                ) from problem
        return clip

    def _original(self, image: Image) -> bytes:
        return read_original(image, partial(self._sources.read_as, keep=True))

    def _frame(self, image: Image, seconds: float, side_px: int = 0) -> Pixels:
        key = (image.sha256, seconds, side_px)
        with self._lock:
            kept = self._frames.get(key)
        if kept is not None:
            return kept.copy()
        with ExitStack() as stack:
            path = self._open(image, stack)
            try:
                _, pixels = next(frames_at(path, [seconds], self._video_limits, side_px=side_px))
            except PictureError as problem:
                raise NotFoundError(
                    f"There is no frame at second {seconds:.2f} of image {image.id}: {problem}"
                ) from problem
        pixels = pixels.copy()
        with self._lock:
            if pixels.nbytes <= self._frames.maxsize:
                self._frames[key] = pixels.copy()
        return pixels

    def _open(self, image: Image, stack: ExitStack) -> Path:
        """The video of a shot, from a path that still holds its very bytes."""
        away: StoreError | None = None
        for path in image.paths:
            try:
                found = stack.enter_context(self._sources.videos.of_shot(path, image.sha256))
            except StoreError as problem:
                away = problem
                continue
            except PictureError:
                continue
            if found is not None:
                return found
        if away is not None:
            raise away
        raise NotFoundError(
            f"The file of image {image.id} is gone or was changed since: {image.paths}."
        )
