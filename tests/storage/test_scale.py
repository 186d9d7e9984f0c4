"""What grows with the library is found by an index: no statement reads a large table whole."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from segsearch.core.types import FileStamp
from segsearch.storage.catalog.sql_catalog import Catalog
from tests.support.described import RECIPE, describe
from tests.support.query_plans import scans


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    catalog = Catalog(tmp_path / "catalog.sqlite")
    catalog.register_recipe(RECIPE)
    for number in range(6):
        store(catalog, number)
    return catalog


def store(catalog: Catalog, number: int) -> int:
    catalog.record_file(f"/pictures/{number}.jpg", FileStamp(1, 1), f"sha-{number}", 1)
    claim = catalog.claim(1, "me", 60)
    assert claim is not None
    made = describe(number)
    info = replace(made.info, perceptual_hash="0f"[number % 2] * 32)
    assert catalog.commit(claim, replace(made, info=info))
    return claim.image_id


def test_storing_a_picture_reads_no_table_whole(catalog: Catalog) -> None:
    with scans() as found:
        store(catalog, 100)
    assert found == []


def test_the_near_duplicates_of_an_answer_are_looked_up(catalog: Catalog) -> None:
    with scans() as found:
        alike = catalog.near_duplicates({1, 2, 3})
    assert found == []
    assert alike == {1: {3, 5}, 2: {4, 6}, 3: {1, 5}}
