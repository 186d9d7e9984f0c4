"""A library of pictures only asks its database nothing about videos."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event

from segsearch.core.query import Query, TextTerm
from tests.support.clips import write
from tests.support.shelf import Shelf, touch
from tests.support.small_models import Shape, paint

OF_VIDEOS = re.compile(r"\b(?:video|shot|track|track_mask)\b")


@contextmanager
def statements(place: Shelf) -> Iterator[list[str]]:
    """What the catalog asks its database meanwhile."""
    asked: list[str] = []

    def note(*given: Any) -> None:
        asked.append(given[2])

    engine = place.service.catalog._engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield asked
    finally:
        event.remove(engine, "before_cursor_execute", note)


def of_videos(asked: list[str]) -> list[str]:
    return [statement for statement in asked if OF_VIDEOS.search(statement)]


def test_a_folder_of_pictures_is_indexed_searched_and_forgotten_without_a_word_of_videos(
    place: Shelf,
) -> None:
    for number in range(5):
        paint(place.folder / f"{number}.png", [Shape("red", (10, 10, 30 + 4 * number, 40))])
    with statements(place) as asked:
        assert place.service.index([place.folder]).indexed == 5
        assert place.service.index([place.folder]).unchanged == 5
        touch(paint(place.folder / "0.png", [Shape("blue", (10, 10, 30, 40))]))
        assert place.service.index([place.folder]).indexed == 1
        assert place.service.search(Query((TextTerm("blue"),))).hits
        (place.folder / "1.png").unlink()
        place.service.index([place.folder])
        place.service.maintenance.prune()
        place.service.status()
    assert len(asked) > 50
    assert of_videos(asked) == []


def test_videos_are_asked_for_once_there_is_one(place: Shelf) -> None:
    (place.folder / "more").mkdir()
    paint(place.folder / "more" / "a.png", [Shape("red", (10, 10, 30, 40))])
    with statements(place) as before:
        place.service.index([place.folder / "more"])
    write(place.folder / "clip.mp4")
    with statements(place) as asked:
        place.service.index([place.folder])
    assert of_videos(asked), "what is looked for is there where videos are"
    assert not of_videos(before)
