"""Regions are captioned through a real socket, whatever the endpoint does, and never paid twice."""

from __future__ import annotations

import io
import socket
import threading
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from segsearch.cli.output import hit_table
from segsearch.core.errors import EndpointError, QueryError
from segsearch.core.query import Query, TextTerm
from segsearch.export.caption_pack import QUESTION, RegionSources
from segsearch.export.captioning import (
    DRAWN_AT_ONCE,
    CaptionOptions,
    CaptionReport,
    caption,
    origin_of,
)
from segsearch.export.documents import HitDocument
from segsearch.export.vision_chat import ATTEMPTS, Endpoint, VisionChat, retry_after_seconds
from segsearch.library import SegSearch
from segsearch.search.selection import RegionSelection
from tests.support.captioned import REGIONS, decoded_pictures, texts, truth
from tests.support.small_models import Shape, open_small_service, paint
from tests.support.vision import (
    CUT,
    DROPPED,
    HANGING,
    completion,
    endpoint,
    seen,
    vision_endpoint,
)

pytestmark = pytest.mark.server


def run(
    service: SegSearch, to: Endpoint, choice: CaptionOptions | None = None, **options: Any
) -> CaptionReport:
    hits = service.select(RegionSelection())
    return caption(
        hits, service.region_sources(), service.catalog, to, choice or CaptionOptions(), **options
    )


def test_every_region_is_shown_and_what_is_said_of_it_is_kept(service: SegSearch) -> None:
    with vision_endpoint(seconds=0.05) as server:
        report = run(service, endpoint(server), CaptionOptions(at_once=3))
    assert (report.captioned, report.requests, report.already, report.failed) == (10, 10, 0, {})
    assert texts(service) == truth(service)
    assert 1 < server.busiest <= 3
    (first, *_) = service.select()
    origin = first.captions[0].origin
    assert origin == origin_of(endpoint(server), QUESTION)
    assert origin.host == server.url.split("/")[2]
    assert server.asked[0]["messages"][0]["content"][0]["text"] == QUESTION
    hits = service.search(Query((TextTerm("purple"),), captions="only")).hits
    assert hits
    assert all("purple" in hit.captions[0].text for hit in hits)


@pytest.mark.parametrize(
    ("behaviour", "billed"),
    [
        ((429, {"Retry-After": "0"}), 0),
        ((429, {}), 0),
        ((500, {}), 0),
        ((503, {"Retry-After": "Thu, 01 Jan 1970 00:00:00 GMT"}), 0),
        ((502, {"Retry-After": "soon"}), 0),
        (CUT, 1),
        (DROPPED, 1),
        (b"", 1),
        (b"\xff\xfe", 1),
        (b"[" * 200_000, 1),
        (b'{"choices": []}', 1),
        (b'{"choices": [{"message": null}]}', 1),
        (b'["choices"]', 1),
        (completion(""), 1),
        (completion([{"type": "text"}]), 1),
    ],
    ids=range(15),
)
def test_what_passes_is_tried_again(service: SegSearch, behaviour: Any, billed: int) -> None:
    with vision_endpoint([behaviour, None, behaviour]) as server:
        report = run(service, endpoint(server), CaptionOptions(at_once=2))
    assert report.failed == {}
    assert texts(service) == truth(service)
    assert (len(server.asked), report.requests) == (REGIONS + 2, REGIONS + 2 * billed)


def test_while_answers_are_awaited_only_the_latest_pictures_are_in_memory(
    service: SegSearch,
) -> None:
    at_once, held = 8, []
    with decoded_pictures() as decoded, vision_endpoint() as server:
        asked = threading.Barrier(at_once, lambda: held.append(decoded.in_memory()))
        server.says = lambda body: (asked.wait(60), seen(body))[1]
        run(service, endpoint(server), CaptionOptions(at_once=at_once, most=at_once))
    latest = 2  # that the library keeps, since regions of one picture follow each other
    assert len(set(decoded.image_ids)) > latest >= held[0]
    assert max(decoded.held) < DRAWN_AT_ONCE + latest


def test_an_answer_that_does_not_come_is_not_waited_for(service: SegSearch) -> None:
    with vision_endpoint([HANGING]) as server:
        report = run(service, endpoint(server, timeout_seconds=0.5))
    assert (report.captioned, len(server.asked)) == (REGIONS, REGIONS + 1)


@pytest.mark.parametrize(
    ("content", "kept"),
    [
        ("  A dog.\n", "A dog."),
        ([{"type": "text", "text": "A "}, {"type": "text", "text": "dog"}], "A dog"),
        ("half \ud83d of a pair\0", "half ? of a pair"),
        ("Ein Hund 🐕 <b>\"'--", "Ein Hund 🐕 <b>\"'--"),
    ],
)
def test_what_is_said_is_kept_as_text(service: SegSearch, content: Any, kept: str) -> None:
    with vision_endpoint([completion(content)]) as server:
        run(service, endpoint(server), CaptionOptions(at_once=1, most=1))
    assert list(texts(service).values()) == [[kept]]


def test_what_is_no_caption_fails_alone_with_its_reason_and_is_billed_once(
    service: SegSearch,
) -> None:
    refused = completion(None, refusal="I will not.")
    with vision_endpoint([refused, completion("A dog", "length")]) as server:
        report = run(service, endpoint(server), CaptionOptions(at_once=1))
    assert (report.captioned, report.requests, len(report.failed)) == (REGIONS - 2, REGIONS, 2)
    assert [reason.split(":")[0] for reason in report.failed.values()] == [
        "The model refuses",
        "The answer was cut at the endpoint's limit of tokens",
    ]
    assert sum(map(len, texts(service).values())) == REGIONS - 2


def test_nobody_asks_before_the_time_an_endpoint_names(service: SegSearch) -> None:
    with vision_endpoint([None, (429, {"Retry-After": "1"})]) as server:
        report = run(service, endpoint(server), CaptionOptions(at_once=4))
    assert report.captioned == REGIONS
    # Those under way with the refused one may still arrive; then nothing for a second.
    assert (
        max(late - early for early, late in zip(server.times, server.times[1:], strict=False)) > 0.9
    )


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7), ("0.5", 0.5), ("-3", 0), (None, 0), ("", 0), ("soon", 0), ("nan", 0),
     ("Thu, 01 Jan 1970 00:00:00 GMT", 0), ("Fri, 31 Dec 9999 23:59:59 GMT", 1e9)],
)  # fmt: skip
def test_retry_after_is_a_number_or_a_date(header: str | None, seconds: float) -> None:
    read = retry_after_seconds(header)
    assert read == seconds or read > seconds == 1e9


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        ((401, {}), "SEGSEARCH_CAPTION_KEY"),
        ((404, {}), "--model"),
        ((302, {"Location": "http://127.0.0.1:1/v1/chat/completions"}), "status 302"),
        ((429, {"Retry-After": "86400"}), "again in 24 h"),
    ],
)
def test_an_endpoint_that_will_not_answer_ends_the_run_and_what_came_is_kept(
    service: SegSearch, behaviour: Any, words: str
) -> None:
    with vision_endpoint([None, None, *[behaviour] * 20]) as server:
        with pytest.raises(EndpointError, match=words):
            run(service, endpoint(server), CaptionOptions(at_once=1))
        assert len(texts(service)) == 2
        assert len(server.asked) == 3
        server.script.clear()
        report = run(service, endpoint(server))
    assert (report.captioned, report.already) == (REGIONS - 2, 2)
    assert texts(service) == truth(service)


def test_nobody_there_ends_the_run(service: SegSearch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, but nobody listens
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        with pytest.raises(EndpointError, match="nobody answers"):
            run(service, Endpoint(url, "eye-1", pause_seconds=0.01))


def test_a_region_that_is_refused_fails_alone_and_is_sent_again_next_time(
    service: SegSearch,
) -> None:
    with vision_endpoint([None, (400, {}), *[(500, {})] * ATTEMPTS]) as server:
        report = run(service, endpoint(server), CaptionOptions(at_once=1))
        assert (report.captioned, len(report.failed)) == (REGIONS - 2, 2)
        refused, exhausted = report.failed.values()
        assert "status 400" in refused
        assert f"tried {ATTEMPTS} times" in exhausted
        again = run(service, endpoint(server))
    assert (again.captioned, again.already) == (2, REGIONS - 2)
    assert texts(service) == truth(service)


def test_many_regions_refused_in_a_row_are_the_endpoints_fault(tmp_path: Path) -> None:
    for number in range(9):
        shapes = [Shape("red", (5, 5, 45, 35)), Shape("blue", (60, 10, 90, 40 + number))]
        paint(tmp_path / "pictures" / f"{number}.png", shapes)
    with (
        open_small_service(tmp_path / "library") as service,
        vision_endpoint([(400, {})] * 40) as server,
    ):
        service.index([tmp_path / "pictures"])
        with pytest.raises(EndpointError, match="10 regions in a row"):
            run(service, endpoint(server), CaptionOptions(at_once=1))
        assert 10 <= len(server.asked) <= 12


def test_the_cap_bounds_what_may_be_billed_and_nothing_is_paid_twice(service: SegSearch) -> None:
    with vision_endpoint([(429, {"Retry-After": "0"}), None, (500, {})], seconds=0.02) as server:
        first = run(service, endpoint(server), CaptionOptions(at_once=4, most=3))
        assert (first.captioned, first.requests, first.is_spent, server.answered) == (3, 3, True, 3)
        second = run(service, endpoint(server), CaptionOptions(at_once=4, most=REGIONS))
        assert (second.captioned, second.already, second.is_spent) == (REGIONS - 3, 3, False)
        third = run(service, endpoint(server), CaptionOptions(most=1))
        assert (third.captioned, third.already, third.requests) == (0, REGIONS, 0)
    assert server.answered == REGIONS
    assert texts(service) == truth(service)


def test_another_prompt_or_model_is_another_caption(service: SegSearch) -> None:
    with vision_endpoint() as server:
        assert run(service, endpoint(server)).captioned == REGIONS
        assert (
            run(service, endpoint(server), CaptionOptions(prompt="In French.")).captioned == REGIONS
        )
        assert server.asked[-1]["messages"][0]["content"][0]["text"] == "In French."
        server.model = "eye-2"
        assert run(service, endpoint(server)).captioned == REGIONS
        assert run(service, endpoint(server)).already == REGIONS
    assert {len(said) for said in texts(service).values()} == {3}


@pytest.mark.parametrize("at_once", [1, 2, 8])
def test_the_result_does_not_depend_on_the_order_of_the_answers(
    service: SegSearch, at_once: int
) -> None:
    with vision_endpoint([(500, {}), None, CUT, None, (429, {})], seconds=0.01) as server:
        run(service, endpoint(server), CaptionOptions(at_once=at_once))
    assert texts(service) == truth(service)
    assert server.busiest <= at_once


def test_a_picture_that_is_gone_costs_no_request(service: SegSearch, tmp_path: Path) -> None:
    (tmp_path / "pictures" / "0.png").unlink()
    with vision_endpoint() as server:
        report = run(service, endpoint(server))
    assert (report.captioned, report.requests, len(report.failed)) == (REGIONS - 2, REGIONS - 2, 2)
    assert all("is gone or was changed" in reason for reason in report.failed.values())


def test_a_region_removed_meanwhile_is_said(service: SegSearch) -> None:
    def pixels(image_id: int, seconds: float | None) -> Any:
        seen = service.pictures.pixels(image_id, seconds)
        if image_id == 1:
            service.remove(image_ids=[1])
        return seen

    hit = next(iter(service.select()))
    with vision_endpoint() as server:
        sources = RegionSources(pixels, service.catalog.segments_on_frame)
        report = caption([hit], sources, service.catalog, endpoint(server), CaptionOptions())
    assert report.failed == {hit.segment.id: "The region was removed while it was described."}


@pytest.mark.parametrize(
    "wrong",
    [
        partial(Endpoint, "localhost:8000/v1", "m"),
        partial(Endpoint, "ftp://localhost/v1", "m"),
        partial(Endpoint, "http:///v1", "m"),
        partial(Endpoint, "http://me:secret@localhost/v1", "m"),
        partial(Endpoint, "http://localhost/v1", "m", "key\nwith: more"),
        partial(Endpoint, "http://localhost/v1", "m", "schlüssel"),
        partial(CaptionOptions, prompt=" "),
        partial(CaptionOptions, at_once=0),
        partial(CaptionOptions, most=0),
    ],
    ids=range(9),
)
def test_nonsense_is_refused_before_anything_is_sent(wrong: Any) -> None:
    with pytest.raises(QueryError) as told:
        wrong()
    assert "secret" not in str(told.value)


def test_captions_are_shown_on_the_terminal(service: SegSearch) -> None:
    with vision_endpoint() as server:
        run(service, endpoint(server), CaptionOptions(most=1, at_once=1))
    hits = list(service.select())
    console = Console(record=True, width=200, file=io.StringIO())
    hit_table(console, [HitDocument.of(hit).model_dump() for hit in hits])
    assert console.export_text().count("thing on a white ground") == 1


def test_a_path_stays_in_one_piece_on_a_narrow_terminal(
    service: SegSearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    hits = list(service.select())
    path = Path(hits[0].image.paths[0])
    monkeypatch.chdir(path.parent.parent)
    shown = {}
    for width in (80, 120):
        console = Console(record=True, width=width, file=io.StringIO())
        bare = [HitDocument.of(replace(hit, captions=())).model_dump() for hit in hits]
        hit_table(console, bare)
        shown[width] = console.export_text()
        assert f"{path.parent.name}/{path.name}" in shown[width]
    assert "area" in shown[120]
    assert "area" not in shown[80]


@pytest.mark.parametrize(
    ("url", "key", "warned"),
    [
        ("http://example.org/v1", "k", True),
        ("http://example.org/v1", None, False),
        ("https://example.org/v1", "k", False),
        ("http://localhost:8000/v1", "k", False),
        ("http://[::1]:8000/v1", "k", False),
    ],
)
def test_a_key_that_others_can_read_is_warned_of(
    caplog: pytest.LogCaptureFixture, url: str, key: str | None, warned: bool
) -> None:
    with VisionChat(Endpoint(url, "m", key)):
        assert ("without encryption" in caplog.text) == warned
    assert "example.org" in caplog.text or not warned


def test_words_choose_what_is_captioned(service: SegSearch) -> None:
    with vision_endpoint() as server:
        hits = service.select(RegionSelection("red", limit=1))
        caption(hits, service.region_sources(), service.catalog, endpoint(server), CaptionOptions())
    assert list(texts(service).values()) == [["A red thing on a white ground"]]
    assert replace(RegionSelection("red"), below=[Path("x")]).text == "red"
    with pytest.raises(QueryError, match="not both"):
        service.select(RegionSelection("red", below=[Path("x")]))
