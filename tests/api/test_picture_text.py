"""The text of pictures, as it leaves a library: in answers, by itself, in files."""

from __future__ import annotations

import asyncio
import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from mcp import Client
from pydantic import TypeAdapter
from rich.console import Console
from typer.testing import CliRunner

from segsearch.cli.app import app
from segsearch.cli.output import hit_table
from segsearch.cli.running_server import document_of
from segsearch.core.arrays import PictureText
from segsearch.core.query import Query, TextTerm, WrittenTerm, terms_of_words
from segsearch.export.caption_pack import write_caption_pack
from segsearch.export.coco import coco_document
from segsearch.export.documents import HitDocument
from segsearch.library import SegSearch
from segsearch.search.schema import SearchRequest
from segsearch_api.app import create_app
from segsearch_api.mcp import create_server
from tests.support.small_models import Shape, open_small_service, paint
from tests.support.written import READER, Placed, text_of

LINES: list[Placed] = [("Annual report", 0), ("We sold", 1), ("24 boats", 1, 1)]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SegSearch]:
    """A page with a heading and a paragraph; a photograph that was read; one that was not."""
    folder = tmp_path_factory.mktemp("text")
    shapes = [Shape("red", (10, 10, 60, 40)), Shape("blue", (70, 50, 110, 80))]
    for name in ("page", "photograph"):
        paint(folder / "pictures" / f"{name}.png", shapes, size=(120, 90 + len(name)))
    with open_small_service(folder / "library") as made:
        made.index([folder / "pictures" / "page.png"])
        made.index([folder / "pictures"])
        made.catalog.queue_reading(1, READER)
        for text in (PAGE, text_of([], 2)):
            claim = made.catalog.claim(1, "pen", 60, "read")
            assert claim is not None
            assert made.catalog.commit_text(claim, text)
        paint(folder / "pictures" / "unread.png", shapes, size=(200, 90))
        made.index([folder / "pictures"])
        yield made


READ = text_of(LINES, 2)
PAGE = PictureText(READER, READ.lines, (), ("heading", "figure"), (2, 1))


@pytest.fixture(scope="module")
def client(service: SegSearch) -> Iterator[TestClient]:
    with TestClient(create_app(service), base_url="http://localhost") as made:
        yield made


def test_the_text_of_a_picture_has_its_lines_and_elements_as_they_are_read(
    client: TestClient,
) -> None:
    answer = client.get("/v1/images/1/text").json()
    assert (answer["reader"], answer["text"]) == (READER, "Annual report\nWe sold\n24 boats")
    assert [line["position"] for line in answer["lines"]] == [1, 2, 3]
    heading, figure = answer["lines"][0]["segment_id"], answer["lines"][1]["segment_id"]
    assert answer["lines"][0] == {
        "text": "Annual report",
        "corners": [[1.0, 0.0], [50.0, 0.0], [50.0, 8.0], [1.0, 8.0]],
        "score": 0.9,
        "position": 1,
        "segment_id": heading,
        "element_id": None,
    }
    assert [line["element_id"] for line in answer["lines"][1:]] == [None, figure]
    elements = [(one["segment_id"], one["kind"], one["text"]) for one in answer["elements"]]
    assert elements == [(figure, "figure", "We sold\n24 boats"), (heading, "heading", LINES[0][0])]
    assert [one["reading_order"] for one in answer["elements"]] == [1, 2]
    for image_id, reader in ((2, READER), (3, None)):
        none = client.get(f"/v1/images/{image_id}/text").json()
        assert none == {
            "image_id": image_id, "reader": reader, "text": "", "lines": [], "elements": [],
        }  # fmt: skip
    assert client.get("/v1/images/99/text").status_code == 404
    kinds = {one["kind"] for one in client.get("/v1/images/1/segments").json()["segments"]}
    assert kinds == {"heading", "figure"}


@pytest.mark.parametrize(
    "body",
    [
        {"text": 'text:"sold 24"'},
        {"terms": [{"written": '"sold 24"'}]},
        {"text": "sold 24", "written": "only"},
        {"text": "red -text:other text:boats", "min_relevance": 0, "filters": {"has_text": True}},
        {"text": "text:sold", "filters": {"kinds": ["figure", "cell"]}, "by_picture": True},
    ],
)
def test_a_search_over_http_finds_text_and_marks_the_lines(
    client: TestClient, body: dict[str, Any]
) -> None:
    answer = client.post("/v1/search", json=body)
    assert answer.status_code == 200, answer.text
    (hit, *_) = [
        hit for hit in answer.json()["hits"] if any(line["found"] for line in hit["lines"])
    ]
    assert hit["image_id"] == 1
    assert (hit["kind"], hit["reading_order"]) == ("figure", 1)
    assert [line["text"] for line in hit["lines"]] == ["We sold", "24 boats"]


@pytest.mark.parametrize(
    "body",
    [
        {"terms": [{"written": "."}]},
        {"terms": [{"written": "a", "text": "b"}]},
        {"text": "a", "written": "sometimes"},
        {"text": "a", "filters": {"kinds": ["letter"]}},
        {"text": "text:a", "not_text": "b"},
    ],
)
def test_what_cannot_be_meant_is_refused(client: TestClient, body: dict[str, Any]) -> None:
    assert client.post("/v1/search", json=body).status_code in {400, 422}


def test_a_query_means_the_same_to_a_running_server() -> None:
    query = Query(terms_of_words('red text:"24 hours" -text:sold'), written="off")
    document = document_of(query)
    assert document is not None
    assert TypeAdapter(SearchRequest).validate_python(document).query(None) == query
    typed = SearchRequest(text="a text:b", not_text="c text:d").query(None).terms
    assert typed == (
        TextTerm("a"), WrittenTerm("b"), TextTerm("c", -0.5), WrittenTerm("d", -0.5),
    )  # fmt: skip


def test_an_assistant_reads_a_picture_and_searches_its_text(service: SegSearch) -> None:
    async def ask(tool: str, **arguments: Any) -> Any:
        async with Client(create_server(service)) as connected:
            return await connected.call_tool(tool, arguments)

    read = asyncio.run(ask("picture_text", image_id=1)).structured_content
    assert read.get("result", read)["text"].startswith("Annual report")
    (hit,) = asyncio.run(ask("search", words="text:report")).structured_content["result"]
    assert (hit["image_id"], hit["lines"]) == (1, ["Annual report"])


def test_exports_carry_the_text(service: SegSearch, tmp_path: Path) -> None:
    hits = service.search(Query(terms_of_words("text:boats"))).hits
    (annotation,) = coco_document(hits)["annotations"]
    assert (annotation["kind"], annotation["reading_order"]) == ("figure", 1)
    said = [(line["text"], line["found"]) for line in annotation["lines"]]
    assert said == [("We sold", False), ("24 boats", True)]
    assert write_caption_pack(hits, service.region_sources(), tmp_path / "pack.tar").regions == 1
    with tarfile.open(tmp_path / "pack.tar") as tar:
        (name,) = [name for name in tar.getnames() if name.endswith(".json")]
        file = tar.extractfile(name)
        assert file is not None
        packed = json.load(file)
    assert packed["text"] == "We sold\n24 boats"
    assert packed["picture_text"] == "Annual report\nWe sold\n24 boats"
    assert [line["found"] for line in json.loads(packed["lines_json"])] == [False, True]
    everything = list(service.select())
    assert sum(len(hit.lines) for hit in everything) == 3


def test_parquet_has_columns_for_lines(service: SegSearch, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    from segsearch.export.parquet import write_parquet

    write_parquet(service.select(), tmp_path / "all.parquet")
    rows = parquet.read_table(tmp_path / "all.parquet").to_pylist()
    lines = [line for row in rows for line in row["lines"]]
    assert {line["text"] for line in lines} == {text for text, *_ in LINES}
    assert all(len(line["corners"]) == 4 for line in lines)
    assert {row["kind"] for row in rows} == {"heading", "figure", "thing"}


def test_the_command_prints_a_pictures_text(service: SegSearch) -> None:
    base = ["--library", str(service.settings.library), "text"]
    path = service.catalog.image(1).paths[0]
    for picture in ("1", path):
        done = CliRunner().invoke(app, [*base, picture])
        assert done.exit_code == 0, done.output
        assert done.output.splitlines() == [
            "[2 heading]", "Annual report", "[1 figure]", "We sold", "24 boats",
        ]  # fmt: skip
    told = json.loads(CliRunner().invoke(app, [*base, path, "--json"]).output)
    assert [line["text"] for line in told["lines"]] == [text for text, *_ in LINES]
    unread = CliRunner().invoke(app, [*base, "3"])
    assert "was not read" in unread.output
    assert CliRunner().invoke(app, [*base, "nowhere.png"]).exit_code != 0
    assert CliRunner().invoke(app, [*base, "9" * 30]).exit_code != 0


def test_the_table_of_hits_shows_text_in_short(service: SegSearch) -> None:
    hits = service.search(Query(terms_of_words("text:boats"))).hits
    out = io.StringIO()
    documents = [HitDocument.of(hit).model_dump() for hit in hits]
    hit_table(Console(file=out, width=160), documents)
    assert "24 boats" in out.getvalue()
    assert "We sold" not in out.getvalue()
