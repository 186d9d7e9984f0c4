"""A server in this process for a browser to look at, and what a look at the page takes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from playwright.sync_api import Page

from segsearch.ingest.background import working
from segsearch.library import SegSearch
from segsearch_api.app import create_app
from segsearch_api.server import bind, url_of
from tests.support.small_models import Shape, SmallModels, open_small_service

RED = Shape("red", (20, 20, 120, 90))
BLUE = Shape("blue", (180, 60, 260, 140), "disc")
GREEN = Shape("green", (40, 100, 160, 180))
PATIENCE_MS = 20_000  # with what a page shows, on a machine that does much else
POLL_SECONDS = 0.1
RETRY_SECONDS = 0.05  # before a picture that failed is tried again
HOSTILE = "c <img src=x onerror=alert(1)> & c.png"


def served(
    folder: Path, pictures: Path | None, models: SmallModels, *, need_key: bool = False
) -> Iterator[str]:
    """The URL of a server in this process, over pictures indexed with small models."""
    with open_small_service(folder) as service:
        if pictures:
            service.index([pictures])
    with open_small_service(folder, models=models) as service:
        yield from served_library(service, need_key=need_key)


def served_library(service: SegSearch, *, need_key: bool = False) -> Iterator[str]:
    """The URL of a server in this process over a library that is open."""
    with bind("127.0.0.1", 0) as listening:
        app = create_app(service, need_key=need_key)
        server = uvicorn.Server(uvicorn.Config(app, log_config=None))
        app.state.shared.streams.is_ending = lambda: server.should_exit
        thread = threading.Thread(target=server.run, args=[[listening]])
        thread.start()
        yield url_of("127.0.0.1", listening.getsockname()[1])
        server.should_exit = True
        thread.join()


@contextmanager
def working_server(folder: Path, models: SmallModels, *, need_key: bool = False) -> Iterator[str]:
    """The URL of a server in this process that indexes what is sent to it."""
    with (
        open_small_service(folder, models=models, retry_seconds=RETRY_SECONDS) as service,
        working(service.ingest, POLL_SECONDS),
    ):
        yield from served_library(service, need_key=need_key)


def ready(page: Page) -> None:
    """Wait until the answer is there and every visible card has its picture and its regions."""
    page.wait_for_selector("#results[aria-busy=false]", state="attached")
    page.wait_for_load_state("networkidle")
    page.wait_for_function(
        """() => [...document.querySelectorAll("#results .card:not(.gone)")].every((card) => {
          const {top, bottom} = card.getBoundingClientRect();
          const seen = card.checkVisibility() && top < innerHeight && bottom > 0;
          const image = card.querySelector("img"), canvas = card.querySelector("canvas");
          const drawn = canvas === null || canvas.getContext("2d").getImageData(
            0, 0, canvas.width, canvas.height).data.some((value) => value > 0);
          return !seen || (image?.complete && drawn);
        })"""
    )


def search(page: Page, url: str, words: str) -> None:
    """Type words as a person does, and wait for the answer."""
    page.goto(url)
    page.get_by_label("What to look for").fill(words)
    page.keyboard.press("Enter")
    page.wait_for_url("**/?q=*")
    ready(page)


def names(page: Page) -> list[str]:
    """The file names of the cards, in the order they are seen."""
    found = page.locator("#results .card .file").all_text_contents()
    return [name.strip() for name in found]
