"""A server in this process for a browser to look at, and what a look at the page takes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import uvicorn
from playwright.sync_api import Page

from segsearch_api.app import create_app
from segsearch_api.server import bind, url_of
from tests.support.small_models import Shape, SmallModels, open_small_service

RED = Shape("red", (20, 20, 120, 90))
BLUE = Shape("blue", (180, 60, 260, 140), "disc")
GREEN = Shape("green", (40, 100, 160, 180))
HOSTILE = "c <img src=x onerror=alert(1)> & c.png"


def served(
    folder: Path, pictures: Path | None, models: SmallModels, *, need_key: bool = False
) -> Iterator[str]:
    """The URL of a server in this process, over pictures indexed with small models."""
    with open_small_service(folder) as service:
        if pictures:
            service.index([pictures])
    with (
        open_small_service(folder, models=models) as service,
        bind("127.0.0.1", 0) as listening,
    ):
        server = uvicorn.Server(
            uvicorn.Config(create_app(service, need_key=need_key), log_config=None)
        )
        thread = threading.Thread(target=server.run, args=[[listening]])
        thread.start()
        yield url_of("127.0.0.1", listening.getsockname()[1])
        server.should_exit = True
        thread.join()


def ready(page: Page) -> None:
    """Wait until the answer is there and every visible picture has its regions drawn over it."""
    page.wait_for_selector("#results[aria-busy=false]", state="attached")
    page.wait_for_load_state("networkidle")
    page.wait_for_function(
        """() => [...document.querySelectorAll(".frame")].every((frame) => {
          const image = frame.querySelector("img"), canvas = frame.querySelector("canvas");
          const plain = frame.closest(".card") && !frame.closest(".card").querySelector(".cutout");
          const seen = frame.checkVisibility() && frame.getBoundingClientRect().top < innerHeight;
          return !seen || (image.complete && (plain || canvas.width === image.naturalWidth));
        })"""
    )


def search(page: Page, url: str, words: str) -> None:
    page.goto(url)
    page.get_by_label("What to look for").fill(words)
    page.keyboard.press("Enter")
    page.wait_for_url("**/?q=*")
    ready(page)
