"""Each public call of a catalog, with what it is tried."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from segsearch.core.browsing import BrowseOrder
from segsearch.core.filters import Filters
from segsearch.core.text_query import TextQuery
from segsearch.core.types import FileStamp, JobState, Origin, Recipe
from segsearch.core.video import Video
from segsearch.storage.catalog.files import SeenFile
from segsearch.storage.catalog.sql_catalog import Catalog
from segsearch.storage.index.allowed import Allowed
from tests.support.described import (
    DIMENSION,
    describe,
    describe_shot,
    read_lines,
    seen_shots,
)

ORIGIN = Origin("model", "host", "0" * 64)
SOME = np.array([7, 8], np.int64)
OTHER = Recipe("other", "s@2", "e@1", DIMENSION, {}, {}, {})


def store(catalog: Catalog, number: int, segments: int = 3, lines: Sequence[str] = ()) -> int:
    catalog.record_file(f"/pictures/{number}.jpg", FileStamp(1, 1), f"sha-{number}", 1)
    claim = catalog.claim(1, "me", 60)
    assert claim is not None
    made = describe(number, segments)
    info = replace(made.info, perceptual_hash="0f"[number % 2] * 32)
    text = read_lines(lines, segments) if lines else None
    assert catalog.commit(claim, replace(made, info=info, text=text))
    return claim.image_id


def film(catalog: Catalog) -> Video:
    """A video of two shots, of which one is described."""
    file = "/films/film.mp4"
    if catalog.video_of_path(file) is None:
        catalog.record_files(seen_shots(file, "film", (0.0, 2.0, 4.0)), 1)
        claim = catalog.claim(1, "me", 60)
        assert claim is not None
        assert catalog.commit(claim, describe_shot(1, 0.0, 2.0))
    number = catalog.video_of_path(file)
    assert number is not None
    return catalog.video(number)


# What each public call of the catalog is tried with; every one is here, or the test fails.
def follow(catalog: Catalog) -> None:
    with catalog.following("there", 1) as check:
        check()


def hold(catalog: Catalog) -> None:
    with catalog.holding("0" * 64):
        pass


CALLS: dict[str, Callable[[Catalog], object]] = {
    "active_recipe": lambda c: c.active_recipe(),
    "register_recipe": lambda c: c.register_recipe(OTHER),
    "generation_under_way": lambda c: c.generation_under_way(),
    "known_files": lambda c: [*c.known_files()],
    "stamps_at": lambda c: c.stamps_at(["/pictures/1.jpg"]),
    "stamps_below": lambda c: c.stamps_below(["/pictures", "/pictures/1.jpg"]),
    "forget_paths": lambda c: c.forget_paths(["/pictures/1.jpg", "/pictures/2.jpg"]),
    "queue_all": lambda c: c.queue_all(1, retry_failed=True),
    "record_file": lambda c: c.record_file("/new.jpg", FileStamp(1, 1), "sha-new", 1),
    "record_files": lambda c: c.record_files([SeenFile("/other.jpg", FileStamp(1, 1), "sha-o")], 1),
    "find_images": lambda c: c.find_images(["/pictures"]),
    "check_path": lambda c: c.check_path("/many/1.jpg"),
    "find_paths": lambda c: c.find_paths(["/pictures", "/Bilder/é"]),
    "states_at": lambda c: c.states_at(["/pictures/1.jpg"], 1),
    "fold_file": lambda c: c.fold_file("/pictures/1.jpg", "/pictures/2.jpg"),
    "missing_paths": lambda c: c.missing_paths(),
    "mark_missing": lambda c: c.mark_missing(["/pictures/3.jpg"]),
    "mark_found": lambda c: c.mark_found(["/pictures/3.jpg"]),
    "excluded_paths": lambda c: c.excluded_paths(),
    "mark_excluded": lambda c: c.mark_excluded(["/pictures/3.jpg"]),
    "waiting": lambda c: c.waiting(1),
    "retry_seconds": lambda c: c.retry_seconds(1),
    "claim": lambda c: c.claim(1, "me", 60),
    "release": lambda c: c.release(1, lambda _: True),
    "commit": lambda c: [store(c, 300), store(c, 301, lines=["Open", "24 hours"])],
    "images": lambda c: [c.images(), c.images(ids=[1, 2]), c.images(after=2, limit=1)],
    "image": lambda c: c.image(3),
    "image_with": lambda c: c.image_with("sha-3"),
    "images_with": lambda c: c.images_with(["sha-3", "sha-4"]),
    "holding": hold,
    "paths_of": lambda c: c.paths_of([3, 4]),
    "remove_images": lambda c: c.remove_images([2]),
    "counts": lambda c: c.counts(),
    "statistics": lambda c: c.statistics(),
    "segment": lambda c: c.segment(7),
    "segments_of": lambda c: c.segments_of(3),
    "segments_on_frame": lambda c: [
        c.segments_on_frame(3),
        *(c.segments_on_frame(n, 1.0) for n, _ in film(c).shots),
    ],
    "segments_by_image": lambda c: c.segments_by_image([3, 4]),
    "segments": lambda c: c.segments([7, 8]),
    "segment_ids": lambda c: c.segment_ids(1),
    "segment_ids_after": lambda c: c.segment_ids_after(1, 3, 10),
    "segment_tally": lambda c: [c.segment_tally(1), c.segment_tally(1, 1)],
    "newest_segment": lambda c: c.newest_segment(),
    "version": lambda c: c.version(),
    "mark": lambda c: c.mark(),
    "remove_segments": lambda c: c.remove_segments([9]),
    "vectors": lambda c: [*c.vectors(1), *c.vectors(1, SOME)],
    "picture_vector": lambda c: c.picture_vector(1, 3),
    "select_segments": lambda c: c.select_segments(1, Filters(image_ids=(3, 4))),
    "count_segments": lambda c: c.count_segments(1, [Filters(image_ids=(3, 4))], only=SOME),
    "segments_passing": lambda c: c.segments_passing(1, [Filters(image_ids=(3,))], never=SOME),
    "collections": lambda c: c.collections(),
    "create_collection": lambda c: c.create_collection("new"),
    "collection": lambda c: c.collection("kept"),
    "rename_collection": lambda c: c.rename_collection("kept", "kept"),
    "delete_collection": lambda c: c.delete_collection("gone"),
    "add_to_collection": lambda c: c.add_to_collection("kept", [3]),
    "take_from_collection": lambda c: c.take_from_collection("kept", [3]),
    "image_ids_of": lambda c: c.image_ids_of("kept"),
    "saved_searches": lambda c: c.saved_searches(),
    "save_search": lambda c: c.save_search("kept", "?q=kept"),
    "delete_saved_search": lambda c: c.delete_saved_search(c.save_search("gone", "?").name),
    "tag_images": lambda c: c.tag_images([3], add=["a"], remove=["b"]),
    "add_caption": lambda c: c.add_caption(10, "A red umbrella.", ORIGIN),
    "captions": lambda c: c.captions([10]),
    "captioned": lambda c: c.captioned([10], ORIGIN),
    "search_captions": lambda c: c.search_captions("umbrella", 3),
    "search_text": lambda c: [
        c.search_text(TextQuery(("hours 24", '"hours"'), ("no",), whole), 3, allowed=allowed)
        for whole in (False, True)
        for allowed in (None, Allowed.of_ids(SOME))
    ],
    "segments_with_text": lambda c: c.segments_with_text(["hours"]),
    "reader_of": lambda c: c.reader_of(3),
    "text_of": lambda c: c.text_of(3),
    "begin_job": lambda c: c.begin_job("index", "me", None, []),
    "update_job": lambda c: c.update_job(1, done=1),
    "is_to_stop": lambda c: c.is_to_stop(1),
    "cancel_job": lambda c: c.cancel_job(1),
    "is_paused": lambda c: c.is_paused(),
    "resume": lambda c: c.resume(),
    "retry": lambda c: [c.retry(1), c.retry(1, [1, 2])],
    "holders": lambda c: c.holders(),
    "image_ids_at": lambda c: c.image_ids_at(["/pictures/1.jpg"]),
    "finish_job": lambda c: c.finish_job(1, JobState.DONE),
    "clock": lambda c: c.clock(),
    "close_lost_jobs": lambda c: c.close_lost_jobs(lambda _: True),
    "jobs": lambda c: c.jobs(),
    "changes": lambda c: c.changes(1, 3),
    "newest_change": lambda c: c.newest_change(),
    "difference": lambda c: c.difference(1, np.array([1], np.int64)),
    "following": follow,
    "note_follower": lambda c: c.note_follower("there", 7),
    "follower": lambda c: c.follower("there"),
    "followers": lambda c: c.followers("the"),
    "forget_follower": lambda c: c.forget_follower("gone"),
    "existing": lambda c: c.existing(1, SOME),
    "facts": lambda c: c.facts(SOME),
    "images_near": lambda c: c.images_near("0f" * 16),
    "near_duplicates": lambda c: c.near_duplicates({1, 2}),
    "alike": lambda c: c.alike(0, 10),
    "listed": lambda c: [c.listed(1, order, None, 2) for order in BrowseOrder],
    "listed_among": lambda c: c.listed_among(1, [2, 3]),
    "listed_ids": lambda c: c.listed_ids(1, BrowseOrder.NAME, Filters(image_ids=(3, 4))),
    "done_count": lambda c: c.done_count(1),
    "segment_counts": lambda c: c.segment_counts(1, [2, 3]),
    "images_of": lambda c: c.images_of([7, 8]),
    "change_tags": lambda c: c.change_tags([3], add=["a"], remove=["b"]),
    "begin_generation": lambda c: c.begin_generation(1, keep_old=False),
    "schema": lambda c: c.schema(),
    "identity": lambda c: c.identity(),
    "regions": lambda c: [*c.regions(), *c.regions(["/pictures"]), *c.regions(image_ids=[3])],
    "extend": lambda c: c.extend([held(c, "e")], 60),
    "put_back": lambda c: c.put_back(held(c, "p"), "It fell.", pause_seconds=9, counts="crashes"),
    "quarantine": lambda c: c.quarantine(held(c, "q"), "It fell."),
    "forgive_crash": lambda c: c.forgive_crash(1, [1, 2]),
    "refuse": lambda c: c.refuse("/pictures/1.jpg", 1, "It is none."),
    "fail": lambda c: c.fail(held(c, "f"), "It is none.", gone=True),
    "queue_reading": lambda c: c.queue_reading(1, "other@1"),
    "commit_text": lambda c: c.commit_text(held_to_read(c), read_lines(["Open 24 hours"], 3)),
    "has_waiting": lambda c: c.has_waiting(1),
    "lines_of": lambda c: c.lines_of(3),
    "pictures_read": lambda c: c.pictures_read(),
    "settle_requests": lambda c: c.settle_requests({"key a": 1}, per_second=1.0, most=5.0),
    "video": film,
    "videos": lambda c: [film(c), c.videos(), c.videos(after=1, limit=1)],
    "video_of_path": lambda c: [film(c), c.video_of_path("/film.mp4")],
    "shots": lambda c: [film(c), c.shots([1, 2, 3, 4, 5, 6, 7, 8, 9])],
    "key_masks": lambda c: [film(c), c.key_masks([7, c.newest_segment()])],
    "key_times": lambda c: c.key_times(film(c).id),
    "segments_at": lambda c: c.segments_at(film(c).id, 1.0),
    "lines_by_image": lambda c: c.lines_by_image([3, 4]),
    "lines_by_segment": lambda c: c.lines_by_segment([7, 8]),
}
# Those that may read everything, and why.
WHOLE = {
    "switch_recipe": "every segment of the recipe before goes",
    "facets": "every picture counts; kept until something is written",
    "problems": "verify",
    "repair": "repair",
    "backup": "all is copied",
    "restore": "all is checked and copied",
    "copy_from": "all is copied and compared",
}


def held(catalog: Catalog, name: str) -> Any:
    catalog.record_file(f"/{name}.jpg", FileStamp(1, 1), f"sha-{name}", 1)
    claim = catalog.claim(1, "me", 60)
    assert claim is not None
    return claim


def held_to_read(catalog: Catalog) -> Any:
    catalog.queue_reading(1, "another@1")
    claim = catalog.claim(1, "me", 60, "read")
    assert claim is not None
    return claim
