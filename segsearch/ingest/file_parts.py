"""Turns files of several pictures among those of a run into their parts, PDFs into pages and videos
into shots: as the catalog has them, or by opening the file; draws and decodes none for good.

All parts of a file are entered in one transaction, so what the catalog has of it with the stamp it
still has is all there is, and nothing is opened. One that cannot be opened is entered as itself:
whoever decodes it says why, and it is not tried at each run.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

from segsearch.core.errors import PictureError
from segsearch.core.names import (
    ANIMATED_SUFFIXES,
    VIDEO_SUFFIXES,
    file_of,
    page_name,
    shot_name,
    split_page,
    split_shot,
)
from segsearch.core.types import FileStamp
from segsearch.core.video import VideoInfo
from segsearch.media.ffmpeg import shot_sha256
from segsearch.media.pdf import PDF_SUFFIXES, count_pages, is_pdf, page_sha256
from segsearch.media.sources.base import SourceListing
from segsearch.media.sources.paths import suffix_of
from segsearch.storage.catalog.files import SeenFile
from segsearch.storage.catalog.shots import SeenShot

if TYPE_CHECKING:
    from hashlib import _Hash


def is_document(path: str) -> bool:
    """Whether a file has pages, by its name; a page has none."""
    return suffix_of(path) in PDF_SUFFIXES and split_page(path) is None


def is_video_file(path: str, *, animated: bool = False) -> bool:
    """Whether a file has shots, by its name; a shot has none. With `animated`, pictures that may
    move have, too."""
    moving = VIDEO_SUFFIXES | ANIMATED_SUFFIXES if animated else VIDEO_SUFFIXES
    return suffix_of(path) in moving and split_shot(path) is None


@dataclass(frozen=True, slots=True)
class PartedListing:
    """A listing in which files of several pictures are their known parts, as far as these are all
    there are. Those `new` to the catalog, and those that are `changed`, stay files, and are to be
    opened; `parted` are those of which the catalog has parts."""

    listing: SourceListing
    new: frozenset[str]
    changed: frozenset[str]
    parted: frozenset[str]


def with_parts(
    listing: SourceListing,
    known: Mapping[str, FileStamp],
    *,
    again: bool = False,
    moves: Callable[[str], bool] | None = None,
) -> PartedListing:
    """A listing with the `known` parts of its files. With `again` those that could not be opened
    count as changed. With `moves` pictures that move are videos, and those that the catalog has as
    pictures count as changed; it is asked of what may move and has not changed."""
    animated = moves is not None
    held: dict[str, dict[str, FileStamp]] = defaultdict(dict)
    for path, stamp in known.items():
        if file_of(path) != path:
            held[file_of(path)][path] = stamp
    files = dict(listing.files)
    new: set[str] = set()
    changed: set[str] = set()
    for path in listing.files:
        parts, itself = held.get(path, {}), known.get(path)
        if not (parts or is_document(path) or is_video_file(path, animated=animated)):
            continue
        stamp = files[path]
        if itself is None and not parts:
            new.add(path)
        elif itself is None and _are_all(path, stamp, parts):
            del files[path]
            files |= parts
        elif (
            again
            or itself != stamp
            or stamp in parts.values()
            or (moves and suffix_of(path) in ANIMATED_SUFFIXES and moves(path))
        ):
            changed.add(path)
    left_out = {
        part: why for path, why in listing.left_out.items() for part in (path, *held.get(path, ()))
    }
    listed = {*listing.listed, *(part for path in listing.listed for part in held.get(path, ()))}
    parted = replace(listing, files=files, left_out=left_out, listed=frozenset(listed))
    return PartedListing(parted, frozenset(new), frozenset(changed), frozenset(held))


def _are_all(path: str, stamp: FileStamp, parts: Mapping[str, FileStamp]) -> bool:
    """Whether these are the first pages of a PDF, or shots of a video from its beginning, without a
    gap, of a file of this stamp."""
    if not stamp.is_known or set(parts.values()) != {stamp}:
        return False
    if is_document(path):
        return all(page_name(path, number) in parts for number in range(1, len(parts) + 1))
    spans = sorted(shot[1:] for part in parts if (shot := split_shot(part)))
    return spans[0][0] == 0 and all(end == start for (_, end), (start, _) in pairwise(spans))


def pages_of(path: str, stamp: FileStamp, data: bytes) -> list[SeenFile]:
    """What is to be entered of a PDF of these bytes: its pages, or, where it has none, itself."""
    try:
        count = count_pages(data) if is_pdf(data) else 0
    except PictureError:
        count = 0
    return seen_pages(path, stamp, hashlib.sha256(data), count)


def seen_pages(path: str, stamp: FileStamp, of_file: _Hash, count: int) -> list[SeenFile]:
    """As many pages of a file of this sha256; without any, the file itself."""
    pages = range(1, count + 1)
    return [SeenFile(page_name(path, n), stamp, page_sha256(of_file, n)) for n in pages] or [
        SeenFile(path, stamp, of_file.hexdigest())
    ]


def does_not_move(info: VideoInfo) -> bool:
    """Whether what may move has one frame."""
    return info.frame_rate * info.seconds < 2


def seen_shots(path: str, stamp: FileStamp, sha256: str, info: VideoInfo | None) -> list[SeenFile]:
    """The shots of a video of this sha256; where nothing is known of it, the file itself."""
    if info is None:
        return [SeenFile(path, stamp, sha256)]
    return [
        SeenFile(
            shot_name(path, start, end),
            stamp,
            shot_sha256(sha256, start, end),
            SeenShot(sha256, info, start, end),
        )
        for start, end in _as_named(info)
    ]


def _as_named(info: VideoInfo) -> list[tuple[float, float]]:
    """The shots with the times that their names can hold: thousandths of a second."""
    return [(round(start, 3), round(end, 3)) for start, end in info.shots]


def left_of(path: str, known: Iterable[str], entered: Iterable[SeenFile]) -> list[str]:
    """Known parts of a file, or itself, that a changed one no longer has."""
    there = {file.path for file in entered}
    return sorted(name for name in known if name not in there and file_of(name) == path)
