"""A film is indexed, found by its moments and forgotten alike on every engine of catalog and
index."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from segsearch.core.filters import Filters
from segsearch.core.query import Query, TextTerm
from segsearch.storage.catalog.backend import Server
from tests.support.clips import write
from tests.support.in_milvus import ON_SERVER
from tests.support.index_engines import ENGINES
from tests.support.shelf import Shelf
from tests.support.small_models import Shape, open_small_service, paint

NAMES = ["milvus"] if ON_SERVER else sorted(set(ENGINES) - {"exact"})


@pytest.fixture(params=NAMES)
def films(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Shelf]:
    """A library on an engine, and a folder with a film of three shots and a picture."""
    engine = ENGINES[request.param]
    engine.set_limits(monkeypatch)
    server: Server | None = request.getfixturevalue("server") if engine.on_server else None
    folder = tmp_path / "films"
    paint(folder / "a.png", [Shape("blue", (10, 10, 50, 40))])
    write(folder / "clip.mp4")
    library = server.folder if server else tmp_path / "library"
    address = server.address if server else None
    with open_small_service(library, address=address, engine=request.param) as service:
        yield Shelf(service, folder)


def test_a_film_is_indexed_found_by_its_moments_and_forgotten(films: Shelf) -> None:
    service = films.service
    report = service.index([films.folder])
    assert (report.indexed, report.shots) == (4, 3)
    (video,) = service.catalog.videos()
    assert [(shot.t_start, shot.t_end) for _, shot in video.shots] == [
        (0.0, 1.6), (1.6, 2.8), (2.8, 4.0),
    ]  # fmt: skip

    answer = service.search(Query((TextTerm("blue"),), filters=Filters(is_video=True)))
    assert answer.hits
    assert all(hit.image.shot and hit.segment.life for hit in answer.hits)
    first = answer.moments[0]
    assert first.video_id == video.id
    assert first.t_start >= 1.6
    assert first.t_end <= 2.8
    assert films.found("blue", is_video=False) == ["a.png"]
    assert {*films.found("yellow", between=(3.0, 3.5))} == {"clip.mp4#t=2.8,4"}
    assert service.index([films.folder]).unchanged == 4
    assert service.maintenance.verify() == []

    service.remove(paths=[films.folder / "clip.mp4"])
    assert service.catalog.videos() == []
    assert films.found("yellow", is_video=True) == []
    assert {*films.found("yellow")} == {"a.png"}
    assert service.maintenance.verify() == []
