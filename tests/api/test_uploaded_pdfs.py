"""PDFs that are uploaded: an image a page, one file, which goes with the last of them."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from fastapi.testclient import TestClient
from PIL import Image

from segsearch.ingest.uploads import kept_name
from segsearch.library import SegSearch
from segsearch.media.pdf import PdfProcess
from segsearch_api.app import create_app
from tests.api.test_uploads import upload, work
from tests.support.pdfs import coloured, locked
from tests.support.small_models import Shape, open_small_service, paint


@pytest.fixture
def service(tmp_path: Path) -> Iterator[SegSearch]:
    with open_small_service(tmp_path / "library", max_pixels=160 * 120) as made:
        yield made


@pytest.fixture
def client(service: SegSearch) -> Iterator[TestClient]:
    with TestClient(create_app(service), base_url="http://localhost") as made:
        yield made


def test_of_a_pdf_each_page_is_an_image(client: TestClient, service: SegSearch) -> None:
    data = coloured("red", "green", "blue")
    answer = upload(client, ("My report.PDF", data)).json()
    assert answer["refused"] == []
    names = [f"My report.PDF#page={n}" for n in (1, 2, 3)]
    assert [one["filename"] for one in answer["images"]] == names
    assert [one["created"] for one in answer["images"]] == [True] * 3
    paths = [Path(one["image"]["paths"][0]) for one in answer["images"]]
    assert [path.name for path in paths] == names
    again = upload(client, ("My report.PDF", data)).json()["images"]
    assert [one["created"] for one in again] == [False] * 3
    assert [one["image"] for one in again] == [one["image"] for one in answer["images"]]
    (kept,) = paths[0].parent.iterdir()
    assert kept.read_bytes() == data
    work(service)
    hit = client.post("/v1/search", json={"text": "green"}).json()["hits"][0]
    assert Path(hit["path"]).name == names[1]
    among = {"text": "red", "filters": {"paths": ["my report.pdf"]}}
    assert client.post("/v1/search", json=among).json()["hits"]

    image = answer["images"][1]["image"]["image_id"]
    whole = client.get(f"/v1/images/{image}/file")
    assert (whole.content, whole.headers["content-type"]) == (data, "application/pdf")
    assert whole.headers["content-disposition"] == 'inline; filename="My report.PDF"'
    drawn = client.get(f"/v1/images/{image}/original")
    assert drawn.headers["content-type"] == "image/png"
    size = client.get(f"/v1/images/{image}").json()
    assert Image.open(io.BytesIO(drawn.content)).size == (size["width"], size["height"])
    assert client.get(f"/v1/images/{image}/thumbnail?side=64").status_code == 200
    ids = [one["image"]["image_id"] for one in answer["images"]]
    for left in (2, 1, 0):
        assert client.delete(f"/v1/images/{ids[left]}").status_code in {200, 204}
        assert kept.exists() == (left > 0), "the file goes with its last page"
    assert not paths[0].parent.exists()


def test_a_pdf_keeps_its_name_and_its_ending(client: TestClient) -> None:
    for number, (name, expected) in enumerate(
        [("a.pdf", "a.pdf"), ("scan", "scan.pdf"), ("scan.jpg", "scan.jpg.pdf")]
    ):
        data = coloured("red") + b"%%%d\n" % number
        (one,) = upload(client, (name, data)).json()["images"]
        assert Path(one["image"]["paths"][0]).name == f"{expected}#page=1"
    assert kept_name("", "PDF") == "picture.pdf"
    assert kept_name("photo.pdf", "JPEG") == "photo.pdf.jpg"


def test_pdfs_go_into_collections_page_by_page(client: TestClient, service: SegSearch) -> None:
    client.post("/v1/collections", json={"name": "papers"})
    upload(client, ("a.pdf", coloured("red", "green")), collection="papers")
    assert service.catalog.collection("papers").images == 2


def test_pdfs_without_pages_are_refused_with_the_reason(
    client: TestClient, service: SegSearch
) -> None:
    files = [("locked.pdf", locked()), ("broken.pdf", b"%PDF-1.4 no"), ("ok.pdf", coloured("red"))]
    answer = upload(client, *files).json()
    assert [one["filename"] for one in answer["images"]] == ["ok.pdf#page=1"]
    assert [one["filename"] for one in answer["refused"]] == ["locked.pdf", "broken.pdf"]
    assert "password" in answer["refused"][0]["detail"]
    assert service.status().images == 1
    searched = client.post("/v1/search", files={"picture": ("a.pdf", coloured("red"))})
    assert searched.status_code == 422
    assert "its pages are" in searched.json()["detail"]


def test_while_pages_are_counted_pictures_come_and_go(service: SegSearch, tmp_path: Path) -> None:
    uploads = service.uploads
    counting, counted = threading.Event(), threading.Event()
    real = PdfProcess.ask
    asked = []

    def ask(self: PdfProcess, question: dict[str, Any], data: bytes) -> Any:
        asked.append(question)
        counting.set()
        assert counted.wait(60)
        return real(self, question, data)

    picture = paint(tmp_path / "a.png", [Shape("red", (10, 10, 50, 40))]).read_bytes()
    with patch.object(PdfProcess, "ask", ask), ThreadPoolExecutor(2) as pool:
        pages = pool.submit(uploads.add_all, io.BytesIO(coloured("red", "green")), "a.pdf")
        try:
            assert counting.wait(60)
            stored = pool.submit(uploads.add, io.BytesIO(picture), "a.png").result(timeout=60)
            pool.submit(uploads.remove_image, stored.image.id).result(timeout=60)
            assert not pages.done()
        finally:
            counted.set()
        assert [page.page for page in pages.result(timeout=60)] == [1, 2]
    assert asked == [{}], "counted once"
