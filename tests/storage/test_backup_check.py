"""A restored backup is foreign input: made-up rows neither delete nor read what is not ours."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from unicodedata import normalize

import pytest

from segsearch.core.errors import DamageError, LibraryVersionError, PictureError
from segsearch.core.settings import Settings
from segsearch.library import SegSearch
from segsearch.media.sources.reader import Sources
from tests.support.ingest_processes import content, paint_many
from tests.support.small_models import Shape, open_small_service, paint

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def filled(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SegSearch]:
    """A library of three pictures that no test changes."""
    with open_small_service(tmp_path_factory.mktemp("filled") / "library") as made:
        made.index([pictures])
        yield made


@pytest.fixture
def backup(filled: SegSearch, tmp_path: Path) -> Path:
    """A backup of it."""
    filled.maintenance.backup(tmp_path / "backup")
    return tmp_path / "backup"


def change(file: Path, *statements: str) -> None:
    with closing(sqlite3.connect(file)) as db, db:
        for statement in statements:
            db.execute(statement)


WRONG = {
    "sha256 up": "UPDATE image SET sha256 = '../../victim' WHERE id = 1",
    "sha256 glob": "UPDATE image SET sha256 = '**/*' WHERE id = 1",
    "sha256 capitals": "UPDATE image SET sha256 = upper(sha256) WHERE id = 1",
    "sha256 no text": "UPDATE image SET sha256 = zeroblob(64) WHERE id = 1",
    "path relative": "UPDATE source SET path = 'victim.png' WHERE image_id = 1",
    "path up": "UPDATE source SET path = '/tmp/../etc/passwd' WHERE image_id = 1",
    "path doubled": "UPDATE source SET path = '//etc//passwd' WHERE image_id = 1",
    "path file url": "UPDATE source SET path = 'file:///etc/passwd' WHERE image_id = 1",
    "path chain": "UPDATE source SET path = 'filecache::http://10.0.0.1/a' WHERE image_id = 1",
    "path url chain": "UPDATE source SET path = 's3://a::http://10.0.0.1/a' WHERE image_id = 1",
    "path empty": "UPDATE source SET path = '' WHERE image_id = 1",
    "path nul": "UPDATE source SET path = '/a' || char(0) || 'b' WHERE image_id = 1",
    "too large": "UPDATE image SET width = 2000000, height = 2000000 WHERE id = 1",
    "holds": "UPDATE segment SET holds = -5 WHERE id = 1",
    "quality": "UPDATE segment SET predicted_iou = 1e200 WHERE id = 1",
    "negative": "UPDATE image SET width = -5 WHERE id = 1",
    "width no number": "UPDATE image SET width = 'wide' WHERE id = 1",
    "hash": "UPDATE image SET perceptual_hash = 'zz' WHERE id = 1",
    "taken": "UPDATE image SET taken_at = 'yesterday' WHERE id = 1",
    "added": "UPDATE image SET added_at = 1e200 WHERE id = 1",
    "listed": "UPDATE listing SET date = 'yesterday' WHERE image_id = 1",
    "listed from": "UPDATE listing SET date_from = char(27) WHERE image_id = 1",
    "state": "UPDATE ingest SET state = 'odd' WHERE image_id = 1",
    "recipe": "UPDATE recipe SET document = '{\"preset\": 1}'",
    "recipe no json": "UPDATE recipe SET document = 'x'",
    "report": "UPDATE job SET report = '/etc/passwd'",
    "job paths": "UPDATE job SET paths = '{}'",
    "job stage": "UPDATE job SET stage = 'odd'",
    "job stopping": "UPDATE job SET stopping = 7",
    "job time": "UPDATE job SET started_at = 1e200",
    "counts no blob": "UPDATE segment SET counts = 'text' WHERE id = 1",
    "infinite": "UPDATE segment SET predicted_iou = 9e999 WHERE id = 1",
    "collection": "INSERT INTO collection (name, created_at) VALUES ('a/../b', 0)",
    "search": "INSERT INTO saved_search VALUES ('a/../b', '?q=a', 0)",
    "search address": "INSERT INTO saved_search VALUES ('a', 'https://elsewhere.example', 0)",
    "search time": "INSERT INTO saved_search VALUES ('a', '?q=a', 1e200)",
    "tag": "INSERT INTO image_tag VALUES (1, char(27) || '[2J')",
    "trigger": "CREATE TRIGGER more AFTER INSERT ON image BEGIN DELETE FROM source; END",
    "view": "CREATE VIEW more AS SELECT 1",
    "table": "CREATE TABLE more (a)",
    "statistics": "ANALYZE",
    "column": "ALTER TABLE image ADD COLUMN more TEXT",
    "index": "DROP INDEX ingest_by_state",
    "two revisions": "INSERT INTO alembic_version VALUES ('0001')",
}


@pytest.mark.parametrize("statement", WRONG.values(), ids=WRONG)
def test_a_backup_with_made_up_rows_is_refused_and_changes_nothing(
    statement: str, filled: SegSearch, backup: Path
) -> None:
    library = filled.settings.library
    before = content(library)
    change(backup, statement)
    with pytest.raises(DamageError, match="cannot be restored: it"):
        filled.maintenance.restore(backup)
    assert content(library) == before
    assert not list(library.glob("restore*"))


def test_a_trigger_of_ours_that_was_rewritten_is_refused(filled: SegSearch, backup: Path) -> None:
    rewritten = "CREATE TRIGGER caption_added AFTER INSERT ON caption BEGIN DELETE FROM image; END"
    change(backup, "DROP TRIGGER caption_added", rewritten)
    with pytest.raises(DamageError, match="'caption_added' is not as segsearch makes it"):
        filled.maintenance.restore(backup)


def test_a_backup_of_a_later_version_is_told_from_a_damaged_one(
    filled: SegSearch, backup: Path
) -> None:
    change(backup, "UPDATE alembic_version SET version_num = '9999'", "CREATE TABLE later (a)")
    with pytest.raises(LibraryVersionError, match="update segsearch"):
        filled.maintenance.restore(backup)


def test_damaged_segments_of_a_backup_wait_to_be_indexed_again(
    filled: SegSearch, pictures: Path, backup: Path, tmp_path: Path
) -> None:
    damage = "UPDATE segment SET x0 = 0, x1 = 90000, y0 = 0, y1 = 90000 WHERE image_id = 2"
    change(backup, damage, "DELETE FROM image WHERE id = 3")
    with open_small_service(tmp_path / "restored") as other:
        other.maintenance.restore(backup)
        assert other.maintenance.verify() == []
        assert (other.status().images, other.status().pending) == (2, 1)
        other.index([pictures])
    assert content(tmp_path / "restored") == content(filled.settings.library)


def test_no_image_deletes_a_file_that_is_no_upload(service: SegSearch, tmp_path: Path) -> None:
    """The same rows, written straight into a library: what deletes looks again."""
    victim = tmp_path / "library" / "victim.txt"
    victim.write_text("mine")
    for folder in ("..", "**"):
        (tmp_path / "library" / "uploads" / folder).mkdir(parents=True, exist_ok=True)
    change(tmp_path / "library" / "catalog.sqlite", "UPDATE image SET sha256 = '../victim' "
           "WHERE id = 1", "UPDATE image SET sha256 = '**/*' WHERE id = 2")  # fmt: skip
    kept = sorted(tmp_path.rglob("*.*"))
    assert service.uploads.remove_images([1, 2]) == 2
    assert victim.read_text() == "mine"
    assert [path for path in kept if not path.exists()] == []


@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_only_regular_files_are_read(kind: str, tmp_path: Path) -> None:
    place = tmp_path / "picture.png"
    if kind == "pipe":
        os.mkfifo(place)  # nobody writes: to open it plainly would wait for ever
    elif kind == "device":
        place.symlink_to("/dev/zero")
    else:
        place.mkdir()
    with pytest.raises(PictureError):
        Sources(Settings(library=tmp_path / "library")).read(str(place))


def test_where_a_restored_library_reads_from_is_told(
    service: SegSearch, pictures: Path, tmp_path: Path
) -> None:
    picture = paint_many(tmp_path / "more" / "deep", 1) / "000.png"
    service.index([tmp_path / "more"])
    shutil.copy(picture, tmp_path / "more")
    service.index([tmp_path / "more"])
    assert service.maintenance.places() == sorted([str(pictures), str(tmp_path / "more")])
    with (pictures / "b.png").open("rb") as file:
        image = service.uploads.add(file, "b.png").image
    assert any("/uploads/" in path for path in image.paths)
    assert service.maintenance.places() == sorted([str(pictures), str(tmp_path / "more")])


def test_a_path_whose_accents_the_disk_spells_otherwise_by_now_is_no_damage(
    tmp_path: Path,
) -> None:
    joined, parted = (normalize(form, "caf\u00e9.png") for form in ("NFC", "NFD"))
    folder = tmp_path / "pictures"
    paint(folder / joined, [Shape("red", (9, 9, 50, 40))])
    with open_small_service(tmp_path / "library") as service:
        service.index([folder])
        service.maintenance.backup(tmp_path / "backup")
        (folder / joined).rename(folder / parted)
        service.maintenance.restore(tmp_path / "backup")
        assert service.status().images == 1
