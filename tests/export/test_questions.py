"""A question about a region or a picture is one request, with what is known told truly, and an
answer that is kept only where it belongs."""

from __future__ import annotations

import json
import re
import threading
import time
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segsearch.core.errors import (
    AnswerError,
    EndpointError,
    EndpointMissingError,
    NotFoundError,
    QueryError,
    ReadOnlyError,
    SegSearchError,
)
from segsearch.core.text import Line, TextLine
from segsearch.core.types import Origin, Segment
from segsearch.export.caption_pack import neighbours
from segsearch.export.picture_facts import MOST_CHARACTERS, MOST_REGIONS, PictureFacts
from segsearch.export.questions import HOW_THINGS_LIE, MAX_QUESTION_CHARACTERS, Questions
from segsearch.export.vision_chat import Endpoint
from segsearch.library import SegSearch
from segsearch.masks.relations import Relation, relations
from segsearch.masks.rle import encode
from tests.support.captioned import texts, truth
from tests.support.small_models import Shape, open_small_service, paint
from tests.support.vision import (
    CUT,
    DROPPED,
    HANGING,
    completion,
    dripping_server,
    endpoint,
    told,
    vision_endpoint,
)

pytestmark = pytest.mark.server


def with_settings(service: SegSearch, **settings: Any) -> Questions:
    """Questions of the same library under other settings."""
    facts = PictureFacts(service.catalog.segments_on_frame, service.catalog.captions)
    changed = service.settings.model_copy(update=settings)
    return Questions(changed, service.catalog, service.pictures, facts)


def first(service: SegSearch) -> Segment:
    return next(iter(service.select())).segment


def corners(segment: Segment) -> Any:
    x0, y0, x1, y1 = map(float, segment.mask.box.as_tuple())
    return ((x0, y0), (x1, y0), (x1, y1), (x0, y1))


def test_a_region_is_shown_and_the_question_about_it_answered(service: SegSearch) -> None:
    said = truth(service)
    with vision_endpoint() as server:
        for segment_id, (text,) in said.items():
            answer = service.questions.ask_region(
                segment_id, " What is this?\n", endpoint=endpoint(server)
            )
            assert (answer.text, answer.segment_id, answer.kept_for) == (text, segment_id, None)
    assert len(server.asked) == len(said)
    assert told(server.asked[0]).endswith("region: What is this?")
    assert texts(service) == {}


def test_the_model_is_told_how_others_lie_around_a_region(service: SegSearch) -> None:
    segment = first(service)
    (near,) = neighbours(segment, service.catalog.segments_of(segment.image_id))
    with vision_endpoint() as server:
        service.questions.ask_region(segment.id, "Where is it?", endpoint=endpoint(server))
    words = told(server.asked[0])
    assert f"box {', '.join(map(str, segment.mask.box.as_tuple()))}" in words
    lies = ", ".join(near["this_is"])
    assert f"It is {lies} (to) another region: box {', '.join(map(str, near['box']))}" in words
    assert "100 x 90 pixels" in words or "120 x 90 pixels" in words


def test_what_was_said_of_regions_is_told_and_so_is_the_text_in_them(service: SegSearch) -> None:
    segment, other = service.catalog.segments_of(first(service).image_id)
    service.catalog.add_caption(other.id, "A blue mug", Origin("eye-0", "here", "0"))
    lines = [
        TextLine(1, segment.image_id, segment.id, 1, Line(corners(segment), "24 hours", 0.9)),
        TextLine(2, segment.image_id, other.id, 2, Line(corners(other), 'say "hi"\x1b[2J', 0.9)),
        TextLine(3, segment.image_id, None, 3, Line(corners(other), "x" * 999, 0.9)),
    ]
    facts = PictureFacts(
        service.catalog.segments_on_frame,
        service.catalog.captions,
        lambda number: ["cup", "mug"] if number == segment.id else [],
        lambda image_id: lines if image_id == segment.image_id else [],
    )
    image = service.catalog.image(segment.image_id)
    region = facts.of_region(image, segment)
    assert "; perhaps cup or mug." in region
    assert 'described as "A blue mug"' in region
    assert 'Text in the region: "24 hours".' in region
    assert f'elsewhere in the photograph: "say \\"hi\\"", "{"x" * MOST_CHARACTERS}".' in region
    numbered = facts.numbered(image.id)
    picture = facts.of_picture(image, numbered).splitlines()
    number = numbered.index(segment) + 1
    (line,) = [row for row in picture if row.startswith(f"{number}. ")]
    assert 'text in it: "24 hours"' in line
    assert picture[-2] == f'Text elsewhere in it: "{"x" * MOST_CHARACTERS}".'


def test_text_in_a_part_of_a_region_is_text_in_the_region(service: SegSearch) -> None:
    inner, outer = service.catalog.segments_of(first(service).image_id)
    around = encode(
        np.ones((88, 110), bool), size=(inner.mask.height, inner.mask.width)
    )  # from the corner to beyond the inner one
    assert around is not None
    outer = replace(outer, mask=around)
    assert Relation.INSIDE in relations(inner.mask, outer.mask)
    line = TextLine(1, inner.image_id, inner.id, 1, Line(corners(inner), "OPEN", 0.9))
    facts = PictureFacts(
        lambda *_: [inner, outer], service.catalog.captions, lines_of=lambda _: [line]
    )
    image = service.catalog.image(inner.image_id)
    assert 'Text in the region: "OPEN".' in facts.of_region(image, outer)
    apart = PictureFacts(
        lambda *_: [inner, outer],
        service.catalog.captions,
        lines_of=lambda _: [replace(line, segment_id=outer.id)],
    )
    assert 'Text elsewhere in the photograph: "OPEN".' in apart.of_region(image, inner)


def test_a_picture_is_shown_whole_with_its_regions_numbered_and_related(
    service: SegSearch,
) -> None:
    segment = first(service)
    with vision_endpoint() as server:
        answer = service.questions.ask_picture(segment.image_id, endpoint=endpoint(server))
    colours = {
        text.split()[1]
        for text in (
            truth(service)[one.id][0] for one in service.catalog.segments_of(segment.image_id)
        )
    }
    assert {word.strip(",") for word in answer.text.split()[3:]} == colours
    assert (answer.segment_id, answer.image_id) == (None, segment.image_id)
    words = told(server.asked[0])
    assert HOW_THINGS_LIE in words
    numbered = re.findall(r"^(\d+)\. box (\d+), (\d+), (\d+), (\d+)", words, re.MULTILINE)
    assert [int(row[0]) for row in numbered] == [1, 2]
    boxes = {tuple(map(int, row[1:])) for row in numbered}
    assert boxes == {
        one.mask.box.as_tuple() for one in service.catalog.segments_of(segment.image_id)
    }
    assert re.search(r"^2\. .*it is (left of|right of).* region 1\.$", words, re.MULTILINE)


def test_no_more_regions_are_told_than_a_model_can_follow(tmp_path: Path) -> None:
    """What is told does not grow with what a picture holds."""
    shapes = [
        Shape("red", (x, y, x + 8, y + 8)) for x in range(2, 118, 12) for y in range(2, 80, 12)
    ]
    paint(tmp_path / "pictures" / "a.png", shapes, size=(120, 90))
    with open_small_service(tmp_path / "library") as service:
        service.index([tmp_path / "pictures"])
        segment = first(service)
        many = [replace(segment, id=number) for number in range(1, 200)]
        facts = PictureFacts(lambda *_: many, lambda _: {})
        assert len(facts.numbered(1)) == MOST_REGIONS
        words = facts.of_picture(service.catalog.image(1), facts.numbered(1))
    assert len(words.splitlines()) == MOST_REGIONS + 3
    assert max(map(len, words.splitlines())) < 400


def test_a_kept_answer_is_a_caption_with_its_origin_and_the_next_one_takes_its_place(
    service: SegSearch,
) -> None:
    segment = first(service)
    (text,) = truth(service)[segment.id]
    script = [None, completion("Something else"), completion("Another question's answer")]
    with vision_endpoint(script) as server:
        to = endpoint(server)
        ask = service.questions.ask_region
        assert ask(segment.id, "What is this?", keep=True, endpoint=to).kept_for == segment.id
        assert texts(service) == {segment.id: [text]}
        ask(segment.id, "What is this?", keep=True, endpoint=to)
        ask(segment.id, "What colour?", keep=True, endpoint=to)
    assert sorted(texts(service)[segment.id]) == ["Another question's answer", "Something else"]
    origins = {one.origin for one in service.catalog.captions([segment.id])[segment.id]}
    assert origins == {
        Origin(server.model, to.host, sha256(question.encode()).hexdigest())
        for question in ("What is this?", "What colour?")
    }


def test_what_is_said_of_a_whole_picture_is_kept_for_the_region_that_covers_it(
    tmp_path: Path,
) -> None:
    paint(tmp_path / "pictures" / "a.png", [Shape("red", (0, 0, 100, 90))], size=(100, 90))
    paint(tmp_path / "pictures" / "b.png", [Shape("red", (0, 0, 50, 90))], size=(100, 90))
    with open_small_service(tmp_path / "library") as service, vision_endpoint() as server:
        service.index([tmp_path / "pictures"])
        to = endpoint(server)
        whole = next(hit for hit in service.select() if hit.segment.mask.area == 9_000)
        half = next(hit for hit in service.select() if hit.segment.mask.area == 4_500)
        answer = service.questions.ask_picture(whole.image.id, keep=True, endpoint=to)
        assert answer.kept_for == whole.segment.id
        assert texts(service) == {whole.segment.id: [answer.text]}
        with pytest.raises(QueryError, match="No region covers image"):
            service.questions.ask_picture(half.image.id, keep=True, endpoint=to)
        assert len(server.asked) == 1  # refused before it costs anything


@pytest.mark.parametrize(
    ("behaviour", "error", "words", "requests"),
    [
        (HANGING, AnswerError, "no answer within", 1),
        (CUT, AnswerError, "not asked again", 1),
        (DROPPED, AnswerError, "not asked again", 1),
        (completion(""), AnswerError, "empty", 1),
        (completion("x" * 10_001), AnswerError, "10,001 characters", 1),
        (completion("x" * 9_000_000), AnswerError, "more than 8,000,000 bytes", 1),
        (completion("<think>hm"), AnswerError, "thoughts alone", 1),
        (completion("so", "length"), AnswerError, "cut at the endpoint's limit", 1),
        (b"<html>hello</html>", AnswerError, "a page", 1),
        ((400, {}), AnswerError, "status 400", 1),
        ((401, {}), EndpointError, "status 401", 1),
        ((302, {"Location": "http://127.0.0.1:1/v1"}), EndpointError, "status 302", 1),
        ((429, {"Retry-After": "90"}), AnswerError, "status 429", 1),
    ],
    ids=range(13),
)
def test_without_an_answer_there_is_a_reason_within_one_request(
    service: SegSearch, behaviour: Any, error: type[SegSearchError], words: str, requests: int
) -> None:
    segment = first(service)
    seconds = 1.0 if behaviour == HANGING else 30.0
    with vision_endpoint([behaviour]) as server:
        to = endpoint(server, timeout_seconds=seconds)
        with pytest.raises(error, match=words):
            service.questions.ask_region(segment.id, "What?", keep=True, endpoint=to)
    assert len(server.asked) == requests
    assert texts(service) == {}


def test_what_nobody_is_billed_for_is_tried_again(service: SegSearch) -> None:
    segment = first(service)
    with vision_endpoint([(503, {}), (500, {})]) as server:
        answer = service.questions.ask_region(segment.id, "What?", endpoint=endpoint(server))
    assert answer.text == truth(service)[segment.id][0]
    assert len(server.asked) == 3


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("I can't see any text on it.", "I can't see any text on it."),
        ('{"colour": "red"}', '{"colour": "red"}'),
        ("<think>red?</think> Red.\n\nIt is\x1b[2J red.", "Red.\n\nIt is red."),
    ],
)
def test_a_model_may_answer_in_its_own_way(service: SegSearch, text: str, answer: str) -> None:
    with vision_endpoint([completion(text)]) as server:
        to = endpoint(server)
        assert service.questions.ask_region(first(service).id, "What?", endpoint=to).text == answer


def test_bad_questions_are_refused_before_anything_is_sent(
    service: SegSearch, tmp_path: Path
) -> None:
    segment = first(service)
    with vision_endpoint() as server:
        to = endpoint(server)
        ask, ask_picture = service.questions.ask_region, service.questions.ask_picture
        for question in ("", " \n", "\x1b[2J"):
            with pytest.raises(QueryError, match="The question is empty"):
                ask(segment.id, question, endpoint=to)
        with pytest.raises(QueryError, match="2,001 characters, expected at most 2,000"):
            ask(segment.id, "x" * (MAX_QUESTION_CHARACTERS + 1), endpoint=to)
        with pytest.raises(NotFoundError, match="no segment 9000"):
            ask(9000, "What?", endpoint=to)
        with pytest.raises(NotFoundError, match="no image 9000"):
            ask_picture(9000, endpoint=to)
        for path in (tmp_path / "pictures").iterdir():
            path.unlink()
        with pytest.raises(SegSearchError, match=r"gone|cannot be read|no longer"):
            ask(segment.id, "What?", endpoint=to)
        with pytest.raises(SegSearchError, match=r"gone|cannot be read|no longer"):
            ask_picture(segment.image_id, endpoint=to)
    assert server.asked == []


def test_half_a_surrogate_pair_in_a_question_is_sent_as_a_question_mark(
    service: SegSearch,
) -> None:
    with vision_endpoint() as server:
        service.questions.ask_region(first(service).id, "What \ud83d?", endpoint=endpoint(server))
    assert told(server.asked[0]).endswith("What ??")


def test_the_settings_name_the_endpoint_or_nobody_is_asked(service: SegSearch) -> None:
    segment = first(service)
    assert not service.questions.is_offered
    with pytest.raises(EndpointMissingError, match="SEGSEARCH_CAPTION_URL"):
        service.ask(segment.id, "What?")
    with vision_endpoint(key="s3cret") as server:
        half = with_settings(service, caption_url=server.url)
        with pytest.raises(EndpointMissingError, match="no model"):
            half.ask_region(segment.id, "What?")
        whole = with_settings(
            service, caption_url=server.url, caption_model=server.model,
            caption_key=service.settings.model_validate({"caption_key": " s3cret\n"}).caption_key,
        )  # fmt: skip
        assert whole.is_offered
        assert whole.ask_region(segment.id, "What?").text == truth(service)[segment.id][0]


def test_where_nothing_can_be_kept_nothing_is_asked(
    service: SegSearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> bool:
        raise ReadOnlyError("The library is read-only.")

    segment = first(service)
    monkeypatch.setattr(service.catalog, "add_caption", refuse)
    with vision_endpoint() as server:
        with pytest.raises(ReadOnlyError):
            service.questions.ask_region(segment.id, "What?", keep=True, endpoint=endpoint(server))
        assert server.asked == []
        service.questions.ask_region(segment.id, "What?", endpoint=endpoint(server))


def test_a_region_that_goes_while_it_is_asked_about_keeps_nothing(service: SegSearch) -> None:
    segment = first(service)
    with vision_endpoint() as server:
        to = endpoint(server)
        pixels = service.pictures.pixels

        def remove(image_id: int, seconds: float | None = None) -> Any:
            shown = pixels(image_id, seconds)
            service.uploads.remove_segment(segment.id)
            return shown

        service.pictures.pixels = remove  # type: ignore[method-assign]  # at that moment
        answer = service.questions.ask_region(segment.id, "What?", keep=True, endpoint=to)
    assert answer.text.endswith("thing on a white ground")
    assert answer.kept_for is None
    assert json.dumps(texts(service)) == "{}"


def test_what_nobody_waits_for_any_more_is_let_go_of(service: SegSearch) -> None:
    """The endpoint would go on for ever, and the question for ten minutes."""
    segment = first(service)
    start = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{"
    failures: list[str] = []
    with dripping_server(start, b" ") as (url, accepted):
        slow = Endpoint(url, "m", timeout_seconds=600, pause_seconds=0.01)

        def ask() -> None:
            try:
                service.questions.ask_region(segment.id, "What?", endpoint=slow)
            except AnswerError as problem:
                failures.append(str(problem))

        thread = threading.Thread(target=ask)
        thread.start()
        deadline = time.monotonic() + 60
        while not accepted and time.monotonic() < deadline:
            time.sleep(0.01)
        service.questions.let_go()
        thread.join(60)
        assert not thread.is_alive()
        assert len(accepted) == 1
    assert len(failures) == 1
    with vision_endpoint() as server:
        answer = service.questions.ask_region(segment.id, "What?", endpoint=endpoint(server))
    assert answer.text == truth(service)[segment.id][0]
