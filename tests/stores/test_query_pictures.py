"""A picture that one node keeps for a query can be searched by on any other."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from segsearch.core.errors import NotFoundError, StoreError
from segsearch.media.sources.object_store import ObjectStore
from segsearch.storage.kept_pictures import LEAST_BYTES, KeptPictures
from segsearch.storage.shared_pictures import SharedPictures
from segsearch_api.app import create_app
from tests.support.faulty_store import FaultyStore
from tests.support.small_models import Shape, open_small_service, paint

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("proxy")]

SIZE = 2 * LEAST_BYTES


def node_of(folder: Path, place: str, pictures: int) -> SharedPictures:
    own = KeptPictures(folder, 100 * SIZE)
    return SharedPictures(own, ObjectStore(5), place, pictures * SIZE)


def names(place: str) -> set[str]:
    found = ObjectStore(5).below(f"{place}/query-pictures")
    return {name.rpartition("/")[2] for name, _ in found}


def test_what_one_node_keeps_another_reads_once(
    bucket: str, tmp_path: Path, proxy: FaultyStore
) -> None:
    one, two = (node_of(tmp_path / name, bucket, 10) for name in ("one", "two"))
    data = os.urandom(SIZE)
    picture_id = one.keep(data)
    proxy.mend()
    for _ in range(3):
        two.use(picture_id)
        assert two.read(picture_id) == data
        assert one.read(picture_id) == data
    assert proxy.count() == 1
    for unknown in ("0" * 64, "../x", "a" * 65):
        with pytest.raises(NotFoundError, match="no longer kept"):
            two.use(unknown)
        with pytest.raises(NotFoundError, match="no longer kept"):
            two.read(unknown)


def test_the_store_holds_no_more_than_its_bound(bucket: str, tmp_path: Path) -> None:
    one = node_of(tmp_path / "one", bucket, 3)
    ids = [one.keep(os.urandom(SIZE)) for _ in range(6)]
    assert len(names(bucket)) == 3
    assert ids[-1] in names(bucket)


def test_half_a_picture_is_none_and_a_store_that_is_away_says_so(
    bucket: str, tmp_path: Path, proxy: FaultyStore
) -> None:
    one, two = (node_of(tmp_path / name, bucket, 10) for name in ("one", "two"))
    data = os.urandom(SIZE)
    picture_id = one.keep(data)
    proxy.fail("short", 1)
    with pytest.raises(StoreError, match="damaged"):
        two.read(picture_id)
    assert two.read(picture_id) == data
    away = SharedPictures(KeptPictures(tmp_path / "x", 10**6), ObjectStore(1), bucket, 10**6)
    proxy.fail("503", 100)
    with pytest.raises(StoreError):
        away.read(picture_id)


@pytest.mark.parametrize("in_store", [True, False])
def test_a_query_goes_on_at_another_node(
    address: str, bucket: str, tmp_path: Path, in_store: bool
) -> None:
    picture = paint(tmp_path / "a.png", [Shape("red", (10, 10, 50, 40))])
    place = bucket if in_store else str(tmp_path / "shared")
    with ExitStack() as opened:

        def open_node(name: str) -> TestClient:
            service = open_small_service(tmp_path / name, address=address, uploads=place)
            opened.enter_context(service)
            service.index([picture])
            return opened.enter_context(
                TestClient(create_app(service), base_url="http://localhost")
            )

        one, two = open_node("one"), open_node("two")
        kept = one.post("/v1/pictures", files={"picture": picture.read_bytes()}).json()
        query = {"terms": [{"picture_id": kept["picture_id"]}]}
        (hit,) = two.post("/v1/search", json=query).json()["hits"]
        assert hit["box"] == [10, 10, 50, 40]
        shown = two.get(f"/v1/pictures/{kept['picture_id']}/thumbnail")
        assert shown.status_code == 200
        gone = two.post("/v1/search", json={"terms": [{"picture_id": "0" * 64}]})
        assert (gone.status_code, gone.json()["code"]) == (404, "not_found_error")
