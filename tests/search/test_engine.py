"""Clicks, scenes, groups and pages through the service, the command line and HTTP."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from segsearch.core.errors import LibraryMissingError, ModelError, NotFoundError, QueryError
from segsearch.core.filters import Filters
from segsearch.core.query import (
    ImageTerm,
    Prefer,
    Query,
    RegionTerm,
    SceneQuery,
    SegmentTerm,
    Slot,
    TextTerm,
    VectorTerm,
)
from segsearch.core.types import Mask
from segsearch.library import SegSearch
from segsearch.masks.rle import iou, to_coco
from segsearch.models.loading import build_embedder
from segsearch.models.presets import DEFAULT_PRESET, preset
from segsearch_api.app import create_app
from tests.conftest import BLUE, FAR_RED, GREEN, RED, Truth
from tests.support.small_models import Shape, open_small_service, paint


def post(client: TestClient, path: str = "/v1/search", **body: Any) -> dict[str, Any]:
    answer = client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def boxes(answer: dict[str, Any]) -> list[list[int]]:
    return [hit["box"] for hit in answer["hits"]]


def test_terms_of_every_kind_find_what_they_stand_for(client: TestClient) -> None:
    hits = {tuple(hit["box"]): hit for hit in post(client, text="blue red")["hits"]}
    blue, red = hits[BLUE.box], hits[RED.box]
    terms = [
        {"text": "blue"},
        {"segment_id": blue["segment_id"]},
        {"vector": [0, 0, 1, 0, 0, 0, 0, 0, 0]},
        {"region": {"image_id": blue["image_id"], "mask": blue["mask"]}},
    ]
    for term in terms:
        assert boxes(post(client, terms=[term], limit=1)) == [list(BLUE.box)], term
    less = [terms[1], {"segment_id": red["segment_id"], "weight": -0.5}]
    steered = boxes(post(client, terms=less, limit=9))
    assert steered[0] == list(BLUE.box)
    assert sorted(steered[-2:]) == sorted([list(RED.box), list(FAR_RED.box)])
    whole = post(client, image_id=post(client, text="green")["hits"][0]["image_id"], limit=1)
    assert boxes(whole) == [list(GREEN.box)]


def test_a_given_mask_scores_as_its_stored_region_does(client: TestClient) -> None:
    """The region's vector is made as indexing makes it."""
    stored = post(client, text="blue", limit=1)["hits"][0]
    region = {"image_id": stored["image_id"], "mask": stored["mask"]}
    by_mask = post(client, region=region)
    by_id = post(client, segment_id=stored["segment_id"])
    assert boxes(by_mask) == boxes(by_id)
    scores = [[hit["score"] for hit in answer["hits"]] for answer in (by_mask, by_id)]
    assert scores[0] == pytest.approx(scores[1], abs=2e-3)
    (pointed,) = by_mask["pointed"]
    assert pointed["chosen"] == 0
    assert pointed["candidates"][0]["mask"] == stored["mask"]


def test_filters_hold_over_http(client: TestClient) -> None:
    every = post(client, text="red")["hits"]
    path = Path(every[0]["path"])
    only = post(client, text="red", filters={"paths": [path.name.replace("[", "[[]")]})
    assert {hit["path"] for hit in only["hits"]} == {str(path)}
    right = post(client, text="red", filters={"places": ["right"]})["hits"]
    assert right
    assert all((hit["box"][0] + hit["box"][2]) / 2 >= 80 for hit in right)
    none = post(client, text="red", filters={"min_width": 9999})
    assert (none["hits"], none["message"]) == ([], "No region passes the filters.")


def test_groups_and_pages_over_http(client: TestClient) -> None:
    alone = post(client, text="red blue", limit=10)
    paged: list[int] = []
    body: dict[str, Any] = {"text": "red blue", "limit": 1}
    while True:
        answer = post(client, **body)
        paged += [hit["segment_id"] for hit in answer["hits"]]
        if answer["next_cursor"] is None:
            break
        body["cursor"] = answer["next_cursor"]
    assert paged == [hit["segment_id"] for hit in alone["hits"]]
    assert len(paged) == 4
    grouped = post(client, text="red blue", limit=10, by_picture=True)["hits"]
    assert [hit["rank"] for hit in grouped] == [1, 1, 2, 3]
    assert grouped[0]["image_id"] == grouped[1]["image_id"]


def test_a_form_carries_what_is_structured_as_json(client: TestClient, pictures: Path) -> None:
    stored = post(client, text="blue", limit=1)["hits"][0]
    form = {"region": json.dumps({"mask": stored["mask"]}), "filters": '{"min_area": 0.05}'}
    files = {"picture": ("a.png", (pictures / "a.png").read_bytes())}
    answer = client.post("/v1/search", files=files, data={**form, "limit": "1"})
    assert answer.status_code == 200, answer.text
    assert boxes(answer.json()) == [list(BLUE.box)]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"terms": [{}]}, 422, "request_invalid"),
        ({"terms": [{"text": "a", "segment_id": 1}]}, 422, "request_invalid"),
        ({"terms": [{"region": {"points": [[1, 1]]}}]}, 422, "request_invalid"),
        ({"terms": [{"vector": [1, 2]}]}, 422, "query_error"),
        ({"terms": [{"vector": [0] * 9}]}, 422, "query_error"),
        ({"text": "red", "terms": [{"text": "a", "weight": 0}]}, 422, "query_error"),
        ({"region": {"points": [[1, 1]]}}, 422, "query_error"),
        ({"text": "red", "region": {"points": [[1, 1]]}}, 422, "query_error"),
        ({"region": {"image_id": 1}}, 422, "query_error"),
        ({"region": {"image_id": 1, "points": [[1, 1]]}}, 503, "model_error"),
        ({"region": {"image_id": 99, "points": [[1, 1]]}}, 404, "not_found_error"),
        (
            {"region": {"image_id": 1, "mask": {"size": [1, 1], "counts": [0, 1]}}},
            422,
            "query_error",
        ),
        (
            {"region": {"image_id": 1, "mask": {"size": [1, 1], "counts": "x"}}},
            400,
            "input_error",
        ),
        ({"image_id": 99}, 404, "not_found_error"),
        ({"text": "red", "like": [99]}, 404, "not_found_error"),
        ({"text": "red", "cursor": "nonsense"}, 422, "query_error"),
        ({"text": "red", "filters": {"places": ["upper"]}}, 422, "query_error"),
        ({"text": "red", "filters": {"colour": "red"}}, 422, "request_invalid"),
        ({"text": "red", "filters": {"taken_after": "2024"}}, 422, "request_invalid"),
        ({"text": "red", "filters": {"taken_before": 2024}}, 422, "request_invalid"),
        ({"text": "red", "min_relevance": 2}, 422, "request_invalid"),
    ],
    ids=str,
)
def test_what_cannot_be_asked_is_refused(
    client: TestClient, body: dict[str, Any], status: int, code: str
) -> None:
    answer = client.post("/v1/search", json=body)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text


SCENE: dict[str, Any] = {
    "slots": [
        {"name": "red", "min_score": 0.5},
        {"name": "it", "text": "blue", "min_score": 0.5, "filters": {"min_area": 0.05}},
    ],
    "relations": [["red", "left_of", "it"]],
}


def test_a_scene_names_the_region_of_each_slot(client: TestClient) -> None:
    answer = post(client, "/v1/search/scene", **SCENE)
    (scene,) = answer["scenes"]
    assert scene["regions"]["red"]["box"] == list(RED.box)
    assert scene["regions"]["it"]["box"] == list(BLUE.box)
    assert answer["message"] is None
    wrong = post(client, "/v1/search/scene", **{**SCENE, "relations": [["it", "left of", "red"]]})
    assert (wrong["scenes"], wrong["message"]) == ([], "No picture holds all of it as asked for.")


def test_a_scene_leaves_out_pictures_with_what_must_not_be_there(client: TestClient) -> None:
    red = {"name": "red", "min_score": 0.5}
    some = post(client, "/v1/search/scene", slots=[red])["scenes"]
    no_blue = {"name": "blue", "min_score": 0.5, "absent": True}
    fewer = post(client, "/v1/search/scene", slots=[red, no_blue])["scenes"]
    assert len(some) == 2
    assert [scene["regions"]["red"]["box"] for scene in fewer] == [[70, 5, 100, 35]]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"slots": []}, "request_invalid"),
        ({"slots": [{"name": "a", "absent": True}]}, "query_error"),
        ({"slots": [{"name": "a"}], "relations": [["a", "near", "b"]]}, "query_error"),
        ({"slots": [{"name": "a"}], "relations": [["a", "near"]]}, "request_invalid"),
        ({"slots": [{"name": "a", "colour": 1}]}, "request_invalid"),
    ],
    ids=str,
)
def test_a_scene_that_cannot_be_meant_is_refused(
    client: TestClient, body: dict[str, Any], code: str
) -> None:
    answer = client.post("/v1/search/scene", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, code)


def test_the_service_refuses_before_it_looks(tmp_path: Path) -> None:
    with open_small_service(tmp_path / "library") as service:
        with pytest.raises(LibraryMissingError):
            service.search_scene(SceneQuery((Slot("a", (TextTerm("a"),)),)))
        service.index([paint(tmp_path / "a.png", [Shape("red", (10, 10, 40, 40))])])
        with pytest.raises(NotFoundError):
            service.search(Query((ImageTerm(9),)))
        with pytest.raises(QueryError, match="makes 9"):
            service.search(Query((VectorTerm((1.0,)),)))
        with pytest.raises(ModelError, match="takes no points"):
            service.point(RegionTerm(1, ((15.0, 15.0),)))


# With the embedded models


def a_thing(service: SegSearch, truth: Truth, name: str) -> tuple[int, Mask]:
    """The image a named thing of the demo is in, and its true mask."""
    file, mask = truth.things[name][0]
    images = {Path(one.paths[0]).name: one.id for one in service.catalog.images(limit=100)}
    return images[file], mask


def test_a_click_offers_masks_and_finds_the_region_it_is_in(
    demo_library: SegSearch, truth: Truth
) -> None:
    right = 0
    names = sorted(truth.things)[:8]
    for name in names:
        image_id, mask = a_thing(demo_library, truth, name)
        box = tuple(float(side) for side in mask.box.as_tuple())
        region = RegionTerm(image_id, box=box)  # type: ignore[arg-type]  # four of them
        pointed = demo_library.point(region)
        assert 1 <= len(pointed.candidates) <= 3
        best = demo_library.search(Query((region,), limit=1))
        taken = best.pointed[0].candidates[best.pointed[0].chosen].mask
        hit = best.hits[0]
        right += hit.image.id == image_id and iou(hit.segment.mask, taken) > 0.5
    assert right >= len(names) * 3 // 4


def test_a_click_on_an_upload_equals_one_on_the_stored_picture(
    demo_library: SegSearch, truth: Truth
) -> None:
    image_id, mask = a_thing(demo_library, truth, sorted(truth.things)[0])
    data = Path(demo_library.catalog.image(image_id).paths[0]).read_bytes()
    x, y = np.argwhere(_decoded(mask))[mask.area // 2][::-1].tolist()
    stored, upload = (RegionTerm(image, ((x, y),)) for image in (image_id, data))
    assert demo_library.point(stored) == demo_library.point(upload)
    with TestClient(create_app(demo_library), base_url="http://localhost") as client:
        answer = client.post(
            "/v1/search",
            files={"picture": ("q.jpg", io.BytesIO(data))},
            data={"region": json.dumps({"points": [[x, y]], "candidate": 1}), "limit": "1"},
        )
        assert answer.status_code == 200, answer.text
        (pointed,) = answer.json()["pointed"]
        expected = demo_library.point(stored).candidates
        assert pointed["chosen"] == 1
        assert [one["mask"] for one in pointed["candidates"]] == [
            to_coco(one.mask) for one in expected
        ]


def test_relevances_stand_beside_scores(demo_library: SegSearch) -> None:
    answer = demo_library.search(Query((TextTerm("a cup of coffee"),), limit=20, per_image=20))
    levels = [hit.relevance for hit in answer.hits]
    assert answer.relevance == levels[0]
    assert all(level is not None and 0 <= level <= 1 for level in levels)
    assert (levels[0] or 0) > 0.9 > (levels[-1] or 0)
    itself = demo_library.search(Query((SegmentTerm(answer.hits[0].segment.id),), limit=20))
    alike = [hit.relevance or 0.0 for hit in itself.hits]
    assert alike[0] > 0.95
    assert alike == sorted(alike, reverse=True)  # beside the query's own scores it falls with them


def test_words_are_compared_with_everyday_words_and_nothing_else_is(
    demo_library: SegSearch,
) -> None:
    """The same vector, asked for by words and as a vector: the same regions, scored alike; only
    the words know that some regions answer everything."""
    words = "a hot drink"
    embedder = build_embedder(preset(DEFAULT_PRESET), demo_library.settings)
    vector = embedder.embed_texts([words])[0]
    how: dict[str, Any] = {"min_relevance": 0, "prefer": Prefer.ANY, "near_duplicates": True}
    told = demo_library.search(Query((TextTerm(words),), **how))
    given = demo_library.search(Query((VectorTerm(tuple(vector.tolist())),), **how))
    assert [hit.segment.id for hit in told.hits] == [hit.segment.id for hit in given.hits]
    assert [hit.relevance for hit in told.hits] != [hit.relevance for hit in given.hits]


@pytest.mark.parametrize("judged", ["like", "unlike"])
def test_a_judgement_does_not_change_how_sure_the_others_are(
    demo_library: SegSearch, judged: str
) -> None:
    """It changes their order, and takes away what is judged wrong."""

    def levels(query: Query) -> dict[int, float | None]:
        return {hit.segment.id: hit.relevance for hit in demo_library.search(query).hits}

    everything: dict[str, Any] = {"limit": 1000, "per_image": 1000, "near_duplicates": True}
    query = Query((TextTerm("a cat"),), prefer=Prefer.ANY, **everything)
    before = levels(query)
    fourth = list(before)[3]
    liked, unliked = ((fourth,), ()) if judged == "like" else ((), (fourth,))
    after = levels(replace(query, like=liked, unlike=unliked))
    both = [number for number in before if number in after]  # others stand for what looks the same
    assert len(both) > len(before) / 2
    assert both != [number for number in after if number in before]
    assert (fourth in after) == (judged == "like")
    assert [after[number] for number in both] == pytest.approx([before[number] for number in both])


def test_what_was_judged_right_is_an_answer_however_unlikely(demo_library: SegSearch) -> None:
    query = Query((TextTerm("an igloo"),), min_relevance=0, limit=20)
    unlikely = demo_library.search(query).hits[-1]
    answer = demo_library.search(replace(query, min_relevance=0.9, like=(unlikely.segment.id,)))
    assert answer.hits[0].segment.id == unlikely.segment.id
    assert unlikely.relevance is not None
    assert unlikely.relevance < 0.9


def test_what_is_shown_is_more_relevant_than_what_is_not(demo_library: SegSearch) -> None:
    """Photographs of the demo: each present word stands above most of the absent ones."""
    present = ("a cat", "a cup of coffee", "coins", "a rocket", "a motorcycle", "flowers")
    absent = ("a trombone", "a submarine", "a wardrobe", "a stapler", "a waterfall", "an igloo")

    def level(text: str) -> float:
        return demo_library.search(Query((TextTerm(text),), min_relevance=0)).relevance or 0.0

    there, gone = ([level(text) for text in texts] for texts in (present, absent))
    above = np.array(there)[:, None] > np.array(gone)[None]
    assert above.mean() > 0.8, dict(zip(present + absent, there + gone, strict=True))


def test_nothing_matches_is_an_answer(demo_library: SegSearch) -> None:
    noise = np.random.default_rng(4).standard_normal(demo_library_dimension(demo_library))
    term = VectorTerm(tuple(noise.tolist()))
    answer = demo_library.search(Query((term,), min_relevance=0.999))
    assert answer.hits == ()
    assert answer.message is not None
    assert answer.message.startswith("Nothing in the library matches")
    assert answer.relevance is not None
    assert answer.relevance < 0.999
    assert len(demo_library.search(Query((term,), min_relevance=0)).hits) == 10


def test_what_is_in_the_library_is_found_however_common_it_looks(
    demo_library: SegSearch,
) -> None:
    segment = demo_library.catalog.segment(1)
    for term in (SegmentTerm(1), ImageTerm(segment.image_id)):
        alone = Query((term,), min_relevance=1.0)
        assert demo_library.search(alone).hits
        for other in (
            replace(alone, filters=Filters(min_area=1e-9)),
            replace(alone, terms=(term, TextTerm("a cup"))),
        ):
            assert "matches" in (demo_library.search(other).message or "")


def demo_library_dimension(service: SegSearch) -> int:
    with pytest.raises(QueryError) as told:
        service.search(Query((VectorTerm((1.0,)),)))
    return int(str(told.value).rstrip(".").rpartition(" ")[2])


def test_the_command_line_says_so_too(demo_library: SegSearch) -> None:
    from segsearch.cli.app import app

    folder = str(demo_library.settings.library)
    run = CliRunner().invoke
    asked = ["--library", folder, "search", "a cat", "--min-relevance", "1", "--json"]
    none = run(app, asked)
    assert none.exit_code == 0
    assert none.stdout == ""
    assert "Nothing in the library matches" in none.stderr
    scene = ["--library", folder, "scene", "--thing", "cat=a cat", "--no", "dog=a dog", "--json"]
    found = run(app, scene)
    assert found.exit_code == 0, found.stderr
    assert set(json.loads(found.stdout.splitlines()[0])["regions"]) == {"cat"}


def _decoded(mask: Mask) -> Any:
    from segsearch.masks.rle import decode

    return decode(mask)
