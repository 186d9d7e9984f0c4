"""The text of a shot that is read later lands on what the frame that stands for it shows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from segsearch.core.arrays import Pixels
from segsearch.core.lives import Life
from segsearch.core.text import Line
from segsearch.models.pipeline import Pipeline
from tests.support.moving_film import library_of_film, things_at, tracks
from tests.support.small_models import NAMES, ReadingModels, nearest_colours, open_small_service

STANDING = 3.75
SIGN = (100, 70, 140, 78)  # on the ground, where no thing of the first shot is before five seconds


class PatchReader:
    """Reads "Stop" where red is, and "Exit" beside it."""

    identity = "patch-reader@1"

    def read(self, pixels: Pixels) -> list[Line]:
        rows, columns = np.nonzero(nearest_colours(pixels) == NAMES.index("red"))
        if not rows.size:
            return []
        red = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        return [_line("Stop", *map(int, red)), _line("Exit", *SIGN)]


def _line(text: str, x0: int, y0: int, x1: int, y1: int) -> Line:
    return Line(((x0, y0), (x1, y0), (x1, y1), (x0, y1)), text, 0.9)


def patch_pipeline() -> Pipeline:
    return replace(ReadingModels().pipeline(), reader=PatchReader())


class PatchModels(ReadingModels):
    @property
    def reader(self) -> str:
        return PatchReader.identity

    def pipeline(self) -> Pipeline:
        return patch_pipeline()

    def builder(self) -> Callable[[], Pipeline]:
        return patch_pipeline


@pytest.mark.parametrize("later", [True, False], ids=["later", "at once"])
def test_text_lands_on_a_thing_by_its_mask_on_the_frame_that_is_read(
    later: bool, tmp_path: Path
) -> None:
    with library_of_film(tmp_path, models=None if later else PatchModels()) as service:
        before = {one.id for one in tracks(service)}
    with open_small_service(tmp_path / "library", models=PatchModels()) as service:
        assert service.index([], read_missing=True).read == (3 if later else 0)
        (red,) = (one for one in tracks(service) if one.mask.area == 40 * 24)
        assert red.seen_at == 1.25, "its own mask is of another moment"
        stop, sign = service.catalog.lines_of(red.image_id)
        x0, y0, x1, y1 = things_at(STANDING)[0].box
        assert stop.line.corners == ((x0, y0), (x1, y0), (x1, y1), (x0, y1))
        assert (stop.line.text, stop.segment_id) == ("Stop", red.id)
        assert sign.segment_id is not None
        added = service.catalog.segment(sign.segment_id)
        assert added.kind == "text"
        assert added.mask.box.as_tuple() == pytest.approx(SIGN, abs=1)
        assert added.life == Life(0.0, 10.0, STANDING)
        (key,) = service.catalog.key_masks([added.id])[added.id]
        assert (key.seconds, key.mask) == (STANDING, added.mask)
        if later:
            assert {one.id for one in tracks(service)} - before == {added.id}
        assert service.maintenance.verify() == []
