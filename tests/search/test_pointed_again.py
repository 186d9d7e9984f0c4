"""A picture that is pointed at again is neither read nor decoded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from segsearch.core.query import Query, RegionTerm
from segsearch.library import SegSearch
from segsearch.media.decode import Limits, decode
from tests.support.clicking_models import ClickModels
from tests.support.small_models import open_small_service


@pytest.fixture
def clickable(tmp_path: Path, pictures: Path) -> Iterator[SegSearch]:
    with open_small_service(tmp_path / "library", models=ClickModels()) as made:
        made.index([pictures])
        yield made


def test_a_second_click_reads_no_file(
    clickable: SegSearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[int] = []

    def counted(data: bytes, limits: Limits) -> object:
        decoded.append(len(data))
        return decode(data, limits)

    monkeypatch.setattr("segsearch.storage.pictures.decode", counted)
    first = clickable.masks_at(1, 20, 20)
    assert len(decoded) == 1
    file = Path(clickable.catalog.image(1).paths[0])
    away = file.rename(file.with_suffix(".away"))
    try:
        assert clickable.masks_at(1, 20, 20) == first
        assert clickable.search(Query((RegionTerm(1, ((20, 20),)),), limit=1)).hits
        assert len(decoded) == 1
    finally:
        away.rename(file)
