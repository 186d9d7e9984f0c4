"""The clip of a live photo stays with its still; other videos of a picture's name are videos."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image
from rich.console import Console

from segsearch.cli.output import report_table
from segsearch.core.types import State
from segsearch.ingest.live_clips import LIVE_CLIP
from segsearch.media.live_photos import ClipFacts, clip_facts, is_clip_of
from tests.support.clips import DEFAULT, Coding, Take, write
from tests.support.shelf import Shelf
from tests.support.small_models import Shape, paint

SHORT, LONG = [Take("red", 50)], [Take("red", 100), Take("blue", 100)]  # 2 and 8 seconds
ONE, OTHER = "8B6A-ONE", "8B6A-OTHER"


def clip(path: Path, scenes: list[Take], identifier: str | None = None) -> Path:
    said = Coding(
        container_options=(("movflags", "use_metadata_tags"),),
        metadata=(("com.apple.quicktime.content.identifier", identifier or ""),),
    )
    return write(path, scenes, said if identifier else DEFAULT)


def still(path: Path) -> Path:
    """A picture of its own colours for each name."""
    kind = "HEIF" if path.suffix.lower() == ".heic" else "JPEG"
    if kind == "HEIF":
        from pillow_heif import register_heif_opener

        register_heif_opener()
    drawn = paint(path.with_suffix(".png"), [Shape("red", (10, 10, 30 + ord(path.stem[-1]), 40))])
    with Image.open(drawn) as picture:
        picture.convert("RGB").save(path, kind)
    drawn.unlink()
    return path


@pytest.mark.parametrize("suffix", [".mov", ".mp4"])
def test_a_clip_says_how_long_it_lasts_and_what_it_belongs_to(tmp_path: Path, suffix: str) -> None:
    assert clip_facts(clip(tmp_path / f"a{suffix}", SHORT, ONE)) == ClipFacts(2.0, ONE)
    assert clip_facts(clip(tmp_path / f"b{suffix}", LONG)) == ClipFacts(8.0, None)


def test_what_is_no_clip_says_nothing(tmp_path: Path) -> None:
    data = clip(tmp_path / "a.mov", SHORT, ONE).read_bytes()
    for number, part in enumerate([b"", b"text", data[:40], data[: len(data) - 30], data[8:]]):
        path = tmp_path / f"{number}.mov"
        path.write_bytes(part)
        facts = clip_facts(path)
        assert facts is None or facts.seconds == 2.0
    assert clip_facts(tmp_path / "none.mov") is None


@pytest.mark.parametrize(
    ("scenes", "identifier", "belongs"),
    [(SHORT, ONE, True), (SHORT, None, False), (LONG, ONE, False)],
    ids=["a camera's", "anybody's", "a long one"],
)
def test_a_clip_belongs_by_its_length_and_by_what_it_says(
    tmp_path: Path, scenes: list[Take], identifier: str | None, belongs: bool
) -> None:
    moving = clip(tmp_path / "IMG_1.MOV", scenes, identifier)
    assert not is_clip_of(moving, tmp_path / "IMG_1.HEIC"), "without a still"
    assert is_clip_of(moving, still(tmp_path / "IMG_1.HEIC")) is belongs


def test_clips_of_live_photos_stay_with_their_stills_and_the_report_counts_them(
    place: Shelf,
) -> None:
    still(place.folder / "IMG_1.HEIC")
    clip(place.folder / "IMG_1.MOV", SHORT, ONE)
    still(place.folder / "img_2.jpg")
    clip(place.folder / "IMG_2.mov", SHORT, OTHER)
    still(place.folder / "IMG_3.JPG")
    clip(place.folder / "IMG_3.MOV", LONG, ONE)
    clip(place.folder / "IMG_4.MOV", SHORT, OTHER)
    still(place.folder / "film_5.jpg")  # a poster
    clip(place.folder / "film_5.mp4", SHORT)
    expected = [
        "IMG_1.HEIC", "img_2.jpg", "IMG_3.JPG", "IMG_3.MOV#t=0,4", "IMG_3.MOV#t=4,8",
        "IMG_4.MOV#t=0,2", "film_5.jpg", "film_5.mp4#t=0,2",
    ]  # fmt: skip
    for unchanged in (0, len(expected)):
        report = place.service.index([place.folder])
        assert (report.files, report.unchanged) == (len(expected), unchanged)
        assert place.paths() == dict.fromkeys(expected, State.DONE)
        assert [(Path(file.path).name, file.reason) for file in report.skipped] == [
            ("IMG_1.MOV", LIVE_CLIP),
            ("IMG_2.mov", LIVE_CLIP),
        ]
        told = io.StringIO()
        report_table(Console(file=told, width=200), report)
        assert "0 skipped" in told.getvalue()
        assert "2 clips of live photos left with their stills.\n" in told.getvalue()


def test_a_clip_that_comes_without_its_still_into_the_run_is_known_by_the_catalog(
    place: Shelf,
) -> None:
    still(place.folder / "IMG_1.HEIC")
    place.service.index([place.folder])
    moving = clip(place.folder / "IMG_1.MOV", SHORT, ONE)
    report = place.service.index([moving])
    assert [file.reason for file in report.skipped] == [LIVE_CLIP]
    assert list(place.paths()) == ["IMG_1.HEIC"]


def test_a_clip_that_came_before_its_still_is_a_video_no_more(place: Shelf) -> None:
    moving = clip(place.folder / "IMG_1.MOV", SHORT, ONE)
    place.service.index([place.folder])
    assert list(place.paths()) == ["IMG_1.MOV#t=0,2"]
    place.service.tag(paths=[moving], add=["cat"])
    still(place.folder / "IMG_1.HEIC")
    place.service.index([place.folder])
    assert list(place.paths()) == ["IMG_1.HEIC"]
    assert place.service.catalog.videos() == []
    (image,) = place.service.catalog.images(limit=9)
    assert list(image.tags) == ["cat"]
    assert place.service.maintenance.verify() == []
