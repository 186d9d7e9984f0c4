"""What is typed for a search becomes the terms and filters it stands for."""

from __future__ import annotations

import json
from dataclasses import fields
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from segsearch.cli.app import app
from segsearch.cli.commands import search
from segsearch.cli.commands.scene import _link
from segsearch.cli.parsing import TypedTerms, filters_of, terms_of
from segsearch.core.errors import InputError, PathError, QueryError
from segsearch.core.fields import field_schema
from segsearch.core.filters import Filters
from segsearch.core.query import (
    ImageTerm,
    PictureTerm,
    RegionTerm,
    SearchOptions,
    SegmentTerm,
    TextTerm,
    VectorTerm,
)
from segsearch.masks.rle import full, to_coco


def told(name: str) -> bytes:
    """A file's bytes; in place of those of a URL, the URL."""
    return name.encode() if "://" in name else Path(name).read_bytes()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "q.jpg").write_bytes(b"q")
    (tmp_path / "odd:0.5").write_bytes(b"odd")
    (tmp_path / "v.json").write_text("[1, 0.5]")
    (tmp_path / "mask.json").write_text(json.dumps(to_coco(full(4, 5))))
    return tmp_path


@pytest.mark.parametrize(
    ("typed", "terms"),
    [
        (TypedTerms("red umbrella"), [TextTerm("red umbrella")]),
        (TypedTerms("16:9"), [TextTerm("16:9")]),
        (TypedTerms(words=("sea:0.5", "sand")), [TextTerm("sea", 0.5), TextTerm("sand")]),
        (
            TypedTerms(words=("a cat:.5", "a:1e2", "b:+2.", "c:-1.5E-1")),
            [
                TextTerm("a cat", 0.5),
                TextTerm("a", 100.0),
                TextTerm("b", 2.0),
                TextTerm("c", -0.15),
            ],
        ),
        (TypedTerms(words=("a:.", "b:e2")), [TextTerm("a:."), TextTerm("b:e2")]),
        (
            TypedTerms(images=("q.jpg:.5",), segments=("93:.5",)),
            [PictureTerm(b"q", 0.5), SegmentTerm(93, 0.5)],
        ),
        (TypedTerms("a", without=("b",)), [TextTerm("a"), TextTerm("b", -0.5)]),
        (TypedTerms(images=("q.jpg:0.5",)), [PictureTerm(b"q", 0.5)]),
        (TypedTerms(images=("q.jpg",)), [PictureTerm(b"q")]),
        (TypedTerms(images=("https://a/q.jpg:0.5",)), [PictureTerm(b"https://a/q.jpg", 0.5)]),
        (
            TypedTerms(clicks=("https://a/q.jpg:3,4",)),
            [RegionTerm(b"https://a/q.jpg", ((3.0, 4.0),), labels=(1,))],
        ),
        (TypedTerms(images=("odd:0.5",)), [PictureTerm(b"odd")]),
        (TypedTerms(images=("odd:0.5:2",)), [PictureTerm(b"odd", 2.0)]),
        (TypedTerms(segments=("812", "77:-0.5")), [SegmentTerm(812), SegmentTerm(77, -0.5)]),
        (TypedTerms(stored=("31:2",)), [ImageTerm(31, 2.0)]),
        (TypedTerms(vectors=("v.json:3",)), [VectorTerm((1.0, 0.5), 3.0)]),
        (TypedTerms(clicks=("q.jpg:320,200",)), [RegionTerm(b"q", ((320, 200),), labels=(1,))]),
        (
            TypedTerms(clicks=("31:1,2;!3.5,4",), candidate=2),
            [RegionTerm(31, ((1, 2), (3.5, 4)), labels=(1, 0), candidate=2)],
        ),
        (TypedTerms(boxes=("31:1,2,3,4",)), [RegionTerm(31, box=(1, 2, 3, 4))]),
        (TypedTerms(masks=("31:mask.json",)), [RegionTerm(31, mask=full(4, 5))]),
    ],
)
@pytest.mark.usefixtures("folder")
def test_terms_are_what_was_typed(typed: TypedTerms, terms: list[Any]) -> None:
    assert list(terms_of(typed, told)) == terms


@pytest.mark.parametrize(
    ("typed", "error"),
    [
        (TypedTerms(images=("none.jpg",)), PathError),
        (TypedTerms(images=("none.jpg:0.5",)), PathError),
        (TypedTerms(segments=("x",)), QueryError),
        (TypedTerms(segments=("99999999999999999999",)), QueryError),
        (TypedTerms(segments=(str(2**63),)), QueryError),
        (TypedTerms(stored=("9" * 5_000,)), QueryError),
        (TypedTerms(clicks=(f"{2**63}:1,2",)), QueryError),
        (TypedTerms(clicks=("q.jpg",)), QueryError),
        (TypedTerms(clicks=("q.jpg:1",)), QueryError),
        (TypedTerms(clicks=("q.jpg:1,b",)), QueryError),
        (TypedTerms(clicks=("none.jpg:1,2",)), PathError),
        (TypedTerms(boxes=("q.jpg:1,2,3",)), QueryError),
        (TypedTerms(vectors=("mask.json",)), InputError),
        (TypedTerms(vectors=("q.jpg",)), InputError),
        (TypedTerms(masks=("q.jpg:v.json",)), InputError),
        (TypedTerms(masks=("q.jpg:none.json",)), PathError),
    ],
)
@pytest.mark.usefixtures("folder")
def test_what_cannot_be_read_is_refused(typed: TypedTerms, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"\.$"):
        terms_of(typed, told)


def test_every_field_of_a_search_can_be_typed() -> None:
    assert {"text", *search.TERMS} == {field.name for field in fields(TypedTerms)}
    assert {"filters", *search.OPTIONS} == {field.name for field in fields(SearchOptions)}
    only_http = {
        "image_ids", "segment_ids", "max_width", "max_height", "min_box_overlap", "map_area",
    }  # fmt: skip
    assert {*only_http, *search.FILTERS} == {field.name for field in fields(Filters)}


def test_options_are_described_as_the_fields_that_they_fill() -> None:
    help_text = " ".join(CliRunner().invoke(app, ["search", "--help"]).output.split())
    for kind, flags in (
        (TypedTerms, search.TERMS), (Filters, search.FILTERS), (SearchOptions, search.OPTIONS),
    ):  # fmt: skip
        for name, flag in flags.items():
            assert f"{flag} " in help_text
            assert field_schema(kind, name)["description"] in help_text
    refused = CliRunner().invoke(app, ["search", "a", "--captions", "maybe"])
    assert refused.exit_code == 2


def test_filters_are_what_was_typed() -> None:
    assert filters_of({"paths": None, "min_area": None, "tags": []}) == Filters()
    given = {
        "paths": ["a/*", "b"],
        "taken_after": "2024-07-14",
        "taken_before": "2024-07-14T12:00:00+02:00",
        "near": "48.1,11.6,5",
        "box": "0,0,0.5,1",
        "min_area": 0.1,
    }
    assert filters_of(given) == Filters(
        paths=("a/*", "b"),
        taken_after=datetime(2024, 7, 14),
        taken_before=datetime(2024, 7, 14, 12),
        near=(48.1, 11.6, 5.0),
        box=(0.0, 0.0, 0.5, 1.0),
        min_area=0.1,
    )


@pytest.mark.parametrize(
    "given", [{"taken_after": "July"}, {"near": "48,11"}, {"gps_box": "a,b,c,d"}]
)
def test_filters_that_cannot_be_read_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(QueryError, match=r"\.$"):
        filters_of(given)


@pytest.mark.parametrize(
    ("text", "link"),
    [
        ("dog left of cat", ("dog", "left of", "cat")),
        ("hot dog larger than dog", ("hot dog", "larger than", "dog")),
    ],
)
def test_a_relation_is_read_between_the_names(text: str, link: tuple[str, str, str]) -> None:
    assert _link(text, ["dog", "cat", "hot dog"]) == link
    with pytest.raises(QueryError, match="cannot be read"):
        _link(text.replace("dog", "cow"), ["dog", "cat"])


@pytest.mark.parametrize(
    "text",
    [
        '{"slots": [{"text": "a dog"}]}',
        '{"slots": null}',
        '{"slots": [{"name": "dog"}], "relations": null}',
        '{"slots": [3]}',
        '{"slots": [{"name": ["dog"]}]}',
        "[]",
        "[" * 100_000,
    ],
    ids=lambda text: text[:40],
)
def test_a_scenes_file_that_is_wrong_is_refused(folder: Path, text: str) -> None:
    (folder / "scene.json").write_text(text)
    done = CliRunner().invoke(app, ["scene", "scene.json"])
    assert isinstance(done.exception, InputError)
    assert str(done.exception).endswith(".")


@pytest.mark.parametrize(
    "line",
    [
        "search a --like", "search a --unlike", "search a --min-width", "search a --min-height",
        "remove --image-id", "tag --add x --image-id", "export --limit", "serve --port",
    ],
)  # fmt: skip
@pytest.mark.usefixtures("folder")
def test_a_number_beyond_64_bits_is_refused(line: str) -> None:
    done = CliRunner().invoke(app, [*line.split(), "99999999999999999999"])
    assert done.exit_code == 2
    assert "Invalid value for" in done.stderr
