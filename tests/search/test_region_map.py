"""Maps: what is alike lies together, the same library gives the same map, and no half one stays."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from segsearch.core.arrays import Ids
from segsearch.core.errors import (
    BusyError,
    LibraryMissingError,
    NotFoundError,
    OverloadError,
    ReadOnlyError,
)
from segsearch.library import SegSearch
from segsearch.search.region_map import clusters, layout, making
from segsearch.search.region_map.maps import MapState
from segsearch.storage.region_maps import MapFolder, MapProgress, RegionMap
from tests.support.mapped import FEW, PICTURES, colours_of, make, mapped_library
from tests.support.small_models import open_small_service

SECONDS = 120.0


@pytest.fixture
def service(tmp_path: Path) -> Iterator[SegSearch]:
    with mapped_library(tmp_path) as made:
        yield made


@pytest.fixture
def few(tmp_path: Path) -> Iterator[SegSearch]:
    with mapped_library(tmp_path / "few", FEW) as made:
        yield made


def settled(service: SegSearch, collection: str | None = None) -> MapState:
    """How the map stands once nobody makes it any more."""
    deadline = time.monotonic() + SECONDS
    while (state := service.maps.state(collection)).state == "making":
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return state


def apart(made: RegionMap, one: Ids, other: Ids) -> float:
    """The mean distance between the points of some segments and of others."""
    places = np.stack([made.points.x, made.points.y], axis=1)
    index = {number: place for place, number in enumerate(made.points.ids.tolist())}
    ones, others = ([index[number] for number in ids.tolist()] for ids in (one, other))
    distances = np.linalg.norm(places[ones][:, None] - places[others][None], axis=2)
    return float(distances.mean())


def by_colour(service: SegSearch) -> dict[str, Ids]:
    colours = colours_of(service)
    return {
        colour: np.array([number for number in colours if colours[number] == colour], np.int64)
        for colour in set(colours.values())
    }


@pytest.mark.parametrize("landmarks", [1000, 60])
def test_what_is_alike_lies_together_landmark_or_not(
    service: SegSearch, landmarks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(making, "LANDMARKS", landmarks)
    made = make(service)
    assert made.method == "umap"
    assert made.points.ids.tolist() == sorted(colours_of(service))
    assert np.abs(made.points.x).max() <= 1
    assert np.abs(made.points.y).max() <= 1
    colours = by_colour(service)
    for colour, ids in colours.items():
        for other in set(colours) - {colour}:
            assert apart(made, ids, ids) < apart(made, ids, colours[other]) / 2
    named = colours_of(service)
    for cluster in made.clusters:  # each is of one colour
        inside = made.points.ids[made.points.cluster == cluster.cluster].tolist()
        assert len(inside) == cluster.regions
        assert len({named[number] for number in inside}) == 1
        assert {named[number] for number in cluster.examples} == {named[inside[0]]}
        images = [service.catalog.segment(number).image_id for number in cluster.examples]
        assert len(set(images)) == len(images) > 0
    assert sum(cluster.regions for cluster in made.clusters) == 3 * PICTURES


def test_progress_only_grows_and_names_each_step(
    service: SegSearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(making, "LANDMARKS", 60)
    told: list[tuple[str, float]] = []
    service.maps.make(None, lambda step, done: told.append((step, done)))
    shares = [done for _, done in told]
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0.0, making.PLACED)
    assert list(dict.fromkeys(step for step, _ in told)) == [
        "reading vectors", "laying out landmarks", "placing the other regions", "naming clusters",
    ]  # fmt: skip
    assert len(set(shares)) > 20  # UMAP's epochs, too


@pytest.mark.parametrize("landmarks", [1000, 60])
def test_the_same_library_gives_the_same_map(
    service: SegSearch, landmarks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(making, "LANDMARKS", landmarks)
    first = make(service)
    assert make(service).digest == first.digest


def test_vectors_are_read_a_portion_at_a_time(
    service: SegSearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(making, "LANDMARKS", 60)
    monkeypatch.setattr(making, "ROWS_AT_ONCE", 10)
    read: list[int] = []
    vectors = service.catalog.vectors

    def counted(recipe_id: int, ids: Ids | None = None) -> object:
        assert ids is not None
        read.append(ids.size)
        return vectors(recipe_id, ids)

    monkeypatch.setattr(service.catalog, "vectors", counted)
    make(service)
    assert max(read) == 10
    assert sum(read) == 3 * PICTURES  # each once


def test_few_regions_and_no_umap_give_principal_components(
    few: SegSearch, service: SegSearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert make(few).method == "pca"
    monkeypatch.setattr(layout, "has_umap", lambda: False)
    made = make(service)
    assert made.method == "pca"
    colours = by_colour(service)
    assert apart(made, colours["red"], colours["red"]) < apart(
        made, colours["red"], colours["blue"]
    )


@pytest.mark.parametrize("count", [1, 2])
def test_a_library_of_hardly_any_regions_has_a_map(tmp_path: Path, count: int) -> None:
    with mapped_library(tmp_path, count) as few:
        made = make(few)
        assert len(made.points) == 3 * count
        assert sum(cluster.regions for cluster in made.clusters) == 3 * count
        empty = few.catalog.create_collection("empty")
        assert make(few, empty.name).clusters == ()


def test_principal_components_are_those_of_the_vectors_whatever_their_signs() -> None:
    random = np.random.default_rng(3)
    vectors = (random.normal(size=(400, 6)) * [9, 5, 3, 1, 1, 1]).astype(np.float32)
    found = layout.principal_components(vectors, 3)
    reduced = found.of(vectors)
    spread = np.linalg.svd(vectors - vectors.mean(axis=0), compute_uv=False)[:3]
    assert np.linalg.norm(reduced, axis=0) == pytest.approx(spread, rel=1e-3)
    assert np.abs(found.axes @ found.axes.T - np.eye(3)).max() < 1e-5
    largest = np.abs(found.axes).argmax(axis=1)
    assert (found.axes[np.arange(3), largest] > 0).all()


@pytest.mark.parametrize("spread", [[0, 0, 0, 0], [1, 0, 0, 0]])
def test_regions_that_are_all_alike_or_on_one_line_have_a_map(spread: list[float]) -> None:
    random = np.random.default_rng(4)
    vectors = np.ones((80, 4), np.float32)
    vectors += (random.normal(size=(80, 4)) * spread).astype(np.float32)
    reduced = layout.principal_components(vectors).of(vectors)
    places, method = layout.landmark_places(reduced, lambda _: None)
    assert method == "pca"
    assert np.isfinite(places).all()
    assert np.abs(places).max() <= 1
    groups = clusters.clustering(reduced, places)
    assert groups.of(reduced, places).max() < len(groups.centres)


def test_an_island_far_away_is_drawn_nearer_and_the_rest_stays() -> None:
    random = np.random.default_rng(6)
    land = random.uniform(-1, 1, (200, 2)).astype(np.float32)
    island = random.uniform(-0.1, 0.1, (5, 2)).astype(np.float32) + np.float32(9)
    places = np.concatenate([land, island])
    drawn = layout.drawn_in(places)
    middle = np.median(places, axis=0)
    before, after = (np.linalg.norm(some - middle, axis=1) for some in (places, drawn))
    assert after[200:].max() < 2 < before[200:].min()
    assert (np.argsort(before) == np.argsort(after)).all()
    is_left = np.linalg.norm(drawn - places, axis=1) < 1e-6
    assert is_left.sum() >= 0.95 * 200
    directions = [
        (some - middle)[200:] / far[200:, None] for some, far in ((places, before), (drawn, after))
    ]
    assert directions[0] == pytest.approx(directions[1], abs=1e-5)
    assert layout.drawn_in(land).tolist() == land.tolist()  # without an island nothing moves


def test_others_lie_where_the_nearest_landmarks_do() -> None:
    random = np.random.default_rng(5)
    landmarks = random.normal(size=(50, 4)).astype(np.float32)
    places = random.uniform(-1, 1, (50, 2)).astype(np.float32)
    others = random.normal(size=(20, 4)).astype(np.float32)
    for row, place in zip(others, layout.placed_among(landmarks, places, others), strict=True):
        distances = np.linalg.norm(landmarks - row, axis=1)
        near = np.argsort(distances)[: layout.PLACED_BY]
        weights = 1 / distances[near]
        expected = (weights[:, None] * places[near]).sum(axis=0) / weights.sum()
        assert place == pytest.approx(expected, abs=1e-3)
    itself = layout.placed_among(landmarks, places, landmarks[:5])
    assert itself == pytest.approx(places[:5], abs=1e-2)


def test_words_name_what_a_cluster_has_beyond_the_rest() -> None:
    """`all` fits everything best, `rest` nothing: neither names a cluster that has its own word."""
    words = ("all", "boat", "tree", "rest")
    word_rows = np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]], np.float32)
    random = np.random.default_rng(2)
    vectors = random.normal(0, 0.05, (60, 4)).astype(np.float32)
    vectors[:, 0] += 0.9
    vectors[:20, 1] += 0.4
    vectors[20:40, 2] += 0.3
    members = np.repeat([0, 1, 2], 20).astype(np.uint16)
    named = clusters.words_of_clusters(vectors, members, words, word_rows)
    assert named[0][0] == "boat"
    assert named[1][0] == "tree"
    assert all(len(chosen) in {2, 3} for chosen in named.values())
    assert clusters.words_of_clusters(vectors, members, words, word_rows[:0]) == {}


def test_a_map_is_stale_once_regions_have_come_or_gone_and_not_before(
    service: SegSearch, tmp_path: Path
) -> None:
    made = make(service)
    service.tag(image_ids=[1], add=["holiday"])
    assert (service.maps.state().state, service.maps.state().stale) == ("ready", False)
    service.catalog.remove_segments([1])
    state = service.maps.state()
    assert (state.state, state.stale) == ("ready", True)
    assert state.made is not None
    assert state.made.digest == made.digest  # still shown
    make(service)
    assert not service.maps.state().stale
    mapped_library(tmp_path / "more", 2).close()
    service.index([tmp_path / "more" / "pictures"])  # copies of what is there
    assert not service.maps.state().stale


def test_the_map_of_a_collection_is_its_own_and_knows_its_members(service: SegSearch) -> None:
    service.catalog.create_collection("Holidays")
    service.catalog.add_to_collection("Holidays", [1, 2, 3])
    assert service.maps.state("holidays").state == "none"
    made = make(service, "holidays")
    of_them = [segment.id for n in (1, 2, 3) for segment in service.catalog.segments_of(n)]
    assert made.points.ids.tolist() == sorted(of_them)
    assert service.maps.state("Holidays").state == "ready"
    assert service.maps.state().state == "none"
    service.catalog.take_from_collection("Holidays", [2])
    service.catalog.add_to_collection("Holidays", [4])
    assert service.maps.state("Holidays").stale
    service.catalog.take_from_collection("Holidays", [4])
    service.catalog.add_to_collection("Holidays", [2])
    assert not service.maps.state("Holidays").stale
    service.catalog.rename_collection("Holidays", "Summer")
    assert service.maps.state("Summer").state == "ready"
    with pytest.raises(NotFoundError, match="no collection 'Holidays'"):
        service.maps.state("Holidays")
    service.catalog.delete_collection("Summer")
    make(service)
    assert [path.stem for path in maps_of(service)] == ["library"]


def maps_of(service: SegSearch) -> list[Path]:
    return sorted((service.settings.library / "maps").glob("*.map"))


def test_a_damaged_map_is_none_and_can_be_made_again(service: SegSearch) -> None:
    make(service)
    (path,) = maps_of(service)
    whole = path.read_bytes()
    for broken in (whole[:-1], whole[:40], b"", whole[:-3] + b"abc", b"[1]\n" + whole):
        path.write_bytes(broken)
        assert service.maps.state().state == "none"
        with pytest.raises(NotFoundError, match="no map of the library yet"):
            service.maps.newest()
    make(service)
    assert service.maps.state().state == "ready"


@pytest.mark.process
def test_a_process_makes_the_map_and_says_how_far_it_is(service: SegSearch) -> None:
    state = service.maps.start()
    assert state.state == "making"
    assert service.maps.start().state == "making"  # nothing new is begun
    state = settled(service)
    assert (state.state, state.stale, state.message) == ("ready", False, None)
    assert state.made is not None
    assert len(state.made.points) == 3 * PICTURES
    assert make(service).digest == state.made.digest  # wherever it is made


@pytest.mark.process
def test_a_process_that_is_killed_leaves_no_half_map_and_another_can_begin(
    few: SegSearch,
) -> None:
    few.maps.start()
    os.kill(process_of(few), signal.SIGKILL)
    state = settled(few)
    assert state.state == "failed"
    assert state.message == "The process that made the map ended by signal 9."
    assert maps_of(few) == []
    folder = few.settings.library / "maps"
    folder.mkdir(exist_ok=True)
    (folder / "library.map.0123.partial").write_text("half")
    (folder / "making.json").write_text('{"name": "library", "step": "x", "done": 0.5}')
    assert few.maps.state().state == "failed"  # nobody holds the lock
    few.maps.start()
    assert settled(few).state == "ready"
    assert {path.name for path in folder.iterdir()} == {"library.map", "lock"}


def process_of(service: SegSearch) -> int:
    deadline = time.monotonic() + SECONDS
    while True:
        job = service.maps._job
        if job is not None and job._process is not None and job._process.pid is not None:
            return job._process.pid
        assert time.monotonic() < deadline
        time.sleep(0.001)


@pytest.mark.process
def test_closing_a_library_ends_the_process(few: SegSearch) -> None:
    few.maps.start()
    pid = process_of(few)
    few.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert maps_of(few) == []


def test_one_map_is_made_at_a_time_by_whatever_process(service: SegSearch) -> None:
    service.catalog.create_collection("one")
    folder = MapFolder(service.settings.library)
    with folder.making("library"):
        folder.say(MapProgress("library", "laying out landmarks", 0.25))
        state = service.maps.state()
        assert (state.state, state.step, state.progress) == (
            "making", "laying out landmarks", 0.25,
        )  # fmt: skip
        assert service.maps.start().state == "making"
        assert service.maps.state("one").state == "none"
        with pytest.raises(OverloadError, match="Another map"):
            service.maps.start("one")
        with pytest.raises(BusyError, match="Another process is making a map"):
            make(service)
    assert service.maps.state().state == "none"


def test_a_library_that_cannot_be_written_or_is_empty_gets_no_map(
    service: SegSearch, tmp_path: Path
) -> None:
    service.catalog.read_only = True
    for begin in (service.maps.start, lambda: make(service)):
        with pytest.raises(ReadOnlyError, match="no map can be kept"):
            begin()
    with open_small_service(tmp_path / "empty") as empty:
        assert empty.maps.state().state == "none"
        with pytest.raises(LibraryMissingError, match="is empty"):
            empty.maps.start()
