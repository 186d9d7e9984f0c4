"""What `segsearch demo` shows: index the sample pictures, search, draw the best hit."""

from __future__ import annotations

import shlex
import threading
from pathlib import Path

from rich.console import Console

from segsearch.cli.output import hit_table, progress_bar, report_table
from segsearch.export.render import overlay_png
from segsearch.library import SegSearch

PICTURES = Path(__file__).parent / "pictures"
QUERIES = ("a cat", "a bicycle", "a slice of pizza", "a cup of coffee")
OVERLAY = "demo-best-hit.png"


def run_demo(library: SegSearch, console: Console, stop: threading.Event) -> None:
    """Index, search, print; the best hit of all is drawn into the library's folder."""
    console.print(f"Indexing the demo pictures into {library.settings.library} ...", markup=False)
    with progress_bar(Console(stderr=True)) as report:
        result = library.index([PICTURES], report=report, stop=stop)
    report_table(console, result)
    if stop.is_set():
        return
    answers = {text: library.search_text(text, limit=3, per_image=1).hits for text in QUERIES}
    folder = shlex.quote(str(library.settings.library))
    for text, hits in answers.items():
        hit_table(console, hits, title=f"segsearch --library {folder} search {text!r}")
    text, hits = max(answers.items(), key=lambda item: item[1][0].score if item[1] else -1.0)
    if hits:
        path = library.settings.library / OVERLAY
        pixels = library.pictures.pixels(hits[0].image.id)
        path.write_bytes(overlay_png(pixels, [hits[0].segment.mask], [text]))
        console.print(f"The best hit, for {text!r}, is drawn in {path}", markup=False)
