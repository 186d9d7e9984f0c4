"""`segsearch caption` as a process: killed, interrupted, with a key, and asked for nonsense."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from segsearch.core.errors import QueryError
from segsearch.library import SegSearch
from tests.support.captioned import REGIONS, painted, texts, truth
from tests.support.started import ended, start_command
from tests.support.vision import HANGING, ScriptedEndpoint, vision_endpoint

pytestmark = pytest.mark.process


@pytest.fixture
def service(tmp_path: Path) -> Iterator[SegSearch]:
    with painted(tmp_path) as made:
        yield made


def start(service: SegSearch, *arguments: str, key: str = "") -> subprocess.Popen[str]:
    library = service.settings.library
    return start_command(library, "caption", *arguments, SEGSEARCH_CAPTION_KEY=key)


def told(process: subprocess.Popen[str], code: int = 0) -> Any:
    out, err = ended(process, code)
    return json.loads(out) if out else err


def to(server: ScriptedEndpoint) -> list[str]:
    return ["--base-url", server.url, "--model", server.model, "--json"]


def wait_for(server: ScriptedEndpoint, answered: int) -> None:
    deadline = time.monotonic() + 60
    while server.answered < answered and time.monotonic() < deadline:
        time.sleep(0.01)
    assert server.answered >= answered


def test_killed_in_the_middle_it_goes_on_and_sends_nothing_twice_that_was_kept(
    service: SegSearch,
) -> None:
    with vision_endpoint([None] * 4 + [HANGING] * 2) as server:
        process = start(service, "--everything", "--at-once", "2", *to(server))
        deadline = time.monotonic() + 60
        while len(texts(service)) < 4 and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        kept = texts(service)
        assert len(kept) == 4
        sent = len(server.asked)
        server.script.clear()
        again = told(start(service, "--everything", *to(server)))
    assert (again["already"], again["captioned"]) == (len(kept), REGIONS - len(kept))
    assert len(server.asked) - sent == REGIONS - len(kept)
    assert texts(service) == truth(service)
    assert service.maintenance.verify() == []


def test_interrupted_it_keeps_every_answer_that_is_paid(service: SegSearch) -> None:
    with vision_endpoint(seconds=0.15) as server:
        process = start(service, "--everything", "--at-once", "2", *to(server))
        wait_for(server, 3)
        server.seconds = 1.0  # so that the signal comes before the end
        process.send_signal(signal.SIGINT)
        report = told(process, code=130)
    assert report["captioned"] == server.answered == len(texts(service)) < REGIONS


def test_the_command_shows_its_key_and_takes_words_or_paths(
    service: SegSearch, tmp_path: Path
) -> None:
    with vision_endpoint(key="s3cret") as server:
        wrong = start(service, "--everything", *to(server), key="other-key")
        said = told(wrong, code=27)
        assert "status 401" in said
        assert "other-key" not in said
        below = ("--under", str(tmp_path / "pictures" / "1.png"))
        assert told(start(service, *below, *to(server), key="s3cret"))["captioned"] == 2
        capped = told(start(service, "--everything", "--most", "1", *to(server), key=" s3cret\n"))
        assert (capped["captioned"], capped["already"], capped["is_spent"]) == (1, 2, True)


@pytest.mark.parametrize(
    "words", [[], ["words", "--everything"], ["words", "--under", "x"], ["words", "--model", " "]]
)
def test_the_command_wants_to_know_what_to_caption(service: SegSearch, words: list[str]) -> None:
    from typer.testing import CliRunner

    from segsearch.cli.app import app

    library = ["--library", str(service.settings.library)]
    base = ["caption", "--base-url", "http://localhost:1/v1", "--model", "m", *words]
    outcome = CliRunner().invoke(app, [*library, *base])
    assert isinstance(outcome.exception, QueryError)
