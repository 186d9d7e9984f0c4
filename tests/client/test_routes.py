"""The client has a call for every route of the API."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from segsearch.client.sync import Client
from segsearch_api.app import create_app
from tests.support.small_models import open_small_service

CALLS: list[Callable[[Client], object]] = [
    lambda at: at.search("a"),
    lambda at: at.search(picture=b"a"),
    lambda at: at.scene(regions=[]),
    lambda at: at.segment(1, points=[[1, 1]]),
    lambda at: at.segment(b"a", points=[[1, 1]]),
    lambda at: at.export(Path(os.devnull)),
    lambda at: list(at.regions()),
    lambda at: at.map(),
    lambda at: at.make_map(),
    lambda at: at.map_points(),
    lambda at: at.upload(b"a"),
    lambda at: list(at.images()),
    lambda at: at.image(1),
    lambda at: at.wait([1]),
    lambda at: at.tag(1, add=["a"]),
    lambda at: at.retry([1]),
    lambda at: at.delete_image(1),
    lambda at: at.segments(1),
    lambda at: at.text_of(1),
    lambda at: at.thumbnail(1),
    lambda at: at.original(1),
    lambda at: at.file(1),
    lambda at: list(at.browse()),
    lambda at: at.facets(),
    lambda at: at.tag_images([1]),
    lambda at: at.remove_images([1]),
    lambda at: at.near_duplicates(1),
    lambda at: list(at.duplicates()),
    lambda at: at.segment_of(1),
    lambda at: at.track(1),
    lambda at: list(at.videos()),
    lambda at: at.video(1),
    lambda at: at.video_segments(1, 1.0),
    lambda at: at.frame(1, 1.0),
    lambda at: at.clip(1, 1.0, 2.0),
    lambda at: at.video_file(1, Path(os.devnull)),
    lambda at: at.delete_segment(1),
    lambda at: at.mask(1),
    lambda at: at.mask_picture(1),
    lambda at: at.mask_png(1),
    lambda at: at.cutout(1),
    lambda at: at.crop(1),
    lambda at: at.overlay(1),
    lambda at: at.keep_picture(b"1"),
    lambda at: at.picture_thumbnail("1"),
    lambda at: at.words_of(1),
    lambda at: at.words_at({"image_id": 1}),
    lambda at: at.ask(1, "a"),
    lambda at: at.ask_picture(1),
    lambda at: at.rerank({"text": "a"}),
    lambda at: at.searches(),
    lambda at: at.save_search("1", "?q=1"),
    lambda at: at.delete_search("1"),
    lambda at: at.collections(),
    lambda at: at.collection("1"),
    lambda at: at.create_collection("1"),
    lambda at: at.rename_collection("1", "2"),
    lambda at: at.delete_collection("1"),
    lambda at: at.add_to_collection("1", [1]),
    lambda at: at.take_from_collection("1", [1]),
    lambda at: at.jobs(),
    lambda at: at.job(1),
    lambda at: at.cancel_job(1),
    lambda at: at.resume_jobs(),
    lambda at: list(at.skipped(1)),
    lambda at: list(at.job_events()),
    lambda at: at.status(),
    lambda at: at.stats(),
    lambda at: at.models(),
    lambda at: at.session(),
    lambda at: at.api_keys(),
    lambda at: at.create_key("1"),
    lambda at: at.revoke_key("1"),
    lambda at: at.metrics(),
    lambda at: at.is_alive(),
    lambda at: at.is_ready(),
]


FOR_BROWSERS = {"post /v1/session", "delete /v1/session"}  # a cookie; a client sends its key


def test_the_client_covers_every_route(tmp_path: Path) -> None:
    asked: set[str] = set()

    def answer(request: httpx.Request) -> httpx.Response:
        asked.add(f"{request.method.lower()} {re.sub(r'/1(?=/|$)', '/{}', request.url.path)}")
        if request.url.path == "/v1/map/points":
            return httpx.Response(200, content=b"SSM1" + bytes(20))  # no points
        lists = (
            "hits", "images", "refused", "segments", "collections", "jobs", "keys", "skipped",
            "groups", "videos",
            "regions", "searches", "words",
        )  # fmt: skip
        ends = {"next_after": None, "next_cursor": None, "changed": 0, "removed": 0, "state": ""}
        return httpx.Response(200, json={**{name: [] for name in lists}, **ends})

    with Client("http://x", transport=httpx.MockTransport(answer)) as library:
        for call in CALLS:
            call(library)
    with open_small_service(tmp_path) as service:
        paths: dict[str, Any] = create_app(service).openapi()["paths"]
    routes = {
        f"{method} {re.sub(r'{[^}]*}', '{}', path)}"
        for path, methods in paths.items()
        for method in methods
    }
    assert asked == routes - FOR_BROWSERS
