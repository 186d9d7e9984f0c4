"""How smooth and how quick the page is: by the browser's own trace, over a thousand cards.

    python -m benchmarks.page [--pictures 1000] [--cards "#results [data-card]"]

A library of real files and made-up regions is served, Chromium opens its page and asks for words.
Shown are the time from Enter to the first frame with new cards, beside what the server took of it;
frames while the wheel is turned through the cards, from the trace; pictures that were asked for far
below the window; and kilobytes. The server and the browser share the machine's cores, and without a
GPU the browser paints on them too: frames are what this machine makes of it.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import shutil
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, CDPSession, Page, sync_playwright

from benchmarks.load import serving
from benchmarks.picture_library import WORDS, fill_with_pictures

DRAWN, DROPPED, START, END = "DrawFrame", "DroppedFrame", "turn starts", "turn has moved"
TRACED = ("blink.user_timing", "disabled-by-default-devtools.timeline.frame")
STEP_PX = 3_000  # of one turn of the wheel
SPEED_PX = 3_000  # a second
WIDTH, HEIGHT = 1280, 900
STUCK_TURNS = 3  # without movement or a new card

# Notes every card that is ever there: a virtual list holds few at a time.
WATCH_CARDS = """(selector) => {
  const names = new WeakMap();
  let last = 0;
  window.cardsSeen = new Set();
  const look = () => {
    for (const card of document.querySelectorAll(selector)) {
      if (!names.has(card)) names.set(card, `element ${last++}`);
      window.cardsSeen.add(card.dataset.card || names.get(card));
    }
  };
  new MutationObserver(look).observe(document.body, {subtree: true, childList: true,
    attributes: true, attributeFilter: ["data-card"]});
  look();
}"""
# Milliseconds from Enter to the first frame in which a card is there that was not at Enter, and
# the search's own times.
WATCH_ENTER = """(selector) => {
  const key = (card) => card.dataset.card ?? "";
  window.firstCards = new Promise((resolve) => {
    addEventListener("keydown", (event) => {
      if (event.key !== "Enter") return;
      const began = event.timeStamp;
      performance.clearResourceTimings();
      const cards = [...document.querySelectorAll(selector)];
      const before = new Map(cards.map((card) => [card, key(card)]));
      const look = () => {
        const request = performance.getEntriesByType("resource")
          .find(({name}) => new URL(name).pathname.includes("/v1/search"));
        const fresh = [...document.querySelectorAll(selector)].some((card) =>
          before.get(card) !== key(card) && card.getBoundingClientRect().height > 0);
        if (!fresh || !request) return requestAnimationFrame(look);
        resolve({cards: performance.now() - began, sent: request.requestStart - began,
          server: request.responseStart - request.requestStart});
      };
      requestAnimationFrame(look);
    }, {capture: true});
  });
}"""
# Pictures on the page that were asked for, and those of them more than a window away.
FAR = """([selector, asked]) => {
  const urls = new Set(asked);
  const found = [...document.querySelectorAll(`${selector} img`)].filter((image) =>
    urls.has(image.currentSrc));
  const far = found.filter((image) => {
    const {top, bottom} = image.getBoundingClientRect();
    return top > 2 * innerHeight || bottom < -innerHeight;
  });
  const shown = found.filter((image) => image.complete && image.clientWidth > 0);
  return {asked: found.length, far: far.length, sizes: shown.map((image) =>
    image.naturalWidth / (image.clientWidth * devicePixelRatio))};
}"""


@dataclass(frozen=True)
class Frames:
    """What a trace tells of painting."""

    seconds: float
    drawn: int
    dropped: int
    longest_ms: float

    def __str__(self) -> str:
        rate = self.drawn / self.seconds if self.seconds else 0
        return (
            f"{rate:.1f} frames a second over {self.seconds:.1f} s of movement, the longest "
            f"{self.longest_ms:.0f} ms, {self.dropped} dropped"
        )


class Traffic:
    """Bytes as they came over the wire, by kind, and the addresses of pictures."""

    def __init__(self, session: CDPSession) -> None:
        self.bytes = {"page": 0, "API": 0, "pictures": 0}
        self.pictures: list[str] = []
        self._kinds: dict[str, str] = {}
        session.on("Network.responseReceived", self._received)
        session.on("Network.loadingFinished", self._finished)
        session.send("Network.enable")

    def _received(self, event: dict[str, Any]) -> None:
        url = event["response"]["url"]
        kind = "pictures" if event["type"] == "Image" else "API" if "/v1/" in url else "page"
        self._kinds[event["requestId"]] = kind
        if kind == "pictures":
            self.pictures.append(url)

    def _finished(self, event: dict[str, Any]) -> None:
        if kind := self._kinds.get(event["requestId"]):
            self.bytes[kind] += int(event["encodedDataLength"])

    def __str__(self) -> str:
        kb = {kind: count / 1000 for kind, count in self.bytes.items()}
        return ", ".join(f"{kind} {count:,.0f} kB" for kind, count in kb.items())


def frames(trace: bytes) -> Frames:
    """From a trace of TRACED: from each START that an END follows to the last frame before it."""
    events = sorted(json.loads(trace)["traceEvents"], key=lambda event: event.get("ts", 0))
    total = Frames(0, 0, 0, 0)
    times: list[float] = []
    dropped = 0
    for event in events:
        seconds, name = event.get("ts", 0) / 1e6, event["name"]
        if name == START:
            times, dropped = [seconds], 0
        elif name == DRAWN and times:
            times.append(seconds)
        elif name == DROPPED:
            dropped += 1
        elif name == END and len(times) > 1:
            gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
            total = Frames(
                total.seconds + sum(gaps),
                total.drawn + len(gaps),
                total.dropped + dropped,
                max(total.longest_ms, 1000 * max(gaps)),
            )
            times = []
    return total


def search(page: Page, words: str, cards: str) -> dict[str, float]:
    """Milliseconds: `cards` from Enter to the first new ones, `sent` until the request was, and
    `server` until its answer began."""
    page.fill("#words", words)
    page.evaluate(WATCH_ENTER, cards)
    page.press("#words", "Enter")
    taken: dict[str, float] = page.evaluate("() => window.firstCards")
    page.wait_for_selector("#results[aria-busy=false]", state="attached")
    page.wait_for_load_state("networkidle")
    return taken


def scroll(browser: Browser, page: Page, session: CDPSession, cards: str, wanted: int) -> Frames:
    """Turn the wheel until so many cards have been there, or until nothing moves any more."""
    page.evaluate("() => scrollTo(0, 0)")
    page.evaluate(WATCH_CARDS, cards)
    turn = {
        "x": WIDTH // 2, "y": HEIGHT // 2, "yDistance": -STEP_PX,
        "speed": SPEED_PX, "gestureSourceType": "mouse",
    }  # fmt: skip
    browser.start_tracing(page=page, categories=list(TRACED))
    top, seen, stuck = 0.0, 0, 0
    while seen < wanted and stuck < STUCK_TURNS:
        page.evaluate("(name) => { performance.mark(name); }", START)
        session.send("Input.synthesizeScrollGesture", turn)
        before = top
        top, seen = page.evaluate("() => [scrollY, window.cardsSeen.size]")
        if top - before > STEP_PX / 2:
            page.evaluate("(name) => { performance.mark(name); }", END)
            stuck = 0
        else:  # at the end, or where more cards are on their way
            page.wait_for_timeout(500)
            stuck += 1
    measured = frames(browser.stop_tracing())
    print(f"  {seen} cards, to {top:,.0f} px")
    return measured


def median(values: Sequence[float]) -> float:
    return statistics.median(values) if values else 0.0


def measure(browser: Browser, url: str, cards: str, pictures: int) -> None:
    page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
    session = page.context.new_cdp_session(page)
    traffic = Traffic(session)
    page.goto(url, wait_until="networkidle")
    print(f"opened: {traffic}")
    taken = [search(page, words, cards) for words in WORDS][1:]  # the first loads what it needs
    own = [one["cards"] - one["server"] for one in taken]
    print(
        f"Enter to first cards, median of {len(taken)}: "
        f"{median([one['cards'] for one in taken]):.0f} ms, "
        f"{median([one['server'] for one in taken]):.0f} of it the server's; "
        f"the page's own {median(own):.0f}, at most {max(own):.0f} (150 wanted)"
    )
    near = page.evaluate(FAR, [cards, traffic.pictures])
    print(
        f"pictures asked for: {near['asked']} on the page, {near['far']} of them more than a "
        f"window away; {median(near['sizes']):.2f} times as wide as shown"
    )
    for which in ("scrolled for the first time", "again"):
        print(f"{which}: {scroll(browser, page, session, cards, pictures)}")
    print(f"in all: {traffic}")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--pictures", type=int, default=1_000)
    options.add_argument("--cards", default="#results [data-card]", help="a selector")
    options.add_argument("--chromium", default=shutil.which("chromium"))
    options.add_argument("--folder", type=Path, default=Path(".benchmarks/page"), help="kept")
    chosen = options.parse_args()
    fill_with_pictures(chosen.folder, chosen.pictures)
    with serving(chosen.folder / "library") as url, sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-dev-shm-usage"]
        browser = playwright.chromium.launch(executable_path=chosen.chromium, args=flags)
        print(f"Chromium {browser.version}, {len(os.sched_getaffinity(0))} cores")
        measure(browser, url, chosen.cards, chosen.pictures)
        browser.close()


if __name__ == "__main__":
    main()
