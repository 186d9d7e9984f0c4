"""Saved searches over HTTP."""

from __future__ import annotations

from fastapi.testclient import TestClient

from segsearch.library import SegSearch
from segsearch_api.app import create_app

ADDRESS = "?q=red+umbrella&not=people&picture=" + "0" * 64


def test_searches_are_kept_changed_and_forgotten(service: SegSearch) -> None:
    client = TestClient(create_app(service), base_url="http://localhost")
    assert client.get("/v1/searches").json() == {"searches": []}
    saved = client.put("/v1/searches/Sommer, 2024", json={"address": ADDRESS})
    assert saved.status_code == 200, saved.text
    assert saved.json()["address"] == ADDRESS
    assert client.get("/v1/searches").json() == {"searches": [saved.json()]}
    changed = client.put("/v1/searches/Sommer, 2024", json={"address": "?q=sea"})
    assert [one["address"] for one in client.get("/v1/searches").json()["searches"]] == ["?q=sea"]
    assert changed.json()["name"] == "Sommer, 2024"
    assert client.delete("/v1/searches/Sommer, 2024").status_code == 204
    gone = client.delete("/v1/searches/Sommer, 2024")
    assert (gone.status_code, gone.json()["code"]) == (404, "not_found_error")


def test_what_is_no_name_or_no_address_is_refused(service: SegSearch) -> None:
    client = TestClient(create_app(service), base_url="http://localhost")
    for name, body in (
        ("%3Cb%3E", {"address": "?q=a"}),
        ("a", {"address": "//elsewhere.example"}),
        ("a", {"address": "?" + "q" * 8_000}),
        ("a", {}),
        ("a", {"address": "?q=a", "more": 1}),
    ):
        answer = client.put(f"/v1/searches/{name}", json=body)
        assert (answer.status_code, answer.json()["code"]) == (422, "request_invalid"), name
    assert client.get("/v1/searches").json() == {"searches": []}
