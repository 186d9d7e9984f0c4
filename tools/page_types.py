"""Writes the API's OpenAPI document, which the page's types are made from, without a server.

`python -m tools.page_types TARGET`. A document that is there and says the same stays as it is.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from segsearch.core.settings import Settings
from segsearch.library import open_library
from segsearch_api.app import create_app


def main(target: Path) -> None:
    text = json.dumps(document(), indent=1)
    if not target.is_file() or target.read_text("utf-8") != text:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, "utf-8")


def document() -> dict[str, Any]:
    """What `/openapi.json` says of a library that is empty; no model is loaded."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(library=Path(folder) / "library")
        with open_library(settings, create=True) as library:
            return create_app(library).openapi()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
