"""What axe-core objects to on a page, as a browser shows it."""

from __future__ import annotations

from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page


def violations(page: Page) -> list[str]:
    """A line for each element that breaks a rule: rule, impact, where it is, how to mend it.

    The rules are axe-core's own: WCAG 2 A and AA, and its best practices.
    """
    response: dict[str, Any] = Axe().run(page).response
    return [
        f"{rule['id']} ({rule['impact']}): {_place(node)}: {_summary(node)}"
        for rule in response["violations"]
        for node in rule["nodes"]
    ]


def _place(node: dict[str, Any]) -> str:
    """Selectors from the page inwards, through shadow roots and frames."""
    return " > ".join(
        part if isinstance(part, str) else ">>>".join(part) for part in node["target"]
    )


def _summary(node: dict[str, Any]) -> str:
    return "; ".join(line.strip() for line in node["failureSummary"].splitlines()[1:])
