"""Settings that would do something else than they say are refused."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from segsearch.core.settings import Settings
from segsearch.core.types import FileStamp
from segsearch.storage.catalog.sql_catalog import Catalog
from tests.support.described import RECIPE


@pytest.mark.parametrize("seconds", [100_000.0, math.inf, math.nan])
@pytest.mark.parametrize(
    "name", ["lease_seconds", "picture_seconds", "url_seconds", "drain_seconds"]
)
def test_times_beyond_a_day_are_refused(name: str, seconds: float) -> None:
    given: dict[str, Any] = {name: seconds}
    with pytest.raises(ValidationError):
        Settings(**given)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("context_weight", math.inf),
        ("masked_weight", 1e308),  # beside another of that size
        ("hub", "mirror.example.org"),
        ("library", Path("a\udcff")),  # a byte that is no UTF-8, as Python has it
    ],
)
def test_what_nothing_can_be_done_with_is_refused(name: str, value: object) -> None:
    given: dict[str, Any] = {"context_weight": 1e308, name: value}
    with pytest.raises(ValidationError):
        Settings(**given)


def test_an_empty_variable_is_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LIBRARY", "PRESET", "MODELS", "PORT", "INCLUDE", "CAPTION_KEY"):
        monkeypatch.setenv(f"SEGSEARCH_{name}", "")
    assert Settings() == Settings.model_construct()


def test_the_longest_lease_that_can_be_set_is_kept_to(tmp_path: Path) -> None:
    longest = Settings(lease_seconds=86_399.0).lease_seconds
    catalog = Catalog(tmp_path / "catalog.sqlite")
    catalog.record_file("/a", FileStamp(1, 1), "sha", catalog.register_recipe(RECIPE))
    assert catalog.claim(1, "first", longest) is not None
    assert catalog.claim(1, "second", longest) is None
    catalog.close()
