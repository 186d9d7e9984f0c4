"""Videos in a library: a picture a shot, looked through once, entered whole, followed when they
change."""

from __future__ import annotations

import gc
import os
import shutil
import tarfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from segsearch.core.errors import NotFoundError
from segsearch.core.filters import Filters
from segsearch.core.names import split_shot
from segsearch.core.query import Query, TextTerm
from segsearch.core.settings import Settings
from segsearch.core.types import State
from segsearch.ingest.scan import Entered, Scan
from segsearch.media.ffmpeg import NO_VIDEO, look
from segsearch.media.sources.reader import Sources
from segsearch.media.sources.videos import PREFIX
from tests.support.clips import THREE, Take, animation, sound_only, write
from tests.support.described import RECIPE
from tests.support.shelf import Shelf, touch
from tests.support.small_models import Shape, open_small_service, paint

RED = Shape("red", (10, 10, 50, 40))
SHOTS = ["clip.mp4#t=0,1.6", "clip.mp4#t=1.6,2.8", "clip.mp4#t=2.8,4"]


def counted(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The videos that are looked through from here on."""
    seen: list[Path] = []

    def counting(path: Path, *given: object, **more: object) -> object:
        seen.append(path)
        return look(path, *given, **more)  # type: ignore[arg-type]

    monkeypatch.setattr("segsearch.ingest.scan.look", counting)
    return seen


def test_each_shot_is_a_picture_and_an_unchanged_video_is_not_looked_at_again(
    place: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = counted(monkeypatch)
    write(place.folder / "clip.mp4")
    paint(place.folder / "a.png", [RED])
    report = place.service.index([place.folder])
    assert (report.files, report.indexed, report.skipped) == (4, 4, ())
    assert place.paths() == dict.fromkeys(["a.png", *SHOTS], State.DONE)
    assert len(seen) == 1
    report = place.service.index([place.folder])
    assert (report.files, report.indexed, report.unchanged) == (4, 0, 4)
    assert len(seen) == 1
    assert place.service.maintenance.verify() == []
    assert place.service.maintenance.prune(dry_run=True).paths == ()


def test_hits_say_when_a_thing_is_there_and_show_the_frame_of_its_mask(place: Shelf) -> None:
    write(place.folder / "clip.mp4")
    place.service.index([place.folder])
    query = Query((TextTerm("yellow"),), filters=Filters(between=(1.7, 2.7)), per_image=1)
    hit = place.service.search(query).hits[0]
    assert hit.image.shot
    assert (hit.image.shot.t_start, hit.image.shot.t_end) == (1.6, 2.8)
    life = hit.segment.life
    assert life
    assert 1.6 <= life.t_start <= life.best_seconds <= life.t_end <= 2.8
    masks = place.service.catalog.key_masks([hit.segment.id])[hit.segment.id]
    assert len(masks) == 2, "two keyframes, and the thing on both is one"
    pixels = place.service.pictures.pixels(hit.image.id, life.best_seconds)
    box = hit.segment.mask.box
    inside = pixels[box.y0 + 3 : box.y1 - 3, box.x0 + 3 : box.x1 - 3].reshape(-1, 3).mean(axis=0)
    assert np.abs(inside - (230, 220, 40)).max() < 12


def test_pictures_are_dealt_with_before_videos(place: Shelf) -> None:
    write(place.folder / "a.mp4")
    paint(place.folder / "z.png", [RED])
    place.service.index([place.folder])
    images = place.service.catalog.images(limit=10)
    assert Path(images[0].paths[0]).name == "z.png"


def test_copies_are_further_paths_of_the_same_shots(place: Shelf) -> None:
    clip = write(place.folder / "clip.mp4")
    place.service.index([place.folder])
    shutil.copy(clip, place.folder / "copy.mp4")
    report = place.service.index([place.folder])
    assert report.indexed == 0
    (video,) = place.service.catalog.videos()
    assert [Path(path).name for path in video.paths] == ["clip.mp4", "copy.mp4"]
    assert len(video.shots) == 3


def test_a_changed_video_gives_up_what_it_no_longer_holds(place: Shelf) -> None:
    clip = write(place.folder / "clip.mp4")
    place.service.index([place.folder])
    write(clip, [Take("blue", 50)])
    touch(clip)
    report = place.service.index([place.folder])
    assert (report.files, report.indexed) == (1, 1)
    assert place.paths() == {"clip.mp4#t=0,2": State.DONE}
    assert len(place.service.catalog.videos()) == 1
    paint(place.folder / "a.png", [RED])
    clip.unlink()
    place.service.index([place.folder])
    place.service.maintenance.prune()
    assert place.service.catalog.videos() == []


def test_what_is_no_video_is_looked_through_once_and_said(
    place: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_look = "segsearch.media.sources.verified.look"
    monkeypatch.setattr(no_look, lambda *_: pytest.fail("it is looked through again"))
    sound_only(place.folder / "sound.mp4")
    (place.folder / "text.mkv").write_text("nothing of the kind")
    report = place.service.index([place.folder])
    assert {Path(file.path).name for file in report.skipped} == {"sound.mp4", "text.mkv"}
    assert all(len(file.reason) > 20 for file in report.skipped)
    assert (report.files, report.indexed, report.unchanged) == (2, 0, 0)
    assert place.service.status().failed == 2
    (job,) = place.service.jobs()
    assert (job.total, job.done, job.skipped) == (0, 0, 2)
    seen = counted(monkeypatch)
    again = place.service.index([place.folder])
    assert (seen, again.skipped) == ([], report.skipped)
    again = place.service.index([place.folder], retry_failed=True)
    assert (len(seen), again.skipped) == (2, report.skipped)


def test_videos_need_their_package(place: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "segsearch.media.sources.reader.find_spec",
        lambda name: None if name == "av" else find_spec(name),
    )
    write(place.folder / "clip.mp4")
    paint(place.folder / "a.png", [RED])
    report = place.service.index([place.folder])
    assert [file.reason for file in report.skipped] == [NO_VIDEO]


def test_a_video_in_an_archive_is_read_there(place: Shelf) -> None:
    clip = write(place.folder / "clip.mp4")
    with tarfile.open(place.folder / "some.tar", "w") as archive:
        archive.add(clip, "deep/clip.mp4")
    clip.unlink()
    place.service.index([place.folder])
    assert {path.partition("#")[0] for path in place.paths()} == {"some.tar/deep/clip.mp4"}
    image = place.service.catalog.images(limit=1)[0]
    assert place.service.pictures.pixels(image.id).shape == (96, 160, 3)


@pytest.mark.parametrize("suffix", [".gif", ".webp"])
def test_pictures_that_move_are_videos_only_when_asked(tmp_path: Path, suffix: str) -> None:
    (tmp_path / "in").mkdir()
    animation(tmp_path / "in" / f"a{suffix}")
    paint(tmp_path / "in" / f"still{suffix}", [RED])
    with open_small_service(tmp_path / "pictures") as service:
        service.index([tmp_path / "in"])
        assert all(image.shot is None for image in service.catalog.images(limit=10))
    with open_small_service(tmp_path / "videos", animated=True) as service:
        service.index([tmp_path / "in"])
        images = service.catalog.images(limit=10)
        assert [Path(one.paths[0]).name for one in images if one.shot is None] == [f"still{suffix}"]
        assert len([one for one in images if one.shot]) == 3


def test_a_stop_leaves_a_video_to_the_next_run(tmp_path: Path) -> None:
    clip = write(tmp_path / "clip.mp4")
    with open_small_service(tmp_path / "library") as service:
        catalog = service.catalog
        scan = Scan(catalog, Sources(Settings(library=tmp_path)))
        listing = scan.find([clip])
        recipe_id = catalog.register_recipe(RECIPE)
        entered = Entered()
        scan.enter(scan.look([clip], listing).new, recipe_id, entered, lambda: True)
        assert (entered.unread, entered.queued) == (1, 0)
        scan.enter(scan.look([clip], listing).new, recipe_id, entered, lambda: False)
        assert entered.queued == len(THREE)


def test_frames_of_a_video_that_has_changed_are_not_shown(place: Shelf) -> None:
    clip = write(place.folder / "clip.mp4")
    place.service.index([place.folder])
    image = place.service.catalog.images(limit=1)[0]
    assert split_shot(image.paths[0])
    with place.service.pictures.open_file(image.id) as path:
        assert path == clip
    write(clip, [Take("blue", 60)])
    touch(clip)
    with pytest.raises(NotFoundError, match="gone or was changed"):
        place.service.pictures.pixels(image.id, 0.7)
    with pytest.raises(NotFoundError, match="shot of video"):
        place.service.pictures.file(image.id)


def test_copies_of_videos_lie_in_the_librarys_folder_and_go(place: Shelf) -> None:
    with tarfile.open(place.folder / "some.tar", "w") as archive:
        archive.add(write(place.folder / "clip.mp4"), "clip.mp4")
    (place.folder / "clip.mp4").unlink()
    library = place.service.settings.library
    sources = Sources(place.service.settings)
    name = str(place.folder / "some.tar" / "clip.mp4")
    with sources.videos.file(name) as first:
        assert first.parent == library / "spooled-videos"
        left = first.with_name(f"{PREFIX}left.mp4")
        left.write_bytes(b"of a process that was killed")
        for path in (first, left):
            os.utime(path, (1, 1))
        with Sources(place.service.settings).videos.file(name) as second:
            assert {*first.parent.iterdir()} == {first, second}, "nobody holds the third"
            assert second.read_bytes() == first.read_bytes()
    del sources
    gc.collect()
    assert not [*(library / "spooled-videos").iterdir()]


def test_a_copy_is_made_where_the_library_can_only_be_read(tmp_path: Path) -> None:
    (tmp_path / "spooled-videos").write_text("no folder can be made here")
    with tarfile.open(tmp_path / "some.tar", "w") as archive:
        archive.add(write(tmp_path / "clip.mp4"), "clip.mp4")
    sources = Sources(Settings(library=tmp_path))
    with sources.videos.file(str(tmp_path / "some.tar" / "clip.mp4")) as path:
        assert path.read_bytes() == (tmp_path / "clip.mp4").read_bytes()
