"""The demo's clip: three shots, and the moment at which a penguin is seen."""

from __future__ import annotations

from pathlib import Path

import pytest

from segsearch import Settings, open_library
from segsearch.cli.demo.run import FILMED, VIDEOS, moment_line

pytestmark = pytest.mark.slow


def test_the_penguin_is_found_at_its_moment(tmp_path: Path) -> None:
    with open_library(Settings(library=tmp_path / "library"), create=True) as library:
        report = library.index([VIDEOS])
        assert (report.indexed, report.skipped) == (3, ())
        (video,) = library.catalog.videos()
        assert [shot.t_start for _, shot in video.shots] == [0.0, 3.6, 7.2]
        (words,) = FILMED
        answer = library.search_text(words, limit=3, per_image=1)
        hit, moment = answer.hits[0], answer.moments[0]
        assert (moment.t_start, moment.t_end) == (3.6, 7.2)
        assert moment_line(library, words, moment) == "parade.mp4 shows a penguin at 0:03-0:07."
        assert hit.segment.life
        masks = library.catalog.key_masks([hit.segment.id])[hit.segment.id]
        walks = [(key.mask.box.x0 + key.mask.box.x1) / 2 for key in masks]
        assert len(walks) == 2, "one track holds it at both keyframes"
        assert walks[1] - walks[0] > 100, "it walks to the right"
