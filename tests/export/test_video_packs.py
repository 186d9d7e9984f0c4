"""Caption packs of regions of videos: their life as a clip, its frames, and who is there then."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from segsearch.core.lives import Life
from segsearch.core.video import clip_of_life
from segsearch.export.caption_pack import PACKED_SECONDS, neighbours, write_caption_pack
from segsearch.library import SegSearch
from tests.support.clips import THREE, write
from tests.support.painted_film import Filmed, film, still
from tests.support.small_models import open_small_service


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SegSearch]:
    folder = tmp_path_factory.mktemp("films")
    write(folder / "a.mp4", THREE)
    with open_small_service(folder / "library") as made:
        made.index([folder / "a.mp4"])
        yield made


def pixels(data: bytes) -> Any:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)


def test_a_region_of_a_video_has_its_life_and_three_frames(
    service: SegSearch, tmp_path: Path
) -> None:
    hits = service.search_text("yellow", limit=3).hits
    target = tmp_path / "pack.tar"
    written = write_caption_pack(hits, service.region_sources(), target)
    assert (written.regions, written.skipped) == (len(hits), {})
    with tarfile.open(target) as pack:
        held = {entry.name: pack.extractfile(entry).read() for entry in pack}  # type: ignore[union-attr]  # all are files
    for hit in hits:
        life, key = hit.segment.life, f"{hit.segment.id:06}"
        assert life is not None
        told = json.loads(held[f"{key}.json"])
        assert told["clip"] == f"{key}.clip.mp4"
        assert (told["clip_start"], told["clip_end"]) == (life.t_start, life.t_end)
        with av.open(io.BytesIO(held[told["clip"]]), "r") as clip:
            frames = [frame.to_ndarray(format="rgb24") for frame in clip.decode(video=0)]
        assert len(frames) == round((life.t_end - life.t_start) * 25)
        ends = {"begin": frames[0], "end": frames[-1]}
        ends["best"] = frames[round((life.best_seconds - life.t_start) * 25 - 0.5)]
        for kind, frame in ends.items():
            assert told[kind] == f"{key}.{kind}.jpg"
            assert np.abs(pixels(held[told[kind]]) - frame).mean() < 8, kind


def test_a_pack_is_replaced_with_its_clips(service: SegSearch, tmp_path: Path) -> None:
    hits = service.search_text("yellow", limit=2).hits
    for part in (hits[:1], hits[1:2]):
        write_caption_pack(part, service.region_sources(), tmp_path)
        keys = {path.name.partition(".")[0] for path in tmp_path.glob("*.*.*")}
        assert keys == {f"{part[0].segment.id:06}"}


@pytest.mark.parametrize(
    ("life", "part"),
    [
        (Life(1.0, 4.0, 3.5), (1.0, 4.0)),
        (Life(1.0, 60.0, 30.0), (25.0, 35.0)),
        (Life(1.0, 60.0, 2.0), (1.0, 11.0)),
        (Life(1.0, 60.0, 58.5), (50.0, 60.0)),
    ],
    ids=["short", "middle", "early", "late"],
)
def test_a_long_life_is_shown_around_its_best_second(life: Life, part: tuple[float, float]) -> None:
    assert clip_of_life(life, PACKED_SECONDS) == part


def test_neighbours_are_there_at_the_moment_that_is_shown(tmp_path: Path) -> None:
    red = still("red", 0.0, 4.0, (2, 2, 12, 12))
    moving = Filmed("blue", 0.0, 8.0, {2.0: (20, 2, 30, 12), 6.0: (20, 25, 30, 35)})
    later = Filmed("green", 5.0, 8.0, {6.0: (40, 2, 50, 12)})
    with open_small_service(tmp_path / "library") as service:
        (image_id,) = film(service, "/films/a.mp4", (0.0, 8.0), [[red, moving, later]])
        of_red, of_blue, of_green = service.catalog.segments_of(image_id)
        told = neighbours(of_red, service.catalog.segments_on_frame(image_id, of_red.seen_at))
        assert [(one["segment_id"], one["box"]) for one in told] == [(of_blue.id, [20, 2, 30, 12])]
        told = neighbours(of_green, service.catalog.segments_on_frame(image_id, of_green.seen_at))
        assert [(one["segment_id"], one["box"]) for one in told] == [(of_blue.id, [20, 25, 30, 35])]
        plain = neighbours(of_red, [of_red, of_blue, of_green])
        assert [one["segment_id"] for one in plain] == [of_blue.id]
