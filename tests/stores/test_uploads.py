"""Nodes with folders of their own over one PostgreSQL and one S3: uploads are the same on all."""

from __future__ import annotations

import hashlib
import io
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from segsearch.core.errors import BusyError, NotFoundError, SegSearchError, StoreError
from segsearch.core.types import State
from segsearch.ingest import scan
from segsearch.ingest.uploads import Uploads
from segsearch.library import SegSearch
from segsearch.media.sources.object_store import ObjectStore
from segsearch.storage import maintenance
from segsearch.storage.catalog.postgres import backend
from segsearch.storage.upload_files import UploadStore
from segsearch_api.app import create_app
from tests.support.faulty_store import FaultyStore
from tests.support.pdfs import coloured
from tests.support.small_models import Shape, open_small_service, paint

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("proxy")]

Node = Callable[..., SegSearch]


@pytest.fixture
def node(address: str, bucket: str, tmp_path: Path) -> Iterator[Node]:
    """Open a node with a folder of its own."""
    with ExitStack() as opened:

        def open_node(name: str, **settings: Any) -> SegSearch:
            given = {"uploads": bucket, "store_seconds": 10, "retry_seconds": 0.0, **settings}
            service = open_small_service(tmp_path / name, address=address, **given)
            return opened.enter_context(service)

        yield open_node


def painted(tmp_path: Path, *shapes: Shape) -> bytes:
    return paint(tmp_path / "made" / "a.png", shapes).read_bytes()


def red(tmp_path: Path, at: int = 10) -> bytes:
    return painted(tmp_path, Shape("red", (at, 10, at + 40, 40)))


def objects(service: SegSearch) -> list[str]:
    return [path for path, _ in UploadStore(str(service.settings.uploads), Path(), 10).all()]


def test_what_one_node_takes_in_another_searches_shows_and_deletes(
    node: Node, bucket: str, tmp_path: Path, proxy: FaultyStore
) -> None:
    one, two = node("one"), node("two")
    data = red(tmp_path)
    sha256 = hashlib.sha256(data).hexdigest()
    proxy.mend()
    image = one.uploads.add(io.BytesIO(data), "my picture.png", folder="holiday").image
    place = f"{bucket}/uploads/{sha256[:2]}/{sha256}/holiday/my picture.png"
    assert image.paths == (place,)
    assert proxy.count() == 3, "a listing, the object, and its stamp"
    two.index(())
    assert two.catalog.image(image.id).state is State.DONE
    with TestClient(create_app(two), base_url="http://localhost") as client:
        filters = {"albums": ["holiday"], "paths": ["My Picture.*"]}
        asked = {"text": "red", "filters": filters}
        (hit,) = client.post("/v1/search", json=asked).json()["hits"]
        assert (hit["path"], hit["box"]) == (place, [10, 10, 50, 40])
        proxy.mend()
        drawn = (
            f"/v1/images/{image.id}/thumbnail",
            f"/v1/segments/{hit['segment_id']}/overlay.png",
            f"/v1/segments/{hit['segment_id']}/crop.png",
            f"/v1/images/{image.id}/file",
        )
        assert [client.get(path).status_code for path in drawn] == [200] * 4
        assert client.get(drawn[3]).content == data
        assert two.pictures.pixels(image.id).shape == (90, 120, 3)  # as for a click
        assert proxy.count() == 1, "all of these read the picture once"
        assert client.delete(f"/v1/images/{image.id}").status_code == 204
    assert objects(one) == []
    assert one.search_text("red").hits == ()
    with pytest.raises(NotFoundError):
        one.pictures.original(image.id)
    assert [*one.maintenance.verify(), *two.maintenance.verify()] == []


def test_whatever_an_upload_is_called_it_is_indexed_and_deleted(node: Node, tmp_path: Path) -> None:
    one = node("one")
    names = {
        ("", "a::b.png"): "a:b.png",
        ("c:::d", "a.png"): "c:d/a.png",
        ("", "a?versionId=1.png"): "aversionId=1.png",
        ("", "a?#%25 *[b].png"): "a?#%25 *[b].png",
        ("Photos.tar", "a.png"): "Photos.tar/a.png",
    }
    for at, ((folder, name), kept) in enumerate(names.items(), 1):
        image = one.uploads.add(io.BytesIO(red(tmp_path, at)), name, folder=folder).image
        assert image.paths[0].endswith(f"/{image.sha256}/{kept}")
        one.index(())
        assert one.catalog.image(image.id).state is State.DONE
        assert one.maintenance.verify() == []
        one.uploads.remove_image(image.id)
        assert objects(one) == []


def test_many_who_delete_at_once_do_not_wait_for_each_other(node: Node, tmp_path: Path) -> None:
    one = node("one")
    count = 24  # more than there are connections
    added = [one.uploads.add(io.BytesIO(red(tmp_path, at)), "a.png") for at in range(1, count + 1)]
    together = threading.Barrier(count)

    def remove(image_id: int) -> int:
        together.wait()
        return one.uploads.remove_images([image_id])

    with ThreadPoolExecutor(count) as threads:
        assert list(threads.map(remove, [each.image.id for each in added])) == [1] * count
    assert objects(one) == []


def test_the_same_bytes_under_more_names_go_together(node: Node, tmp_path: Path) -> None:
    one, two = node("one"), node("two")
    data = red(tmp_path)
    first = one.uploads.add(io.BytesIO(data), "a.png")
    again = two.uploads.add(io.BytesIO(data), "b.png", folder="beach")
    third = two.uploads.add(io.BytesIO(data), "a.png")
    assert [first.created, again.created, third.created] == [True, False, False]
    assert first.image.id == again.image.id == third.image.id
    assert [path.rpartition("/")[2] for path in third.image.paths] == ["a.png", "b.png"]
    assert sorted(objects(one)) == sorted(third.image.paths)
    assert one.maintenance.verify() == []
    assert one.uploads.remove_images([first.image.id, 999]) == 1
    assert objects(one) == []


def test_pages_of_a_pdf_fetch_it_once_on_a_node(node: Node, proxy: FaultyStore) -> None:
    one, two = node("one"), node("two")
    pages = one.uploads.add_all(io.BytesIO(coloured("red", "blue", "green", "red")), "report.pdf")
    assert [page.page for page in pages] == [1, 2, 3, 4]
    proxy.mend()
    assert two.index(()).indexed == 4
    assert proxy.count() == 1
    for page in pages[:3]:
        two.uploads.remove_image(page.image.id)
    assert len(objects(one)) == 1
    two.uploads.remove_image(pages[3].image.id)
    assert objects(one) == []
    assert one.maintenance.verify() == []


def test_nodes_that_add_and_delete_the_same_bytes_at_once_agree(node: Node, tmp_path: Path) -> None:
    """Whatever the order: each image that is there has its object, and no object is left over."""
    nodes, data = [node(f"node {number}") for number in range(3)], red(tmp_path)
    problems: list[SegSearchError] = []

    def add_and_delete(service: SegSearch, number: int) -> None:
        for turn in range(6):
            try:
                added = service.uploads.add(io.BytesIO(data), f"{number}.png")
                if (turn + number) % 2:
                    service.uploads.remove_image(added.image.id)
            except NotFoundError:  # another one was faster, and says so
                continue
            except SegSearchError as problem:
                problems.append(problem)

    threads = [
        threading.Thread(target=add_and_delete, args=(service, number))
        for number, service in enumerate(nodes)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    known = [path for path, _ in nodes[0].catalog.known_files()]
    assert set(known) <= set(objects(nodes[0]))
    assert bool(known) == bool(objects(nodes[0]))
    for image in nodes[0].catalog.images():
        assert nodes[1].pictures.original(image.id) == data


def test_who_deletes_waits_for_who_adds(
    node: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the object and its image another node deletes the image of before."""
    one, two = node("one"), node("two")
    data = red(tmp_path)
    before = one.uploads.add(io.BytesIO(data), "a.png").image
    keep, waits = Uploads._keep, threading.Event()
    deleting = threading.Thread(target=two.uploads.remove_image, args=(before.id,))

    def slowly(self: Uploads, *given: Any) -> Any:
        if not waits.is_set():
            waits.set()
            deleting.start()
            while two.catalog.images():  # its rows are gone, and its object is about to go
                pass
        return keep(self, *given)

    monkeypatch.setattr(Uploads, "_keep", slowly)
    image = one.uploads.add(io.BytesIO(data), "a.png").image
    deleting.join()
    assert image.id != before.id
    assert two.pictures.original(image.id) == data
    monkeypatch.setitem(backend.SESSION, "lock_timeout", "200ms")
    three = node("three")
    with two.catalog.holding(hashlib.sha256(data).hexdigest()), pytest.raises(BusyError):
        three.uploads.add(io.BytesIO(data), "a.png")


@pytest.mark.process
def test_an_upload_that_is_killed_before_it_is_known_is_found_and_deleted(
    node: Node, address: str, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = paint(tmp_path / "killed.png", [Shape("red", (10, 10, 50, 40))])
    script = (
        "import io, os, signal, sys; from pathlib import Path\n"
        "from segsearch.storage.catalog.sql_catalog import Catalog\n"
        "from tests.support.small_models import open_small_service\n"
        "Catalog.record_files = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "folder, address, uploads, file = sys.argv[1:]\n"
        "service = open_small_service(Path(folder), address=address, uploads=uploads)\n"
        "service.uploads.add(io.BytesIO(Path(file).read_bytes()), 'a.png')\n"
    )
    given = [str(tmp_path / "killed"), address, bucket, str(file)]
    killed = subprocess.run([sys.executable, "-c", script, *given], check=False, timeout=60)
    assert killed.returncode == -signal.SIGKILL
    one = node("one")
    (orphan,) = objects(one)
    assert one.maintenance.verify() == [], "it may be on its way"
    monkeypatch.setattr(maintenance, "ON_THE_WAY_SECONDS", -60)
    (told,) = one.maintenance.verify()
    assert "1 file belongs to no image" in told
    assert one.maintenance.prune_uploads(dry_run=True).paths == (orphan,)
    assert objects(one) == [orphan]
    kept = one.uploads.add(io.BytesIO(red(tmp_path, 50)), "b.png").image
    assert one.maintenance.prune_uploads().paths == (orphan,)
    assert objects(one) == list(kept.paths)
    added = one.uploads.add(io.BytesIO(file.read_bytes()), "a.png")  # whoever sends it again
    assert added.created
    assert one.maintenance.verify() == []


def test_a_store_that_is_away_is_a_sentence_and_nothing_is_left(
    node: Node, tmp_path: Path, proxy: FaultyStore
) -> None:
    one, data = node("one", store_seconds=1), red(tmp_path)
    proxy.fail("503", 1000, method="PUT")
    with pytest.raises(StoreError):
        one.uploads.add(io.BytesIO(data), "a.png")
    with TestClient(create_app(one), base_url="http://localhost") as client:
        answer = client.post("/v1/images", files={"file": ("a.png", data)})
        assert (answer.status_code, answer.json()["code"]) == (503, "store_error")
        proxy.mend()
        assert client.post("/v1/images", files={"file": ("a.png", data)}).status_code == 202
    (image,) = one.catalog.images()
    proxy.fail("503", 1000)
    with TestClient(create_app(one), base_url="http://localhost") as client:
        answer = client.get(f"/v1/images/{image.id}/thumbnail")
        assert (answer.status_code, answer.json()["code"]) == (503, "store_error")
    proxy.mend()
    assert list((tmp_path / "one" / "uploads").iterdir()) == []


def test_a_worker_asks_a_store_that_was_away_again(
    node: Node, tmp_path: Path, proxy: FaultyStore
) -> None:
    one = node("one", store_seconds=0.6)
    image = one.uploads.add(io.BytesIO(red(tmp_path)), "a.png").image
    proxy.fail("slow", 1)
    assert one.index(()).indexed == 1
    again = one.uploads.add(io.BytesIO(red(tmp_path, 50)), "b.png").image
    proxy.mend()
    proxy.fail("slow", 1000)
    assert one.index(()).indexed == 0
    failed = one.catalog.image(again.id)
    assert failed.state is State.FAILED
    assert "SEGSEARCH_STORE_SECONDS" in str(failed.reason)
    assert proxy.count("GET") >= 3
    proxy.mend()
    one.index([again.paths[0]])
    assert one.catalog.image(again.id).state is State.DONE, "it is listed again"
    assert one.catalog.image(image.id).state is State.DONE


def test_an_upload_that_failed_because_its_store_was_away_is_indexed_once_it_is_back(
    node: Node, tmp_path: Path, proxy: FaultyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = node("one", store_seconds=0.6), node("two")
    gone = two.uploads.add(io.BytesIO(red(tmp_path, 50)), "gone.png").image
    ObjectStore(10).delete(gone.paths[0])
    image = two.uploads.add(io.BytesIO(red(tmp_path)), "a.png").image
    never = threading.Event()
    proxy.fail("slow", 1000)
    assert not one.ingest.run_waiting(never)
    proxy.mend()
    assert not one.ingest.run_waiting(never), "it was not missing for long"
    assert one.catalog.image(image.id).state is State.FAILED
    monkeypatch.setattr(scan, "UPLOADS_SECONDS", 0.0)
    proxy.fail("slow", 1000)
    assert not one.ingest.run_waiting(never), "nobody knows that it is back"
    proxy.mend()
    assert two.ingest.run_waiting(never)
    states = [two.catalog.image(each.id).state for each in (gone, image)]
    assert states == [State.FAILED, State.DONE]
    assert two.catalog.missing_paths() == list(gone.paths)


def test_two_workers_index_a_prefix_once(
    node: Node, tmp_path: Path, bucket: str, proxy: FaultyStore
) -> None:
    store = node("zero", uploads=None)
    names = []
    for number in range(12):
        data = painted(tmp_path, Shape("red", (10 + number, 10, 60 + number, 40)))
        names.append(f"{bucket}/shelf/{number:02}.png")
        store.maintenance._sources._stores._store.write(names[-1], data)
    one, two = node("one"), node("two")
    proxy.mend()
    threads = [
        threading.Thread(target=service.index, args=([f"{bucket}/shelf"],))
        for service in (one, two)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    counts = one.catalog.counts()
    assert (counts["images"], counts["segments"], counts["pending"]) == (12, 12, 0)
    described = proxy.count("GET") - 24 - 2
    assert 0 <= described <= 12 + 2, "each is entered by both at most, and described once"
    assert list(one.catalog.stamps_below([bucket])) == names
    proxy.mend()
    assert one.index([f"{bucket}/shelf"]).indexed == 0
    assert proxy.count() == 1, "nothing has changed: one listing"


def test_uploads_of_a_folder_are_read_from_the_store_they_were_copied_to(
    node: Node, tmp_path: Path, bucket: str
) -> None:
    one = node("one", uploads=None)
    image = one.uploads.add(io.BytesIO(red(tmp_path)), "a.png").image
    (path,) = image.paths
    two = node("two")
    Path(path).rename(tmp_path / "moved.png")
    with pytest.raises(NotFoundError):
        two.pictures.original(image.id)
    below = path[path.index("/uploads/") :]
    data = (tmp_path / "moved.png").read_bytes()
    two.maintenance._sources._stores._store.write(f"{bucket}{below}", data)
    assert two.pictures.original(image.id) == data
    assert two.maintenance.verify() == []
    three = node("three", uploads=str(tmp_path / "shared"))
    moved = Path(f"{tmp_path}/shared{below}")
    moved.parent.mkdir(parents=True)
    (tmp_path / "moved.png").rename(moved)
    assert three.pictures.original(image.id) == data
