"""The service over a folder of pictures: what goes in, what comes out, and what a change does."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from segsearch.core.errors import (
    LibraryMissingError,
    ModelError,
    NotFoundError,
    PathError,
    RecipeError,
)
from segsearch.core.query import PictureTerm, Query, SegmentTerm, TextTerm
from segsearch.core.types import JobState, Recipe
from segsearch.ingest.worker import Step
from segsearch.library import SegSearch
from segsearch.masks.rle import decode
from segsearch.models.pipeline import Pipeline
from tests.support.described import DIMENSION, describe
from tests.support.small_models import Shape, SmallModels, open_small_service, paint

RED = Shape("red", (10, 10, 40, 40))
BLUE = Shape("blue", (60, 20, 100, 70), "disc")


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    paint(folder / "both.png", [RED, BLUE])
    paint(folder / "sub" / "blue.png", [BLUE])
    paint(folder / "green.png", [Shape("green", (5, 5, 100, 80))])
    return folder


@pytest.fixture
def service(tmp_path: Path) -> Iterator[SegSearch]:
    with open_small_service(tmp_path / "library") as made:
        yield made


def names(service: SegSearch, text: str, **options: int) -> list[str]:
    return [Path(hit.image.paths[0]).name for hit in service.search_text(text, **options).hits]


def test_words_give_the_region_with_its_exact_mask(service: SegSearch, pictures: Path) -> None:
    report = service.index([pictures])
    assert (report.files, report.indexed, report.segments, report.skipped) == (3, 3, 4, ())
    hit = service.search_text("something red", limit=1).hits[0]
    assert hit.rank == 1
    assert Path(hit.image.paths[0]).name == "both.png"
    assert (decode(hit.segment.mask) == RED.mask(120, 90)).all()
    assert hit.segment.mask.box.as_tuple() == RED.box


def test_a_picture_finds_its_like(service: SegSearch, pictures: Path, tmp_path: Path) -> None:
    service.index([pictures])
    query = paint(tmp_path / "query.png", [Shape("green", (0, 0, 60, 60))], size=(60, 60))
    hit = service.search(Query((PictureTerm(query.read_bytes()),))).hits[0]
    assert Path(hit.image.paths[0]).name == "green.png"


def test_terms_add_up_and_take_away(service: SegSearch, pictures: Path) -> None:
    service.index([pictures])
    best = service.search_text("blue", limit=1).hits[0].segment.id
    like = service.search(Query((SegmentTerm(best),), limit=2)).hits
    assert {hit.segment.mask.box for hit in like} == {like[0].segment.mask.box}
    terms = (TextTerm("blue"), TextTerm("red", -1.0))
    less = service.search(Query(terms, limit=10, near_duplicates=True)).hits
    boxes = [hit.segment.mask.box.as_tuple() for hit in less]
    assert boxes[:2] == [BLUE.box, BLUE.box]
    assert boxes[-1] == RED.box


def test_copies_and_renames_run_no_model(service: SegSearch, pictures: Path) -> None:
    service.index([pictures])
    shutil.copy(pictures / "both.png", pictures / "copy.png")
    (pictures / "green.png").rename(pictures / "renamed.png")
    report = service.index([pictures])
    assert report.indexed == 0
    assert service.status().images == 3
    assert [Path(path).name for path in service.catalog.image(1).paths] == ["both.png", "copy.png"]


def test_a_changed_file_replaces_its_old_content(service: SegSearch, pictures: Path) -> None:
    service.index([pictures])
    paint(pictures / "green.png", [Shape("yellow", (5, 5, 50, 50))])
    report = service.index([pictures])
    assert report.indexed == 1
    assert service.status().images == 3
    assert names(service, "yellow", limit=1) == ["green.png"]
    assert service.search_text("green", limit=1).hits[0].score < 0.5
    assert service.maintenance.verify() == []


def test_removed_pictures_are_never_found_again(service: SegSearch, pictures: Path) -> None:
    service.index([pictures])
    assert service.remove(paths=[pictures / "sub"]) == 1
    assert "blue.png" not in names(service, "blue")
    assert service.status().segments == 3
    with pytest.raises(NotFoundError):
        service.remove(paths=[pictures / "sub"])
    assert service.maintenance.verify() == []


def test_a_removed_path_takes_no_image_that_another_path_leads_to(
    service: SegSearch, pictures: Path
) -> None:
    (pictures / "trash").mkdir()
    shutil.copy(pictures / "both.png", pictures / "trash" / "copy.png")
    paint(pictures / "trash" / "own.png", [Shape("yellow", (5, 5, 50, 50))])
    service.index([pictures])
    service.tag(paths=[pictures / "both.png"], add=["mine"])
    assert service.remove(paths=[pictures / "trash"]) == 1
    (kept,) = [image for image in service.catalog.images() if image.tags]
    assert (kept.paths, kept.tags) == ((str(pictures / "both.png"),), ("mine",))
    assert names(service, "red", limit=1) == ["both.png"]
    assert service.status().images == 3
    shutil.copy(pictures / "both.png", pictures / "trash" / "copy.png")
    service.index([pictures / "trash"])
    copied = pictures / "trash" / "copy.png"
    assert service.remove(paths=[copied]) == 0
    assert service.remove(paths=[copied.parent], image_ids=[kept.id]) == 2
    with pytest.raises(NotFoundError):
        service.remove(paths=[copied])
    assert service.maintenance.verify() == []


def test_a_stopped_run_keeps_what_was_under_way_and_goes_on_where_it_was(
    service: SegSearch, pictures: Path
) -> None:
    for number in range(27):
        paint(pictures / f"{number}.png", [Shape("cyan", (number, 5, number + 20, 40))])
    stop, seen = threading.Event(), list[str]()

    def report(_done: int, _total: int, step: Step) -> None:
        seen.append(step.path)
        stop.set()

    service.index([pictures], report=report, stop=stop)
    assert 1 <= len(seen) < 30
    assert service.status().pending == 30 - len(seen)
    assert service.jobs()[0].state is JobState.STOPPED
    assert service.index([pictures]).indexed == 30 - len(seen)
    assert service.status().pending == 0


def test_a_picture_in_which_nothing_stands_out_can_still_be_found(
    service: SegSearch, tmp_path: Path
) -> None:
    path = tmp_path / "plain.png"
    Image.new("RGB", (20, 10), (255, 255, 255)).save(path)
    service.index([path])
    (hit,) = service.search_text("white").hits
    assert hit.segment.mask.area == 200
    assert hit.segment.predicted_iou == 0


def test_an_empty_library_says_what_to_do(service: SegSearch) -> None:
    with pytest.raises(LibraryMissingError, match="segsearch index"):
        service.search_text("red")
    assert service.maintenance.verify() == []
    assert service.status().preset is None


def test_a_path_that_does_not_exist_is_refused(service: SegSearch, tmp_path: Path) -> None:
    with pytest.raises(PathError, match="nowhere"):
        service.index([tmp_path / "nowhere"])


def test_a_file_that_is_gone_keeps_its_segments_but_gives_no_pixels(
    service: SegSearch, pictures: Path
) -> None:
    service.index([pictures])
    hit = service.search_text("green", limit=1).hits[0]
    assert service.pictures.pixels(hit.image.id).shape == (90, 120, 3)
    paint(pictures / "green.png", [RED])
    with pytest.raises(NotFoundError, match="gone or was changed"):
        service.pictures.pixels(hit.image.id)


def test_a_file_that_changes_after_it_was_found_is_refused_once(
    tmp_path: Path, pictures: Path
) -> None:
    with open_small_service(tmp_path / "library") as service:
        stop = threading.Event()

        def change(_done: int, _total: int, _step: Step) -> None:
            stop.set()

        service.index([pictures / "both.png"], report=change, stop=stop)
        stop.set()
        service.index([pictures], stop=stop)  # nothing is recorded once stop is set
        assert service.status().images == 1


def test_each_picture_is_embedded_once(service: SegSearch, pictures: Path) -> None:
    seen: list[str] = []
    for _ in range(3):
        service.index([pictures], report=lambda _done, _total, step: seen.append(step.path))
    assert len(seen) == len(set(seen)) == 3


def test_models_that_made_nothing_give_way_to_others(tmp_path: Path, pictures: Path) -> None:
    class Broken(SmallModels):
        @property
        def recipe(self) -> Recipe:
            return replace(super().recipe, embedder="damaged@0")

        def pipeline(self) -> Pipeline:
            raise ModelError("The weights are damaged.")

        def builder(self) -> Callable[[], Pipeline]:
            return self.pipeline

    library = tmp_path / "library"
    with (
        open_small_service(library, models=Broken(), lanes=1) as service,
        pytest.raises(ModelError, match="damaged"),
    ):
        service.index([pictures])
    with open_small_service(tmp_path / "library") as service:
        assert service.index([pictures]).indexed == 3
        assert names(service, "red", limit=1) == ["both.png"]
        assert service.maintenance.verify() == []


def test_a_library_of_other_models_is_not_mixed_with_these(tmp_path: Path, pictures: Path) -> None:
    with open_small_service(tmp_path / "library") as service:
        service.index([pictures])
        catalog = service.catalog  # stands in for a library made elsewhere
        _, recipe = catalog.active_recipe() or (0, None)
        assert recipe is not None
        others = {"embedder": "other@2", "segmenter": "s@2", "dimension": DIMENSION}
        other = type(recipe)(**{**recipe.document, **others})
        second = catalog.register_recipe(other)
        catalog.queue_all(second)
        while claim := catalog.claim(second, "elsewhere", 60):
            assert catalog.commit(claim, describe(claim.image_id))
        assert catalog.switch_recipe(second)
        with pytest.raises(RecipeError, match="--rebuild"):
            service.search_text("red")
        with pytest.raises(RecipeError, match="--rebuild"):
            service.index([pictures])
        assert service.index([pictures], rebuild=True).indexed == 3
        assert names(service, "red", limit=1) == ["both.png"]
        assert service.maintenance.verify() == []
