"""The vendored libraries run as they are served, without a build and under the page's policy."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page

from tests.support.page_modules import call
from tests.support.page_server import served
from tests.support.small_models import SmallModels

pytestmark = [pytest.mark.browser, pytest.mark.server]

COUNTER = """({html, render, useState}) => {
  const Counter = ({by}) => {
    const [count, setCount] = useState(0);
    return html`<button onClick=${() => setCount(count + by)}>${"<b>"} ${count}</button>`;
  };
  document.body.replaceChildren();
  render(html`<${Counter} by=${2} />`, document.body);
}"""


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    yield from served(tmp_path_factory.mktemp("library"), None, SmallModels())


def test_a_component_with_state_is_drawn_and_drawn_again(page: Page, url: str) -> None:
    page.goto(f"{url}/docs")
    call(page, "vendor/preact.js", COUNTER)
    button = page.get_by_role("button")
    assert button.inner_text() == "<b> 0"
    button.click()
    button.click()
    assert page.get_by_role("button", name="<b> 4").count() == 1
