"""Filters by a map, and lists of regions without a query: what lies there, and nothing else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from segsearch.core.browsing import BrowseOrder, BrowseQuery
from segsearch.core.errors import QueryError
from segsearch.core.filters import Filters
from segsearch.core.query import Prefer, Query, SceneQuery, Slot, TextTerm
from segsearch.library import SegSearch
from segsearch.storage.region_maps import MapFolder, RegionMap
from tests.support.mapped import PICTURES, colours_of, make, mapped_library


@pytest.fixture
def service(tmp_path: Path) -> Iterator[SegSearch]:
    with mapped_library(tmp_path) as made:
        yield made


def path_of(service: SegSearch, segment_id: int) -> str:
    return service.catalog.image(service.catalog.segment(segment_id).image_id).paths[0]


def inside(made: RegionMap, area: tuple[tuple[float, float], ...]) -> set[int]:
    return set(made.points.ids[made.points.within(area)].tolist())


def test_searches_scenes_and_lists_keep_to_an_area_and_a_cluster(service: SegSearch) -> None:
    made = make(service)
    cluster = made.clusters[0]
    members = set(made.points.ids[made.points.cluster == cluster.cluster].tolist())
    middle = (cluster.x, cluster.y)
    area = tuple((middle[0] + dx, middle[1] + dy) for dx, dy in ((-1, -1), (1, -1), (0, 0.05)))
    assert 0 < len(inside(made, area)) < 3 * PICTURES
    for filters, expected in (
        (Filters(map_cluster=cluster.cluster), members),
        (Filters(map_area=area), inside(made, area)),
        (Filters(map_area=area, map_cluster=cluster.cluster), members & inside(made, area)),
        (
            Filters(map_cluster=cluster.cluster, paths=("?.png",)),
            {n for n in members if len(Path(path_of(service, n)).name) == len("0.png")},
        ),
    ):
        every = Query(
            (TextTerm("red"),), filters=filters, prefer=Prefer.ANY, limit=100, min_relevance=0
        )
        page = service.regions(filters, limit=1000)
        assert {segment.id for segment, _ in page.regions} == expected
        assert page.total == len(expected)
        assert {hit.segment.id for hit in service.search(every).hits} <= expected
        scene = SceneQuery((Slot("it", (TextTerm("red"),), filters=filters),), min_relevance=0.0)
        regions = [hit.regions["it"].segment.id for hit in service.search_scene(scene).hits]
        assert set(regions) <= expected
    assert service.search(every).hits


def test_pictures_are_browsed_that_have_a_region_there(service: SegSearch) -> None:
    def browsed(filters: Filters, order: BrowseOrder = BrowseOrder.NAME) -> list[int]:
        page = service.browser.page(BrowseQuery(filters=filters, order=order, limit=1000))
        assert page.total == len(page.pictures)
        return [picture.image.id for picture in page.pictures]

    with pytest.raises(QueryError, match=r"ask for a map\. There is no map of the library yet"):
        browsed(Filters(map_cluster=0))
    made = make(service)
    every = browsed(Filters())
    members = made.points.ids[made.points.cluster == 0].tolist()[:5]
    points = type(made.points)(
        made.points.x,
        made.points.y,
        np.where(np.isin(made.points.ids, members), 0, 1).astype(np.uint16),
        made.points.ids,
    )
    folder = MapFolder(service.settings.library)
    folder.write("library", RegionMap(made.origin, "pca", made.made_at, made.clusters, points))
    of_members = {number: service.catalog.segment(number) for number in members}
    pictures = {segment.image_id for segment in of_members.values()}
    assert 0 < len(pictures) < len(every)
    for order in BrowseOrder:
        expected = [number for number in browsed(Filters(), order) if number in pictures]
        assert browsed(Filters(map_cluster=0), order) == expected
    x, y = float(points.x[0]), float(points.y[0])
    least = min(segment.mask.area for segment in of_members.values()) / (130 * 100)
    for filters in (
        Filters(map_cluster=0, min_area=least + 1e-6),
        Filters(map_cluster=0, image_ids=tuple(sorted(pictures)[1:])),
        Filters(map_area=((x - 0.01, y - 0.01), (x + 0.01, y - 0.01), (x, y + 0.01))),
    ):
        ours = {segment.image_id for segment, _ in service.regions(filters, limit=1000).regions}
        assert browsed(filters) == [number for number in every if number in ours]
        assert 0 < len(ours) < len(every)


def test_filters_follow_a_new_map_and_pass_over_what_is_gone(service: SegSearch) -> None:
    whole = ((-2.0, -2.0), (2.0, -2.0), (2.0, 2.0), (-2.0, 2.0))
    everywhere = Filters(map_area=whole)
    with pytest.raises(QueryError, match=r"ask for a map\. There is no map of the library yet"):
        service.regions(everywhere)
    make(service)
    assert service.regions(everywhere).total == 3 * PICTURES
    service.catalog.remove_segments([1, 5])
    page = service.regions(everywhere, limit=1000)
    assert page.total == 3 * PICTURES - 2
    assert not {1, 5} & {segment.id for segment, _ in page.regions}
    before = service.regions(Filters(map_cluster=0)).total
    folder = MapFolder(service.settings.library)
    made = service.maps.newest()
    others = np.zeros(len(made.points), np.uint16) + np.uint16(1)
    points = type(made.points)(made.points.x, made.points.y, others, made.points.ids)
    folder.write("library", RegionMap(made.origin, "pca", made.made_at, made.clusters, points))
    assert before > 0
    assert service.regions(Filters(map_cluster=0)).total == 0  # nothing was committed meanwhile
    with pytest.raises(QueryError, match="no cluster 999"):
        service.regions(Filters(map_cluster=999))


def test_one_collection_that_is_named_means_its_map(service: SegSearch) -> None:
    for name, members in (("one", [1, 2, 3, 4]), ("two", [3, 4, 5])):
        service.catalog.create_collection(name)
        service.catalog.add_to_collection(name, members)
    make(service)
    with pytest.raises(QueryError, match="no map of the collection 'one' yet"):
        service.regions(Filters(collections=("one",), map_cluster=0))
    made = make(service, "one")
    found = service.regions(Filters(collections=("one",), map_cluster=0), limit=1000)
    members = made.points.ids[made.points.cluster == 0].tolist()
    assert [segment.id for segment, _ in found.regions] == members
    both = service.regions(Filters(collections=("one", "two"), map_cluster=0), limit=1000)
    library = service.maps.newest().points
    ours = set(library.ids[library.cluster == 0].tolist())
    expected = [n for n in sorted(ours) if service.catalog.segment(n).image_id <= 5]
    assert [segment.id for segment, _ in both.regions] == expected


def test_pages_of_regions_follow_each_other_by_id(service: SegSearch) -> None:
    for filters in (Filters(), Filters(min_area=0.0)):
        seen, cursor = [], None
        while True:
            page = service.regions(filters, cursor=cursor, limit=7)
            assert page.total == 3 * PICTURES
            seen += [segment.id for segment, _ in page.regions]
            assert all(segment.image_id == image.id for segment, image in page.regions)
            cursor = page.next_cursor
            if cursor is None:
                break
        assert seen == sorted(colours_of(service))
    for wrong in ("x", "-1", "", "9" * 40, "²"):
        with pytest.raises(QueryError, match="cursor is none"):
            service.regions(Filters(), cursor=wrong)
    with pytest.raises(QueryError, match="The limit is 0"):
        service.regions(Filters(), limit=0)


def test_searching_for_words_beside_filters_of_a_map_finds_those_of_the_colour(
    service: SegSearch,
) -> None:
    made = make(service)
    colours = colours_of(service)
    red = {n for n in colours if colours[n] == "red"}
    counts = Counter(
        cluster
        for number, cluster in zip(
            made.points.ids.tolist(), made.points.cluster.tolist(), strict=True
        )
        if number in red
    )
    cluster, _ = counts.most_common(1)[0]
    query = Query((TextTerm("red"),), filters=Filters(map_cluster=cluster), limit=5)
    hits = service.search(query).hits
    assert len(hits) > 0
    assert {hit.segment.id for hit in hits} <= red
