"""Requests made from the OpenAPI document: no 5xx, nothing undocumented, whatever is sent."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS, load_all_checks

from segsearch.library import SegSearch
from segsearch_api.app import create_app
from tests.conftest import BLUE, RED
from tests.support.clicking_models import ClickModels
from tests.support.small_models import open_small_service, paint

EXAMPLES = 25  # an operation and kind of data; there are some forty operations
load_all_checks()
CONFORMANCE = [
    CHECKS.get_one(name)
    for name in (
        "status_code_conformance",
        "content_type_conformance",
        "response_headers_conformance",
        "response_schema_conformance",
    )
]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SegSearch]:
    folder = tmp_path_factory.mktemp("schema")
    for number in range(6):
        paint(folder / "pictures" / f"{number}.png", [RED, BLUE], size=(120 + number, 90))
    with open_small_service(folder / "library", models=ClickModels(), max_bytes=100_000) as made:
        made.index([folder / "pictures"])
        made.catalog.create_collection("holidays")
        made.catalog.add_to_collection("holidays", [1, 2])
        yield made


@pytest.fixture(scope="module")
def client(service: SegSearch) -> Iterator[TestClient]:
    app = create_app(service)
    app.state.shared.streams.is_ending = lambda: True  # a stream would go on for ever
    with TestClient(app, base_url="http://localhost") as made:
        while made.get("/readyz").status_code != 200:
            pass
        yield made


def operations() -> list[Any]:
    """Every operation of the document, those that take away last."""
    with (
        tempfile.TemporaryDirectory() as folder,
        open_small_service(Path(folder)) as service,
    ):
        document = create_app(service).openapi()
    schema = schemathesis.openapi.from_dict(document)
    found: list[Any] = [one.ok() for one in schema.get_all_operations()]  # type: ignore[union-attr]  # an invalid schema raises
    return sorted(found, key=lambda one: one.method.upper() == "DELETE")


OPERATIONS = operations()
TAKING = [one for one in OPERATIONS if {"parameters", "requestBody"} & set(one.definition.raw)]
CASES = [
    *((one, GenerationMode.POSITIVE) for one in OPERATIONS),
    *((one, GenerationMode.NEGATIVE) for one in TAKING),  # where something can be wrong
]


def prepared(case: Any) -> requests.PreparedRequest:
    """The request as it goes over the wire: the test client would build another one."""
    options = case.as_transport_kwargs(base_url="http://localhost")
    options.pop("cookies", None)
    return requests.Request(**options).prepare()


def bytes_of(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode("utf-8", "surrogateescape")


@pytest.mark.parametrize(
    ("operation", "mode"), CASES, ids=[f"{one.label} {mode.value}" for one, mode in CASES]
)
def test_what_is_documented_is_what_happens(
    operation: Any, mode: GenerationMode, client: TestClient
) -> None:
    cases = operation.as_strategy(generation_mode=mode)

    @given(cases, some.booleans())
    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    def ask(case: Any, exists: bool) -> None:
        if exists and mode is GenerationMode.POSITIVE:
            for name in set(case.path_parameters or {}) & {"image_id", "segment_id"}:
                case.path_parameters[name] = 2  # that one is there, until it is deleted
        sent = prepared(case)
        headers = [(bytes_of(name), bytes_of(value)) for name, value in sent.headers.items()]
        body: Any = sent.body or b""
        answer = client.request(
            str(sent.method), str(sent.url), headers=headers, content=bytes_of(body)
        )
        assert answer.status_code < 500, (sent.url, sent.body, answer.text)
        case.validate_response(answer, checks=CONFORMANCE)

    ask()
