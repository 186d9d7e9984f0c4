"""Maps and lists of regions through the Python client, from a server that listens on a port."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from segsearch.client.sync import Client
from segsearch.core.errors import ApiError, UnreachableError
from tests.client.test_sync import Served

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    served = Served(tmp_path_factory.mktemp("served"))
    with Client(served.url, key=served.key) as made:
        yield made
    served.close()


def test_regions_come_page_by_page_and_maps_as_arrays(library: Client) -> None:
    assert library.map()["state"] == "none"
    everything = [region["segment_id"] for region in library.regions()]
    assert everything == sorted(everything) != []
    assert [region["segment_id"] for region in library.regions(page=1)] == everything
    assert list(library.regions({"min_area": 1.0})) == []
    for refused in (library.map_points, lambda: list(library.regions({"map_cluster": 0}))):
        with pytest.raises(ApiError, match="no map of the library yet"):
            refused()
    assert library.make_map()["state"] == "making"
    while library.map()["state"] == "making":
        pass
    points = library.map_points()
    assert points.ids.tolist() == everything
    (cluster,) = library.map()["clusters"]
    inside = library.regions({"map_cluster": cluster["cluster"]})
    assert [region["segment_id"] for region in inside] == everything
    with pytest.raises(ApiError, match="no collection 'x'"):
        library.map("x")


def test_a_map_that_is_none_is_said(tmp_path: Path) -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=tmp_path.name.encode()))
    with (
        Client("http://x", transport=transport) as library,
        pytest.raises(UnreachableError, match="no map that can be read"),
    ):
        library.map_points()
