"""`segsearch ask` as a process: answers printed, kept, killed, and asked for nonsense."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from segsearch.cli.app import app
from segsearch.core.errors import EndpointMissingError, NotFoundError, QueryError
from segsearch.core.types import MAX_ID
from segsearch.library import SegSearch
from tests.support.captioned import painted, texts, truth
from tests.support.started import ended, start_command
from tests.support.vision import HANGING, ScriptedEndpoint, vision_endpoint

pytestmark = pytest.mark.process


@pytest.fixture
def service(tmp_path: Path) -> Iterator[SegSearch]:
    with painted(tmp_path) as made:
        yield made


def start(service: SegSearch, *arguments: str, **settings: str) -> subprocess.Popen[str]:
    return start_command(service.settings.library, "ask", *arguments, **settings)


def set_to(server: ScriptedEndpoint) -> dict[str, str]:
    return {"SEGSEARCH_CAPTION_URL": server.url, "SEGSEARCH_CAPTION_MODEL": server.model}


def test_the_answer_is_printed_and_kept_when_asked_to(service: SegSearch, tmp_path: Path) -> None:
    segment_id, (text,) = next(iter(truth(service).items()))
    with vision_endpoint(key="s3cret") as server:
        options = ["--base-url", server.url, "--model", server.model]
        out, _ = ended(
            start(
                service, str(segment_id), "What is this?", *options, SEGSEARCH_CAPTION_KEY="s3cret"
            )
        )
        assert out == f"{text}\n"
        assert texts(service) == {}
        settings = {**set_to(server), "SEGSEARCH_CAPTION_KEY": "s3cret"}
        asked = start(service, str(segment_id), "What is this?", "--keep", "--json", **settings)
        document = json.loads(ended(asked)[0])
        assert (document["answer"], document["kept_for"]) == (text, segment_id)
        assert texts(service) == {segment_id: [text]}
        picture = str(tmp_path / "pictures" / "1.png")
        of_path = json.loads(ended(start(service, "--image", picture, "--json", **settings))[0])
        image_id = of_path["image_id"]
        of_id = json.loads(
            ended(start(service, "Which colours?", "--image", str(image_id), "--json", **settings))[
                0
            ]
        )
    assert of_path["answer"] == of_id["answer"]
    assert of_path["answer"].startswith("A picture of ")
    assert of_path["prompt_sha256"] != of_id["prompt_sha256"]
    assert (of_id["segment_id"], of_id["kept_for"]) == (None, None)


def test_killed_while_it_waits_it_has_kept_nothing(service: SegSearch) -> None:
    segment_id = next(iter(truth(service)))
    with vision_endpoint([HANGING]) as server:
        process = start(service, str(segment_id), "What is this?", "--keep", **set_to(server))
        deadline = time.monotonic() + 60
        while not server.asked and time.monotonic() < deadline:
            time.sleep(0.02)
        assert server.asked
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert texts(service) == {}
        again = start(service, str(segment_id), "What is this?", "--keep", **set_to(server))
        ended(again)
    assert texts(service) == {segment_id: truth(service)[segment_id]}
    assert service.maintenance.verify() == []


def test_an_endpoint_without_an_answer_ends_it_with_its_code(service: SegSearch) -> None:
    segment_id = next(iter(truth(service)))
    with vision_endpoint([HANGING, (401, {})]) as server:
        waiting = start(service, str(segment_id), "What?", "--timeout", "0.5", **set_to(server))
        assert "no answer within" in ended(waiting, code=28)[1]
        refused = start(service, str(segment_id), "What?", **set_to(server))
        assert "status 401" in ended(refused, code=27)[1]
    assert len(server.asked) == 2


@pytest.mark.parametrize(
    ("words", "error", "told"),
    [
        ([], QueryError, "0 words are given"),
        (["1"], QueryError, "1 words are given"),
        (["1", "What", "is", "this"], QueryError, "put the question in quotes"),
        (["first", "What?"], QueryError, "no segment's id"),
        (["-1", "What?"], None, ""),
        (["1", " "], QueryError, "The question is empty"),
        (["1", "x" * 2_001], QueryError, "2,001 characters"),
        (["1", "What?", "--image", "1"], QueryError, "given with --image"),
        ([str(MAX_ID * 10), "What?"], QueryError, "no segment's id"),
        (["9000", "What?"], NotFoundError, "no segment 9000"),
        (["--image", "9000"], NotFoundError, "no image 9000"),
        (["--image", "/nowhere/a.png"], NotFoundError, "no image at"),
        (["--image", "PICTURES"], QueryError, "there are 5 images, expected one"),
        (["1", "What?", "--model", " "], QueryError, "model's name is empty"),
        (["1", "What?", "--base-url", "ftp://x"], QueryError, "is no URL"),
    ],
)  # fmt: skip
def test_nonsense_is_refused_in_a_sentence(
    service: SegSearch, tmp_path: Path, words: list[str], error: Any, told: str
) -> None:
    words = [word.replace("PICTURES", str(tmp_path / "pictures")) for word in words]
    usual = ["--base-url", "http://127.0.0.1:9/v1", "--model", "m"]
    options = ["--library", str(service.settings.library), "ask", *usual, *words]
    outcome = CliRunner().invoke(app, options)
    assert outcome.exit_code != 0
    if error:
        assert isinstance(outcome.exception, error)
        assert told in str(outcome.exception)


def test_without_an_endpoint_nothing_can_be_asked(service: SegSearch) -> None:
    for command in (["ask", "1", "What?"], ["caption", "--everything"]):
        outcome = CliRunner().invoke(app, ["--library", str(service.settings.library), *command])
        assert isinstance(outcome.exception, EndpointMissingError)
