"""Exports hold the regions that were asked for, or say why there are none."""

from __future__ import annotations

import io
import json
import tarfile
import tempfile
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from PIL import Image

from segsearch_api.app import create_app
from segsearch_api.routers import export
from tests.conftest import BLUE
from tests.support.small_models import Shape, open_small_service, paint


def test_coco_and_lines_hold_every_region_or_those_of_a_query(client: TestClient) -> None:
    whole = client.post("/v1/export", json={"format": "coco"})
    assert whole.headers["content-disposition"] == 'attachment; filename="segsearch-coco.json"'
    assert len(whole.json()["annotations"]) == 4
    some = client.post("/v1/export", json={"format": "jsonl", "text": "blue", "limit": 1})
    (line,) = some.text.splitlines()
    assert json.loads(line)["box"] == list(BLUE.box)
    two = client.post("/v1/export", json={"format": "jsonl", "limit": 2})
    assert len(two.text.splitlines()) == 2
    like = client.post("/v1/export", json={"format": "jsonl", "segment_id": 1, "limit": 1})
    assert json.loads(like.text)["segment_id"] == 1


def test_each_format_has_its_file_name(client: TestClient) -> None:
    names = {
        "coco": "segsearch-coco.json",
        "jsonl": "segsearch.jsonl",
        "parquet": "segsearch.parquet",
        "caption-pack": "segsearch-captions.tar",
    }
    for kind, name in names.items():
        answer = client.post("/v1/export", json={"format": kind, "limit": 1})
        assert answer.headers["content-disposition"] == f'attachment; filename="{name}"', kind


def test_parquet_holds_the_same_regions(client: TestClient) -> None:
    pytest.importorskip("pyarrow", reason="needs the extra data")
    from pyarrow import parquet

    answer = client.post("/v1/export", json={"format": "parquet", "text": "blue", "limit": 1})
    table = parquet.read_table(io.BytesIO(answer.content))
    assert table.num_rows == 1
    assert table["area"][0].as_py() == int(BLUE.mask(120, 90).sum())


def test_a_caption_pack_comes_as_a_tar(client: TestClient, tmp_path: Path) -> None:
    answer = client.post("/v1/export", json={"format": "caption-pack", "text": "blue", "limit": 1})
    with tarfile.open(fileobj=io.BytesIO(answer.content)) as tar:
        tar.extractall(tmp_path, filter="data")
    (file,) = tmp_path.rglob("*.json")
    with Image.open(file.parent / json.loads(file.read_text())["cutout"]) as cutout:
        assert (cutout.mode, cutout.size) == ("RGBA", (40, 40))


def test_of_a_pack_it_is_said_what_is_missing(tmp_path: Path) -> None:
    with open_small_service(tmp_path / "library") as service:
        for name in ("a", "b"):
            shape = Shape("red" if name == "a" else "blue", (10, 10, 50, 40))
            service.index([paint(tmp_path / f"{name}.png", [shape])])
        client = TestClient(create_app(service), base_url="http://localhost")
        (tmp_path / "a.png").unlink()
        answer = client.post("/v1/export", json={"format": "caption-pack"})
        with tarfile.open(fileobj=io.BytesIO(answer.content)) as tar:
            skipped = tar.extractfile("__skipped__")
            assert skipped is not None
            assert list(json.load(skipped)) == ["1"]
        (tmp_path / "b.png").unlink()
        answer = client.post("/v1/export", json={"format": "caption-pack"})
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found_error")
        assert "is gone or was changed" in answer.json()["detail"]


def test_the_whole_library_is_exported_however_large(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "MAX_LIMIT", 2)
    for wanted, count in (({}, 4), ({"limit": 3}, 3), ({"segment_id": 1, "min_relevance": 0}, 2)):
        answer = client.post("/v1/export", json={"format": "jsonl", **wanted})
        assert len(answer.text.splitlines()) == count


def test_coco_has_polygons_and_names_below_a_folder_when_asked(
    client: TestClient, pictures: Path
) -> None:
    asked = {"format": "coco", "polygons": True, "relative_to": str(pictures.parent)}
    document = client.post("/v1/export", json=asked).json()
    assert document["images"][0]["file_name"] == f"{pictures.name}/a.png"
    assert isinstance(document["annotations"][0]["segmentation"][0], list)
    for body, status in (
        ({"format": "jsonl", "polygons": True}, 422),
        ({"relative_to": str(pictures / "in")}, 400),
    ):
        assert client.post("/v1/export", json=body).status_code == status


def test_a_collections_regions_are_exported_alone(tmp_path: Path) -> None:
    with open_small_service(tmp_path / "library") as service:
        for name in ("a", "b"):
            shape = Shape("red" if name == "a" else "blue", (10, 10, 50, 40))
            service.index([paint(tmp_path / f"{name}.png", [shape])])
        service.catalog.create_collection("one")
        service.catalog.add_to_collection("one", [2])
        client = TestClient(create_app(service), base_url="http://localhost")
        answer = client.post("/v1/export", json={"format": "coco", "collection": "one"})
        assert [one["id"] for one in answer.json()["images"]] == [2]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's /dev/full")
@pytest.mark.parametrize("kind", ["coco", "jsonl", "cutouts"])
def test_a_full_disk_is_said(
    client: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    folder = tmp_path / "exports"

    def made(**_: object) -> str:
        folder.mkdir()
        for name in ("export", "export.zip"):
            (folder / name).symlink_to("/dev/full")
        return str(folder)

    monkeypatch.setattr(tempfile, "mkdtemp", made)
    answer = client.post("/v1/export", json={"format": kind})
    assert (answer.status_code, answer.json()["code"]) == (507, "disk_full_error")
    assert not folder.exists()


def test_what_cannot_be_exported_is_said(client: TestClient) -> None:
    for body, status, code in [
        ({"format": "csv"}, 422, "request_invalid"),
        ({"text": "a", "segment_id": 1}, 422, "query_error"),
        ({"text": "a", "collection": "b"}, 422, "query_error"),
        ({"text": "a", "limit": 2000}, 422, "query_error"),
        ({"format": "caption-pack", "limit": 2000}, 422, "query_error"),
        ({"text": " "}, 422, "query_error"),
        ({"image_ids": [1] * 2501, "segment_ids": [1] * 2500}, 422, "request_invalid"),
        ({"collection": "none"}, 404, "not_found_error"),
        ({"segment_id": 999}, 404, "not_found_error"),
    ]:
        answer = client.post("/v1/export", json=body)
        assert (answer.status_code, answer.json()["code"]) == (status, code), body
