"""What a person does with an open picture of the page, and sees of what was cut out of it."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Page, expect


def image_of(page: Page, url: str, name: str) -> dict[str, Any]:
    images = page.request.get(f"{url}/v1/images").json()["images"]
    return next(image for image in images if image["paths"][0].endswith(name))


def opened(page: Page, url: str, name: str, more: str = "") -> dict[str, Any]:
    image = image_of(page, url, name)
    page.goto(f"{url}/?image={image['image_id']}{more}")
    expect(page.locator("#picture .sheet img")).to_be_visible()
    page.wait_for_load_state("networkidle")
    return image


def place(
    page: Page, x: float, y: float, size: tuple[int, int] = (320, 200)
) -> tuple[float, float]:
    """Where in the window a pixel of the open picture lies."""
    box = page.locator("#picture .sheet").bounding_box()
    assert box
    return box["x"] + x / size[0] * box["width"], box["y"] + y / size[1] * box["height"]


def click_at(page: Page, x: float, y: float, keys: str = "") -> None:
    if keys:
        page.keyboard.down(keys)
    page.mouse.click(*place(page, x, y))
    if keys:
        page.keyboard.up(keys)


def seen_in_chip(page: Page) -> list[float]:
    """What part of its picture a cut's chip shows, as a box in pixels of a 320 x 200 picture."""
    page.wait_for_selector(".term[data-term=cut] .crop img")
    found: list[float] = page.locator(".term[data-term=cut] .crop").evaluate(
        """(crop) => {
          const a = crop.getBoundingClientRect(), b = crop.firstChild.getBoundingClientRect();
          const scale = 320 / b.width;
          return [a.left - b.left, a.top - b.top, a.right - b.left, a.bottom - b.top].map(
            (side) => side * scale);
        }"""
    )
    return found
