"""`segsearch caption` as a process: killed, interrupted, with a key, and asked for nonsense."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from segsearch.core.errors import QueryError
from segsearch.library import SegSearch
from tests.support import vision
from tests.support.captioned import REGIONS, painted, texts, truth
from tests.support.vision import HANGING, seeing


@pytest.fixture
def service(tmp_path: Path) -> Iterator[SegSearch]:
    with painted(tmp_path) as made:
        yield made


def start(service: SegSearch, *arguments: str, key: str = "") -> subprocess.Popen[str]:
    base = [sys.executable, "-m", "segsearch", "--library", str(service.settings.library)]
    environment = {**os.environ, "SEGSEARCH_CAPTION_KEY": key}
    return subprocess.Popen(
        [*base, "caption", *arguments], env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def told(process: subprocess.Popen[str], code: int = 0) -> Any:
    out, err = process.communicate(timeout=120)
    assert process.returncode == code, err
    return json.loads(out) if out else err


def to(at: vision.Endpoint) -> list[str]:
    return ["--base-url", at.url, "--model", at.model, "--json"]


def wait_for(at: vision.Endpoint, answered: int) -> None:
    deadline = time.monotonic() + 60
    while at.answered < answered and time.monotonic() < deadline:
        time.sleep(0.01)
    assert at.answered >= answered


def test_killed_in_the_middle_it_goes_on_and_sends_nothing_twice_that_was_kept(
    service: SegSearch,
) -> None:
    with seeing([None] * 4 + [HANGING] * 2) as at:
        process = start(service, "--everything", "--at-once", "2", *to(at))
        deadline = time.monotonic() + 60
        while len(texts(service)) < 4 and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        kept = texts(service)
        assert len(kept) == 4
        sent = len(at.asked)
        at.script.clear()
        again = told(start(service, "--everything", *to(at)))
    assert (again["already"], again["captioned"]) == (len(kept), REGIONS - len(kept))
    assert len(at.asked) - sent == REGIONS - len(kept)
    assert texts(service) == truth(service)
    assert service.maintenance.verify() == []


def test_interrupted_it_keeps_every_answer_that_is_paid(service: SegSearch) -> None:
    with seeing(seconds=0.15) as at:
        process = start(service, "--everything", "--at-once", "2", *to(at))
        wait_for(at, 3)
        at.seconds = 1.0  # so that the signal comes before the end
        process.send_signal(signal.SIGINT)
        report = told(process, code=130)
    assert report["captioned"] == at.answered == len(texts(service)) < REGIONS


def test_the_command_shows_its_key_and_takes_words_or_paths(
    service: SegSearch, tmp_path: Path
) -> None:
    with seeing(key="s3cret") as at:
        wrong = start(service, "--everything", *to(at), key="other-key")
        said = told(wrong, code=27)
        assert "status 401" in said
        assert "other-key" not in said
        below = ("--under", str(tmp_path / "pictures" / "1.png"))
        assert told(start(service, *below, *to(at), key="s3cret"))["captioned"] == 2
        capped = told(start(service, "--everything", "--most", "1", *to(at), key=" s3cret\n"))
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
