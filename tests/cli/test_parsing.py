"""What is typed for a search becomes the terms and filters it stands for."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from segsearch.cli.app import app
from segsearch.cli.commands.scene import _link
from segsearch.cli.parsing import Typed, filters_of, terms_of
from segsearch.core.errors import InputError, PathError, QueryError
from segsearch.core.filters import Filters
from segsearch.core.query import (
    ImageTerm,
    PictureTerm,
    RegionTerm,
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
        (Typed("red umbrella"), [TextTerm("red umbrella")]),
        (Typed("16:9"), [TextTerm("16:9")]),
        (Typed(words=("sea:0.5", "sand")), [TextTerm("sea", 0.5), TextTerm("sand")]),
        (
            Typed(words=("a cat:.5", "a:1e2", "b:+2.", "c:-1.5E-1")),
            [
                TextTerm("a cat", 0.5),
                TextTerm("a", 100.0),
                TextTerm("b", 2.0),
                TextTerm("c", -0.15),
            ],
        ),
        (Typed(words=("a:.", "b:e2")), [TextTerm("a:."), TextTerm("b:e2")]),
        (
            Typed(images=("q.jpg:.5",), segments=("93:.5",)),
            [PictureTerm(b"q", 0.5), SegmentTerm(93, 0.5)],
        ),
        (Typed("a", without=("b",)), [TextTerm("a"), TextTerm("b", -0.5)]),
        (Typed(images=("q.jpg:0.5",)), [PictureTerm(b"q", 0.5)]),
        (Typed(images=("q.jpg",)), [PictureTerm(b"q")]),
        (Typed(images=("https://a/q.jpg:0.5",)), [PictureTerm(b"https://a/q.jpg", 0.5)]),
        (
            Typed(clicks=("https://a/q.jpg:3,4",)),
            [RegionTerm(b"https://a/q.jpg", ((3.0, 4.0),), (1,))],
        ),
        (Typed(images=("odd:0.5",)), [PictureTerm(b"odd")]),
        (Typed(images=("odd:0.5:2",)), [PictureTerm(b"odd", 2.0)]),
        (Typed(segments=("812", "77:-0.5")), [SegmentTerm(812), SegmentTerm(77, -0.5)]),
        (Typed(stored=("31:2",)), [ImageTerm(31, 2.0)]),
        (Typed(vectors=("v.json:3",)), [VectorTerm((1.0, 0.5), 3.0)]),
        (Typed(clicks=("q.jpg:320,200",)), [RegionTerm(b"q", ((320, 200),), (1,))]),
        (
            Typed(clicks=("31:1,2;!3.5,4",), candidate=2),
            [RegionTerm(31, ((1, 2), (3.5, 4)), (1, 0), candidate=2)],
        ),
        (Typed(boxes=("31:1,2,3,4",)), [RegionTerm(31, box=(1, 2, 3, 4))]),
        (Typed(masks=("31:mask.json",)), [RegionTerm(31, mask=full(4, 5))]),
    ],
)
def test_terms_are_what_was_typed(folder: Path, typed: Typed, terms: list[Any]) -> None:
    assert list(terms_of(typed, told)) == terms


@pytest.mark.parametrize(
    ("typed", "error"),
    [
        (Typed(images=("none.jpg",)), PathError),
        (Typed(images=("none.jpg:0.5",)), PathError),
        (Typed(segments=("x",)), QueryError),
        (Typed(segments=("99999999999999999999",)), QueryError),
        (Typed(segments=(str(2**63),)), QueryError),
        (Typed(stored=("9" * 5_000,)), QueryError),
        (Typed(clicks=(f"{2**63}:1,2",)), QueryError),
        (Typed(clicks=("q.jpg",)), QueryError),
        (Typed(clicks=("q.jpg:1",)), QueryError),
        (Typed(clicks=("q.jpg:1,b",)), QueryError),
        (Typed(clicks=("none.jpg:1,2",)), PathError),
        (Typed(boxes=("q.jpg:1,2,3",)), QueryError),
        (Typed(vectors=("mask.json",)), InputError),
        (Typed(vectors=("q.jpg",)), InputError),
        (Typed(masks=("q.jpg:v.json",)), InputError),
        (Typed(masks=("q.jpg:none.json",)), PathError),
    ],
)
def test_what_cannot_be_read_is_refused(folder: Path, typed: Typed, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"\.$"):
        terms_of(typed, told)


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
def test_a_number_beyond_64_bits_is_refused(folder: Path, line: str) -> None:
    done = CliRunner().invoke(app, [*line.split(), "99999999999999999999"])
    assert done.exit_code == 2
    assert "Invalid value for" in done.stderr
