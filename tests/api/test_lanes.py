"""What takes seconds stays out of the way of words."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from fastapi.testclient import TestClient

from segsearch.models.pipeline import Pipeline
from segsearch_api.app import create_app
from tests.support.clicking_models import ClickModels
from tests.support.small_models import open_small_service


class SlowClicks(ClickModels):
    """Models whose segmenter is not there before it is let go."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.is_asked = threading.Event()

    def pipeline(self) -> Pipeline:
        self.is_asked.set()
        assert self.go.wait(60)
        return super().pipeline()


def test_words_are_answered_while_a_click_waits_for_its_segmenter(pictures: Path) -> None:
    models = SlowClicks()
    models.go.set()
    with open_small_service(pictures.parent / "clicking", models=models) as service:
        service.index([pictures])
        models.go.clear()
        models.is_asked.clear()
        with TestClient(create_app(service), base_url="http://localhost") as client:
            while client.get("/readyz").status_code != 200:
                time.sleep(0.01)
            assert not models.is_asked.is_set()  # ready for words, with no segmenter
            answers: list[int] = []

            def click() -> None:
                region = {"image_id": 1, "points": [[20, 20]]}
                answers.append(client.post("/v1/search", json={"region": region}).status_code)

            thread = threading.Thread(target=click)
            thread.start()
            try:
                assert models.is_asked.wait(60)
                for document in ({"text": "red"}, {"segment_id": 1}, {"image_id": 1}):
                    assert client.post("/v1/search", json=document).status_code == 200
                assert not answers
            finally:
                models.go.set()
                thread.join()
            assert answers == [200]
