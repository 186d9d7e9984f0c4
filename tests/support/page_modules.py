"""Runs the page's own modules in a browser, as the server sends them and under its policy."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Page


def call(page: Page, module: str, use: str, given: object = None) -> Any:
    """What a function makes of a module below `static/`, on a page that the server sent.

    `use` is the function as JavaScript: of the module's exports and of `given`; it may be async.
    """
    return page.evaluate(
        f"async ([address, given]) => ({use})(await import(address), given)",
        [f"/static/{module}", given],
    )
