"""What `segsearch demo` shows: index the sample pictures, search, draw the best hits."""

from __future__ import annotations

import shlex
import threading
from pathlib import Path

from rich.console import Console

from segsearch.cli.output import clock, hit_table, progress_bar, report_table
from segsearch.core.video import Moment
from segsearch.export.documents import HitDocument
from segsearch.export.render import SHOWN_SIDE_PX, overlay_png, sheet_png
from segsearch.library import SegSearch
from segsearch.media.ffmpeg import reads_videos

PICTURES = Path(__file__).parent / "pictures"
VIDEOS = Path(__file__).parent / "videos"
PHOTOGRAPHED = ("a cat", "a cup of coffee", "a rocket")
DRAWN = ("a bicycle", "a slice of pizza")
FILMED = ("a penguin",)
WRITTEN = ('text:"24 hours"', "text:strawberry", 'text:"north cape"')  # on a sign, a label, a page
SHEET = "demo-hits.png"
COLUMNS, TILE_PX = 3, 400


def run_demo(library: SegSearch, console: Console, stop: threading.Event) -> None:
    """Index, search, print; the best hits are drawn on one sheet in the library's folder, those
    for photographs first, those for words that stand in pictures last. The clip is left out where
    nothing decodes it."""
    console.print(f"Indexing the demo pictures into {library.settings.library} ...", markup=False)
    with progress_bar(Console(stderr=True)) as report:
        shown = [PICTURES, VIDEOS] if reads_videos() else [PICTURES]
        result = library.index(shown, report=report, stop=stop)
    report_table(console, result)
    if stop.is_set():
        return
    written = WRITTEN if library.status().lines else ()  # the reader may be missing
    filmed = FILMED if VIDEOS in shown else ()
    asked = (*PHOTOGRAPHED, *DRAWN, *filmed, *written)
    found = {text: library.search_text(text, limit=3, per_image=1) for text in asked}
    answers = {text: answer.hits for text, answer in found.items()}
    folder = shlex.quote(str(library.settings.library))
    for text, hits in answers.items():
        documents = [HitDocument.of(hit).model_dump() for hit in hits]
        hit_table(console, documents, title=f"segsearch --library {folder} search {text!r}")
        if text in filmed and found[text].moments:  # of others a clip may be among the rest
            console.print(moment_line(library, text, found[text].moments[0]), markup=False)
    tiles = [
        overlay_png(
            library.pictures.small(hits[0].image.id, SHOWN_SIDE_PX, hits[0].segment.seen_at),
            [hits[0].segment.mask],
            [text],
        )
        for text, hits in answers.items()
        if hits
    ]
    if tiles:
        path = library.settings.library / SHEET
        path.write_bytes(sheet_png(tiles, COLUMNS, TILE_PX))
        console.print(f"The best hits are drawn in {path}", markup=False)


def moment_line(library: SegSearch, text: str, moment: Moment) -> str:
    """Which clip shows what was asked for, and when."""
    name = Path(library.catalog.video(moment.video_id).paths[0]).name
    return f"{name} shows {text} at {clock(moment.t_start)}-{clock(moment.t_end)}."
