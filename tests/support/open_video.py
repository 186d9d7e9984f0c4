"""Videos of a yellow rectangle that crosses each take, and what one sees of them in the page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from playwright.sync_api import Page, expect

from tests.support.clips import Coding, Take

SIZE = (640, 360)
RATE = 25
TAKES = (Take("red", 75), Take("blue", 50), Take("green", 75))
STARTS = (0.0, 3.0, 5.0)  # of the takes, in seconds
# VP9, which every Chromium plays; the AVI none does.
WEBM = Coding("libvpx-vp9", size=SIZE, options=(("deadline", "realtime"), ("cpu-used", "8")))
AVI = Coding("mpeg4", size=SIZE)
YELLOW = (230, 220, 40)

PLAYER = """() => {
  const player = document.querySelector("#picture video");
  return {at: player.currentTime, paused: player.paused, autoplay: player.autoplay,
    shown: getComputedStyle(player).opacity === "1" && !player.seeking};
}"""
# The colour of the video, as it is shown, at a pixel of its frame.
COLOUR = """([x, y]) => {
  const player = document.querySelector("#picture video"), canvas = new OffscreenCanvas(640, 360);
  const context = canvas.getContext("2d");
  context.drawImage(player, 0, 0, 640, 360);
  return [...context.getImageData(x, y, 1, 1).data].slice(0, 3);
}"""
# What the overlays hold: that of the chosen thing is the first, that of the pointer the second.
DRAWN = """(number) => {
  const canvas = document.querySelectorAll("#picture .sheet canvas")[number];
  const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  return [canvas.width, canvas.height, Array.from(data.filter((_, i) => i % 4 === 3))];
}"""


@dataclass(frozen=True)
class PlayedVideo:
    """A video as the server tells of it, with its yellow things by shot."""

    document: dict[str, Any]
    things: list[dict[str, Any]]

    @property
    def last(self) -> float:
        return float(self.document["seconds"])


def video_of(page: Page, url: str, name: str) -> PlayedVideo:
    """The video of that name; of each shot the smaller region is the rectangle that crosses it."""
    listed = page.request.get(f"{url}/v1/videos").json()["videos"]
    video = next(one for one in listed if one["paths"][0].endswith(name))
    things = []
    for shot in video["shots"]:
        found = page.request.get(f"{url}/v1/images/{shot['image_id']}/segments").json()["segments"]
        thing = min(found, key=lambda segment: abs(int(segment["area"]) - 160 * 90))
        things.append(page.request.get(f"{url}/v1/segments/{thing['segment_id']}/track").json())
    return PlayedVideo(video, things)


def address(url: str, track: dict[str, Any]) -> str:
    return f"{url}/?q=yellow&all=1&image={track['image_id']}&segment={track['segment_id']}"


def standing(page: Page, seconds: float) -> None:
    """Wait until the video shows a moment, paused."""
    page.wait_for_function(
        """(seconds) => {
          const player = document.querySelector("#picture video");
          return player?.paused && !player.seeking && player.readyState > 1 &&
            Math.abs(player.currentTime - seconds) < 0.03;
        }""",
        arg=seconds,
    )


def opened_at(page: Page, url: str, track: dict[str, Any]) -> None:
    page.goto(address(url, track))
    standing(page, track["best_seconds"])
    expect(page.get_by_role("slider", name="Time")).to_be_visible()


def real_box(shot: int, seconds: float) -> tuple[float, float, float, float]:
    """Where the yellow rectangle was painted."""
    number = round((seconds - STARTS[shot]) * RATE)
    left = SIZE[0] * 3 // 4 * number // TAKES[shot].frames
    return left, SIZE[1] // 4, left + SIZE[0] // 4, SIZE[1] // 2


def drawn_box(page: Page, number: int = 0) -> list[float] | None:
    """The box of what an overlay holds, in pixels of the frame; None for nothing."""
    page.wait_for_timeout(250)
    width, height, alpha = page.evaluate(DRAWN, number)
    ys, xs = np.nonzero(np.array(alpha).reshape(height, width))
    if not len(xs):
        return None
    across, down = SIZE[0] / width, SIZE[1] / height
    return [xs.min() * across, ys.min() * down, xs.max() * across, ys.max() * down]


def drag_to(page: Page, seconds: float, last: float) -> None:
    """Drag the head to a moment: unlike a click it means no answer near there."""
    bar = page.locator(".timeline").bounding_box()
    assert bar
    x, y = bar["x"] + bar["width"] * seconds / last, bar["y"] + bar["height"] / 2
    page.mouse.move(x - 40 if seconds > last / 2 else x + 40, y)
    page.mouse.down()
    page.mouse.move(x, y, steps=4)
    page.mouse.up()
