"""Files: the paths at which images lie, when each was last seen, and those that are gone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from segsearch.core.errors import PictureError
from segsearch.core.names import VIDEO_FILE, composed, file_of, folded
from segsearch.core.types import FileStamp, State
from segsearch.core.video import FORMAT
from segsearch.media.sources.paths import shown
from segsearch.storage.catalog.database import Database, portions
from segsearch.storage.catalog.images import drop_images, without_path
from segsearch.storage.catalog.portable import AMONG_PATHS, NOW, insert, paths_parameter
from segsearch.storage.catalog.queue import QUEUES
from segsearch.storage.catalog.rows import FRESH, without_number
from segsearch.storage.catalog.shots import SeenShot, enter_shots, shots_at
from segsearch.storage.catalog.tables import COLLECTION_IMAGE, IMAGE, IMAGE_TAG, INGEST, SOURCE

IS_MISSING = SOURCE.c.missing_since.is_not(None)
IS_EXCLUDED = SOURCE.c.excluded_since.is_not(None)
PAGE_PATHS = 5_000  # read at once where all are
_STAMPS = sa.select(SOURCE.c.path, SOURCE.c.size_bytes, SOURCE.c.mtime_ns)
_STAMPS_AFTER = (
    _STAMPS.where(SOURCE.c.path > sa.bindparam("after"))
    .order_by(SOURCE.c.path)
    .limit(sa.bindparam("most"))
)
_STAMPS_OF = _STAMPS.where(SOURCE.c.path.in_(AMONG_PATHS))


class SeenFile(NamedTuple):
    """A path, what the file there looked like, and what it held; of a shot of a video, what part
    of which."""

    path: str
    stamp: FileStamp
    sha256: str
    shot: SeenShot | None = None


class FileMixin(Database):
    """The part of the catalog that holds paths."""

    def check_path(self, path: str) -> None:
        """PictureError for a path that is too long for this catalog."""
        longest = self._backend.longest_path
        if longest is None or len(path) * 6 <= longest:  # what a letter may take, folded
            return
        length = max(len(form.encode(errors="replace")) for form in (path, folded(path)))
        if length > longest:
            raise PictureError(f"Its path has {length:,} bytes, the catalog takes {longest:,}.")

    def known_files(self) -> Iterator[tuple[str, FileStamp]]:
        """Every known path with its stamp, by path; some at a time are read, and held."""
        after, page = "", [("", FileStamp(0, 0))]
        while page:
            with self._reading() as db:
                rows = db.execute(_STAMPS_AFTER, {"after": after, "most": PAGE_PATHS}).all()
            page = [(path, FileStamp(size, mtime)) for path, size, mtime in rows]
            yield from page
            after = page[-1][0] if page else after

    def stamps_at(self, paths: Iterable[str]) -> dict[str, FileStamp]:
        """The stamps of those of these paths that are known."""
        with self._reading() as db:
            rows = db.execute(_STAMPS_OF, paths_parameter(paths)).all()
        return {path: FileStamp(size, mtime) for path, size, mtime in rows}

    def stamps_below(self, places: Sequence[str]) -> dict[str, FileStamp]:
        """The stamps of the known paths at these places, spelt as they are, or anywhere below."""
        found: dict[str, FileStamp] = {}
        # What is no valid Unicode cannot be stored, so nothing is known there.
        spelt = [place for place in places if place.encode(errors="replace").decode() == place]
        with self._reading() as db:
            for place in spelt:
                rows = db.execute(_STAMPS.where(_at_or_below(SOURCE.c.path, place))).all()
                found.update((path, FileStamp(size, mtime)) for path, size, mtime in rows)
        return found

    def record_file(self, path: str, stamp: FileStamp, sha256: str, recipe_id: int) -> None:
        """`record_files` for one."""
        self.record_files([SeenFile(path, stamp, sha256)], recipe_id)

    def record_files(self, files: Sequence[SeenFile], recipe_id: int) -> int:
        """Note what paths hold now, and queue what is not known yet: all of it, or nothing. How
        many images were queued comes back; no path may come twice. Shots are entered with their
        videos.

        When a path held other bytes before, the image takes over the tags and collections of
        that one, which goes when it is left without any path. An image that had failed waits
        again when a path is new to it, or back, and any of its files is marked as missing.
        """
        with self._writing() as db:
            return sum(_record(db, part, recipe_id) for part in portions(files))

    def find_images(self, places: Sequence[str]) -> list[int]:
        """Ids of images at these places, or anywhere below them, ascending."""
        return sorted(set(self._find(places).values()))

    def find_paths(self, places: Sequence[str]) -> list[str]:
        """The known paths at these places, or anywhere below them, sorted.

        Where nothing lies at a place as it is written, accents may be parted from their letters
        or not; upper and lower case count.
        """
        return sorted(self._find(places))

    def _find(self, places: Sequence[str]) -> dict[str, int]:
        """Ids of images by path, at or below these places."""
        found: dict[str, int] = {}
        paths = sa.select(SOURCE.c.path, SOURCE.c.image_id)
        with self._reading() as db:
            for place in map(shown, places):
                rows = db.execute(paths.where(_at_or_below(SOURCE.c.path, place))).all()
                if not rows and not place.isascii():
                    alike = db.execute(paths.where(_at_or_below(SOURCE.c.folded, folded(place))))
                    rows = [row for row in alike if _lies_at(composed(row.path), composed(place))]
                found.update((path, image_id) for path, image_id in rows)
        return found

    def image_ids_at(self, paths: Sequence[str]) -> dict[str, int]:
        """Ids of the images at those of these paths that are known, by path."""
        query = sa.select(SOURCE.c.path, SOURCE.c.image_id)
        with self._reading() as db:
            return {
                path: image_id
                for portion in portions(paths)
                for path, image_id in db.execute(query.where(SOURCE.c.path.in_(portion)))
            }

    def states_at(self, paths: Sequence[str], recipe_id: int) -> dict[str, State]:
        """How far the images at those paths that are known are under a recipe."""
        joined = SOURCE.join(INGEST, INGEST.c.image_id == SOURCE.c.image_id)
        query = sa.select(SOURCE.c.path, INGEST.c.state).select_from(joined)
        with self._reading() as db:
            return {
                path: State(state)
                for portion in portions(paths)
                for path, state in db.execute(
                    query.where(SOURCE.c.path.in_(portion), INGEST.c.recipe_id == recipe_id)
                )
            }

    def fold_file(self, path: str, into: str) -> None:
        """Forget a path whose picture is the one at another path by now, which takes over the tags
        and collections; nothing happens when either is not known."""
        with self._writing() as db:
            image_of = sa.select(SOURCE.c.image_id)
            old = db.execute(image_of.where(SOURCE.c.path == path)).scalar()
            new = db.execute(image_of.where(SOURCE.c.path == into)).scalar()
            if old is None or new is None or old == new:
                return
            _inherit(db, old, new)
            db.execute(sa.delete(SOURCE).where(SOURCE.c.path == path))
            drop_images(db, without_path().where(IMAGE.c.id == old))

    def missing_paths(self, *, for_seconds: float | None = None) -> list[str]:
        """Paths marked as missing, for so long at least, sorted."""
        with self._reading() as db:
            missing = sa.select(SOURCE.c.path).where(IS_MISSING).order_by(SOURCE.c.path)
            if for_seconds is not None:
                missing = missing.where(SOURCE.c.missing_since <= NOW - for_seconds)
            return list(db.execute(missing).scalars())

    def mark_missing(self, paths: Sequence[str]) -> None:
        """Note that files are gone; their images stay."""
        with self._writing() as db:
            for portion in portions(paths):
                there = SOURCE.c.path.in_(portion) & ~IS_MISSING
                db.execute(sa.update(SOURCE).where(there).values(missing_since=NOW))

    def mark_found(self, paths: Sequence[str]) -> None:
        """Note that files are back; images among them that had failed wait again."""
        with self._writing() as db:
            for portion in portions(paths):
                gone = SOURCE.c.path.in_(portion) & IS_MISSING
                images = sa.select(SOURCE.c.image_id).where(gone)
                # What failed may have failed because its file was away.
                for queue in QUEUES.values():
                    failed = queue.c.image_id.in_(images) & (queue.c.state == State.FAILED)
                    db.execute(sa.update(queue).where(failed).values(FRESH))
                db.execute(sa.update(SOURCE).where(gone).values(missing_since=None))

    def excluded_paths(self) -> list[str]:
        """Paths marked as left out by the globs, sorted."""
        with self._reading() as db:
            left_out = sa.select(SOURCE.c.path).where(IS_EXCLUDED).order_by(SOURCE.c.path)
            return list(db.execute(left_out).scalars())

    def mark_excluded(self, paths: Sequence[str], *, excluded: bool = True) -> None:
        """Note that the globs leave files out, or no longer do; their images stay."""
        with self._writing() as db:
            for portion in portions(paths):
                marks = sa.update(SOURCE).where(SOURCE.c.path.in_(portion))
                marks = marks.where(~IS_EXCLUDED if excluded else IS_EXCLUDED)
                db.execute(marks.values(excluded_since=NOW if excluded else None))

    def forget_paths(self, paths: Sequence[str]) -> int:
        """Forget paths, and images left without any; how many images that was."""
        with self._editing() as db:
            return sum(_forget(db, portion) for portion in portions(paths))


def _forget(db: sa.Connection, paths: Sequence[str]) -> int:
    there = SOURCE.c.path.in_(paths)
    left = {*db.execute(sa.select(SOURCE.c.image_id).where(there)).scalars()}
    db.execute(sa.delete(SOURCE).where(there))
    return drop_images(db, without_path().where(IMAGE.c.id.in_(left)))


def _lies_at(path: str, place: str) -> bool:
    bare = place.rstrip("/")
    return file_of(path) == bare or path == bare or path.startswith(f"{bare}/")


def _at_or_below(column: sa.Column[Any], place: str) -> sa.ColumnElement[bool]:
    """Whether a file lies at a path, or anywhere below it as a folder; of a PDF its pages,
    and of a video its shots, too.

    A span of the paths' order, from `/` up to the character behind it: SQLite's LIKE takes upper
    and lower case for the same, and other folders with it.
    """
    bare = place.rstrip("/")
    there = (column == bare) | ((column > f"{bare}/") & (column < f"{bare}0"))
    if bare.lower().endswith(".pdf"):
        pages = f"{bare}#page="
        there |= (column > pages) & (column < f"{bare}#page>") & (without_number(column) == pages)
    if VIDEO_FILE.search(bare):
        there |= shots_at(column, bare)
    return there


def _record(db: sa.Connection, files: Sequence[SeenFile], recipe_id: int) -> int:
    """See `FileMixin.record_files`; the same few statements for any number of files."""
    if not files:
        return 0
    formats = {file.sha256: FORMAT if file.shot else "" for file in files}
    images = [{"sha256": sha256, "format": known} for sha256, known in formats.items()]
    db.execute(insert(IMAGE).values(added_at=NOW).on_conflict_do_nothing(), images)
    same = sa.select(IMAGE.c.sha256, IMAGE.c.id)
    same = same.where(IMAGE.c.sha256.in_([image["sha256"] for image in images]))
    ids: dict[str, int] = {row.sha256: row.id for row in db.execute(same)}
    enter_shots(db, ((ids[file.sha256], file.shot) for file in files if file.shot))
    there = sa.select(SOURCE.c.path, SOURCE.c.image_id, SOURCE.c.missing_since)
    there = there.where(SOURCE.c.path.in_([file.path for file in files]))
    known = {path: (image_id, missing) for path, image_id, missing in db.execute(there)}
    # Where a path is new to its image, or back.
    led = {ids[file.sha256] for file in files if known.get(file.path) != (ids[file.sha256], None)}
    again = _try_vanished_again(db, sorted(led))
    values = [
        {
            "path": file.path,
            "image_id": ids[file.sha256],
            "size_bytes": file.stamp.size_bytes,
            "mtime_ns": file.stamp.mtime_ns,
            "missing_since": None,
            "excluded_since": None,
            "folded": folded(file.path),
        }
        for file in files
    ]
    upsert = insert(SOURCE)
    changed = {name: upsert.excluded[name] for name in values[0] if name != "path"}
    db.execute(upsert.on_conflict_do_update(index_elements=["path"], set_=changed), values)
    queued = _queue(db, ids.values(), recipe_id)
    replaced = [
        (known[file.path][0], ids[file.sha256])
        for file in files
        if file.path in known and known[file.path][0] != ids[file.sha256]
    ]
    for before, after in replaced:
        _inherit(db, before, after)
    if replaced:
        drop_images(db, without_path().where(IMAGE.c.id.in_({before for before, _ in replaced})))
    return queued + again


def _queue(db: sa.Connection, image_ids: Iterable[int], recipe_id: int) -> int:
    """Queue those images that have no state under a recipe; how many there were."""
    state = {"recipe_id": recipe_id, "state": State.PENDING}
    rows = [{"image_id": image_id, **state} for image_id in image_ids]
    queue = insert(INGEST).on_conflict_do_nothing().returning(INGEST.c.image_id)
    return len(db.execute(queue, rows).all())  # of many rows PostgreSQL's driver tells no number


def _try_vanished_again(db: sa.Connection, image_ids: Sequence[int]) -> int:
    """Queue failed images once more of which a file is known to be gone: that may be why they
    failed, and a path is about to lead to them again. How many there were."""
    if not image_ids:
        return 0
    vanished = sa.select(SOURCE.c.image_id).where(SOURCE.c.image_id.in_(image_ids), IS_MISSING)
    gone = list(db.execute(vanished.distinct()).scalars())
    count = 0
    for queue in QUEUES.values():
        failed = queue.c.image_id.in_(gone) & (queue.c.state == State.FAILED)
        again = db.execute(sa.update(queue).where(failed).values(FRESH)).rowcount
        count += again if queue is INGEST else 0
    return count


def _inherit(db: sa.Connection, old_id: int, new_id: int) -> None:
    """An edited file keeps what people said about it: its tags and its collections."""
    for table, name in ((IMAGE_TAG, "tag"), (COLLECTION_IMAGE, "collection_id")):
        rows: sa.Select[Any] = sa.select(sa.literal(new_id), table.c[name])
        rows = rows.where(table.c.image_id == old_id)
        copy = insert(table).from_select(["image_id", name], rows)
        db.execute(copy.on_conflict_do_nothing())
