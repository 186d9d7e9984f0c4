"""axe-core finds what is wrong, and nothing on the page of the HTTP API."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import pytest
from playwright.sync_api import Page

from tests.support.axe import violations
from tests.support.page_server import served
from tests.support.small_models import SmallModels

pytestmark = [pytest.mark.browser, pytest.mark.server]

BREAK = """() => {
  const image = document.createElement("img");
  image.id = "nameless";
  const pale = document.createElement("p");
  pale.id = "pale";
  pale.textContent = "hardly legible";
  const sheet = new CSSStyleSheet();
  sheet.replaceSync("#pale { color: #ccc; background: #fff; }");
  document.adoptedStyleSheets = [sheet];
  (document.querySelector("main") ?? document.body).append(image, pale);
}"""


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    yield from served(tmp_path_factory.mktemp("library"), None, SmallModels())


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_wrong_with_the_page_of_the_api(
    page: Page, url: str, scheme: Literal["light", "dark"]
) -> None:
    page.emulate_media(color_scheme=scheme)
    page.goto(f"{url}/docs", wait_until="networkidle")
    assert violations(page) == []


def test_what_is_wrong_is_found_and_told(page: Page, url: str) -> None:
    page.goto(f"{url}/docs", wait_until="networkidle")
    page.evaluate(BREAK)
    found = violations(page)
    assert {line.split(" ")[0] for line in found} == {"color-contrast", "image-alt"}
    assert any(
        line.startswith("image-alt (critical): #nameless: Element does not") for line in found
    )
