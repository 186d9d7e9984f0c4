"""What `make bench-page` says of a trace, and the library that it opens the page on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.page import DRAWN, DROPPED, END, START, Frames, frames
from benchmarks.picture_library import WORDS, fill_with_pictures
from segsearch.core.settings import Settings
from segsearch.library import open_library

BEFORE = [(0, DRAWN), (1, DROPPED)]
TURN = [(10, START), (20, DRAWN), (36, DRAWN), (80, DROPPED), (96, DRAWN), (400, END)]
IDLE = [(500, DRAWN), (900, DRAWN)]
STUCK = [(1000, START), (1010, DRAWN), (1900, DRAWN), (1901, DROPPED)]
SECOND = [(2000, START), (2030, DRAWN), (2040, END)]


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        (BEFORE + TURN + IDLE, Frames(0.086, 3, 1, 60)),
        (TURN + STUCK + SECOND, Frames(0.116, 4, 1, 60)),
        (BEFORE + STUCK, Frames(0, 0, 0, 0)),
    ],
)
def test_frames_count_while_the_page_moves(events: list[tuple[int, str]], expected: Frames) -> None:
    rows = [{"ts": 1000 * ms, "name": name} for ms, name in events]
    rows.insert(0, {"name": "process_name"})
    told = frames(json.dumps({"traceEvents": rows[::-1]}).encode())
    assert (told.drawn, told.dropped) == (expected.drawn, expected.dropped)
    assert told.seconds == pytest.approx(expected.seconds)
    assert told.longest_ms == pytest.approx(expected.longest_ms)


@pytest.mark.slow
def test_every_picture_answers_each_of_the_words_by_its_own_region(tmp_path: Path) -> None:
    fill_with_pictures(tmp_path, 3)
    with open_library(Settings(library=tmp_path / "library")) as library:
        library.settle()
        regions = {}
        for words in WORDS:
            hits = library.search_text(words, per_image=1).hits
            assert {hit.image.id for hit in hits} == {1, 2, 3}
            regions[words] = {hit.segment.id for hit in hits}
        assert len(set().union(*regions.values())) == 3 * len(WORDS)
        assert library.pictures.pixels(1).shape[2] == 3
