"""Draws the pictures of the page that the documents show: serves a library, looks at each view.

python docs/screenshots.py --library segsearch-demo --text "a cup of coffee"
"""

from __future__ import annotations

import argparse
import io
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Literal
from urllib.parse import quote_plus

from PIL import Image
from playwright.sync_api import Page, sync_playwright

FOLDER = Path(__file__).parent / "views"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
SIZE = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 780}
QUALITY = 82
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--library", type=Path, default=Path("segsearch-demo"))
    options.add_argument("--text", default="a cup of coffee", help="what is searched for")
    options.add_argument("--chromium", default="/usr/bin/chromium")
    options.add_argument("--folder", type=Path, default=FOLDER)
    chosen = options.parse_args()
    chosen.folder.mkdir(exist_ok=True)
    with serving(chosen.library) as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chosen.chromium, args=FLAGS)
        for scheme in SCHEMES:
            page = browser.new_page(viewport=SIZE, color_scheme=scheme)  # type: ignore[arg-type]  # a TypedDict
            draw(page, url, chosen.text, partial(named, chosen.folder, scheme))
            page.close()
        phone = browser.new_page(viewport=PHONE, has_touch=True, color_scheme="dark")  # type: ignore[arg-type]  # a TypedDict
        look(phone, f"{url}/?q={quote_plus(chosen.text)}", chosen.folder / "phone-dark.jpg")
        browser.close()


def named(folder: Path, scheme: str, view: str) -> Path:
    """Where a view is saved."""
    return folder / f"{view}-{scheme}.jpg"


@contextmanager
def serving(library: Path) -> Iterator[str]:
    """The URL of a server over a library."""
    command = [sys.executable, "-m", "segsearch", "--library", str(library)]
    command += ["serve", "--port", "0", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            yield json.loads(server.stdout.readline() if server.stdout else "{}")["url"]
        finally:
            server.terminate()


def draw(page: Page, url: str, text: str, target: Callable[[str], Path]) -> None:
    """Every view in one theme."""
    for _ in range(600):  # until the models are loaded
        if page.request.get(f"{url}/readyz").ok:
            break
        page.wait_for_timeout(200)
    for _ in range(600):  # until there is a map
        if page.request.get(f"{url}/v1/map").json()["state"] == "ready":
            break
        page.request.post(f"{url}/v1/map", data={"collection": None})
        page.wait_for_timeout(500)
    asked = f"{url}/?q={quote_plus(text)}"
    look(page, asked, target("search"))
    page.locator("#results .look").first.click()
    page.locator("#picture .looks a").first.wait_for()
    page.wait_for_timeout(1500)
    save(page, target("picture"))
    look(page, f"{asked}&by=region&all=1", target("regions"))
    look(page, f"{url}/", target("library"))
    look(page, f"{url}/?shelf=things", target("things"))
    look(page, f"{url}/?view=map", target("map"))
    look(page, f"{url}/?view=status", target("status"))


def look(page: Page, address: str, target: Path) -> None:
    """One view, when all of it is there."""
    page.goto(address)
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(1500)
    save(page, target)


def save(page: Page, target: Path) -> None:
    """What the window shows, as JPEG."""
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    picture.save(target, quality=QUALITY, optimize=True)


if __name__ == "__main__":
    main()
