"""What the catalog promises: whole transactions, fenced claims, a log that tells every change."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from segsearch.core.errors import BusyError, DamageError, LibraryVersionError
from segsearch.core.types import Claim, FileStamp, Recipe, State
from segsearch.media.sources.base import stamped
from segsearch.storage.catalog.backend import Place
from segsearch.storage.catalog.engine import (
    SCHEMA,
    check_schema,
    create_engine,
    migrations_config,
    schema_revision,
)
from segsearch.storage.catalog.sql_catalog import Catalog
from segsearch.storage.catalog.tables import METADATA
from tests.support.described import DIMENSION, RECIPE, describe

STAMP = FileStamp(10, 20)
STATES = ("pending", "failed", "quarantined")
TEXT = ("read", "to_read", "unreadable", "lines")
NONE = dict.fromkeys(
    ("images", "segments", *STATES, *TEXT, "near_duplicates", "missing", "excluded", "videos"), 0
)


# These look into the file, or take statements that SQLite alone has.
IN_A_FILE = pytest.mark.parametrize("place", ["sqlite"], indirect=True)


@pytest.fixture
def catalog(place: Place) -> Iterator[Catalog]:
    made = Catalog(place)
    yield made
    made.close()


def take(catalog: Catalog, recipe_id: int, owner: str = "me", lease: float = 60) -> Claim:
    claim = catalog.claim(recipe_id, owner, lease)
    assert claim is not None
    return claim


WORDS = ("caption_words", "text_words", "text_grams")  # of FTS5: SQLAlchemy knows no such tables


def store(catalog: Catalog, path: str, seed: int, segments: int = 3) -> int:
    recipe_id = catalog.register_recipe(RECIPE)
    catalog.record_file(path, STAMP, f"sha-{seed}", recipe_id)
    claim = take(catalog, recipe_id)
    assert catalog.commit(claim, describe(seed, segments))
    return claim.image_id


def is_no_index_of_words(name: str | None, kind: str, _parents: object) -> bool:
    """SQLAlchemy cannot describe FTS5's tables; the tests of captions and of text say what they
    must do."""
    return kind != "table" or not (name or "").startswith(WORDS)


def test_the_migrations_make_the_schema_the_tables_describe(tmp_path: Path) -> None:
    Catalog(tmp_path / "c.sqlite").close()
    engine = create_engine(tmp_path / "c.sqlite")
    with engine.connect() as connection:
        options = {"compare_type": True, "include_name": is_no_index_of_words}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, METADATA) == []
    engine.dispose()


def test_a_committed_picture_is_there_with_everything(catalog: Catalog) -> None:
    image_id = store(catalog, "/a/b.png", 1)
    described = describe(1)
    (image,) = catalog.images()
    assert (image.id, image.width, image.height, image.paths) == (image_id, 30, 20, ("/a/b.png",))
    assert image.state is State.DONE
    segments = catalog.segments_of(image_id)
    assert [segment.mask for segment in segments] == [
        segment.proposal.mask for segment in described.segments
    ]
    assert [segment.predicted_iou for segment in segments] == [0.9, 0.89, 0.88]
    (rows,) = catalog.vectors(1)
    assert rows.ids.tolist() == [segment.id for segment in segments]
    for row, segment in zip(rows.context, described.segments, strict=True):
        np.testing.assert_allclose(row, segment.context, atol=1e-3)
    for row, segment in zip(rows.masked, described.segments, strict=True):
        np.testing.assert_allclose(row, segment.masked, atol=1e-3)
    np.testing.assert_allclose(rows.picture, np.tile(described.vector, (3, 1)), atol=1e-3)
    assert catalog.counts() == {**NONE, "images": 1, "segments": 3}
    assert list(catalog.problems((1, RECIPE))) == []


def test_each_waiting_picture_is_lent_once(catalog: Catalog) -> None:
    recipe_id = catalog.register_recipe(RECIPE)
    for number in range(3):
        catalog.record_file(f"/{number}", STAMP, f"sha-{number}", recipe_id)
    lent = [take(catalog, recipe_id).image_id for _ in range(3)]
    assert sorted(lent) == [1, 2, 3]
    assert catalog.claim(recipe_id, "other", 60) is None
    assert catalog.waiting(recipe_id) == 3


def test_a_lease_that_ran_out_passes_on_and_the_late_commit_is_discarded(
    catalog: Catalog,
) -> None:
    recipe_id = catalog.register_recipe(RECIPE)
    catalog.record_file("/a", STAMP, "sha", recipe_id)
    late = take(catalog, recipe_id, "late", -1)
    second = take(catalog, recipe_id, "second")
    assert second.image_id == late.image_id
    assert not catalog.commit(late, describe(1))
    assert not catalog.fail(late, "late")
    assert catalog.counts()["segments"] == 0
    assert catalog.commit(second, describe(2))
    assert not catalog.commit(second, describe(2))
    assert catalog.counts()["segments"] == 3


def test_owners_that_are_gone_give_their_pictures_back(catalog: Catalog) -> None:
    recipe_id = catalog.register_recipe(RECIPE)
    for number in range(2):
        catalog.record_file(f"/{number}", STAMP, f"sha-{number}", recipe_id)
    take(catalog, recipe_id, "dead")
    take(catalog, recipe_id, "alive")
    assert catalog.release(recipe_id, lambda owner: owner == "dead") == 1
    assert take(catalog, recipe_id).image_id == 1
    assert catalog.claim(recipe_id, "me", 60) is None


def test_a_failed_picture_keeps_its_reason_until_it_is_tried_again(catalog: Catalog) -> None:
    recipe_id = catalog.register_recipe(RECIPE)
    catalog.record_file("/a", STAMP, "sha", recipe_id)
    assert catalog.fail(take(catalog, recipe_id), "It is damaged.")
    (image,) = catalog.images(state=State.FAILED)
    assert image.reason == "It is damaged."
    assert catalog.queue_all(recipe_id) == 0
    assert catalog.queue_all(recipe_id, retry_failed=True) == 1


def test_copies_share_one_image_and_a_changed_file_replaces_the_old_one(
    catalog: Catalog,
) -> None:
    first = store(catalog, "/a", 1)
    recipe_id = catalog.register_recipe(RECIPE)
    catalog.record_file("/copy", STAMP, "sha-1", recipe_id)
    assert catalog.claim(recipe_id, "me", 60) is None
    assert catalog.images()[0].paths == ("/a", "/copy")
    catalog.record_file("/a", STAMP, "sha-2", recipe_id)
    assert [image.paths for image in catalog.images()] == [("/copy",), ("/a",)]
    assert catalog.images()[0].id == first
    catalog.record_file("/copy", STAMP, "sha-2", recipe_id)
    assert [image.paths for image in catalog.images()] == [("/a", "/copy")]
    assert catalog.counts()["segments"] == 0


def test_ids_are_never_given_out_twice(catalog: Catalog) -> None:
    image_id = store(catalog, "/a", 1)
    gone = {segment.id for segment in catalog.segments_of(image_id)}
    assert catalog.remove_images([image_id]) == 1
    again = store(catalog, "/a", 1)
    assert again != image_id
    assert not gone & {segment.id for segment in catalog.segments_of(again)}


def test_the_log_tells_the_net_of_what_happened(catalog: Catalog) -> None:
    first = store(catalog, "/a", 1)
    start = catalog.changes(1, 0)
    assert start is not None
    assert start.added.tolist() == [1, 2, 3]
    store(catalog, "/b", 2)
    catalog.remove_images([first])
    store(catalog, "/c", 3)
    catalog.remove_images(catalog.find_images(["/c"]))
    tail = catalog.changes(1, start.seq)
    assert tail is not None
    assert tail.added.tolist() == [4, 5, 6]
    assert tail.removed.tolist() == [1, 2, 3, 7, 8, 9]
    assert catalog.changes(1, tail.seq + 1) is None


def test_a_new_recipe_takes_over_in_one_step(catalog: Catalog) -> None:
    store(catalog, "/a", 1)
    other = Recipe("test", "s@2", "e@1", DIMENSION, {}, {}, {})
    second = catalog.register_recipe(other)
    assert catalog.queue_all(second) == 1
    assert catalog.active_recipe() == (1, RECIPE)
    assert not catalog.switch_recipe(second)  # it waits
    claim = take(catalog, second)
    assert not catalog.switch_recipe(second)  # it is under way
    assert catalog.commit(claim, describe(5, 2))
    assert catalog.counts()["segments"] == 3
    store(catalog, "/late", 7)
    assert not catalog.switch_recipe(second)  # one has come in under the recipe in use
    assert catalog.fail(take(catalog, second), "It is damaged.")
    assert catalog.remove_images(catalog.find_images(["/late"])) == 1
    assert catalog.switch_recipe(second)
    assert catalog.switch_recipe(second)  # as a second worker does that has finished meanwhile
    assert catalog.active_recipe() == (second, other)
    assert catalog.counts() == {**NONE, "images": 1, "segments": 2}
    assert catalog.segment_ids(1).size == 0


@pytest.mark.parametrize("call", ["record", "queue"])
def test_a_run_for_a_recipe_that_is_gone_is_told_to_try_again(call: str, catalog: Catalog) -> None:
    store(catalog, "/a", 1)
    second = catalog.register_recipe(Recipe("test", "s@2", "e@1", DIMENSION, {}, {}, {}))
    catalog.queue_all(second)
    catalog.commit(take(catalog, second), describe(5, 2))
    assert catalog.switch_recipe(second)
    calls: dict[str, Callable[[], object]] = {
        "record": lambda: catalog.record_file("/b", STAMP, "sha-b", 1),
        "queue": lambda: catalog.queue_all(1),
    }
    with pytest.raises(BusyError, match="switched the library to other models"):
        calls[call]()
    assert list(dict(catalog.known_files())) == ["/a"]


def test_images_below_a_folder_are_found_whatever_its_name(catalog: Catalog) -> None:
    paths = ("/p%/a", "/p%/b/c", "/pq/a", "/p%", "/P%/a", "/p%-/a", "/p%0/a", "/p%/\U0001f600")
    for number, path in enumerate(paths):
        store(catalog, path, number)
    assert catalog.find_images(["/p%/"]) == [1, 2, 4, 8]
    assert catalog.find_images(["/P%"]) == [5]
    assert catalog.find_images(["/pq"]) == [3]
    assert catalog.find_images(["/"]) == [1, 2, 3, 4, 5, 6, 7, 8]
    assert catalog.find_images(["/nowhere"]) == []
    below = ["/p%", "/p%/a", "/p%/b/c", "/p%/\U0001f600", "/pq/a"]
    assert catalog.find_paths(["/p%/b/", "/p%", "/pq/a"]) == below
    assert catalog.find_paths(["/nowhere", "/not\udcff"]) == []


@pytest.mark.parametrize("mtime_ns", [2**63, 2**63 + 10**18, -(2**63) - 1])
def test_a_file_of_any_time_is_known_again(mtime_ns: int, catalog: Catalog) -> None:
    stamp = stamped(1, mtime_ns)  # as a clock gone wrong, or `touch`, leaves it
    catalog.record_file("/a", stamp, "sha", catalog.register_recipe(RECIPE))
    assert dict(catalog.known_files()) == {"/a": stamp}
    assert stamp != stamped(1, mtime_ns + 1)


DAMAGES = {
    "run lengths": "UPDATE segment SET counts = x'00ff' WHERE id = 1",
    "covers": "UPDATE segment SET area = 5 WHERE id = 1",
    "outside": "UPDATE segment SET x1 = 31 WHERE id = 1",
    "unit length": "UPDATE segment_vector SET context_vector = zeroblob(16) WHERE segment_id = 1",
    "expected 8": "UPDATE segment_vector SET masked_vector = x'0000' WHERE segment_id = 1",
    "not marked as done": "UPDATE ingest SET state = 'pending'",
    "no path": "DELETE FROM source",
}


@pytest.mark.parametrize("words", DAMAGES)
@IN_A_FILE
def test_damage_is_found_and_named(words: str, catalog: Catalog, tmp_path: Path) -> None:
    store(catalog, "/a", 1)
    engine = create_engine(tmp_path / "catalog.sqlite")
    with engine.begin() as connection:
        connection.execute(sa.text(DAMAGES[words]))
    engine.dispose()
    problems = list(catalog.problems((1, RECIPE)))
    assert any(words in problem for problem in problems), problems


def test_the_schema_that_is_asked_for_is_the_newest_of_the_migrations() -> None:
    assert ScriptDirectory.from_config(migrations_config()).get_current_head() == SCHEMA


def test_a_catalog_of_two_revisions_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "c.sqlite"
    Catalog(file).close()
    engine = create_engine(file)
    with engine.begin() as connection:
        connection.execute(sa.text("INSERT INTO alembic_version VALUES ('0008')"))
    engine.dispose()
    with pytest.raises(DamageError, match="2 revisions"):
        Catalog(file)


def test_a_catalog_of_a_later_version_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "c.sqlite"
    Catalog(file).close()
    engine = create_engine(file)
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    with pytest.raises(LibraryVersionError, match=r"9999.*update segsearch"):
        Catalog(file)
    with pytest.raises(LibraryVersionError, match=r"9999.*update segsearch"):
        check_schema(create_engine(file, read_only=True))


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "c.sqlite"
    file.write_bytes(b"rubbish" * 1000)
    with pytest.raises(DamageError):
        Catalog(file)


def test_a_library_of_the_first_schema_is_brought_up_with_all_it_holds(tmp_path: Path) -> None:
    file = tmp_path / "c.sqlite"
    made = Catalog(file)
    store(made, "/a", 1)
    made.close()
    engine = create_engine(file)
    config = migrations_config()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0001")
    assert schema_revision(engine) == "0001"
    engine.dispose()
    again = Catalog(file)
    assert again.schema() == "0019"
    assert again.counts() == {**NONE, "images": 1, "segments": 3}
    assert list(again.problems((1, RECIPE))) == []
    again.close()


def test_what_others_write_is_seen_where_nothing_may_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "c.sqlite"
    Catalog(file).close()
    with monkeypatch.context() as here:  # permissions do not bind root
        here.setattr("segsearch.storage.catalog.sqlite_file.is_writable", lambda _: False)
        reader = Catalog(file)
    assert reader.counts()["images"] == 0
    for number in (1, 2):
        writer = Catalog(file)
        store(writer, f"/{number}", number)
        assert reader.counts()["images"] == number  # from the log
        writer.close()
        assert reader.counts()["images"] == number  # from the file
    reader.close()


def test_heartbeats_keep_a_lease_and_pauses_keep_a_picture_back(catalog: Catalog) -> None:
    recipe_id = catalog.register_recipe(RECIPE)
    catalog.record_file("/a", STAMP, "sha", recipe_id)
    first = take(catalog, recipe_id, "first", -1)
    catalog.extend([first], 60)
    assert catalog.claim(recipe_id, "second", 60) is None
    assert catalog.put_back(first, "It fell over.", pause_seconds=50, counts="crashes")
    assert catalog.claim(recipe_id, "second", 60) is None
    assert catalog.retry_seconds(recipe_id) == pytest.approx(50, abs=5)
    assert catalog.waiting(recipe_id) == 1
    assert not catalog.quarantine(first, "late")
