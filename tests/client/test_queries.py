"""The client's calls about what queries are made from: pictures, words, saved searches."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from segsearch.client.sync import Client
from segsearch.core.errors import ApiError, InputError
from tests.client.test_sync import Served, png
from tests.conftest import BLUE
from tests.support.small_models import paint

pytestmark = pytest.mark.server


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Client]:
    served = Served(tmp_path)
    with Client(served.url, key=served.key) as made:
        yield made
    served.close()


def test_pictures_to_search_by_are_sent_once_and_regions_have_words(
    library: Client, tmp_path: Path
) -> None:
    kept = library.keep_picture(paint(tmp_path / "blue.png", [BLUE]))
    hits = library.search(picture_id=kept["picture_id"], limit=1)["hits"]
    assert hits[0]["box"] == list(BLUE.box)
    small = png(library.picture_thumbnail(kept["picture_id"], side=60))
    assert max(small.size) == 60
    words = library.words_of(hits[0]["segment_id"], limit=1)
    assert len(words) == 1
    with pytest.raises(ApiError) as refused:
        library.words_at({"image_id": 1})
    assert refused.value.code == "query_error"


def test_searches_are_kept_under_names(library: Client) -> None:
    assert library.save_search("a & b", "?q=red")["name"] == "a & b"
    library.save_search("a & b", "?q=blue")
    assert [saved["address"] for saved in library.searches()] == ["?q=blue"]
    library.delete_search("a & b")
    assert library.searches() == []
    with pytest.raises(InputError, match="name is empty"):
        library.delete_search("")
