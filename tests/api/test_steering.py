"""Several terms to steer away from: together, and where nothing else is asked for but a like."""

from __future__ import annotations

from typing import Any

from fastapi.testclient import TestClient

from tests.conftest import BLUE, FAR_RED, GREEN, RED


def post(client: TestClient, **body: Any) -> Any:
    return client.post("/v1/search", json={"limit": 9, "near_duplicates": True, **body})


def boxes(answer: Any) -> list[tuple[int, ...]]:
    assert answer.status_code == 200, answer.text
    return [tuple(hit["box"]) for hit in answer.json()["hits"]]


def less(*words: str, weight: float = -0.5) -> list[dict[str, Any]]:
    return [{"text": word, "weight": weight} for word in words]


def test_three_words_to_steer_away_from_leave_what_is_asked_for_first(client: TestClient) -> None:
    every = boxes(post(client, text="red blue green"))
    assert set(every) == {RED.box, BLUE.box, GREEN.box, FAR_RED.box}
    steered = boxes(post(client, text="red", terms=less("blue", "green", "yellow")))
    assert set(steered[:2]) == {RED.box, FAR_RED.box}
    assert set(steered[2:]) == {BLUE.box, GREEN.box}


def test_each_of_them_counts(client: TestClient) -> None:
    for unwanted, left in (("blue", GREEN), ("green", BLUE)):
        terms = less("red", unwanted, "yellow")
        found = boxes(post(client, text="blue green", terms=terms))
        assert found[0] == left.box, unwanted


def test_only_what_to_steer_away_from_needs_a_region_that_was_right(client: TestClient) -> None:
    blue = post(client, text="blue", limit=1).json()["hits"][0]["segment_id"]
    terms = less("red", "green", "yellow")
    found = boxes(post(client, terms=terms, like=[blue]))
    assert found[0] == BLUE.box
    assert set(found[1:]) == {RED.box, GREEN.box, FAR_RED.box}
    refused = post(client, terms=terms)
    assert (refused.status_code, refused.json()["code"]) == (422, "query_error")
    without_like = post(client, terms=terms, unlike=[blue])
    assert (without_like.status_code, without_like.json()["code"]) == (422, "query_error")
