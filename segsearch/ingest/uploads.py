"""Takes pictures that come as bytes into a library, and deletes them again.

Where they lie, and under which names, `storage/upload_files.py` says: uploaded twice, a picture is
there once, under each name it came with. Of a PDF each page is a picture, of a video each shot, and
the file stays as long as one of them. It is looked at before it is kept (format, size by its
header, pages, shots), and described later by whoever works for the library. Whoever adds or deletes
files of some bytes does so alone, among all nodes: the catalog has a lock for that.
"""

from __future__ import annotations

import hashlib
import os
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath
from typing import TYPE_CHECKING, BinaryIO
from unicodedata import category

from segsearch.core.errors import NotFoundError, PictureError, PictureTooLargeError
from segsearch.core.names import ANIMATED_SUFFIXES, VIDEO_SUFFIXES, composed, split_page
from segsearch.core.settings import Settings
from segsearch.core.types import Image, Recipe
from segsearch.core.video import FORMAT, VideoInfo
from segsearch.ingest.file_parts import does_not_move, seen_pages, seen_shots
from segsearch.media.decode import (
    RAW_SUFFIXES,
    SUFFIXES,
    Limits,
    inspect,
    read_file,
    too_large,
)
from segsearch.media.ffmpeg import VideoLimits, check_packages, is_video, look
from segsearch.media.pdf import PDF, PDF_SUFFIXES, START, START_WITHIN, count_pages, is_pdf
from segsearch.media.sources.paths import folder_of_upload, is_upload, suffix_of
from segsearch.storage.catalog.files import SeenFile
from segsearch.storage.catalog.sql_catalog import Catalog
from segsearch.storage.disk_errors import disk_errors_as_ours
from segsearch.storage.upload_files import UploadFiles

if TYPE_CHECKING:
    from hashlib import _Hash

PIECE_BYTES = 1_048_576
LOOK_SECONDS = 240.0  # at a video, while its sender waits: proxies wait five minutes
STALE_SECONDS = 86_400  # after which an upload that has not ended was killed
MOST_NAMES = 20  # of one picture; a further one changes nothing
MOST_NAME_BYTES = 200  # of the 255 that file systems take
WINDOWS = re.compile(r"[A-Za-z]:\\|\\\\")  # old browsers send the whole path
ENDINGS = {
    "JPEG": ".jpg", "MPO": ".jpg", "PNG": ".png", "WEBP": ".webp", "GIF": ".gif", "TIFF": ".tif",
    "BMP": ".bmp", "AVIF": ".avif", "PPM": ".ppm", "JPEG2000": ".jp2", "HEIF": ".heic",
    PDF: ".pdf",
}  # fmt: skip
UNKNOWN = ".img"  # of other formats
PICTURE_SUFFIXES = SUFFIXES | RAW_SUFFIXES
CONTAINERS = {
    "mp4": ".mp4", "mov": ".mov", "matroska": ".mkv", "webm": ".webm", "avi": ".avi",
    "mpegts": ".ts", "gif": ".gif", "webp": ".webp", "avif": ".avif",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Uploaded:
    """An image as the catalog has it, whether these bytes were new to it, and of a page of a PDF
    its number, from 1."""

    image: Image
    created: bool
    page: int | None = None


@dataclass(frozen=True, slots=True)
class LookedAt:
    """What a file holds: a picture of a format, a PDF of so many `pages`, or a `video`."""

    format: str
    pages: int = 0
    video: VideoInfo | None = None


class Uploads:
    """Pictures that came as bytes. They wait under the library's recipe, or its first `recipe`."""

    def __init__(
        self, catalog: Catalog, files: UploadFiles, settings: Settings, recipe: Callable[[], Recipe]
    ) -> None:
        self._catalog = catalog
        self._files = files
        self._desk = files.desk
        self._limits, self._video_limits = Limits.of(settings), VideoLimits.of(settings)
        self._animated = settings.animated
        self._recipe = recipe
        # One file of each kind is in memory at a time; PDFium may take a minute, pictures do not.
        self._measuring, self._counting = threading.Lock(), threading.Lock()
        self._looking = threading.Lock()
        self._swept = False

    def add(
        self, file: BinaryIO, name: str = "", *, collection: str | None = None, folder: str = ""
    ) -> Uploaded:
        """As `add_all`, of a file that is one picture; of a PDF the first page comes back, and of
        a video the first shot."""
        return self.add_all(file, name, collection=collection, folder=folder)[0]

    def add_all(
        self, file: BinaryIO, name: str = "", *, collection: str | None = None, folder: str = ""
    ) -> list[Uploaded]:
        """Keep a picture, or a PDF or a video of several, under its name and queue it; the same
        bytes again are the same images, at one more path where the name is another. Pages and shots
        come in their order.

        The last part of `folder`, where it came from, becomes its album. What leads elsewhere in
        `name` and `folder` is dropped. Raises PictureError for what is no picture,
        PictureTooLargeError past the limits, NotFoundError for an unknown collection;
        DiskFullError, ReadOnlyError, StoreError when it cannot be kept, BusyError, EngineError.
        """
        if collection is not None:
            self._catalog.collection(collection)
        with disk_errors_as_ours(self._desk):
            self._desk.mkdir(parents=True, exist_ok=True)
            self._sweep()
            with _partial(self._desk) as partial:
                of_file = self._copy(file, partial, suffix_of(name))
                partial.flush()
                os.fsync(partial.fileno())
                path = Path(partial.name)
                looked_at = self._looked_at(path, suffix_of(name))
                with self._catalog.holding(of_file.hexdigest()):
                    kept, known = self._keep(path, of_file, looked_at, (folder, name))
        ids = self._catalog.images_with([seen.sha256 for seen in kept])
        if len(ids) < len({seen.sha256 for seen in kept}):
            raise NotFoundError("The image was removed while it was stored: upload it again.")
        if collection is not None:
            self._catalog.add_to_collection(collection, sorted(ids.values()))
        self._catalog.resume()  # whoever sends pictures wants them indexed
        stored = self._catalog.images(ids=sorted(ids.values()), limit=len(ids))
        images = {image.sha256: image for image in stored}
        if len(images) < len(ids):
            raise NotFoundError("The image was removed while it was stored: upload it again.")
        return [
            Uploaded(images[seen.sha256], seen.sha256 not in known, page[1] if page else None)
            for seen, page in ((seen, split_page(seen.path)) for seen in kept)
        ]

    def remove_image(self, image_id: int) -> None:
        """Forget an image as `remove_images`; NotFoundError when there is none of this id."""
        if not self.remove_images([image_id]):
            raise NotFoundError(f"There is no image {image_id} in the library.")

    def remove_images(self, image_ids: Sequence[int]) -> int:
        """Forget images; how many there were. Files that were uploaded go too, no others: of a PDF
        the file goes with the last of its pages."""
        uploaded = filter(is_upload, self._catalog.paths_of(image_ids))
        folders = sorted({folder_of_upload(path) for path in uploaded})
        removed = self._catalog.remove_images(image_ids)
        for folder in folders:
            sha256 = PurePath(folder).name.partition(".")[0]
            with self._catalog.holding(sha256):
                own = folder_of_upload(self._files.path(sha256, "name"))
                if not self._catalog.find_paths([folder, own]):
                    self._files.delete(sha256)
        return removed

    def remove_segment(self, segment_id: int) -> None:
        """Forget one segment; NotFoundError when there is none of this id."""
        if not self._catalog.remove_segments([segment_id]):
            raise NotFoundError(f"There is no segment {segment_id} in the library.")

    def _copy(self, file: BinaryIO, into: BinaryIO, suffix: str) -> _Hash:
        digest, total = hashlib.sha256(), 0
        problem: PictureError = too_large(self._limits.max_bytes)
        most = self._limits.max_bytes
        while piece := file.read(PIECE_BYTES):
            if not total and self._may_move(piece) and suffix not in PICTURE_SUFFIXES:
                problem, most = self._problem_of_video(), self._video_limits.max_bytes
            total += len(piece)
            if total > most:
                raise problem
            digest.update(piece)
            into.write(piece)
        return digest

    def _may_move(self, start: bytes) -> bool:
        """Whether bytes begin as a video does; pictures that move only where they are videos."""
        return is_video(start) and (self._animated or not _is_animation(start))

    def _problem_of_video(self) -> PictureError:
        """Why a video of too many bytes is refused. PictureError where none can be read."""
        check_packages()
        return PictureTooLargeError(
            f"The video has more than the {self._video_limits.max_bytes:,} bytes allowed by "
            "SEGSEARCH_MAX_VIDEO_BYTES."
        )

    def _sweep(self) -> None:
        """Once: delete what uploads left that were killed half-way."""
        if self._swept:
            return
        self._swept = True
        for partial in self._desk.glob("*.partial"):
            with suppress(OSError):  # another process's, just done; or not ours to delete
                if time.time() - partial.stat().st_mtime > STALE_SECONDS:
                    partial.unlink()

    def _looked_at(self, partial: Path, suffix: str) -> LookedAt:
        """What a file holds; PictureError for what is no picture, no PDF and no video."""
        with partial.open("rb") as file:
            start = file.read(START_WITHIN)
        if self._may_move(start):
            try:
                info = self._look(partial)
            except PictureError:
                if suffix not in PICTURE_SUFFIXES:
                    raise
            else:
                if not (_is_animation(start) and does_not_move(info)):
                    return LookedAt(FORMAT, video=info)
        may_be_pdf = is_pdf(start)
        with self._counting if may_be_pdf else self._measuring:
            data = read_file(partial, self._limits)
            if not data.startswith(START):
                try:
                    return LookedAt(inspect(data, self._limits).format)
                except PictureError:
                    if not may_be_pdf:
                        raise
            return LookedAt(PDF, count_pages(data))

    def _look(self, partial: Path) -> VideoInfo:
        """A look through a video, one at a time. PictureError where it takes too long, or holds
        what could not be found again by its name."""
        end = time.monotonic() + LOOK_SECONDS  # the wait for others counts
        if not self._looking.acquire(timeout=LOOK_SECONDS):
            raise PictureError("Other videos are being looked through: try again later.")
        try:
            info = look(partial, self._video_limits, stopped=lambda: time.monotonic() > end)
        except PictureError as problem:
            if time.monotonic() <= end:
                raise
            raise PictureError(
                f"The video takes more than {LOOK_SECONDS / 60:.0f} minutes to be looked "
                "through: copy it to a folder of the server, and index that."
            ) from problem
        finally:
            self._looking.release()
        if info.container not in CONTAINERS:
            raise PictureError(f"Videos of kind {info.container!r} are not taken: save it as MP4.")
        return info

    def _keep(
        self, partial: Path, of_file: _Hash, looked_at: LookedAt, name: tuple[str, str]
    ) -> tuple[list[SeenFile], dict[str, int]]:
        """Give a picture its place, and tell the catalog; what it was told, and those of the images
        that it had before."""
        sha256 = of_file.hexdigest()
        kind = looked_at.video.container if looked_at.video else looked_at.format
        place = PurePosixPath(kept_folder(name[0]), kept_name(name[1], kind))
        path = self._files.path(sha256, str(place))
        there = self._files.of(sha256)
        if path not in there and len(there) >= MOST_NAMES:
            path = next(iter(there))
        stamp = there.get(path) or self._files.put(path, partial)
        if looked_at.video:
            files = seen_shots(path, stamp, sha256, looked_at.video)
        else:
            files = seen_pages(path, stamp, of_file, looked_at.pages)
        known = self._catalog.images_with([seen.sha256 for seen in files])
        active = self._catalog.active_recipe()
        recipe_id = active[0] if active else self._catalog.register_recipe(self._recipe())
        self._catalog.record_files(files, recipe_id)
        return files, known


def _is_animation(start: bytes) -> bool:
    """Whether bytes that may move begin as a picture does: GIF, WebP and AVIF."""
    return start.startswith(b"GIF8") or start[8:12] == b"WEBP" or b"avis" in start[8:64]


def kept_name(name: str, kind: str) -> str:
    """What an uploaded file of a format of pictures, or a container of videos, is called: its own
    name, as far as it names a file and nothing else.

    Folders, control characters and dots in front go, what is too long is cut, and a picture's
    ending is added where there is none.
    """
    text = _last_part(name)
    stem, dot, ending = text.rpartition(".")
    usual = PDF_SUFFIXES if kind == PDF else PICTURE_SUFFIXES
    if kind in CONTAINERS:
        is_animation = CONTAINERS[kind] in ANIMATED_SUFFIXES
        usual = ANIMATED_SUFFIXES if is_animation else VIDEO_SUFFIXES
    if not stem or f".{ending.lower()}" not in usual:
        stem, dot, ending = text, "", {**ENDINGS, **CONTAINERS}.get(kind, UNKNOWN)
    room = MOST_NAME_BYTES - len(ending)
    return (stem.encode()[:room].decode(errors="ignore").strip() or "picture") + dot + ending


def kept_folder(folder: str) -> str:
    """The folder that an upload is kept in: the last part of the one it came from, as far as it
    names a folder and nothing else; empty where it does not.

    One that is called as a picture's file is none: the file may be there.
    """
    text = (
        _last_part(folder.rstrip("/\\")).encode()[:MOST_NAME_BYTES].decode(errors="ignore").strip()
    )
    ending = text[text.rfind(".") :].lower()
    usual = {*PICTURE_SUFFIXES, *ENDINGS.values(), *VIDEO_SUFFIXES, UNKNOWN}
    return "" if ending in usual else text


def _last_part(path: str) -> str:
    """What a path ends with, in one line, composed, and without dots in front."""
    if WINDOWS.match(path):
        path = path.replace("\\", "/")
    text = composed(path.rpartition("/")[2].encode("utf-8", "replace").decode())
    return "".join(" " if category(sign) == "Cc" else sign for sign in text).strip().lstrip(".")


@contextmanager
def _partial(folder: Path) -> Iterator[BinaryIO]:
    """A file that goes when the block ends; whoever may read the library may read it, which
    `tempfile` would not let them."""
    path = folder / f"{uuid.uuid4().hex}.partial"
    try:
        with path.open("xb") as file:
            yield file
    finally:
        path.unlink(missing_ok=True)
