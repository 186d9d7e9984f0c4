"""A folder of painted pictures to look through: two albums, two months, and near-duplicates."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, expect

from tests.support.page_server import served_library
from tests.support.small_models import Shape, open_small_service, paint

JULY, MAY = (datetime(2024, month, 3, 12, tzinfo=UTC).timestamp() for month in (7, 5))
SOON_SECONDS = 10
UNDO_MS = 20_000  # how long the page lets one undo
TILE = (160, 120)
# Each a shape in a corner of its own, so that no two look alike; two regions a picture in the city.
BEACH = {
    "sun.png": [Shape("yellow", (5, 5, 70, 60), "disc")],
    "umbrella.png": [Shape("red", (90, 5, 155, 60))],
    "sea.png": [Shape("blue", (0, 70, 160, 120))],
    "palm.png": [Shape("green", (5, 60, 45, 115))],
}
CITY = {
    "bus.png": [Shape("red", (60, 10, 90, 110)), Shape("black", (100, 40, 150, 80))],
    "tram.png": [Shape("cyan", (10, 30, 150, 50)), Shape("black", (20, 80, 60, 110), "disc")],
    "house.png": [Shape("purple", (30, 50, 120, 115)), Shape("cyan", (110, 5, 150, 40))],
}


@dataclass(frozen=True)
class PaintedLibrary:
    """A folder of pictures, and a library of them."""

    pictures: Path
    library: Path

    def served(self, folder: Path) -> Iterator[str]:
        """The URL of a server over a copy of the library in `folder`."""
        with open_small_service(shutil.copytree(self.library, folder)) as service:
            yield from served_library(service)


def paint_library(folder: Path) -> Path:
    """Beach in July and city in May of 2024, and a smaller copy of the bus in May."""
    for album, month, pictures in (("beach", JULY, BEACH), ("city", MAY, CITY)):
        for name, shapes in pictures.items():
            os.utime(paint(folder / album / name, shapes, size=TILE), (month, month))
    half = [Shape(s.colour, _halved(s.box), s.kind) for s in CITY["bus.png"]]
    os.utime(paint(folder / "city" / "bus-small.png", half, size=(80, 60)), (MAY, MAY))
    return folder


def _halved(box: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    x0, y0, x1, y1 = (side // 2 for side in box)
    return x0, y0, x1, y1


def ask(page: Page, url: str, path: str, body: Any = None) -> Any:
    """What the API itself says, past the page."""
    address = f"{url}/v1/{path}"
    answer = page.request.get(address) if body is None else page.request.post(address, data=body)
    assert answer.ok, answer.text()
    return answer.json() if answer.status != 204 else None


def stored(page: Page, url: str, **filters: Any) -> set[str]:
    """The names of the pictures that are in the library and pass filters."""
    found = ask(page, url, "browse", {"filters": filters, "limit": 100})["images"]
    return {Path(image["paths"][0]).name for image in found}


def image_ids(page: Page, url: str) -> dict[str, int]:
    found = ask(page, url, "browse", {"limit": 100})["images"]
    return {Path(image["paths"][0]).name: image["image_id"] for image in found}


def names(page: Page, many: int) -> list[str]:
    """The pictures of the grid, in order, once they are so many."""
    files = page.locator("#results .card .file")
    expect(files).to_have_count(many)
    return files.all_inner_texts()


def open_grid(page: Page, url: str, address: str = "") -> None:
    page.goto(f"{url}/{address}")
    expect(page.locator("#results .card").first).to_be_visible()


def soon(holds: Callable[[], bool]) -> bool:
    """Whether something comes to hold that no event of the page tells of."""
    end = time.monotonic() + SOON_SECONDS
    while not (held := holds()) and time.monotonic() < end:
        time.sleep(0.05)
    return held


def let_notices_go(page: Page) -> None:
    """What can be undone is so for a while; the page's clock, which a test has installed, jumps."""
    with page.expect_response(lambda answer: answer.request.method in {"POST", "DELETE"}):
        page.clock.fast_forward(UNDO_MS + 100)
    expect(page.locator(".notice")).to_have_count(0)
