"""The body of a chat completion -> the caption or the answer in it; or why there is none.

Only what a model said of the picture is a caption: not what it thought before, not how a server
wrote an object down, not an excuse, and no half sentence. To a question an excuse is an answer.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from contextlib import suppress
from html import unescape
from typing import Any

from segsearch.core.errors import AnswerError
from segsearch.core.plain import plain_text

MAX_BODY_BYTES = 8_000_000  # thoughts may be long
MAX_CHARACTERS = 10_000  # of a caption
SAID_CHARACTERS = 200  # of an answer that is none
CUT = frozenset({"length", "max_tokens", "max_output_tokens", "model_length"})
FILTERED = frozenset({"content_filter", "safety", "recitation", "prohibited_content"})
TEXT_PARTS = frozenset({"text", "output_text"})
SAYING = ("text", "content", "caption", "description", "answer", "response", "output")
NOTHING = frozenset({"none", "null", "nan", "undefined", "n/a", "{}", "[]", "()"})
# What models put around their thoughts: DeepSeek, Qwen and most others; Magistral; Kimi-VL.
THOUGHTS = tuple(
    (re.compile(start, re.IGNORECASE), re.compile(end, re.IGNORECASE))
    for start, end in (
        (r"<(?:think|thinking|thought|reasoning|reason|seed:think)>",
         r"</(?:think|thinking|thought|reasoning|reason|seed:think)>"),
        (r"\[THINK\]", r"\[/THINK\]"),
        (r"◁think▷", r"◁/think▷"),
    )
)  # fmt: skip
FINAL = re.compile(r".*<\|channel\|>\s*final\s*(?:<\|message\|>)?", re.DOTALL)  # gpt-oss: harmony
ONLY_THOUGHT = re.compile(r"<\|channel\|>\s*(?:analysis|commentary)\b")
TOKENS = re.compile(r"<\|[\w -]{1,40}\|>|</?s>|<(?:bos|eos|pad|start_of_turn|end_of_turn)>")
REPR = re.compile(r"[A-Za-z_][\w.]*\([a-z_]+=|<[\w.]+ object at 0x[0-9a-f]+>|<class '")
TITLE = re.compile(r"<title[^>]{0,200}>([^<]{1,500})", re.IGNORECASE)
EXCUSE = re.compile(
    r"""
    (?: (?: (?:i['’]?m|i\ am|we['’]re|we\ are)?\s* (?:very|so|really)?\s* (?:sorry|afraid)\b[,.!]?
        | unfortunately,? | i\ apologi[sz]e[,.]? )
        \s* (?:but\s+|that\s+)? (?:i|we) (?:\s | (?=['’]))
        (?: can['’]?t | can\ ?not | could\ ?n[o'’]t | (?:am|are)\ (?:unable|not\ able)
          | ['’](?:m|re)\ (?:unable|not\ able) | won['’]t | will\ not | do(?:n['’]t|\ not) )
    | (?:i|we)\ (?: can['’]?t | can\ ?not | won['’]t | am\ unable\ to | am\ not\ able\ to )\s
        (?:assist|help|comply|fulfil|identify|provide|describe|process|view|see|access|continue|do)
    | as\ an\ ai\b )
    """,
    re.IGNORECASE | re.VERBOSE,
)


class SpoiltError(Exception):
    """An answer that looks as if it had suffered on the way: to ask once more may help."""


def caption_in(body: bytes, media_type: str) -> str:
    """The caption in the body of a successful answer, as plain text.

    Raises AnswerError when the endpoint gives none to this, with what it says instead; SpoiltError
    when the body is broken or empty.
    """
    return cleaned(_said_in(body, media_type))


def answer_in(body: bytes, media_type: str) -> str:
    """What a model says in the body of a successful answer, as plain text without its thoughts.

    Raises as `caption_in`; but JSON stays as it is, and that it cannot see something is an answer.
    """
    said = _bare(_said_in(body, media_type))
    _check_length(said)
    return said


def _said_in(body: bytes, media_type: str) -> str:
    try:
        if _is_stream(body, media_type):
            choice = _joined(body)
        else:
            choice = _first_choice(_document(body, media_type))
        return _content(choice)
    except (AttributeError, KeyError, TypeError) as problem:  # a list where an object should be
        shown = _shown(body[:MAX_CHARACTERS].decode("utf-8", "replace"))
        raise SpoiltError(f"the answer is laid out in no known way: {shown}") from problem


def cleaned(text: str) -> str:
    """What a model said, without its thoughts, special tokens and quotes around it.

    AnswerError when that leaves no caption, or one that is none; SpoiltError for empty text.
    """
    plain = _bare(text)
    plain = _unwrapped(plain).strip() if len(plain) <= MAX_CHARACTERS else plain
    if not plain or plain.lower() in NOTHING:
        raise AnswerError(f"The answer holds no words: {_shown(text)}.")
    if REPR.match(plain):
        raise AnswerError(f"The answer is an object of the server's, no text: {_shown(plain)}.")
    if EXCUSE.match(plain):
        raise AnswerError(f"The model refuses: {_shown(plain)}.")
    _check_length(plain)
    return plain


def _bare(text: str) -> str:
    """Text without thoughts and special tokens; SpoiltError where it is empty, AnswerError where
    nothing is left."""
    said = plain_text(text).strip()
    if not said:
        raise SpoiltError("the answer is empty")
    bare = TOKENS.sub("", _without_thoughts(said)).strip()
    if not bare:
        raise AnswerError(f"The answer holds no words: {_shown(said)}.")
    return bare


def _check_length(text: str) -> None:
    if len(text) > MAX_CHARACTERS:
        raise AnswerError(
            f"The answer has {len(text):,} characters, expected at most {MAX_CHARACTERS:,}: "
            f"{_shown(text)}."
        )


def _shown(text: str) -> str:
    return repr(plain_text(text[:SAID_CHARACTERS]))


def _document(body: bytes, media_type: str) -> Any:
    text = body.decode("utf-8", "replace").lstrip("\ufeff \t\r\n")
    if text[:1] == "<" or media_type.startswith(("text/html", "application/xhtml")):
        raise AnswerError(
            f"The answer is a page, no chat completion: {_shown(text)}; look at --base-url."
        )
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as problem:
        raise SpoiltError(f"the answer is no chat completion: {_shown(text)}") from problem


def _first_choice(document: Any) -> dict[str, Any]:
    if isinstance(document, dict):
        _check_error(document)
        choices = document.get("choices")
        if isinstance(choices, list) and choices and isinstance(choices[0], dict):
            _check_error(choices[0])
            return choices[0]
    raise SpoiltError(f"the answer is no chat completion: {_shown(json.dumps(document))}")


def _check_error(document: dict[str, Any]) -> None:
    """Some endpoints tell of errors with status 200: {"error": {...}}, or {"detail": ...}."""
    error = document.get("error")
    if document.get("object") == "error":  # as older servers say it
        error = True
    if "choices" not in document and "message" not in document:
        error = error or document.get("detail")
    if not error:
        return
    words = error.get("message") if isinstance(error, dict) else error
    words = document.get("message") if words is True else words
    said = words if isinstance(words, str) else json.dumps(error)
    raise AnswerError(f"The endpoint answers with an error: {_shown(said)}.")


def error_words(body: bytes, media_type: str) -> str:
    """What an endpoint says of an error, in one line: the message in JSON, the title of a page,
    else the text as it is; empty where it says nothing."""
    text = body.decode("utf-8", "replace")
    title = TITLE.search(text) if media_type.startswith("text/html") or text[:1] == "<" else None
    if title:
        text = f"a page: {unescape(title[1])}"
    with suppress(ValueError, RecursionError):
        document = json.loads(text)
        document = document[0] if isinstance(document, list) and document else document
        named = document if isinstance(document, dict) else {}
        inner = named.get("error")
        named = inner if isinstance(inner, dict) else named
        messages = [named.get(name) for name in ("message", "detail", "error")]
        text = next((said for said in messages if isinstance(said, str) and said.strip()), text)
    return " ".join(plain_text(text).split())[:SAID_CHARACTERS].rstrip(". ")


def _content(choice: dict[str, Any]) -> str:
    """What the message of a choice says, complete."""
    message = choice.get("message")
    if not isinstance(message, dict):
        raise SpoiltError(f"the answer holds no message: {_shown(json.dumps(choice))}")
    reason = str(choice.get("finish_reason") or "").lower()
    if reason in FILTERED:
        raise AnswerError("The endpoint's content filter keeps the answer back.")
    if message.get("refusal"):
        raise AnswerError(f"The model refuses: {_shown(str(message['refusal']))}.")
    if reason in CUT:
        raise AnswerError(
            "The answer was cut at the endpoint's limit of tokens: raise it there, or ask for less."
        )
    content = message.get("content")
    if content is None:
        thoughts = message.get("reasoning_content") or message.get("reasoning")
        instead = (
            " but thoughts"
            if thoughts
            else " but a call of a tool" * bool(message.get("tool_calls"))
        )
        raise AnswerError(f"The answer holds nothing{instead}: its content is null.")
    return _text_of(content)


def _text_of(content: Any) -> str:
    """Text, or the text of parts as in requests; never how Python would write an object down."""
    if isinstance(content, str):
        return content
    if isinstance(content, dict) and content.get("type", "text") in TEXT_PARTS:
        content = [content]
    if not isinstance(content, list):
        raise AnswerError(f"The answer's content is no text: {_shown(json.dumps(content))}.")
    texts = []
    for part in content:
        if isinstance(part, str):
            texts.append(part)
        elif isinstance(part, dict) and part.get("type", "text") in TEXT_PARTS:
            text = part.get("text")
            if not isinstance(text, str):
                raise SpoiltError(f"a part of the answer has no text: {_shown(json.dumps(part))}")
            texts.append(text)
    return "".join(texts)


def _without_thoughts(text: str) -> str:
    """What was said after thinking; AnswerError when the thinking has no end."""
    final = FINAL.match(text)
    if final:
        text = text[final.end() :]
    elif ONLY_THOUGHT.search(text):
        raise AnswerError(f"The answer holds thoughts alone: {_shown(text)}.")
    for start, end in THOUGHTS:
        text = _without_pairs(text, start, end)
        ends = list(end.finditer(text))
        if ends:  # the prompt held the beginning
            text = text[ends[-1].end() :]
        opened = start.search(text)
        if opened:
            text = text[: opened.start()]
            if not text.strip():
                raise AnswerError("The answer holds thoughts alone, and those without an end.")
    return text


def _without_pairs(text: str, start: re.Pattern[str], end: re.Pattern[str]) -> str:
    """Text without what stands from each start to the next end; each sign is looked at once."""
    kept, at = [], 0
    while (opened := start.search(text, at)) and (closed := end.search(text, opened.end())):
        kept.append(text[at : opened.start()])
        at = closed.end()
    return "".join([*kept, text[at:]])


def _unwrapped(text: str) -> str:
    """The caption in an object written down as JSON or by Python; other text as it stands."""
    bare = text.removeprefix("```json").removeprefix("```").removesuffix("```").strip()
    if bare[:1] not in {"{", "[", "(", '"', "'"} and bare[:2] not in {"b'", 'b"', "u'"}:
        return bare if text.startswith("```") else text
    try:
        value = json.loads(bare)
    except (ValueError, RecursionError):
        try:
            value = ast.literal_eval(bare)
        except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
            return text  # such as a caption that begins with a word in quotes
    said = [words for words in _words_in(value) if words.strip()]
    if len(said) != 1:
        raise AnswerError(f"The answer is an object, no caption: {_shown(text)}.")
    return said[0]


def _words_in(value: Any) -> Iterator[str]:
    """The texts of an object that may be meant as the caption."""
    if isinstance(value, bytes):
        yield value.decode("utf-8", "replace")
    elif isinstance(value, str):
        yield value
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _words_in(part)
    elif isinstance(value, dict):
        known = [value[name] for name in SAYING if name in value]
        for part in known or list(value.values())[:1] * (len(value) == 1):
            yield from _words_in(part)


def _is_stream(body: bytes, media_type: str) -> bool:
    start = body.lstrip()[:6]
    return media_type.startswith("text/event-stream") or start.startswith(
        (b"data:", b"event:", b":")
    )


def _joined(body: bytes) -> dict[str, Any]:
    """One choice from a stream of events, as servers send it that take no `"stream": false`.

    https://html.spec.whatwg.org/multipage/server-sent-events.html; the pieces are `delta`s.
    """
    text, refusal, reason, is_whole, thought = "", "", None, False, False
    for data in _events(body):
        if data.strip() == "[DONE]":
            is_whole = True
            continue
        try:
            document = json.loads(data)
        except (ValueError, RecursionError) as problem:
            raise SpoiltError(f"a piece of the answer is broken: {_shown(data)}") from problem
        if not isinstance(document, dict):
            continue
        _check_error(document)
        choices = document.get("choices")
        if not choices:
            continue  # such as the piece that counts tokens
        choice = _first_choice(document)
        if choice.get("index") not in {None, 0}:
            continue
        reason = choice.get("finish_reason") or reason
        delta = choice.get("delta") or choice.get("message") or {}
        text += _text_of(delta.get("content") or "")
        refusal += str(delta.get("refusal") or "")
        thought = thought or bool(delta.get("reasoning_content") or delta.get("reasoning"))
    if not is_whole and reason is None:
        raise SpoiltError("the stream of the answer ended early")
    message = {"content": text or (None if thought else ""), "refusal": refusal}
    return {"message": {**message, "reasoning": thought}, "finish_reason": reason}


def _events(body: bytes) -> Iterator[str]:
    lines: list[str] = []
    for line in [*re.split(r"\r\n|\r|\n", body.decode("utf-8", "replace")), ""]:
        if not line and lines:
            yield "\n".join(lines)
            lines = []
        elif line.startswith("data:"):
            lines.append(line[5:].removeprefix(" "))
