"""Keeps a library in order: verify, repair, prune, backup, restore."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from segsearch.core.errors import DamageError, InputError, PathError, ReadOnlyError, StoreError
from segsearch.core.settings import Settings
from segsearch.core.types import PruneReport, RepairReport
from segsearch.media.sources.paths import (
    folder_of,
    folder_of_upload,
    is_upload,
    name_of,
    normal,
)
from segsearch.media.sources.reader import Sources
from segsearch.storage.catalog.backend import read_only_sentence
from segsearch.storage.catalog.sql_catalog import Catalog
from segsearch.storage.index import snapshots
from segsearch.storage.index.library_index import LibraryIndex
from segsearch.storage.indexes import asks_rows, drop_rows
from segsearch.storage.owners import is_gone, is_lost, is_running
from segsearch.storage.upload_files import UploadFiles

PIECE = 500  # images looked up at once
ON_THE_WAY_SECONDS = 3_600  # from a file's place to its image


class Maintenance:
    """The housekeeping of one library; `SegSearch.maintenance` holds it."""

    def __init__(
        self,
        catalog: Catalog,
        index: LibraryIndex,
        sources: Sources,
        uploads: UploadFiles,
        settings: Settings,
    ) -> None:
        self._catalog = catalog
        self._index = index
        self._sources = sources
        self._uploads = uploads
        self._library = settings.library
        self._max_pixels = settings.max_pixels
        self._asks_rows = asks_rows(settings)

    def verify(self) -> list[str]:
        """What is wrong with catalog, vectors, index and files, a sentence each."""
        active = self._catalog.active_recipe()
        if active is None:
            return []
        return [
            *self._catalog.problems(active),
            *self._index.problems(active),
            *(f"The file {path.name} is of an interrupted restore." for path in self._leftovers()),
            *self._missing_files(),
            *self._unknown_uploads(),
        ]

    def _missing_files(self) -> list[str]:
        """A sentence for each folder from which known files are gone, or which does not say so.

        Web addresses are not asked for each file, an `index` of them looks at each.
        """
        gone, unknown = self._sources.missing(path for path, _ in self._catalog.known_files())
        sentences = [
            f"{count} known {'file is' if count == 1 else 'files are'} gone from {folder!r}: "
            "`segsearch index` and `segsearch prune` forget them, or `segsearch remove` where the "
            "whole folder is gone or empty."
            for folder, count in sorted(Counter(map(folder_of, gone)).items())
        ]
        return sentences + [
            f"{folder!r} cannot be listed: its known files ({count}) were not looked for."
            for folder, count in sorted(Counter(map(folder_of, unknown)).items())
        ]

    def _unknown_uploads(self) -> list[str]:
        """A sentence where uploaded files belong to no image, or cannot be listed."""
        try:
            count = sum(1 for _ in self.unknown_uploads())
        except StoreError as problem:
            return [f"The uploads cannot be listed: {problem}"]
        if not count:
            return []
        files = "1 file belongs" if count == 1 else f"{count:,} files belong"
        return [
            f"{files} to no image in {self._uploads.place!r}, as after an upload that was killed, "
            "or in a library that was taken back: `segsearch prune --uploads` deletes what no "
            "other library keeps there."
        ]

    def unknown_uploads(self) -> Iterator[str]:
        """The uploaded files that no path of the catalog leads to, but for those of the last hour:
        they may be on their way into it. StoreError."""
        known = {
            bytes.fromhex(_digest_of(path))
            for path, _ in self._catalog.known_files()
            if is_upload(path)
        }
        latest = (time.time() - ON_THE_WAY_SECONDS) * 1e9
        for path, stamp in self._uploads.all():
            is_old = stamp.mtime_ns < latest and is_upload(path)
            if is_old and bytes.fromhex(_digest_of(path)) not in known:
                yield path

    def _leftovers(self) -> list[Path]:
        """What a `restore` whose process died has left beside the catalog."""
        left = self._library.glob("restore.*.tmp*")
        return sorted(path for path in left if not is_running(path.name.split(".")[1]))

    def repair(self) -> RepairReport:
        """Put right what can be; the pictures that were damaged wait for the next `index`."""
        fixed: list[str] = []
        active = self._catalog.active_recipe()
        if active is None:
            return RepairReport((), ())
        self._catalog.close_lost_jobs(lambda job: is_lost(job, self._catalog.clock))
        back = self._catalog.release(active[0], is_gone, interrupted=True)
        if back:
            fixed.append(f"{back} pictures held by processes that died wait again.")
        try:
            fixed += self._catalog.repair(active)
        except DamageError as problem:
            return RepairReport(tuple(fixed), (f"{problem} Restore a backup.",))
        for name in snapshots.discard_damaged(self._library / "index"):
            fixed.append(f"The damaged snapshot file index/{name} was deleted.")
        for path in self._leftovers():
            path.unlink(missing_ok=True)
            fixed.append(f"The file {path.name} of an interrupted restore was deleted.")
        if self._index.rebuild_if_needed(active):
            fixed.append("The index was built again from the catalog.")
        self._index.settle(active)
        return RepairReport(tuple(fixed), tuple(self.verify()))

    def drop_rows(self) -> bool:
        """Keep no rows in pgvector any more: nodes that are started from here on search by FAISS.
        False where the library kept none; InputError while the settings ask for them."""
        if self._asks_rows:
            raise InputError(
                "SEGSEARCH_INDEX says pgvector: leave it away, or say faiss, on every node first."
            )
        return drop_rows(self._catalog)

    def prune(self, *, dry_run: bool = False, excluded: bool = False) -> PruneReport:
        """Forget paths whose files are gone, and images that no path leads to any more.

        Only files found to be gone by an `index` of their folder count, and each is looked for
        once more. With `excluded`, instead, those that the globs of the last `index` of their
        folder left out. With `dry_run` nothing is forgotten, only counted.
        """
        if excluded:
            gone = self._catalog.excluded_paths()
        else:
            gone = [path for path in self._catalog.missing_paths() if not self._sources.holds(path)]
        if dry_run or not gone:
            return PruneReport(tuple(gone), self._images_at_only(gone))
        images = self._catalog.forget_paths(gone)
        active = self._catalog.active_recipe()
        if active:
            self._index.save(active)
        return PruneReport(tuple(gone), images)

    def prune_uploads(self, *, dry_run: bool = False) -> PruneReport:
        """Delete uploaded files that belong to no image; the paths of the report are those files.
        StoreError, ReadOnlyError."""
        if self._catalog.read_only:
            raise ReadOnlyError(read_only_sentence(self._catalog.name))
        files = tuple(sorted(self.unknown_uploads()))
        for sha256 in () if dry_run else sorted(set(map(_digest_of, files))):
            with self._catalog.holding(sha256):  # unless it was uploaded again just now
                own = folder_of_upload(self._uploads.path(sha256, "name"))
                if not self._catalog.find_paths([own]):
                    self._uploads.delete(sha256)
        return PruneReport(files, 0)

    def _images_at_only(self, paths: Sequence[str]) -> int:
        """How many images no other path than these leads to."""
        ids, only = self._catalog.find_images(paths), set(paths)
        pieces = (ids[start : start + PIECE] for start in range(0, len(ids), PIECE))
        return sum(
            only.issuperset(image.paths)
            for piece in pieces
            for image in self._catalog.images(ids=piece, limit=PIECE)
        )

    def backup(self, file: Path) -> None:
        """Copy the catalog as of one moment to a file, while others index and search.

        The index is not copied: it is built again from the catalog. Raises PathError when the
        file is there already, its folder is not, or nothing can be written there, DiskFullError
        when it does not fit.
        """
        if file.exists():
            raise PathError(f"The file {str(file)!r} is there already: name another.")
        if not file.parent.is_dir():
            raise PathError(f"There is no folder {str(file.parent)!r}.")
        self._catalog.backup(file)

    def places(self) -> list[str]:
        """The folders, archives and stores that pictures are read from, without those that lie in
        another of them; the library's own is not named."""
        own = f"{normal(self._library)}/"
        outermost: list[str] = []
        folders = {folder_of(path) for path, _ in self._catalog.known_files()}
        for place in sorted(folders):
            inside = outermost and f"{place}/".startswith(f"{outermost[-1].rstrip('/')}/")
            if not inside and not f"{place}/".startswith(own):
                outermost.append(place)
        return outermost

    def restore(self, file: Path) -> None:
        """Take a backup's content instead of what the library holds.

        Raises PathError when there is no such file, DamageError when it is no whole backup or holds
        what segsearch never writes, LibraryError when it is of an empty library,
        LibraryVersionError when a later version made it; then nothing has changed.
        """
        self._catalog.restore(file, max_pixels=self._max_pixels)
        active = self._catalog.active_recipe()
        if active:
            self._index.save(active)


def _digest_of(upload: str) -> str:
    """The sha256 of an uploaded file, by its path."""
    return name_of(folder_of_upload(upload))
