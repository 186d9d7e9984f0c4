"""axe-core finds nothing on any view, in both themes, on a phone, a laptop and a wide screen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.axe import violations
from tests.support.clicking_models import ClickModels
from tests.support.page_server import ready, served
from tests.support.small_models import Shape, paint

pytestmark = pytest.mark.browser
SIZES = {390: 844, 1280: 800, 1920: 1080}
# Each view is loaded once on a touch screen and once with a mouse, then resized and recoloured.
SCREENS: dict[str, list[tuple[int, Any]]] = {
    "touch": [(390, "light"), (390, "dark")],
    "mouse": [(1280, "light"), (1920, "dark")],
}
VIEWS = (
    "?q=red", "?q=red&by=region", "?q=red&album=p&place=left", "?thing=red&thing=blue",
    "?q=red&with=image-1*0.5&image=1&segment=1", "", "?shelf=albums", "?shelf=tags",
    "?shelf=collections", "?shelf=things", "?shelf=duplicates", "?view=map", "?view=status",
)  # fmt: skip


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("accessible")
    for number in range(12):
        shapes = [Shape("red", (4, 4, 24 + number, 40)), Shape("blue", (60, 50, 70 + number, 80))]
        paint(folder / "p" / f"{number}.png", shapes, size=(120 + 20 * number, 90))
    (folder / "p" / "broken.png").write_bytes(b"no picture")
    yield from served(folder / "library", folder / "p", ClickModels())


STILL = """() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(() =>
  resolve(document.getAnimations().every(({playState, effect}) =>
    playState !== "running" || effect.getComputedTiming().endTime === Infinity)))))"""


@dataclass(frozen=True)
class Screen:
    """A page, and the widths and themes to look at it in."""

    page: Page
    looks: list[tuple[int, Any]]

    def each(self) -> Iterator[str]:
        """Show the page in one way after the other, each when nothing moves any more."""
        for width, scheme in self.looks:
            self.page.set_viewport_size({"width": width, "height": SIZES[width]})
            self.page.emulate_media(color_scheme=scheme)
            self.page.wait_for_function(STILL)
            yield f"{width} {scheme}"


@pytest.fixture(params=SCREENS)
def screen(request: pytest.FixtureRequest, browser: Browser) -> Iterator[Screen]:
    context = browser.new_context(has_touch=request.param == "touch")
    yield Screen(context.new_page(), SCREENS[request.param])
    context.close()


def test_every_view_is_accessible_and_fits_the_window(screen: Screen, url: str) -> None:
    found: list[str] = []
    page = screen.page
    for view in VIEWS:
        page.goto(f"{url}/{view}")
        expect(page.locator("main, #picture").first).to_be_visible()
        page.wait_for_load_state("networkidle")
        for look in screen.each():
            found += [f"{view} {look}: {violation}" for violation in violations(page)]
            wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
            if wide > 0:
                found.append(f"{view} {look}: {wide} px wider than the window")
    assert not found, "\n".join(found)


def test_open_panels_are_accessible(screen: Screen, url: str) -> None:
    page = screen.page
    page.goto(f"{url}/?q=red")
    ready(page)
    found: list[str] = []
    page.get_by_role("button", name="Filters").click()
    for name in ("Album", "Date", "Tag", "Place", "Size", "More", "Scene"):
        for look in screen.each():
            page.get_by_role("button", name=name, exact=True).click()
            expect(page.locator(".panel")).to_be_visible()
            found += [f"{name} {look}: {violation}" for violation in violations(page)]
            box = page.locator(".panel").bounding_box()
            assert box
            if box["x"] < 0 or box["x"] + box["width"] > page.evaluate("innerWidth"):
                found.append(f"{name} {look}: its panel leaves the window")
            page.keyboard.press("Escape")
            expect(page.locator(".panel")).to_have_count(0)
    assert not found, "\n".join(found)
