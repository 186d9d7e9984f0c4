"""Keys in a real browser: the page asks for one, says who one is; admins make and revoke them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, ViewportSize, expect

from segsearch.storage.api_keys import KeyRing, Scope
from tests.support.page_server import served
from tests.support.small_models import SmallModels

pytestmark = pytest.mark.browser

NAME = "laptop@home"
NARROW: ViewportSize = {"width": 390, "height": 844}
KEPT = "() => [document.cookie, ...Object.values(localStorage), ...Object.values(sessionStorage)]"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("keys") / "library"


@pytest.fixture(scope="module")
def url(folder: Path, pictures: Path) -> Iterator[str]:
    yield from served(folder, pictures, SmallModels(), need_key=True)


@pytest.fixture
def ring(folder: Path) -> Iterator[KeyRing]:
    ring = KeyRing(folder)
    yield ring
    for key in ring.all():
        if key.revoked_at is None:
            ring.revoke(key.id)


def use(page: Page, text: str) -> None:
    page.get_by_label("Key", exact=True).fill(text)
    page.get_by_role("button", name="Use this key").click()


def test_the_page_asks_for_a_key_and_keeps_none_itself(page: Page, url: str, ring: KeyRing) -> None:
    _, text = ring.create("laptop", Scope.READ)
    page.goto(f"{url}/?view=status")
    field = page.get_by_label("Key", exact=True)
    expect(field).to_be_focused()
    assert field.get_attribute("type") == "password"
    assert field.get_attribute("autocomplete") == "current-password"
    use(page, "segsearch_00000000_wrong")
    expect(page.get_by_role("alert")).to_have_text("This key is wrong, or works no longer.")
    expect(page.locator(".status")).to_have_count(0)
    page.keyboard.type(text)  # the wrong one is selected: typing replaces it
    page.keyboard.press("Enter")
    expect(page.locator("#keys + *")).to_contain_text("You use the key laptop, which may search.")
    assert page.url == f"{url}/?view=status"
    assert not [kept for kept in page.evaluate(KEPT) if text in kept]


def test_who_may_only_search_is_offered_nothing_else(page: Page, url: str, ring: KeyRing) -> None:
    _, text = ring.create("reader", Scope.READ)
    page.goto(f"{url}/?view=status")
    use(page, text)
    expect(page.locator("#keys + *")).to_contain_text("reader")
    expect(page.get_by_title("Add pictures or a folder")).to_have_count(0)
    expect(page.get_by_role("button", name="Make it")).to_have_count(0)


def test_a_key_that_is_revoked_while_the_page_is_open_is_asked_for_anew(
    page: Page, url: str, ring: KeyRing
) -> None:
    made, text = ring.create("desk", Scope.WRITE)
    _, other = ring.create("desk again", Scope.WRITE)
    page.goto(f"{url}/?view=status")
    use(page, text)
    expect(page.locator(".status")).to_be_visible()
    ring.revoke(made.id)
    # The stream of jobs ends with the key: nobody has to do anything.
    expect(page.get_by_label("Key", exact=True)).to_be_focused(timeout=30_000)
    expect(page.locator(".status")).to_have_count(0)
    use(page, other)
    expect(page.locator("#keys + *")).to_contain_text("desk again")
    assert page.url == f"{url}/?view=status"


def test_the_key_is_forgotten_when_one_says_so(page: Page, url: str, ring: KeyRing) -> None:
    _, text = ring.create("borrowed", Scope.READ)
    page.goto(f"{url}/?view=status")
    use(page, text)
    page.get_by_role("button", name="Forget the key").click()
    expect(page.get_by_label("Key", exact=True)).to_be_visible()
    page.reload()
    expect(page.get_by_label("Key", exact=True)).to_be_visible()


def test_an_admin_makes_a_key_that_is_shown_once_and_revokes_it_by_two_clicks(
    page: Page, url: str, ring: KeyRing
) -> None:
    _, text = ring.create("admin", Scope.ADMIN)
    page.goto(f"{url}/?view=status")
    use(page, text)
    page.get_by_label("A new key for").fill("<b>no name</b>")
    page.get_by_role("button", name="Make it").click()
    expect(page.get_by_role("alert")).to_contain_text("'<b>no name</b>' cannot name a key")
    page.get_by_label("A new key for").fill(NAME)
    page.get_by_label("May").select_option("write")
    page.get_by_role("button", name="Make it").click()
    shown = page.get_by_label("The key", exact=True)
    key = shown.input_value()
    assert re.fullmatch(r"segsearch_[0-9a-f]{8}_.{20,}", key)
    assert ring.check(key).scope is Scope.WRITE
    row = page.locator(".keys li", has_text=NAME)
    expect(row).to_contain_text("may search, add and change pictures")
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    page.get_by_label("A new key for").focus()
    page.keyboard.press("ControlOrMeta+V")
    expect(page.get_by_label("A new key for")).to_have_value(key[:64])
    page.get_by_role("button", name="I have it").click()
    assert key not in page.content()
    row.get_by_role("button", name="Revoke").click()
    page.get_by_label("A new key for").focus()  # thinks better of it
    expect(row.get_by_role("button", name="Revoke").first).to_have_text("Revoke")
    row.get_by_role("button", name="Revoke").click()
    row.get_by_role("button", name="Really revoke").click()
    expect(row).to_have_count(0)
    page.get_by_text("Revoked", exact=True).click()
    expect(page.locator("details[open]")).to_contain_text(NAME)
    assert [one.revoked_at is not None for one in ring.all() if one.name == NAME] == [True]


def test_keys_fit_on_a_telephone(page: Page, url: str, ring: KeyRing) -> None:
    _, text = ring.create("x" * 64, Scope.ADMIN)
    page.set_viewport_size(NARROW)
    page.goto(f"{url}/?view=status")
    assert page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"]
    use(page, text)
    expect(page.locator(".keys")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"]
    small = page.evaluate(
        """() => [...document.querySelectorAll(".status button, .status select, .status summary")]
          .filter((one) => one.getBoundingClientRect().height < 24).map((one) => one.textContent)"""
    )
    assert small == []


def test_help_opens_by_a_key_and_closes_by_another(page: Page, url: str, ring: KeyRing) -> None:
    _, text = ring.create("curious", Scope.READ)
    page.goto(f"{url}/?view=status")
    use(page, text)
    forget = page.get_by_role("button", name="Forget the key")
    forget.focus()
    page.keyboard.press("?")
    help_ = page.get_by_role("dialog", name="Keys and help")
    expect(help_).to_be_visible()
    expect(help_).to_contain_text("umbrella -beach")
    page.keyboard.press("Escape")
    expect(help_).to_have_count(0)
    expect(forget).to_be_focused()
    page.get_by_role("button", name="Keys and help").click()
    expect(help_).to_be_visible()
    page.mouse.click(5, 5)
    expect(help_).to_have_count(0)
