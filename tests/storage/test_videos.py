"""Videos in a catalog: shots are images, things live through them, and pictures pay nothing."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace

import pytest
import sqlalchemy as sa

from segsearch.core.browsing import BrowseOrder
from segsearch.core.errors import NotFoundError
from segsearch.core.filters import Filters
from segsearch.core.lives import Life, Shot
from segsearch.storage.catalog.backend import Place
from segsearch.storage.catalog.sql_catalog import Catalog
from tests.support.described import RECIPE, describe_shot, digest, read_lines, seen_shots
from tests.support.filmed import CUTS, FILE, MADE, enter, picture, take


@pytest.fixture
def catalog(place: Place) -> Iterator[Catalog]:
    made = Catalog(place)
    made.register_recipe(RECIPE)
    yield made
    made.close()


def sound(catalog: Catalog) -> None:
    assert list(catalog.problems((1, RECIPE))) == []


def test_a_shot_is_an_image_that_knows_its_times_before_and_after_it_is_described(
    catalog: Catalog,
) -> None:
    seen = seen_shots(FILE, "film", CUTS)
    catalog.record_files(seen, 1)
    first = catalog.images(limit=1)[0]
    assert (first.paths, first.format) == ((f"{FILE}#t=0,4",), "VIDEO")
    assert first.shot == Shot(1, 0.0, 4.0, 2.0)
    assert first.info is None
    claim = take(catalog)
    catalog.commit(claim, describe_shot(1, 0.0, 3.0))
    image = catalog.image(claim.image_id)
    assert image.shot == Shot(1, 0.0, 4.0, 1.5)
    assert (image.width, image.height, image.format) == (30, 20, "VIDEO")
    assert catalog.image(2).shot == Shot(1, 4.0, 12.5, 8.25)
    sound(catalog)


def test_a_video_is_told_with_its_shots_in_order_and_the_paths_of_its_file(
    catalog: Catalog,
) -> None:
    ids = enter(catalog)
    copy = seen_shots("/copies/b.mov", "film", CUTS, made_at=MADE, has_sound=True)
    assert catalog.record_files(copy, 1) == 0, "a copy is further paths of the same images"
    video = catalog.video(1)
    assert (video.sha256, video.seconds, video.has_sound) == (digest("film"), 20.0, True)
    assert (video.width, video.height, video.codec, video.made_at) == (30, 20, "h264", MADE)
    assert video.paths == ("/copies/b.mov", FILE)
    assert [number for number, _ in video.shots] == ids
    assert [shot.t_start for _, shot in video.shots] == [0.0, 4.0, 12.5]
    enter(catalog, "/films/other.mkv", "another")
    assert [one.sha256 for one in catalog.videos()] == [digest("film"), digest("another")]
    assert [one.sha256 for one in catalog.videos(after=1)] == [digest("another")]
    assert [one.id for one in catalog.videos(limit=1)] == [1]
    assert catalog.counts()["videos"] == 2
    with pytest.raises(NotFoundError, match="no video 7"):
        catalog.video(7)


def test_a_video_is_found_by_its_file_and_by_its_shots(catalog: Catalog) -> None:
    enter(catalog)
    picture(catalog)
    assert catalog.video_of_path(FILE) == 1
    assert catalog.video_of_path(f"{FILE}#t=4,12.5") == 1
    assert catalog.video_of_path("/films/clip.mp4") is None
    assert catalog.video_of_path("/films/a.jpg") is None


def test_segments_of_a_shot_say_when_they_are_there_and_those_of_a_picture_do_not(
    catalog: Catalog,
) -> None:
    first, *_ = enter(catalog)
    other = picture(catalog)
    lives = [segment.life for segment in catalog.segments_of(first)]
    assert lives == [Life(0.0, 4.0, 2.0), Life(0.1, 4.0, 2.0), Life(0.2, 4.0, 2.0)]
    assert [segment.life for segment in catalog.segments_of(other)] == [None] * 3
    hits = [*catalog.regions()]
    assert [hit.segment.life is None for hit in hits] == [False] * 9 + [True] * 3
    assert [hit.image.shot is None for hit in hits] == [False] * 9 + [True] * 3


def test_key_masks_come_in_order_of_time_with_the_size_of_the_frame(catalog: Catalog) -> None:
    enter(catalog)
    other = picture(catalog)
    drawn = catalog.segments_of(other)[0].id
    masks = catalog.key_masks([2, drawn])
    assert list(masks) == [2]
    assert [key.seconds for key in masks[2]] == [1.0, 2.0, 3.0]
    boxes = [key.mask.box.as_tuple() for key in masks[2]]
    assert boxes == [(2, 1, 4, 4), (3, 1, 5, 4), (4, 1, 6, 4)]
    assert masks[2][1].mask == catalog.segment(2).mask
    assert catalog.key_masks([]) == {}


@pytest.mark.parametrize(
    ("seconds", "ids", "key"),
    [
        pytest.param(0.05, [1], 1.0, id="before the others come"),
        pytest.param(1.4, [1, 2, 3], 1.0, id="nearer to the first keyframe"),
        pytest.param(3.9, [1, 2, 3], 3.0, id="behind the last keyframe"),
        pytest.param(4.0, [4], 6.125, id="where two shots meet"),
        pytest.param(20.0, [7, 8, 9], 18.125, id="at the very end"),
        pytest.param(20.5, [], 0.0, id="behind the end"),
    ],
)
def test_what_is_there_at_a_moment_comes_with_its_nearest_mask(
    seconds: float, ids: list[int], key: float, catalog: Catalog
) -> None:
    enter(catalog)
    there = catalog.segments_at(1, seconds)
    assert [segment.id for segment, _ in there] == ids
    assert {mask.seconds for _, mask in there} == ({key} if ids else set())
    with pytest.raises(NotFoundError):
        catalog.segments_at(2, 0.0)


def test_a_frame_shows_what_has_a_mask_at_its_very_second(catalog: Catalog) -> None:
    first, second, _ = enter(catalog)
    other = picture(catalog)
    for seconds, shift in ((1.0, -1), (None, 0), (3.0, 1)):
        shown = catalog.segments_on_frame(first, seconds)
        assert [segment.id for segment in shown] == [1, 2, 3]
        assert {segment.seen_at for segment in shown} == {seconds or 2.0}
        for segment in shown[-2:]:  # the first one stands at the edge
            best = catalog.segment(segment.id).mask.box
            assert segment.mask.box.x0 == best.x0 + shift
    assert catalog.segments_on_frame(first, 1.5) == []
    assert catalog.segments_on_frame(second, 1.0) == []
    assert catalog.segments_on_frame(other, 1.0) == catalog.segments_of(other)
    assert catalog.segments_on_frame(999) == []


def test_key_times_are_those_of_masks_shot_by_shot(catalog: Catalog) -> None:
    first, second, third = enter(catalog)
    enter(catalog, "/films/other.mkv", "another")
    times = catalog.key_times(1)
    assert list(times) == [first, second, third]
    assert times[first] == (1.0, 2.0, 3.0)
    assert times[second] == (6.125, 8.25, 10.375)
    assert catalog.key_times(7) == {}


def test_what_is_read_in_a_shot_lives_through_all_of_it(catalog: Catalog) -> None:
    first, *_ = enter(catalog)
    catalog.queue_reading(1, "reader@1")
    claim = catalog.claim(1, "me", 60, "read")
    assert claim is not None
    assert claim.image_id == first
    assert next(region.life for region in claim.regions) == Life(0.0, 4.0, 2.0)
    assert catalog.commit_text(claim, read_lines(["Open"], 3))
    added = catalog.segments_of(first)[-1]
    assert (added.kind, added.life) == ("text", Life(0.0, 4.0, 2.0))
    (key,) = catalog.key_masks([added.id])[added.id]
    assert (key.seconds, key.mask) == (2.0, added.mask)
    sound(catalog)


def test_a_shot_is_near_to_those_of_other_videos_and_to_none_of_its_own(catalog: Catalog) -> None:
    for name in ("one", "two"):
        catalog.record_files(seen_shots(f"/{name}.mp4", name, (0.0, 1.0, 2.0)), 1)
        for start in (0.0, 1.0):
            described = describe_shot(1, start, start + 1)
            info = replace(described.info, perceptual_hash="0f" * 16)
            assert catalog.commit(take(catalog), replace(described, info=info))
    links = catalog.near_duplicates({1, 2, 3, 4})
    assert links == {1: {3, 4}, 2: {3, 4}, 3: {1, 2}, 4: {1, 2}}


def test_a_video_goes_with_its_last_shot(catalog: Catalog) -> None:
    first, second, third = enter(catalog)
    catalog.remove_images([first])
    assert [number for number, _ in catalog.video(1).shots] == [second, third]
    assert catalog.video(1).paths == (FILE,)
    catalog.remove_segments([4])
    assert catalog.key_masks([4, 5]).keys() == {5}
    assert catalog.forget_paths([f"{FILE}#t=4,12.5", f"{FILE}#t=12.5,20"]) == 2
    assert catalog.videos() == []
    assert catalog.counts()["videos"] == 0
    assert catalog.video_of_path(FILE) is None
    sound(catalog)


def test_a_changed_file_gives_up_the_shots_it_had(catalog: Catalog) -> None:
    enter(catalog)
    changed = seen_shots(FILE, "changed", (0.0, 4.0, 20.0))
    catalog.tag_images([1], add=["mine"])
    catalog.record_files(changed, 1)
    assert {video.sha256 for video in catalog.videos()} == {digest("film"), digest("changed")}
    left = sorted({*catalog.stamps_below([FILE])} - {one.path for one in changed})
    catalog.forget_paths(left)
    assert [video.sha256 for video in catalog.videos()] == [digest("changed")]
    assert catalog.image(catalog.videos()[0].shots[0][0]).tags == ("mine",)
    sound(catalog)


def test_a_place_that_is_a_video_means_its_shots_and_no_other_file(catalog: Catalog) -> None:
    enter(catalog)
    enter(catalog, "/films/Clip.mp4.mkv", "other")
    picture(catalog, "/films/Clip.mp4#t=0,4.png")
    names = {f"{FILE}#t={times}" for times in ("0,4", "4,12.5", "12.5,20")}
    assert {*catalog.stamps_below([FILE])} == names
    assert {*catalog.find_paths([FILE])} == names
    assert catalog.find_paths([f"{FILE}#t=4,12.5"]) == [f"{FILE}#t=4,12.5"]
    assert len(catalog.stamps_below(["/films"])) == 7


def test_shots_are_listed_by_file_and_time_and_dated_by_when_the_video_was_made(
    catalog: Catalog,
) -> None:
    cuts = (0.0, 2.0, 9.5, 9.75, 10.0, 100.25, 1000.0)
    for file in ("/z/B.mp4", "/a/c.MOV"):
        catalog.record_files(seen_shots(file, file, cuts, made_at=MADE), 1)
        for start, end in itertools.pairwise(cuts):
            assert catalog.commit(take(catalog), describe_shot(1, start, end))
    picture(catalog, "/films/bb.jpg")
    listed = catalog.listed(1, BrowseOrder.NAME, None, 99)
    starts = ["000000.000", "000002.000", "000009.500", "000009.750", "000010.000", "000100.250"]
    assert [one.name for one in listed] == [
        *(f"b.mp4#t={start},{end:g}" for start, end in zip(starts, cuts[1:], strict=True)),
        "bb.jpg",
        *(f"c.mov#t={start},{end:g}" for start, end in zip(starts, cuts[1:], strict=True)),
    ]
    assert {(one.date, one.date_from) for one in listed[:6]} == {("2023-05-06T07:08:09", "camera")}
    sound(catalog)


@pytest.mark.parametrize(
    ("filters", "images"),
    [
        pytest.param(Filters(paths=("*.mp4",)), [1, 2, 3], id="globs see the file"),
        pytest.param(Filters(paths=("clip.MP4",)), [1, 2, 3], id="a file by its name"),
        pytest.param(Filters(paths=("*.mp4#t=4,*",)), [2], id="a glob of one shot"),
        pytest.param(Filters(albums=("films",)), [1, 2, 3, 4], id="albums"),
        pytest.param(Filters(is_video=True), [1, 2, 3, 5, 6, 7], id="shots"),
        pytest.param(Filters(is_video=False), [4], id="pictures"),
        pytest.param(Filters(videos=(2,)), [5, 6, 7], id="one video"),
        pytest.param(Filters(min_duration=20.0), [1, 2, 3, 5, 6, 7], id="long enough"),
        pytest.param(Filters(max_duration=19.9), [], id="short enough"),
        pytest.param(Filters(between=(4.05, 11.0), videos=(1,)), [2], id="what meets a span"),
        pytest.param(Filters(between=(3.9, 4.0), videos=(1,)), [1, 2], id="what touches a span"),
    ],
)
def test_filters_tell_shots_from_pictures_and_one_video_from_another(
    filters: Filters, images: list[int], catalog: Catalog
) -> None:
    enter(catalog)
    picture(catalog)
    enter(catalog, "/other/b.mkv", "other")
    ids = catalog.select_segments(1, filters).tolist()
    assert catalog.images_of(ids) == images
    assert catalog.count_segments(1, [filters]) == len(ids)
    assert catalog.listed_ids(1, BrowseOrder.ADDED, filters).tolist() == images


def test_regions_pass_by_their_own_life_and_not_by_that_of_their_shot(catalog: Catalog) -> None:
    enter(catalog)
    assert catalog.select_segments(1, Filters(between=(0.0, 0.15))).tolist() == [1, 2]


@pytest.mark.parametrize("place", ["sqlite"], indirect=True)
def test_a_library_of_pictures_is_asked_no_statement_more(catalog: Catalog) -> None:
    for number in range(3):
        picture(catalog, f"/{number}.jpg")
    statements: list[str] = []

    def note(*asked: object) -> None:
        statements.append(str(asked[2]))

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        catalog.segments_of(1)
        catalog.image(1)
        [*catalog.regions()]
        picture(catalog, "/new.jpg")
        catalog.queue_reading(1, "reader@1")
        claim = catalog.claim(1, "me", 60, "read")
        assert claim is not None
        catalog.commit_text(claim, read_lines(["Open"], 3))
        catalog.key_masks([1, 2, 3])
        catalog.videos()
        catalog.near_duplicates({1, 2})
        catalog.forget_paths(["/1.jpg"])
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)
    words = ("shot", "track", "track_mask", "video")
    about = [text for text in statements if any(f" {word}" in text for word in words)]
    assert about == []
