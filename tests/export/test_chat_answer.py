"""What an endpoint answers becomes a caption, or fails with a reason; nothing is paid for often."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segsearch.core.errors import AnswerError, EndpointError
from segsearch.core.plain import plain_text
from segsearch.export.chat_answer import (
    SAID_CHARACTERS,
    SpoiltError,
    _without_pairs,
    caption_in,
    error_words,
)
from segsearch.export.vision_chat import ATTEMPTS, Endpoint, VisionChat
from tests.support.vision import (
    Body,
    Script,
    ScriptedEndpoint,
    completion,
    dripping_server,
    streamed,
    vision_endpoint,
)

pytestmark = pytest.mark.server


@contextmanager
def asked(script: Script) -> Iterator[tuple[VisionChat, ScriptedEndpoint]]:
    """A chat with an endpoint that follows a script."""
    with vision_endpoint(script) as server:
        to = Endpoint(server.url, server.model, pause_seconds=0.01)
        with VisionChat(to) as chat:
            yield chat, server


@pytest.mark.parametrize(
    "text",
    [
        "A dog.",
        "<think>Is it a cat? No.</think>\n\nA dog.",
        "<THINKING>\na cat?\n</THINKING> A dog.",
        "Is it a cat? No.</think>A dog.",
        "[THINK]hm[/THINK]A dog.",
        "◁think▷hm◁/think▷A dog.",
        "A dog.<think>or is it a cat",
        "<|channel|>analysis<|message|>hm<|end|><|start|>assistant"
        "<|channel|>final<|message|>A dog.",
        "<|begin_of_box|>A dog.<|end_of_box|>",
        "A dog.<|im_end|></s>",
        "['A dog.']",
        "('A dog.',)",
        '"A dog."',
        "b'A dog.'",
        "{'type': 'text', 'text': 'A dog.'}",
        "[{'type': 'text', 'text': 'A dog.', 'annotations': None}]",
        '{"caption": "A dog."}',
        '```json\n{"description": "A dog."}\n```',
        "\x1b[31mA dog.\x1b[0m",
        "\x1b]0;title\x07A\x08 dog.",
        "\x9b2JA dog.\x07",
        "\u202eA dog.\u202c",
        ["A ", "dog."],
        {"type": "text", "text": "A dog."},
        [{"type": "reasoning", "text": "hm"}, {"type": "output_text", "text": "A dog."}],
    ],
    ids=range(25),
)
def test_of_what_is_said_the_caption_alone_is_kept(text: Any) -> None:
    with asked([completion(text)]) as (chat, _):
        assert chat.ask([]) == "A dog."


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        (completion(None), "content is null"),
        (completion(None, reasoning_content="hm"), "nothing but thoughts"),
        (completion(None, tool_calls=[{"id": "1"}]), "a call of a tool"),
        (completion(None, refusal="I will not."), "refuses: 'I will not.'"),
        (completion("I'm sorry, but I can't assist with that."), "refuses"),
        (completion("Sorry, I am unable to describe people."), "refuses"),
        (completion("I cannot identify people in images."), "refuses"),
        (completion("As an AI language model, I do not see."), "refuses"),
        (completion("I’m afraid I can’t do that."), "refuses"),
        (completion("A dog on a", "length"), "limit of tokens"),
        (completion("A dog", "content_filter"), "content filter"),
        (completion("<think>is it a dog? or"), "thoughts alone"),
        (completion("<think>a dog</think>"), "no words"),
        (completion("None"), "no words"),
        (completion("ChatCompletionMessage(content='A dog', role='assistant')"), "an object"),
        (completion("<PIL.Image.Image object at 0x7f00>"), "an object"),
        (completion("{'dogs': 2, 'cats': 'none'}"), "an object"),
        (completion(42), "no text: '42'"),
        (completion(True), "no text"),
        (completion("dog " * 300_000), "1,199,999 characters"),
        (Body(b'{"choices": "' + b"x" * 9_000_000 + b'"}'), "more than 8,000,000 bytes"),
        (Body(b'{"error": {"message": "no credit \\u001b[2J", "code": 402}}'), "'no credit '"),
        (Body(b'{"error": "overloaded"}'), "overloaded"),
        (Body(b'{"error": true, "message": "quota"}'), "quota"),
        (Body(b'{"object": "error", "message": "too long"}'), "too long"),
        (Body(b'{"choices": [{"error": {"message": "upstream"}}]}'), "upstream"),
        (Body(b"<html>Sign in", "text/html"), "a page.*--base-url"),
        (Body(b" <!DOCTYPE html>"), "a page"),
        (Body(b"Welcome", "text/html; charset=utf-8"), "a page"),
        (streamed("A dog on", reason="length"), "limit of tokens"),
        (Body(b'data: {"error": {"message": "gone"}}\n\n', "text/event-stream"), "gone"),
    ],
    ids=range(31),
)
def test_what_is_no_caption_has_a_reason_and_is_billed_once(behaviour: Any, words: str) -> None:
    with asked([behaviour]) as (chat, server):
        with pytest.raises(AnswerError, match=words) as told:
            chat.ask([])
        assert (chat.requests, len(server.asked)) == (1, 1)
    assert str(told.value).isprintable()
    assert len(str(told.value)) < 700


@pytest.mark.parametrize(
    "behaviour",
    [b"", completion(""), b"[", streamed("A d", reason=None, done=False)],
    ids=range(4),
)
def test_a_spoilt_answer_is_asked_for_three_times_and_no_oftener(behaviour: Any) -> None:
    with asked([behaviour] * ATTEMPTS) as (chat, server):
        with pytest.raises(AnswerError, match=r"tried 3 times\.$"):
            chat.ask([])
        assert (chat.requests, len(server.asked)) == (3, 3)


@pytest.mark.parametrize(
    "body",
    [
        streamed("A ", "dog."),
        streamed("<think>", "a cat?", "</think>", "A dog."),
        replace(streamed("A dog."), media_type="application/json"),
        replace(streamed("A dog."), data=streamed("A dog.").data.replace(b"\n", b"\r\n")),
        streamed("A dog.", reason=None),
    ],
    ids=range(5),
)
def test_a_stream_is_read(body: Body) -> None:
    with asked([body]) as (chat, _):
        assert chat.ask([]) == "A dog."


@pytest.mark.parametrize("dripping", ["body", "header", "error"])
def test_a_dripping_answer_ends_at_the_deadline(dripping: str) -> None:
    data = {
        "body": b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n",
        "header": b"HTTP/1.1 200 OK\r\n",
        "error": b"HTTP/1.1 500 Bad\r\nContent-Length: 9999\r\n\r\n",
    }[dripping]
    with dripping_server(data, b"X: y\r\n") as (url, accepted):
        to = Endpoint(url, "eye-1", timeout_seconds=0.5, pause_seconds=0.01)
        with VisionChat(to) as chat, pytest.raises(AnswerError, match=r"no answer within 0\.5 s"):
            chat.ask([])
    assert len(accepted) == (3 if dripping == "body" else ATTEMPTS)


def outcome(body: bytes, media_type: str) -> str:
    """The caption in a body, or why there is none; nothing else may be raised."""
    try:
        return caption_in(body, media_type)
    except (AnswerError, SpoiltError) as problem:
        return str(problem)


@given(st.binary(max_size=400), st.sampled_from(["", "text/event-stream", "application/json"]))
def test_whatever_comes_is_a_caption_or_has_a_reason(body: bytes, media_type: str) -> None:
    assert outcome(body, media_type)


@pytest.mark.parametrize(
    "odd",
    [
        {"choices": [{"delta": ["x"]}]},
        {"choices": [{"delta": "hello"}]},
        {"choices": [{"index": [1], "delta": {"content": "x"}}]},
        {"choices": [{"message": {"content": {"type": ["a"]}}}]},
        {"choices": [{"message": {"content": [{"type": ["a"], "text": "x"}]}}]},
    ],
)
def test_a_list_where_an_object_should_be_ends_no_run(odd: dict[str, Any]) -> None:
    for body, media_type in (
        (json.dumps(odd).encode(), "application/json"),
        (f"data: {json.dumps(odd)}\n\ndata: [DONE]\n\n".encode(), "text/event-stream"),
    ):
        assert outcome(body, media_type)


def test_thoughts_without_end_are_looked_at_once() -> None:
    """Each start used to be followed to the end of the text: 8 MB took a day."""
    starts: list[int] = []

    class Counted:
        def __init__(self, sign: str) -> None:
            self.sign = re.compile(re.escape(sign))

        def search(self, text: str, at: int = 0) -> re.Match[str] | None:
            starts.append(at)
            return self.sign.search(text, at)

    start, end = cast("re.Pattern[str]", Counted("<")), cast("re.Pattern[str]", Counted(">"))
    assert _without_pairs("<" * 1000, start, end) == "<" * 1000
    assert len(starts) == 2
    assert _without_pairs("a<b>c<<d>e>", start, end) == "ace>"
    assert starts[2:] == sorted(starts[2:])


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)


@given(JSON_VALUES)
def test_whatever_a_message_holds_is_a_caption_or_has_a_reason(content: Any) -> None:
    text = outcome(completion(content), "application/json")
    assert text == plain_text(text).strip() != ""


NGINX = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<hr>nginx</body></html>"


@pytest.mark.parametrize(
    ("said", "media_type", "words"),
    [
        (
            '{"error": {"message": "Slow down.", "type": "requests"}}',
            "application/json",
            "Slow down",
        ),
        ('{"error": "no such model"}', "application/json", "no such model"),
        ('{"detail": "Not Found"}', "application/json", "Not Found"),
        ('{"object": "error", "message": "too long"}', "", "too long"),
        ('[{"error": {"code": 429, "message": "quota"}}]', "application/json", "quota"),
        ('{"detail": [{"loc": ["body"]}]}', "application/json", '{"detail": [{"loc": ["body"]}]}'),
        ("{}", "application/json", "{}"),
        (NGINX, "text/html", "a page: 502 Bad Gateway"),
        (NGINX, "", "a page: 502 Bad Gateway"),
        ("<TITLE lang=en>A &amp;\nB</TITLE>", "text/html; charset=utf-8", "a page: A & B"),
        ("upstream\n\n  timed out\x1b[31m\n", "text/plain", "upstream timed out"),
        ("", "", ""),
        ("x" * 5_000, "", "x" * SAID_CHARACTERS),
        ("[" * 2_000, "application/json", "[" * SAID_CHARACTERS),
        ("\xff", "", "\ufffd"),
    ],
)
def test_what_is_said_of_an_error_is_one_line(said: str, media_type: str, words: str) -> None:
    assert error_words(said.encode("latin-1"), media_type) == words


@pytest.mark.parametrize(
    ("behaviour", "told"),
    [
        ((502, {}), "status 502 (on demand); tried 5 times."),
        ((400, {}), "answers with status 400 (on demand)."),
        ((429, {"Retry-After": "86400"}), "asked again in 24 h at the earliest: run it again"),
        ((503, {"Retry-After": "600"}), "asked again in 10 min at the earliest: run it again"),
        ((429, {"Retry-After": "Wed, 21 Oct 2099 07:28:00 GMT"}), " days at the earliest"),
        ((503, {"Retry-After": "inf"}), "status 503 (on demand); tried 5 times."),
    ],
)
def test_a_refusal_is_one_sentence(behaviour: Any, told: str) -> None:
    with asked([behaviour] * ATTEMPTS) as (chat, _):
        with pytest.raises((AnswerError, EndpointError)) as refused:
            chat.ask([])
        assert told in str(refused.value)
        assert "\n" not in str(refused.value)
