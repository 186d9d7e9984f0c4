"""The service over archives, stores and the web; near-duplicates, tags and vanished files."""

from __future__ import annotations

import functools
import http.server
import shutil
import sqlite3
import tarfile
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import fsspec
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from segsearch.core.errors import NotFoundError, QueryError
from segsearch.core.types import PruneReport
from segsearch.library import SegSearch
from segsearch.media.sources.reader import Sources
from segsearch.models.pipeline import Pipeline
from segsearch_api.app import create_app
from tests.conftest import DEMO
from tests.support.small_models import Shape, SmallModels, open_small_service, paint

pytestmark = pytest.mark.server

RED = Shape("red", (10, 10, 40, 40))
BLUE = Shape("blue", (60, 20, 100, 70), "disc")


class CountingModels(SmallModels):
    """Small models that count how often a picture is put through them."""

    def __init__(self) -> None:
        self.calls = 0

    def pipeline(self) -> Pipeline:
        self.calls += 1
        return super().pipeline()


@pytest.fixture
def models() -> CountingModels:
    return CountingModels()


@pytest.fixture
def service(tmp_path: Path, models: CountingModels) -> Iterator[SegSearch]:
    with open_small_service(
        tmp_path / "library", models=models, allow_urls=True, allow_private_urls=True
    ) as made:
        yield made


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    paint(folder / "red.png", [RED])
    paint(folder / "album" / "blue.png", [BLUE])
    return folder


@pytest.fixture(params=["archive", "store", "web"])
def source(request: pytest.FixtureRequest, pictures: Path, tmp_path: Path) -> Iterator[list[str]]:
    """The names by which the two pictures lie elsewhere."""
    if request.param == "archive":
        with tarfile.open(tmp_path / "shard.tar", "w") as shard:
            for path in sorted(pictures.rglob("*.png")):
                shard.add(path, path.name)
        yield [str(tmp_path / "shard.tar")]
    elif request.param == "store":
        memory = fsspec.filesystem("memory")
        memory.put(str(pictures), "/pictures", recursive=True)
        yield ["memory://pictures"]
        memory.rm("/pictures", recursive=True)
    else:
        handler = functools.partial(Quiet, directory=str(pictures))
        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            base = f"http://127.0.0.1:{server.server_port}"
            yield [f"{base}/red.png", f"{base}/album/blue.png"]
            server.shutdown()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_pictures_elsewhere_are_indexed_found_and_shown(
    source: list[str], service: SegSearch, models: CountingModels
) -> None:
    report = service.index(source)
    assert (report.files, report.indexed, report.skipped) == (2, 2, ())
    hit = service.search_text("blue", limit=1).hits[0]
    assert hit.segment.mask.box.as_tuple() == BLUE.box
    assert hit.image.paths[0].endswith("blue.png")
    client = TestClient(create_app(service), base_url="http://localhost")
    for path in (
        f"/v1/images/{hit.image.id}/thumbnail",
        f"/v1/segments/{hit.segment.id}/cutout.png",
    ):
        assert client.get(path).status_code == 200
    again = service.index(source)
    assert (again.indexed, again.unchanged) == (0, 2)
    assert models.calls == 2
    assert service.index(source, rebuild=True).indexed == 0
    assert service.maintenance.verify() == []


def test_a_picture_is_one_image_wherever_it_lies(
    source: list[str], service: SegSearch, pictures: Path, models: CountingModels
) -> None:
    service.index([pictures])
    service.index(source)
    assert models.calls == 2
    assert {len(image.paths) for image in service.catalog.images()} == {2}


def test_an_archive_is_removed_as_a_folder_is(tmp_path: Path, service: SegSearch) -> None:
    path = paint(tmp_path / "a.png", [RED])
    with tarfile.open(tmp_path / "shard.tar", "w") as shard:
        shard.add(path, "0.png")
    service.index([tmp_path / "shard.tar"])
    assert service.remove(paths=[tmp_path / "shard.tar"]) == 1


def test_a_second_look_at_an_unchanged_folder_reads_nothing_and_calls_no_model(
    tmp_path: Path, service: SegSearch, models: CountingModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "many"
    for number in range(300):
        paint(folder / f"{number % 7}" / f"{number}.png", [RED], size=(60 + number, 50))
    assert service.index([folder]).indexed == 300
    read: list[str] = []
    monkeypatch.setattr(Sources, "digest", lambda _self, name: read.append(name))
    monkeypatch.setattr(Sources, "read", lambda _self, name: read.append(name))
    again = service.index([folder])
    assert (again.files, again.indexed, again.unchanged, again.skipped) == (300, 0, 300, ())
    assert (read, models.calls) == ([], 300)


def test_near_duplicates_are_linked_and_kept(tmp_path: Path, service: SegSearch) -> None:
    names = ("photo-cat.jpg", "photo-coffee.jpg")
    for name in names:
        shutil.copy(DEMO / "pictures" / name, tmp_path / name)
    with Image.open(tmp_path / names[0]) as picture:
        half = picture.resize((picture.width // 2, picture.height // 2))
        half.save(tmp_path / "small.png")
    service.index([tmp_path / name for name in (*names, "small.png")])
    by_name = {Path(image.paths[0]).name: image for image in service.catalog.images()}
    cat, small = by_name["photo-cat.jpg"], by_name["small.png"]
    assert (cat.near_duplicates, small.near_duplicates) == ((small.id,), (cat.id,))
    assert by_name["photo-coffee.jpg"].near_duplicates == ()
    assert (service.status().images, service.status().near_duplicates) == (3, 2)
    client = TestClient(create_app(service), base_url="http://localhost")
    document = client.get(f"/v1/images/{cat.id}").json()
    assert document["near_duplicates"] == [small.id]
    assert document["albums"] == [tmp_path.name]
    assert client.get("/v1/status").json()["near_duplicates"] == 2


def test_tags_by_path_folder_id_and_over_http(service: SegSearch, pictures: Path) -> None:
    service.index([pictures])
    assert service.tag(paths=[pictures], add=["holiday", " two  words "]) == [1, 2]
    assert service.tag(paths=[pictures / "album"], remove=["holiday"]) == [1]
    assert [image.tags for image in service.catalog.images()] == [
        ("two words",),
        ("holiday", "two words"),
    ]
    client = TestClient(create_app(service), base_url="http://localhost")
    answer = client.post(
        "/v1/images/2/tags", json={"add": ["🌴", "خانه\u200cها"], "remove": ["two words"]}
    )
    assert answer.json()["tags"] == ["holiday", "خانه\u200cها", "🌴"]
    bad: list[dict[str, list[str]]] = [
        {"add": [""]},
        {"add": ["x" * 101]},
        {"add": ["a\x1bb"]},
        {"tags": []},
    ]
    for body in bad:
        assert client.post("/v1/images/2/tags", json=body).status_code == 422
    assert client.post("/v1/images/9/tags", json={"add": ["a"]}).status_code == 404
    with pytest.raises(NotFoundError):
        service.tag(paths=[pictures / "nowhere"], add=["a"])
    with pytest.raises(QueryError, match="1 to 100"):
        service.tag(image_ids=[1], add=["  "])
    with pytest.raises(QueryError, match="Name what to tag"):
        service.tag(add=["a"])


def test_vanished_files_are_counted_found_still_and_forgotten_by_prune(
    service: SegSearch, pictures: Path
) -> None:
    service.index([pictures])
    kept = pictures / "red.png"
    blue = pictures / "album" / "blue.png"
    aside = blue.rename(pictures.parent / "aside.png")
    service.index([pictures])
    assert service.status().missing == 1
    assert service.maintenance.prune(dry_run=True).paths == (str(blue),)
    assert len(service.search_text("blue", limit=5).hits) == 2
    aside.rename(blue)
    assert service.maintenance.prune() == PruneReport((), 0)
    blue.unlink()
    service.index([pictures])
    assert (service.maintenance.prune().images, service.status().images) == (1, 1)
    assert service.catalog.image(2).paths == (str(kept),)
    assert service.maintenance.verify() == []


def test_verify_says_what_is_gone_from_a_store_or_cannot_be_told(
    service: SegSearch, pictures: Path, tmp_path: Path
) -> None:
    memory = fsspec.filesystem("memory")
    memory.put(str(pictures), "/looked-for", recursive=True)
    service.index(["memory://looked-for"])
    assert service.maintenance.verify() == []
    memory.rm("/looked-for/album/blue.png")
    (problem,) = service.maintenance.verify()
    assert problem.startswith("1 known file is gone from 'memory://")
    memory.rm("/looked-for", recursive=True)
    with closing(sqlite3.connect(tmp_path / "library" / "catalog.sqlite")) as db, db:
        db.execute("UPDATE source SET path = replace(path, 'memory://', 'nonsense://')")
    told = sorted(service.maintenance.verify())
    assert all("cannot be listed: its known files (1)" in one for one in told)
    assert len(told) == 2


def test_what_globs_leave_out_or_nobody_may_see_is_not_missing(
    tmp_path: Path, pictures: Path
) -> None:
    with open_small_service(tmp_path / "library") as service:
        service.index([pictures])
    with open_small_service(tmp_path / "library", exclude=["album/"]) as service:
        service.index([pictures])
        assert service.status().missing == 0
        assert service.status().images == 2


def test_a_damaged_archive_forgets_nothing(tmp_path: Path, service: SegSearch) -> None:
    made = tmp_path / "shard.tar"
    with tarfile.open(made, "w") as shard:
        for number, shape in enumerate((RED, BLUE)):
            shard.add(paint(tmp_path / f"{number}.png", [shape]), f"{number}.png")
    service.index([made])
    made.write_bytes(made.read_bytes()[:1600])
    service.index([made])
    assert service.status().missing == 0  # whether they are gone cannot be told
    assert service.maintenance.prune().paths == ()


def test_a_folder_that_is_gone_is_refused_and_forgets_nothing(
    service: SegSearch, pictures: Path
) -> None:
    service.index([pictures])
    shutil.rmtree(pictures / "album")
    pictures.rename(pictures.parent / "unmounted")
    pictures.mkdir()
    with pytest.raises(Exception, match="no files"):
        service.index([pictures])
    assert (service.status().images, service.status().missing) == (2, 0)
