"""axe-core finds nothing on any view, in both themes, on a phone, a laptop and a wide screen."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.axe import violations
from tests.support.clicking_models import ClickModels
from tests.support.page_server import ready, served
from tests.support.small_models import Shape, paint

pytestmark = pytest.mark.browser
SIZES = {390: 844, 1280: 800, 1920: 1080}
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


@pytest.fixture(params=[(390, "light"), (390, "dark"), (1280, "light"), (1920, "dark")])
def sized(request: pytest.FixtureRequest, browser: Browser) -> Iterator[Page]:
    width, scheme = request.param
    size: Any = {"width": width, "height": SIZES[width]}
    context = browser.new_context(viewport=size, color_scheme=scheme, has_touch=width < 500)
    page = context.new_page()
    yield page
    context.close()


def test_every_view_is_accessible_and_fits_the_window(sized: Page, url: str) -> None:
    found: list[str] = []
    for view in VIEWS:
        sized.goto(f"{url}/{view}")
        expect(sized.locator("main, #picture").first).to_be_visible()
        sized.wait_for_load_state("networkidle")
        sized.wait_for_timeout(250)
        found += [f"{view}: {violation}" for violation in violations(sized)]
        wide = sized.evaluate("document.documentElement.scrollWidth - innerWidth")
        if wide > 0:
            found.append(f"{view}: {wide} px wider than the window")
    assert not found, "\n".join(found)


def test_open_panels_are_accessible(sized: Page, url: str) -> None:
    sized.goto(f"{url}/?q=red")
    ready(sized)
    found: list[str] = []
    sized.get_by_role("button", name="Filters").click()
    for name in ("Album", "Date", "Tag", "Place", "Size", "More", "Scene"):
        opener = sized.get_by_role("button", name=name, exact=True)
        opener.click()
        expect(sized.locator(".panel")).to_be_visible()
        found += [f"{name}: {violation}" for violation in violations(sized)]
        box = sized.locator(".panel").bounding_box()
        assert box
        if box["x"] < 0 or box["x"] + box["width"] > sized.evaluate("innerWidth"):
            found.append(f"{name}: its panel leaves the window")
        sized.keyboard.press("Escape")
        expect(sized.locator(".panel")).to_have_count(0)
    assert not found, "\n".join(found)
