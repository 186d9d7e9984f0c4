"""Draws README's picture of the page: serves a library, searches it in Chromium, saves the view.

python docs/screenshot.py --library segsearch-demo --text "a cup of coffee"
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote_plus

from playwright.sync_api import sync_playwright

TARGET = Path(__file__).parent / "page.png"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--library", type=Path, default=Path("segsearch-demo"))
    options.add_argument("--text", default="a cup of coffee")
    options.add_argument("--chromium", default="/usr/bin/chromium")
    options.add_argument("--target", type=Path, default=TARGET)
    chosen = options.parse_args()
    command = [sys.executable, "-m", "segsearch", "--library", str(chosen.library)]
    command += ["serve", "--port", "0", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            line = server.stdout.readline() if server.stdout else "{}"
            draw(json.loads(line)["url"], chosen.text, chosen.chromium, chosen.target)
        finally:
            server.terminate()


def draw(url: str, text: str, chromium: str, target: Path) -> None:
    """The page's answer to `text`, as PNG."""
    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=flags)
        page = browser.new_page(viewport={"width": 1200, "height": 640})
        for _ in range(600):  # until the models are loaded
            if page.request.get(f"{url}/readyz").ok:
                break
            page.wait_for_timeout(200)
        page.goto(f"{url}/?q={quote_plus(text)}")
        page.wait_for_load_state("networkidle")
        page.wait_for_timeout(1500)
        page.screenshot(path=target)
        browser.close()


if __name__ == "__main__":
    main()
