"""Captions take part in searches: from Python, over HTTP, and on the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from segsearch.core.errors import QueryError
from segsearch.core.filters import Filters
from segsearch.core.query import Query, SegmentTerm, TextTerm
from segsearch.core.types import Origin
from segsearch.library import SegSearch
from segsearch_api.app import create_app
from tests.support.small_models import Shape, open_small_service, paint

ORIGIN = Origin("eye-1", "localhost:8001", "0" * 64)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[SegSearch]:
    """Three pictures; what the captions say of them, colours alone do not tell."""
    said = {
        "ball": ("red", "A ball in the grass"),
        "car": ("blue", "A car by a house"),
        "bus": ("green", "A bus by a house"),
    }
    for name, (colour, _) in said.items():
        paint(tmp_path / "pictures" / f"{name}.png", [Shape(colour, (10, 10, 40, 40))])
    with open_small_service(tmp_path / "library") as made:
        made.index([tmp_path / "pictures"])
        for hit in list(made.select()):
            text = said[Path(hit.image.paths[0]).stem][1]
            assert made.catalog.add_caption(hit.segment.id, text, ORIGIN)
        yield made


def names(service: SegSearch, query: Query) -> list[str]:
    return [Path(hit.image.paths[0]).stem for hit in service.search(query).hits]


def test_words_that_vectors_do_not_know_are_found_in_captions(service: SegSearch) -> None:
    query = Query((TextTerm("red house"),))
    assert names(service, query)[0] == "ball"
    assert set(names(service, replace(query, captions="only"))) == {"car", "bus"}
    joined = service.search(replace(query, captions="join")).hits
    assert len(joined) == 3
    assert all(0 < hit.score < 0.033 for hit in joined)
    assert [hit.score for hit in joined] == sorted((h.score for h in joined), reverse=True)
    assert joined[0].captions[0].origin == ORIGIN


def test_captions_alone_load_no_model_and_find_nothing_where_nothing_is_said(
    service: SegSearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service._vectors, "_models_of", None)  # a call would fail
    query = Query((TextTerm("bus"),), captions="only")
    (hit,) = service.search(query).hits
    assert hit.captions[0].text == "A bus by a house"
    assert hit.score == pytest.approx(1.0)
    none = service.search(replace(query, terms=(TextTerm("zebra"),)))
    assert (none.hits, none.message) == ((), "No caption holds enough of these words.")
    nowhere = service.search(replace(query, filters=Filters(tags=("none",))))
    assert (nowhere.hits, nowhere.message) == ((), "No region passes the filters.")


def test_more_like_a_region_needs_vectors(service: SegSearch) -> None:
    with pytest.raises(QueryError, match="words alone"):
        service.search(Query((SegmentTerm(1),), captions="only"))


def test_what_moves_up_because_a_hit_has_gone_is_on_a_later_page(service: SegSearch) -> None:
    query = Query((TextTerm("red"),), captions="join", limit=2)
    seen: list[str] = []
    while True:
        answer = service.search(query)
        for hit in answer.hits:
            seen.append(Path(hit.image.paths[0]).stem)
            service.remove(image_ids=[hit.image.id])
        if answer.next_cursor is None:
            break
        query = replace(query, cursor=answer.next_cursor)
    assert sorted(seen) == ["ball", "bus", "car"]


def test_removed_pictures_take_their_captions_along(service: SegSearch) -> None:
    query = Query((TextTerm("house"),), captions="only")
    (car,) = [hit for hit in service.search(query).hits if "car" in hit.captions[0].text]
    service.remove(image_ids=[car.image.id])
    assert names(service, query) == ["bus"]
    assert service.maintenance.verify() == []


def test_the_route_takes_the_same_switch(service: SegSearch) -> None:
    with TestClient(create_app(service), base_url="http://localhost") as client:
        body = {"text": "bus", "captions": "only"}
        (hit,) = client.post("/v1/search", json=body).json()["hits"]
        (caption,) = hit["captions"]
        assert caption.pop("created_at")
        assert caption == {
            "text": "A bus by a house",
            "model": "eye-1",
            "host": "localhost:8001",
            "prompt_sha256": "0" * 64,
        }
        plain = client.post("/v1/search", data={"text": "red", "captions": "join"})
        assert plain.status_code == 415
        assert client.post("/v1/search", json={**body, "captions": "all"}).status_code == 422
        refused = client.post("/v1/search", json={"segment_id": 1, "captions": "only"})
        assert (refused.status_code, refused.json()["code"]) == (422, "query_error")


def test_the_command_takes_the_same_switch(service: SegSearch) -> None:
    base = [sys.executable, "-m", "segsearch", "--library", str(service.settings.library)]
    command = [*base, "search", "bus", "--captions", "only", "--json"]
    told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    (line,) = [json.loads(line) for line in told.stdout.splitlines()]
    assert line["captions"][0]["text"] == "A bus by a house"
