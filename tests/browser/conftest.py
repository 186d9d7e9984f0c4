"""The browser, pages on which nothing may go wrong unseen, and three painted pictures."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.support.page_server import BLUE, GREEN, HOSTILE, PATIENCE_MS, RED
from tests.support.painted_library import PaintedLibrary, paint_library
from tests.support.small_models import Shape, open_small_service, paint

expect.set_options(timeout=PATIENCE_MS)


def chromium() -> str:
    """The system's browser; its absence fails where a person would not see a skipped test."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return path
    if os.environ.get("CI") == "true":
        pytest.fail("Chromium is missing: .ci/run installs it.")
    pytest.skip("Chromium is not installed (apt-get install chromium)")


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Started once for all files that follow each other. It ends before tests of another kind, who
    could run no event loop beside it."""
    path = chromium()
    with sync_playwright() as playwright:
        # A container's root has no sandbox, and its /dev/shm is too small for the browser.
        options = ["--no-sandbox", "--disable-dev-shm-usage"]
        browser = playwright.chromium.launch(executable_path=path, args=options)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    paint(folder / "a.png", [RED, BLUE], size=(320, 200))
    paint(folder / "b.png", [GREEN], size=(200, 320))
    paint(folder / HOSTILE, [Shape("red", (5, 5, 14, 14))], size=(320, 200))
    return folder


@pytest.fixture(scope="session")
def painted(tmp_path_factory: pytest.TempPathFactory) -> PaintedLibrary:
    """The painted library of two albums, made once: tests change copies of it."""
    folder = tmp_path_factory.mktemp("painted")
    made = PaintedLibrary(paint_library(folder / "pictures"), folder / "library")
    with open_small_service(made.library) as service:
        service.index([made.pictures])
    return made


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page on which nothing may go wrong unseen: scripts, the policy, dialogs, other sites."""
    context = browser.new_context(viewport={"width": 1100, "height": 800})
    page = context.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("dialog", lambda dialog: wrong.append(dialog.message))
    page.on(
        "console",
        lambda said: wrong.append(said.text) if "Content Security Policy" in said.text else None,
    )
    page.on(
        "request",
        lambda asked: (
            None if asked.url.startswith("http://127.0.0.1:") else wrong.append(asked.url)
        ),
    )
    yield page
    context.close()
    assert not wrong
