"""What a library is made of, over HTTP."""

from __future__ import annotations

from fastapi.testclient import TestClient


def test_models_and_stats_say_what_there_is(client: TestClient) -> None:
    models = client.get("/v1/models").json()
    assert (models["preset"], models["segmenter"]) == ("small", "colour-segmenter@1")
    here = {one["name"]: one["here"] for one in models["presets"]}
    assert here["demo"] is True
    stats = client.get("/v1/stats").json()
    assert (stats["images"], stats["segments"]) == (3, 4)
    assert stats["formats"] == {"PNG": 3}
