"""`search --rerank` and `eval --rerank`: what they print, what they refuse, and what they cost."""

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

import numpy as np
import pytest
from pycocotools import mask as coco
from typer.testing import CliRunner, Result

import segsearch.library
import segsearch.models.loading
from segsearch.cli.app import app
from segsearch.core.errors import EndpointMissingError, QueryError
from segsearch.core.settings import Settings
from segsearch.library import SegSearch
from tests.support.captioned import REGIONS, painted, texts, truth
from tests.support.small_models import Shape, SmallModels, open_small_service, paint
from tests.support.vision import (
    CUT,
    HANGING,
    ScriptedEndpoint,
    completion,
    dripping_server,
    shown_colour,
    told,
    vision_endpoint,
)

pytestmark = pytest.mark.server


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SegSearch]:
    """A library that the command opens with the same small models."""

    def opened(settings: Settings) -> SegSearch:
        given = settings.model_dump(exclude={"library", "models"})
        return open_small_service(settings.library, **given)

    with painted(tmp_path) as made:
        monkeypatch.setattr(segsearch.library, "open_library", opened)
        yield made


def set_to(monkeypatch: pytest.MonkeyPatch, server: ScriptedEndpoint) -> None:
    monkeypatch.setenv("SEGSEARCH_CAPTION_URL", server.url)
    monkeypatch.setenv("SEGSEARCH_CAPTION_MODEL", server.model)


def search(service: SegSearch, *options: str) -> Result:
    base = ["--library", str(service.settings.library), "search", "--json"]
    return CliRunner().invoke(app, [*base, "--min-relevance", "0", "--near-duplicates", *options])


def hits(result: Result) -> list[dict[str, Any]]:
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def unlike(service: SegSearch) -> list[str]:
    """Words for red, and a region of another colour that counts more."""
    other = next(number for number, (text,) in truth(service).items() if " red " not in text)
    return ["red", "--segment", str(other), "--limit", str(REGIONS), "--like", str(other)]


def test_the_first_regions_are_put_in_the_model_s_order(
    service: SegSearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = hits(search(service, *unlike(service)))
    red = {number for number, (text,) in truth(service).items() if " red " in text}
    assert before[0]["segment_id"] not in red
    with vision_endpoint() as server:
        set_to(monkeypatch, server)
        result = search(service, *unlike(service), "--rerank", str(REGIONS))
        assert len(server.asked) == REGIONS
        after = hits(result)
        assert {hit["segment_id"] for hit in after[: len(red)]} == red
        assert [hit["rank"] for hit in after] == list(range(1, REGIONS + 1))
        by_id = {hit["segment_id"]: {**hit, "rank": 0} for hit in before}
        assert {hit["segment_id"]: {**hit, "rank": 0} for hit in after} == by_id
        assert result.stderr == ""
        same = search(service, "red", "--rerank", "2", "--limit", "2")
        assert "Reranking changed nothing." in same.stderr
        assert hits(same) == hits(search(service, "red", "--limit", "2"))
    assert texts(service) == {}


def test_what_could_be_asked_of_few_is_said_and_nothing_is_lost(
    service: SegSearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = hits(search(service, *unlike(service)))
    with vision_endpoint() as server:
        set_to(monkeypatch, server)
        few = search(service, *unlike(service), "--rerank", "10", "--rerank-most", "4")
        assert len(server.asked) == 4
        assert "judged 4 of 10 regions" in few.stderr
        assert "4 requests were sent, the most allowed" in few.stderr
        server.script[:] = [HANGING] * REGIONS
        late = search(service, *unlike(service), "--rerank", "10", "--rerank-seconds", "0.5")
        assert "judged 0 of 10 regions" in late.stderr
        server.script[:] = [(401, {})] * REGIONS
        refused = search(service, *unlike(service), "--rerank", "10")
        assert "status 401" in refused.stderr
    assert hits(late) == hits(refused) == before
    assert sorted(hit["segment_id"] for hit in hits(few)) == sorted(
        hit["segment_id"] for hit in before
    )


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (["red", "--rerank", "0"], QueryError),
        (["red", "--rerank", "101"], QueryError),
        (["red", "--rerank", "5", "--rerank-seconds", "0"], QueryError),
        (["red", "--rerank", "5", "--rerank-most", "0"], QueryError),
        (["--segment", "1", "--rerank", "5"], QueryError),
    ],
)
def test_nonsense_is_refused_before_anything_is_sent(
    service: SegSearch, monkeypatch: pytest.MonkeyPatch, options: list[str], error: Any
) -> None:
    with vision_endpoint() as server:
        set_to(monkeypatch, server)
        assert isinstance(search(service, *options).exception, error)
    assert server.asked == []


def test_without_an_endpoint_there_is_nobody_to_ask(service: SegSearch) -> None:
    assert isinstance(search(service, "red", "--rerank", "5").exception, EndpointMissingError)


@pytest.fixture
def annotated(tmp_path: Path) -> Path:
    """Four pictures of one thing each, and a COCO file that calls half of them wrongly: an answer
    that looks right is wrong, and a judge with better eyes would see it."""
    document: dict[str, Any] = {"images": [], "annotations": [], "categories": []}
    document["categories"] = [{"id": 1, "name": "red"}, {"id": 2, "name": "blue"}]
    for number, colour in enumerate(("red", "red", "blue", "blue"), 1):
        shape = Shape(colour, (10, 10, 50 + number, 40))
        paint(tmp_path / f"{number}.png", [shape])
        document["images"].append(
            {"id": number, "file_name": f"{number}.png", "width": 120, "height": 90}
        )
        encoded = coco.encode(np.asfortranarray(shape.mask(120, 90).astype(np.uint8)))
        document["annotations"].append(
            {
                "id": number,
                "image_id": number,
                "category_id": 2 if colour == "red" else 1,  # called by the other's name
                "segmentation": {"size": encoded["size"], "counts": encoded["counts"].decode()},
            }
        )
    (tmp_path / "truth.json").write_text(json.dumps(document))
    return tmp_path


def evaluated(folder: Path, *options: str) -> Result:
    base = ["eval", "--coco", str(folder / "truth.json"), "--images", str(folder)]
    return CliRunner().invoke(app, [*base, *options])


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        segsearch.models.loading, "build_pipeline", lambda _: SmallModels().pipeline()
    )


@pytest.mark.usefixtures("small")
def test_eval_measures_the_answers_with_and_without(
    annotated: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The names are swapped, and the endpoint sees through it: what search finds last is first."""
    with vision_endpoint() as server:
        set_to(monkeypatch, server)

        def swapped(body: dict[str, Any]) -> str:
            asked = "blue" if '"a red"' in told(body) else "red"
            return json.dumps({"score": 1.0 if shown_colour(body) == asked else 0.0})

        server.says = swapped
        result = evaluated(annotated, "--rerank", "10", "--json")
        assert result.exit_code == 0, result.output
        rows = {row["method"]: row for row in json.loads(result.stdout)["rows"]}
        plain, again = rows["both (ours)"], rows["both (ours), reranked"]
        assert (plain["first_right"], again["first_right"]) == (0.0, 1.0)
        assert again["map_50"] > plain["map_50"]
        assert (plain["picture_recall"]["small"] or {}).get("1") in {0.0, None}
        sizes = [
            size
            for size in plain["picture_recall"]
            if plain["picture_recall"][size]["1"] is not None
        ]
        assert [plain["picture_recall"][size]["1"] for size in sizes] == [0.0] * len(sizes)
        assert [again["picture_recall"][size]["1"] for size in sizes] == [1.0] * len(sizes)
        for name in ("recall_100", "reached", "regions"):
            assert again[name] == plain[name]
        count = len(server.asked)
        assert count == 8  # two names, four regions each
        table = evaluated(annotated, "--rerank", "10").stdout.splitlines()
        assert [line.split("  ")[0] for line in table[-2:]] == [
            "both (ours)",
            "both (ours), reranked",
        ]


@pytest.mark.usefixtures("small")
def test_eval_keeps_to_its_budget_and_ends_when_nobody_answers(
    annotated: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with vision_endpoint([CUT]) as server:
        set_to(monkeypatch, server)
        result = evaluated(annotated, "--rerank", "3", "--rerank-most", "4", "--json")
        assert result.exit_code == 0, result.output
        assert len(server.asked) == 4
        assert "of 6 regions, with 4 requests" in result.stderr
        server.asked.clear()
        server.script[:] = [completion("hm")] * 100
        result = evaluated(annotated, "--rerank", "3", "--json")
        assert len(server.asked) == 3  # the first name's: the second would fare the same
        rows = {row["method"]: row for row in json.loads(result.stdout)["rows"]}
        plain, again = rows["both (ours)"], rows["both (ours), reranked"]
        assert {**again, "method": ""} == {**plain, "method": ""}
    assert "judged 0 of 6 regions" in result.stderr


@pytest.mark.usefixtures("small")
def test_eval_without_an_endpoint_describes_nothing(annotated: Path) -> None:
    result = evaluated(annotated, "--rerank", "3")
    assert isinstance(result.exception, EndpointMissingError)
    assert result.stdout == ""


@pytest.mark.process
def hears_interrupts() -> None:
    """As in a terminal: what a shell starts in the background has them ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_interrupted_while_it_reranks_it_ends_at_once(tmp_path: Path) -> None:
    """With the models of the package, in a process of its own; the endpoint never ends."""
    shapes = [Shape("red", (10, 10, 50, 40)), Shape("blue", (60, 20, 100, 70))]
    paint(tmp_path / "pictures" / "a.png", shapes)
    paint(tmp_path / "pictures" / "b.png", shapes[:1])
    base = [sys.executable, "-m", "segsearch", "--library", str(tmp_path / "library")]
    index = [*base, "index", str(tmp_path / "pictures")]
    subprocess.run(index, check=True, capture_output=True, timeout=240)
    start = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{"
    with dripping_server(start, b" ") as (url, accepted):
        settings = {"URL": url, "MODEL": "m", "SECONDS": "600"}
        environment = {f"SEGSEARCH_CAPTION_{name}": value for name, value in settings.items()}
        options = ["red", "--min-relevance", "0", "--rerank", "5", "--rerank-seconds", "600"]
        process = subprocess.Popen(
            [*base, "search", *options], env={**os.environ, **environment}, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=hears_interrupts,
        )  # fmt: skip
        deadline = time.monotonic() + 120
        while not accepted and time.monotonic() < deadline:
            time.sleep(0.02)
        assert accepted
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert "Traceback" not in err
