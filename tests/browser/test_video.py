"""Videos in the open picture: the player, the thing outlined while it moves, the bar, and what a
browser cannot play."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page, Route, expect

from segsearch.storage.api_keys import KeyRing, Scope
from tests.support.axe import violations
from tests.support.clips import write
from tests.support.open_picture import place
from tests.support.open_video import (
    AVI,
    COLOUR,
    DRAWN,
    PLAYER,
    RATE,
    SIZE,
    STARTS,
    TAKES,
    WEBM,
    YELLOW,
    address,
    drag_to,
    drawn_box,
    opened_at,
    real_box,
    standing,
    video_of,
)
from tests.support.page_server import ready, search, served, served_library
from tests.support.small_models import SmallModels, open_small_service

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("films")
    write(folder / "waves.webm", TAKES, WEBM)
    write(folder / "old.avi", TAKES[:2], AVI)
    return folder


@pytest.fixture(scope="module")
def url(films: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    yield from served(tmp_path_factory.mktemp("library"), films, SmallModels())


def test_a_hit_opens_the_video_paused_where_the_thing_is_seen_best(page: Page, url: str) -> None:
    page.emulate_media(reduced_motion="reduce")
    (first, *_), last = (film := video_of(page, url, "waves.webm")).things, film.last
    search(page, url, "yellow")
    page.locator(f"#results [data-image='{first['image_id']}'] .look").click()
    page.wait_for_url(f"**&image={first['image_id']}&segment=*")
    segment = page.evaluate("Number(new URLSearchParams(location.search).get('segment'))")
    best = page.request.get(f"{url}/v1/segments/{segment}/track").json()["best_seconds"]
    standing(page, best)
    player = page.evaluate(PLAYER)
    assert (player["paused"], player["autoplay"], player["shown"]) == (True, False, True)
    x0, y0, x1, y1 = real_box(0, best)
    shown = page.evaluate(COLOUR, [int((x0 + x1) / 2), int((y0 + y1) / 2)])
    assert np.allclose(shown, YELLOW, atol=25)
    beside = page.evaluate(COLOUR, [int(x1) + 12, int(y1) + 12])
    assert np.allclose(beside, (200, 40, 40), atol=25)
    slider = page.get_by_role("slider", name="Time")
    expect(slider).to_have_attribute("aria-valuetext", f"0:0{int(best)} of 0:0{int(last)}")
    expect(page.get_by_role("heading", name="waves.webm at 0:00-0:03")).to_be_visible()
    expect(page.get_by_role("button", name="Cut out")).not_to_be_visible()


def test_the_outline_goes_with_the_thing_and_ends_with_it(page: Page, url: str) -> None:
    film = video_of(page, url, "waves.webm")
    track = film.things[0]
    opened_at(page, url, track)
    assert drawn_box(page) == pytest.approx(real_box(0, track["best_seconds"]), abs=8)
    keys = [key["seconds"] for key in track["masks"]]
    between = (keys[0] + keys[1]) / 2
    drag_to(page, between, film.last)
    standing(page, between)
    assert drawn_box(page) == pytest.approx(real_box(0, between), abs=14)  # dashed: less exact
    drag_to(page, STARTS[1] + 0.3, film.last)
    standing(page, STARTS[1] + 0.3)
    assert drawn_box(page) is None
    drag_to(page, keys[1], film.last)
    standing(page, keys[1])
    assert drawn_box(page) == pytest.approx(real_box(0, keys[1]), abs=14)


def test_lines_are_whole_at_keyframes_and_dashed_between(page: Page, url: str) -> None:
    film = video_of(page, url, "waves.webm")
    track = film.things[2]
    opened_at(page, url, track)
    page.wait_for_timeout(250)
    whole = np.count_nonzero(page.evaluate(DRAWN, 0)[2])
    keys = [key["seconds"] for key in track["masks"]]
    drag_to(page, (keys[0] + keys[1]) / 2, film.last)
    standing(page, (keys[0] + keys[1]) / 2)
    page.wait_for_timeout(250)
    dashed = np.count_nonzero(page.evaluate(DRAWN, 0)[2])
    assert 0.4 * whole < dashed < 0.8 * whole


def test_space_plays_and_pauses_and_the_outline_follows(page: Page, url: str) -> None:
    film = video_of(page, url, "waves.webm")
    track = film.things[0]
    opened_at(page, url, track)
    keys = [key["seconds"] for key in track["masks"]]
    page.keyboard.press("Home")  # of the dialog: it means nothing there
    assert page.evaluate(PLAYER)["at"] == pytest.approx(track["best_seconds"], abs=0.03)
    drag_to(page, keys[0], film.last)
    standing(page, keys[0])
    page.locator("#picture").focus()
    page.keyboard.press(" ")
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    page.wait_for_function(
        "(after) => document.querySelector('#picture video').currentTime > after",
        arg=keys[0] + 0.3,
    )
    page.keyboard.press(" ")
    expect(page.get_by_role("button", name="Play")).to_be_visible()
    page.wait_for_timeout(300)
    at = page.evaluate(PLAYER)["at"]
    assert at > keys[0] + 0.3
    if at < keys[-1]:  # a machine that does much else may be late; behind the last nothing moves
        assert drawn_box(page) == pytest.approx(real_box(0, at), abs=20)
    told = float(page.get_by_role("slider").get_attribute("aria-valuenow") or 0)
    assert told == pytest.approx(at, abs=0.06)


def test_comma_and_point_lead_from_keyframe_to_keyframe(page: Page, url: str) -> None:
    track = video_of(page, url, "waves.webm").things[0]
    keys = [key["seconds"] for key in track["masks"]]
    opened_at(page, url, track)
    for _ in keys:
        page.keyboard.press(",")
        page.wait_for_timeout(200)
    standing(page, keys[0])
    for seconds in keys[1:]:
        page.keyboard.press(".")
        standing(page, seconds)
    page.keyboard.press(".")  # into the next shot
    page.wait_for_timeout(300)
    assert page.evaluate(PLAYER)["at"] > STARTS[1]
    assert f"segment={track['segment_id']}" in page.url


def test_the_bar_is_a_slider_of_the_keyboard(page: Page, url: str) -> None:
    film = video_of(page, url, "waves.webm")
    opened_at(page, url, film.things[0])
    slider = page.get_by_role("slider", name="Time")
    slider.focus()
    was = page.url
    page.keyboard.press("End")
    expect(slider).to_have_attribute("aria-valuetext", "0:08 of 0:08")
    page.keyboard.press("Home")
    standing(page, 0)
    page.keyboard.press("ArrowRight")
    standing(page, film.last / 100)
    page.keyboard.press("Shift+ArrowRight")
    standing(page, film.last / 100 + 1 / RATE)
    page.keyboard.press("PageUp")
    standing(page, film.last / 100 + 1 / RATE + film.last / 10)
    assert page.url == was, "the arrows lead to no other picture there"
    assert page.locator(".timeline .cut").count() == len(TAKES) - 1
    life = page.locator(".timeline .life").bounding_box()
    bar = slider.bounding_box()
    assert life
    assert bar
    track = film.things[0]
    assert life["x"] - bar["x"] == pytest.approx(bar["width"] * track["t_start"] / film.last, abs=2)
    assert life["width"] == pytest.approx(
        bar["width"] * (track["t_end"] - track["t_start"]) / film.last, abs=4
    )


def test_hits_are_marks_that_lead_to_them(page: Page, url: str) -> None:
    film = video_of(page, url, "waves.webm")
    first, second, third = film.things
    page.goto(f"{url}/?q=yellow&by=region&copies=1&prefer=any&path=*waves*")
    ready(page)
    found = page.locator("#results .card").evaluate_all(
        "cards => cards.map((card) => Number(card.dataset.segment))"
    )
    assert {thing["segment_id"] for thing in film.things} <= set(found)
    page.goto(
        f"{url}/?q=yellow&by=region&copies=1&prefer=any&path=*waves*&image={first['image_id']}"
        f"&segment={first['segment_id']}"
    )
    standing(page, first["best_seconds"])
    marks = page.locator(".timeline .mark")
    expect(marks).to_have_count(len(found))
    bar = page.locator(".timeline").bounding_box()
    assert bar
    assert bar["height"] >= 24
    x = bar["x"] + bar["width"] * third["best_seconds"] / film.last
    page.mouse.click(x + 9, bar["y"] + 8)  # beside it: a mark is 24 px wide
    page.wait_for_url(f"**&image={third['image_id']}*")
    standing(page, third["best_seconds"])
    for _ in range(len(found)):  # with the buttons back to the first
        if page.get_by_role("button", name="Previous hit").is_disabled():
            break
        page.get_by_role("button", name="Previous hit").click()
        page.wait_for_timeout(300)
    best = page.evaluate(PLAYER)["at"]
    assert best == pytest.approx(first["best_seconds"], abs=0.03)
    for _ in range(len(found)):
        if f"segment={second['segment_id']}" in page.url:
            break
        page.get_by_role("button", name="Next hit").click()
        page.wait_for_timeout(300)
    page.wait_for_url(f"**&image={second['image_id']}&segment={second['segment_id']}")
    standing(page, second["best_seconds"])


def test_a_click_in_a_still_frame_chooses_what_is_there_then(page: Page, url: str) -> None:
    film = video_of(page, url, "waves.webm")
    opened_at(page, url, film.things[0])
    thing = film.things[2]
    key = thing["masks"][0]
    drag_to(page, key["seconds"], film.last)
    standing(page, key["seconds"])
    page.wait_for_load_state("networkidle")
    page.mouse.move(*place(page, 600, 300, SIZE))  # the ground
    assert drawn_box(page, 1) is not None
    page.keyboard.press(".")
    standing(page, thing["masks"][1]["seconds"])
    page.wait_for_load_state("networkidle")
    assert drawn_box(page, 1) is not None, "a pointer that rests means what has come under it"
    page.keyboard.press(",")
    standing(page, key["seconds"])
    page.wait_for_load_state("networkidle")
    x0, y0, x1, y1 = real_box(2, key["seconds"])
    middle = (x0 + x1) / 2, (y0 + y1) / 2
    page.mouse.move(*place(page, *middle, SIZE))
    assert drawn_box(page, 1) == pytest.approx([x0, y0, x1, y1], abs=12)
    page.mouse.click(*place(page, *middle, SIZE))
    page.wait_for_url(f"**&image={thing['image_id']}&segment={thing['segment_id']}")
    expect(page.get_by_role("heading", name="waves.webm at 0:05-0:08")).to_be_visible()
    page.wait_for_load_state("networkidle")
    standing(page, key["seconds"])  # it stays where it was clicked
    assert drawn_box(page, 0) == pytest.approx([x0, y0, x1, y1], abs=12)
    page.get_by_role("button", name="Find its like", exact=True).click()
    page.wait_for_url(f"**/?with=segment-{thing['segment_id']}*")
    ready(page)
    images = page.locator(".card").evaluate_all("all => all.map((card) => card.dataset.image)")
    old = video_of(page, url, "old.avi").document["shots"]
    assert {str(shot["image_id"]) for shot in old} & set(images), "in the other video, too"


def test_a_click_while_it_plays_pauses_it(page: Page, url: str) -> None:
    opened_at(page, url, video_of(page, url, "waves.webm").things[2])
    was = page.url
    page.get_by_role("button", name="Play").click()
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    page.mouse.click(*place(page, 600, 300, SIZE))
    expect(page.get_by_role("button", name="Play")).to_be_visible()
    assert page.url == was


def test_what_a_browser_cannot_play_is_shown_frame_by_frame(page: Page, url: str) -> None:
    film = video_of(page, url, "old.avi")
    track = film.things[0]
    page.route("**/clip.mp4*", lambda route: route.fulfill(status=404))
    page.goto(address(url, track))
    said = page.locator(".film-said")
    expect(said).to_contain_text("This browser does not play mpeg4 in avi")
    expect(said.get_by_role("link")).to_have_attribute(
        "href", f"v1/videos/{film.document['video_id']}/file"
    )
    assert drawn_box(page) == pytest.approx(real_box(0, track["best_seconds"]), abs=8)
    with page.expect_response("**/frame.jpg?t=4*") as frame:
        drag_to(page, 4.0, film.last)
    assert frame.value.ok
    expect(page.get_by_role("slider")).to_have_attribute("aria-valuetext", "0:04 of 0:05")
    assert drawn_box(page) is None
    page.get_by_role("button", name="Play").click()
    expect(said).to_contain_text("Its frames are shown.")
    expect(page.get_by_role("button", name="Play")).to_be_disabled()
    expect(page.locator("#picture .sheet img")).to_be_visible()


def test_a_shot_comes_re_encoded_where_the_server_can(page: Page, url: str, tmp_path: Path) -> None:
    film = video_of(page, url, "old.avi")
    second = write(tmp_path / "second.webm", TAKES[1:2], WEBM).read_bytes()
    asked: list[str] = []

    def clip(route: Route) -> None:
        asked.append(route.request.url)
        route.fulfill(body=second, content_type="video/webm")

    page.route("**/clip.mp4*", clip)
    track = film.things[1]
    page.goto(address(url, track))
    expect(page.locator(".film-said")).to_be_visible()
    page.get_by_role("button", name="Play").click()
    page.wait_for_function(
        "(after) => document.querySelector('#picture video')?.currentTime > after",
        arg=track["best_seconds"] - STARTS[1] + 0.1,
    )
    assert asked[0].endswith("clip.mp4?from=3&to=5")
    page.locator("#picture").focus()
    page.keyboard.press(" ")
    page.wait_for_timeout(300)
    told = float(page.get_by_role("slider").get_attribute("aria-valuenow") or 0)
    if page.locator("#picture video").count():  # it may have come to the end of the shot
        assert told == pytest.approx(STARTS[1] + page.evaluate(PLAYER)["at"], abs=0.06)
    drag_to(page, 0.5, film.last)  # outside of the clip: a frame again
    expect(page.locator("#picture video")).to_have_count(0)
    expect(page.get_by_role("slider")).to_have_attribute("aria-valuetext", "0:00 of 0:05")


@pytest.mark.parametrize("name", ["waves.webm", "old.avi"])
def test_it_fits_a_telephone_and_breaks_no_rule(page: Page, url: str, name: str) -> None:
    track = video_of(page, url, name).things[1]
    page.goto(address(url, track))
    expect(page.get_by_role("slider", name="Time")).to_be_visible()
    page.wait_for_load_state("networkidle")
    found = []
    for width, height, scheme in ((360, 740, "light"), (360, 740, "dark"), (1100, 800, "dark")):
        page.set_viewport_size({"width": width, "height": height})
        page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        page.wait_for_timeout(200)
        found += violations(page)
        for part in ("html", "#picture", "#picture .stage"):
            wide = page.evaluate(
                "(part) => { const all = document.querySelector(part);"
                " return all.scrollWidth - all.clientWidth; }",
                part,
            )
            assert wide <= 0, (part, width)
        for button in page.locator(".film button").all():
            box = button.bounding_box()
            assert box
            assert min(box["width"], box["height"]) >= 24
    assert found == []


def test_a_key_in_the_cookie_opens_videos(page: Page, films: Path, tmp_path: Path) -> None:
    with open_small_service(tmp_path) as service:
        service.index([films / "waves.webm"])
        _, key = KeyRing(tmp_path).create("laptop", Scope.READ)
        for url in served_library(service, need_key=True):
            page.goto(url)
            page.get_by_label("Key").fill(key)
            page.keyboard.press("Enter")
            ready(page)
            track = video_of(page, url, "waves.webm").things[0]
            opened_at(page, url, track)
