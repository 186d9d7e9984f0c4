"""Turns PDFs among the files of a run into their pages: as the catalog has them, or by opening the
file; draws none.

All pages of a PDF are entered in one transaction, so what the catalog has of it with the stamp it
still has is all there is, and nothing is opened. One that cannot be opened is entered as itself:
whoever decodes it says why, and it is not tried at each run.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from segsearch.core.errors import PictureError
from segsearch.core.names import page_name, split_page
from segsearch.core.types import FileStamp
from segsearch.media.pdf import PDF_SUFFIXES, count_pages, is_pdf, page_sha256
from segsearch.media.sources.base import SourceListing
from segsearch.media.sources.paths import suffix_of
from segsearch.storage.catalog.files import SeenFile

if TYPE_CHECKING:
    from hashlib import _Hash


def is_document(path: str) -> bool:
    """Whether a file has pages, by its name; a page has none."""
    return suffix_of(path) in PDF_SUFFIXES and split_page(path) is None


@dataclass(frozen=True, slots=True)
class PagedListing:
    """A listing in which PDFs are their known pages, as far as these are all there are. Those `new`
    to the catalog, and those that are `changed`, stay files, and are to be opened."""

    listing: SourceListing
    new: frozenset[str]
    changed: frozenset[str]


def with_pages(
    listing: SourceListing, known: Mapping[str, FileStamp], *, again: bool = False
) -> PagedListing:
    """A listing with the `known` pages of its PDFs. With `again` those that could not be opened
    count as changed."""
    held: dict[str, dict[str, FileStamp]] = defaultdict(dict)
    for path, stamp in known.items():
        page = split_page(path)
        if page:
            held[page[0]][path] = stamp
    files = dict(listing.files)
    new: set[str] = set()
    changed: set[str] = set()
    for path in filter(is_document, listing.files):
        stamp, pages, itself = files[path], held.get(path, {}), known.get(path)
        if itself is None and not pages:
            new.add(path)
        elif itself is None and _are_all(path, stamp, pages):
            del files[path]
            files |= pages
        elif again or itself != stamp or stamp in pages.values():
            changed.add(path)
    left_out = {
        page: why for path, why in listing.left_out.items() for page in (path, *held.get(path, ()))
    }
    listed = {*listing.listed, *(page for path in listing.listed for page in held.get(path, ()))}
    paged = replace(listing, files=files, left_out=left_out, listed=frozenset(listed))
    return PagedListing(paged, frozenset(new), frozenset(changed))


def _are_all(path: str, stamp: FileStamp, pages: Mapping[str, FileStamp]) -> bool:
    """Whether these are the first pages of a PDF, without a gap, of a file of this stamp."""
    if not stamp.is_known or set(pages.values()) != {stamp}:
        return False
    return all(page_name(path, number) in pages for number in range(1, len(pages) + 1))


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


def left_of(path: str, known: Iterable[str], entered: Iterable[SeenFile]) -> list[str]:
    """Known pages of a PDF, or itself, that a changed one no longer has."""
    there = {file.path for file in entered}
    return sorted(
        name for name in known if name not in there and (split_page(name) or (name,))[0] == path
    )
