"""Names of picture files: absolute paths, URLs, and members of tar shards below their archive.

A member is named as if its archive were a folder: `/data/000.tar/00017.jpg`. No file lies below
another file, so the name is unambiguous, and whatever works on folders works on shards.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from segsearch.core.errors import PathError
from segsearch.core.names import composed, file_of, page_name, split_page

SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")
SHARD = re.compile(r"\.tar/", re.IGNORECASE)
# In a library's folder: by the name that it came with, perhaps in the folder that it came from.
UPLOAD = re.compile(r"/uploads/[0-9a-f]{2}/[0-9a-f]{64}(?:\.|/(?:(?P<album>[^/]+)/)?)[^/]+$")
UPLOAD_FOLDER = re.compile(r".*/uploads/[0-9a-f]{2}/[0-9a-f]{64}", re.DOTALL)
WEB = frozenset({"http", "https"})


def scheme_of(name: str) -> str | None:
    """The scheme of a URL in lower case; None for a path."""
    scheme = SCHEME.match(name)
    return scheme[1].lower() if scheme else None


def normal(name: str | Path) -> str:
    """The one name that the catalog knows a place by: an absolute path, or a URL as it stands.

    `file://` URLs become paths; a page of a PDF is named by a fragment (`#page=3`). Where nothing
    lies at a path, one that differs only in whether accents are parted from their letters counts:
    macOS writes names so, and no keyboard does. Links stay as the user wrote them. PathError for
    an empty name: Python takes it for the current folder, and a shell makes it of a variable that
    is not set; and for a `file://` URL that says more than a path of this machine.
    """
    text = str(name)
    scheme = scheme_of(text)
    if scheme not in {None, "file"}:
        return text
    path = text if scheme is None else _path_of(text)
    if not path.strip():
        raise PathError(f"{text!r} names no path: for the current folder say '.'.")
    path = os.path.abspath(path)
    page = page_meant(path)
    return page_name(_on_disk(page[0]), page[1]) if page else _on_disk(path)


def page_meant(path: str) -> tuple[str, int] | None:
    """As `split_page`, of what a person or the disk names: None where that itself lies there."""
    page = split_page(path)
    return None if page and scheme_of(path) is None and os.path.lexists(path) else page


def _on_disk(path: str) -> str:
    """A path as the disk spells it; as it is where nothing on the disk is meant."""
    if path.isascii() or os.path.lexists(path):
        return path
    place = "/"
    for part in path.strip("/").split("/"):
        step = os.path.join(place, part)
        if not os.path.lexists(step):
            try:
                names = [entry.name for entry in Path(place).iterdir()]
            except OSError:
                return path
            alike = [name for name in names if composed(name) == composed(part)]
            if not alike:
                return path
            step = os.path.join(place, min(alike))
        place = step
    return place


def _path_of(url: str) -> str:
    """The path that a `file://` URL stands for."""
    parts = urlsplit(url)
    if parts.netloc not in {"", "localhost"}:
        raise PathError(f"{url!r} names another machine: mount its folder, and name its path.")
    path = unquote(parts.path)
    fragment = f"#{parts.fragment}" if parts.fragment else ""
    if parts.query or (fragment and not split_page(path + fragment)):
        raise PathError(f"{url!r} is no file's URL: write ? as %3F and # as %23, or name a path.")
    return path + fragment


def shown(name: str) -> str:
    """A name as text that can be stored and sent: what is not UTF-8 in it stands as `\\udcff`."""
    return name.encode("utf-8", "backslashreplace").decode()


def split_shard(name: str) -> tuple[str, str] | None:
    """Archive and member of a name; None when it names no member.

    For paths the archive has to be a file: a folder may be called `a.tar` too, also the one that an
    upload came from.
    """
    upload = UPLOAD.search(name)
    for shard in SHARD.finditer(name, 0, upload.start() + 1 if upload else len(name)):
        archive, member = name[: shard.end() - 1], name[shard.end() :]
        if member and (scheme_of(name) or Path(archive).is_file()):
            return archive, member
    return None


def folder_of(name: str) -> str:
    """The folder, the prefix of a store, or the shard that a file lies in."""
    return name.rpartition("/")[0] or "/"


def suffix_of(name: str) -> str:
    """The ending in lower case with its dot, without what a URL asks behind `?`, and without the
    page of a PDF; or empty."""
    text = urlsplit(name).path if scheme_of(name) in WEB else file_of(name)
    return os.path.splitext(text)[1].lower()  # noqa: PTH122  a URL is no Path


def is_upload(name: str) -> bool:
    """Whether a file was uploaded to a library: where it lies says nothing to a person."""
    return UPLOAD.search(name) is not None


def name_of(name: str) -> str:
    """A file's own name, without the folders, the store or the shard that it lies in."""
    return name.rstrip("/").rpartition("/")[2] or name


def folder_of_upload(name: str) -> str:
    """The folder of an uploaded file, named by its sha256, wherever its library lay then; the name
    itself of what is no upload."""
    found = UPLOAD_FOLDER.match(name)
    return found[0] if found else name


def uploads_of(name: str) -> str:
    """The folder of all uploads that an uploaded file lies in."""
    return folder_of_upload(name).rsplit("/", 2)[0]


def familiar(name: str) -> str:
    """A file as a person knows it: an upload by the name it came with, any other by its path."""
    return name_of(name) if is_upload(name) else name


def album_of(name: str) -> str | None:
    """The folder, or the shard, that a picture lies in: people name albums by folders. Of a page it
    is the folder of its PDF: thousands of receipts are no thousands of albums.

    None for an upload that came without a folder: nobody gave the library's a name.
    """
    upload = UPLOAD.search(name)
    parent = (upload["album"] or "") if upload else name.rpartition("/")[0].rpartition("/")[2]
    return (parent[:-4] if parent.lower().endswith(".tar") else parent) or None
