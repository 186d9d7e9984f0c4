"""What others make of the OpenAPI document: examples that obey, linters, and a client generated."""

from __future__ import annotations

import importlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from jsonschema import Draft202012Validator
from PIL import Image

from segsearch_api.app import create_app
from segsearch_api.schema_document import operations

Document = dict[str, Any]


@pytest.fixture(scope="module")
def document(client: TestClient) -> Document:
    found: Document = client.get("/openapi.json").json()
    return found


def parts(value: Any) -> Iterator[Document]:
    """Every object in the document."""
    if isinstance(value, dict):
        yield value
    for part in value.values() if isinstance(value, dict) else value:
        if isinstance(part, dict | list):
            yield from parts(part)


def check(document: Document, schema: Document, example: Any) -> None:
    whole = {**schema, "components": document["components"]}
    problems = [problem.message for problem in Draft202012Validator(whole).iter_errors(example)]
    assert problems == [], example


def test_every_example_obeys_its_schema(document: Document) -> None:
    looked_at = 0
    for part in parts(document):
        if isinstance(part.get("examples"), list):
            for example in part["examples"]:
                check(document, part, example)
                looked_at += 1
    for _, path, operation in operations(document):
        bodies = [operation.get("requestBody", {}), *operation["responses"].values()]
        for media in (media for body in bodies for media in body.get("content", {}).values()):
            for example in media.get("examples", {}).values():
                assert "schema" in media, path
                check(document, media["schema"], example["value"])
                looked_at += 1
    assert looked_at > 300


def test_each_operation_has_one_kind_of_body_referenced_by_name(document: Document) -> None:
    for path, name in {
        "/v1/search": "SearchRequest",
        "/v1/search/picture": "SearchUpload",
        "/v1/segment": "SegmentRequest",
        "/v1/segment/picture": "SegmentUpload",
    }.items():
        (media,) = document["paths"][path]["post"]["requestBody"]["content"].values()
        assert media["schema"] == {"$ref": f"#/components/schemas/{name}"}
    for _, path, operation in operations(document):
        content = operation.get("requestBody", {"content": {"none": {}}})["content"]
        assert len(content) == 1, path


@pytest.mark.parametrize("need_key", [False, True])
def test_servers_and_security_are_said(tmp_path: Path, need_key: bool) -> None:
    from tests.support.small_models import open_small_service

    with open_small_service(tmp_path / "library") as service:
        made = create_app(service, need_key=need_key).openapi()
    assert [server["url"] for server in made["servers"]] == ["/"]
    choices: list[Document] = [{"key": []}, {"password": []}, *([] if need_key else [{}])]
    assert made["security"] == choices
    schemes = made["components"]["securitySchemes"]
    assert {name: scheme["scheme"] for name, scheme in schemes.items()} == {
        "key": "bearer",
        "password": "basic",
    }
    for _, path, operation in operations(made):
        is_open = path in {"/healthz", "/readyz", "/v1/session"}
        assert operation["security"] == ([] if is_open else choices), path


def test_a_method_that_is_not_answered_is_told_all_that_are(
    client: TestClient, document: Document
) -> None:
    paths: dict[str, set[str]] = {}
    for method, path, _ in operations(document):
        paths.setdefault(path, set()).add(method.upper())
    paths |= {path: {"GET"} for path in ("/", "/docs", "/static/icon.svg")}
    for path in paths:
        # One more path than its own may fit, such as /v1/images/{image_id} for /v1/images/retry.
        fit = [other for other in paths if re.fullmatch(re.sub(r"{\w+}", "[^/]+", other), path)]
        answered = set[str]().union(*(paths[other] for other in fit))
        if "GET" in answered and path != "/v1/jobs/events":
            answered.add("HEAD")
        for method in {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"} - answered:
            answer = client.request(method, re.sub(r"{\w+}", "1", path))
            assert answer.status_code == 405, (method, path)
            allowed = set(answer.headers["Allow"].split(", "))
            assert answered <= allowed, (method, path)
            assert method not in allowed, (method, path)
    assert client.put("/v1/images/1").headers["Allow"] == "DELETE, GET, HEAD"
    assert client.put("/v1/collections").headers["Allow"] == "GET, HEAD, POST"


LINTERS = {
    "redocly": ["lint", "--format=json", "--extends=recommended"],
    "spectral": ["lint", "--format=json", "--fail-severity=hint", "--quiet"],
}


@pytest.mark.parametrize("name", LINTERS)
def test_linters_find_nothing(name: str, document: Document, tmp_path: Path) -> None:
    linter = shutil.which(name)
    if linter is None:
        assert os.environ.get("CI") != "true", f"{name} is missing: .ci/run installs it by npm"
        pytest.skip(f"{name} is not here: npm installs it")
    (tmp_path / "openapi.json").write_text(json.dumps(document))
    (tmp_path / ".spectral.yaml").write_text('extends: ["spectral:oas"]\n')
    done = subprocess.run(
        [linter, *LINTERS[name], "openapi.json"],
        cwd=tmp_path,
        env={**os.environ, "REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    found = json.loads(done.stdout[done.stdout.find("[" if name == "spectral" else "{") :] or "[]")
    problems = found if isinstance(found, list) else found["problems"]
    assert [f"{row.get('ruleId', row.get('code'))}: {row['message']}" for row in problems] == []
    assert done.returncode == 0, done.stderr


@pytest.fixture
def generated(document: Document, tmp_path: Path) -> Iterator[str]:
    """The name of a package that openapi-python-client has made of the document."""
    (tmp_path / "openapi.json").write_text(json.dumps(document))
    command = [sys.executable, "-m", "openapi_python_client", "generate", "--meta", "none"]
    done = subprocess.run(
        [*command, "--path", "openapi.json", "--output-path", "segsearch_generated"],
        cwd=tmp_path, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = re.findall(r"Unsupported content_type ([\w/.+-]+)", done.stdout + done.stderr)
    assert {kind.partition("/")[0] for kind in told} <= {"image", "video"}  # left as bytes
    sys.path.insert(0, str(tmp_path))
    yield "segsearch_generated"
    sys.path.remove(str(tmp_path))
    for name in [name for name in sys.modules if name.startswith("segsearch_generated")]:
        del sys.modules[name]


def test_a_generated_client_searches_by_words_and_by_a_picture(
    generated: str, client: TestClient
) -> None:
    def part(name: str) -> Any:
        return importlib.import_module(f"{generated}.{name}")

    models, types = part("models"), part("types")
    search = part("api.search.search_v1_search_post")
    at = part("client").Client(base_url="http://localhost").set_httpx_client(client)
    words = search.sync(client=at, body=models.SearchRequest(text="red", limit=2))
    assert [hit.rank for hit in words.hits] == [1, 2]
    picture = io.BytesIO()
    Image.new("RGB", (60, 40), "blue").save(picture, "PNG")
    picture.seek(0)
    upload = models.SearchUpload(
        picture=types.File(picture, "blue.png", "image/png"),
        limit=1,
        like=[1, 2],
        unlike=[3],
        filters=models.Filters(min_area=0.01),
    )
    answer = part("api.search.search_by_picture_v1_search_picture_post").sync_detailed(
        client=at, body=upload
    )
    assert answer.status_code == 200, answer.content
    assert len(answer.parsed.hits) == 1
    pages = part("api.images.list_images_v1_images_get").sync(client=at)
    assert len(pages.images) == 3
    refused = part("api.images.read_image_v1_images_image_id_get").sync(9000, client=at)
    assert refused.code == "not_found_error"
