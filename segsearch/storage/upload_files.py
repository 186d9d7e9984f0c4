"""Where uploaded pictures are kept: a folder, or a store that all nodes of a library share.

Each lies at `uploads/ab/<sha256>/its name.jpg` below that place, one that came with a folder at
`uploads/ab/<sha256>/its folder/its name.jpg`, whole or not at all. What the catalog says of them is
the callers' business, and so is who may delete while another adds.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from segsearch.core.settings import Settings
from segsearch.core.types import FileStamp
from segsearch.media.sources.fsspec_store import stamp_of
from segsearch.media.sources.object_store import ObjectStore
from segsearch.media.sources.paths import folder_of_upload, name_of, normal, scheme_of
from segsearch.storage.disk_errors import disk_errors_as_ours

FOLDER = "uploads"
# In a URL these say more than a name: a chain of file systems, and a version of an object.
NOT_IN_URLS = re.compile(r":(?=:)|\?(?=versionId=)")


class UploadFiles(Protocol):
    """Uploaded files by their paths, which are what the catalog knows them by."""

    place: str  # the folder of all of them
    desk: Path  # where this machine keeps a file until it is whole

    def path(self, sha256: str, name: str) -> str:
        """Where a file of these bytes lies under a name, which may have a folder before it."""
        ...

    def of(self, sha256: str) -> dict[str, FileStamp]:
        """The files of these bytes, by their paths, sorted."""
        ...

    def put(self, path: str, file: Path) -> FileStamp:
        """Keep a copy of a file on the desk; what is there already stays as it is."""
        ...

    def delete(self, sha256: str) -> None:
        """Delete all files of these bytes."""
        ...

    def all(self) -> Iterator[tuple[str, FileStamp]]:
        """Every file with its stamp, some at a time."""
        ...


def upload_files(settings: Settings) -> UploadFiles:
    """Where a library's settings have its uploads kept."""
    own = Path(normal(settings.library)) / FOLDER
    if settings.uploads is None:
        return UploadFolder(own)
    if scheme_of(settings.uploads) in {None, "file"}:
        return UploadFolder(Path(normal(settings.uploads)) / FOLDER)
    return UploadStore(settings.uploads, own, settings.store_seconds)


class UploadFolder:
    """Files of this machine, or of a disk that all machines share. Bytes that came under several
    names are there once. DiskFullError, ReadOnlyError and LibraryError where the disk refuses."""

    def __init__(self, folder: Path) -> None:
        self.place, self.desk = str(folder), folder

    def path(self, sha256: str, name: str) -> str:
        """As `UploadFiles.path`."""
        return str(self._folder(sha256) / name)

    def of(self, sha256: str) -> dict[str, FileStamp]:
        """As `UploadFiles.of`."""
        files = [path for path in self._folder(sha256).rglob("*") if path.is_file()]
        old = self._folder(sha256).parent.glob(f"{sha256}.*")  # before uploads kept their names
        return {str(path): _stamp(path) for path in (*sorted(files), *sorted(old))}

    def put(self, path: str, file: Path) -> FileStamp:
        """As `UploadFiles.put`; the file has to be on the desk, and synced."""
        place = Path(path)
        with disk_errors_as_ours(self.desk):
            place.parent.mkdir(parents=True, exist_ok=True)
            with suppress(FileExistsError):  # uploaded before, or by another process just now
                others = [Path(other) for other in self.of(name_of(folder_of_upload(path)))]
                os.link(others[0] if others else file, place)  # whole or not at all
            return _stamp(place)

    def delete(self, sha256: str) -> None:
        """As `UploadFiles.delete`."""
        folder = self._folder(sha256)
        with disk_errors_as_ours(self.desk):
            for path in self.of(sha256):
                Path(path).unlink(missing_ok=True)
            with suppress(FileNotFoundError):
                for place in (*folder.glob("*/"), folder):
                    place.rmdir()

    def all(self) -> Iterator[tuple[str, FileStamp]]:
        """As `UploadFiles.all`."""
        for place, _, names in os.walk(self.place):
            for path in (Path(place) / name for name in names):
                with suppress(FileNotFoundError):
                    yield str(path), _stamp(path)

    def _folder(self, sha256: str) -> Path:
        return self.desk / sha256[:2] / sha256


class UploadStore:
    """Objects of a store that fsspec knows; each name is an object of its own. StoreError where it
    does not answer."""

    def __init__(self, base: str, desk: Path, seconds: float) -> None:
        self.place, self.desk = f"{base.rstrip('/')}/{FOLDER}", desk
        self._store = ObjectStore(seconds)

    def path(self, sha256: str, name: str) -> str:
        """As `UploadFiles.path`."""
        return f"{self.place}/{sha256[:2]}/{sha256}/{NOT_IN_URLS.sub('', name)}"

    def of(self, sha256: str) -> dict[str, FileStamp]:
        """As `UploadFiles.of`."""
        try:
            found = self._store.below(self.path(sha256, ""))
            return dict(sorted((path, stamp_of(info)) for path, info in found))
        except FileNotFoundError:
            return {}

    def put(self, path: str, file: Path) -> FileStamp:
        """As `UploadFiles.put`."""
        self._store.write_file(path, file)
        return stamp_of(self._store.info(path))

    def delete(self, sha256: str) -> None:
        """As `UploadFiles.delete`."""
        for path in self.of(sha256):
            self._store.delete(path)

    def all(self) -> Iterator[tuple[str, FileStamp]]:
        """As `UploadFiles.all`."""
        with suppress(FileNotFoundError):
            for path, info in self._store.below(self.place):
                yield path, stamp_of(info)


def _stamp(path: Path) -> FileStamp:
    status = path.stat()
    return FileStamp(status.st_size, status.st_mtime_ns)
