"""How well words in pictures are read, and what it costs: `python -m benchmarks.text`.

Drawn pages and signs, whose lines are known, are read: shares of lines that are exact, that a
search would find, and the rate of wrong characters, by script, by height of capitals and by kind of
picture. Then pictures without a word: which of them gain lines. At last what reading costs beside
cutting and describing the same pictures with the embedded models: user seconds of one thread.

    python -m benchmarks.text [--lines 300] [--photographs FOLDER] [--wordless 200] [--costs 20]

`--photographs` are grounds of signs and pictures without words; of the latter those that
shows_words.txt names, which show words after all, are left out. Without it, the demo's own
photographs are the grounds. Needs fonts of Debian: fonts-dejavu-core, fonts-liberation,
fonts-noto-core, fonts-noto-cjk.
"""

from __future__ import annotations

import argparse
import random
import resource
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import mean

import numpy as np
from PIL import Image

from benchmarks.text import scores
from benchmarks.text.pictures import READ, UNREAD, DrawnPicture, check_fonts, pictures, wordless
from segsearch.cli.demo.run import PICTURES
from segsearch.core.arrays import Pixels
from segsearch.core.settings import Settings
from segsearch.core.types import PictureInfo
from segsearch.masks.quads import scaled
from segsearch.models.loading import build_pipeline
from segsearch.models.protocols import Reader
from segsearch.models.read.rapid_ocr import RapidOcrReader

DEMO = ("photo-cat.jpg", "photo-coffee.jpg", "photo-coffee-wide.jpg")
SHOWS_WORDS = Path(__file__).with_name("shows_words.txt")
SEED = 33
HEIGHTS = ((8, "under 8 px"), (12, "8 to 12"), (16, "12 to 16"), (24, "16 to 24"),
           (48, "24 to 48"), (10_000, "48 and more"))  # fmt: skip
KINDS = ("page", "sign", "on photograph", "curved")
LARGE_PX = 1600
NO_INFO = PictureInfo(1, 1, "JPEG")


def photographs(folder: Path | None) -> tuple[list[Path], list[Path]]:
    """Grounds of signs, a tenth of a folder, and of the others those that show no words; without a
    folder, the demo's and none."""
    if folder is None:
        return [PICTURES / name for name in DEMO], []
    known = set(SHOWS_WORDS.read_text("utf-8").split())
    paths = sorted(folder.glob("*.jpg"))
    random.Random(SEED).shuffle(paths)  # noqa: S311  no secret
    tenth = max(1, len(paths) // 10)
    return paths[:tenth], [path for path in paths[tenth:] if path.name not in known]


def loaded(path: Path, longest_px: int | None = None) -> Pixels:
    """A photograph as (H, W, 3), its longer side scaled to a length if one is given."""
    with Image.open(path) as opened:
        pixels = np.asarray(opened.convert("RGB"))
    factor = longest_px / max(pixels.shape[:2]) if longest_px else 1.0
    height, width = (round(side * factor) for side in pixels.shape[:2])
    return scaled(pixels, height, width)


def accuracy(reader: Reader, drawn: Sequence[DrawnPicture]) -> list[scores.Scored]:
    """Every drawn line with what was read there."""
    return [
        one
        for picture in drawn
        for one in scores.score(picture.lines, reader.read(picture.pixels), picture.kind)
    ]


def height_of(one: scores.Scored) -> str:
    """The row of a line's capitals."""
    return next(name for below, name in HEIGHTS if one.drawn.letter_px < below)


def gained(reader: Reader, paths: Sequence[Path], drawn: Sequence[Pixels]) -> list[str]:
    """Pictures without a word in which lines were read: rows of markdown, and what was read."""
    rows, told = ["| pictures without words | pictures | gain lines, % |", "|---|---|---|"], []
    kinds: dict[str, list[tuple[str, Pixels]]] = {
        "photographs": [(path.name, loaded(path)) for path in paths],
        "demo scenes": [(path.name, loaded(path)) for path in sorted(PICTURES.glob("scene-*"))],
        "drawn patterns": [(f"pattern {i}", pixels) for i, pixels in enumerate(drawn)],
    }
    for kind, members in kinds.items():
        with_lines = 0
        for name, pixels in members:
            texts = [line.text for line in reader.read(pixels)]
            with_lines += bool(texts)
            told += [f"{name}: {', '.join(texts)}"] if texts else []
        rows.append(f"| {kind} | {len(members)} | {100 * with_lines / max(1, len(members)):.1f} |")
    return rows + [""] * bool(told) + told


def user_seconds(work: Callable[[], object]) -> float:
    """What a call takes of the processor."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_utime
    work()
    return resource.getrusage(resource.RUSAGE_SELF).ru_utime - before


def costs(reader: Reader, kinds: Mapping[str, Sequence[Pixels]]) -> list[str]:
    """User seconds of one thread, reading beside describing, picture by picture in turn."""
    pipeline = build_pipeline(Settings(preset="demo", threads=1, device="cpu"))
    rows = ["| pictures | pictures | describing, s | reading, s | more, % | most more, s |",
            "|---|---|---|---|---|---|"]  # fmt: skip
    for kind, members in kinds.items():
        pipeline.describe(members[0], NO_INFO)  # what is made once is not the pictures'
        reader.read(members[0])
        pairs = []
        for pixels in members:
            described = user_seconds(partial(pipeline.describe, pixels, NO_INFO))
            pairs.append((described, user_seconds(partial(reader.read, pixels))))
        before, more = (mean(values) for values in zip(*pairs, strict=True))
        rows.append(
            f"| {kind} | {len(members)} | {before:.2f} | {more:.2f} | {100 * more / before:.1f} "
            f"| {max(read for _, read in pairs):.2f} |"
        )
    return rows


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--lines", type=int, default=300)
    options.add_argument("--photographs", type=Path)
    options.add_argument("--wordless", type=int, default=200, help="photographs without words")
    options.add_argument("--costs", type=int, default=20, help="pictures of a kind; 0 for none")
    options.add_argument("--wrong", action="store_true", help="list what was read wrong")
    chosen = options.parse_args()
    check_fonts()
    reader = RapidOcrReader()
    grounds, rest = photographs(chosen.photographs)
    drawn = list(pictures(READ, chosen.lines, SEED, grounds))
    scored = accuracy(reader, drawn)
    everything = scores.table("all", scored, lambda _: "all", ["all"])
    print("\n".join(everything + scores.table("", scored, lambda one: one.kind, KINDS)[2:]))
    scripts = list(dict.fromkeys(READ))
    print("\n".join(["", *scores.table("script", scored, lambda one: one.drawn.script, scripts)]))
    heights = [name for _, name in HEIGHTS]
    print("\n".join(["", *scores.table("height of capitals", scored, height_of, heights)]))
    if chosen.wrong:
        print()
        for one in scored:
            if not one.is_exact:
                print(f"{one.kind}, {one.drawn.letter_px:.0f} px: {one.drawn.text!r} {one.read!r}")
    unknown = accuracy(reader, list(pictures(UNREAD, chosen.lines // 3, SEED + 1, grounds)))
    print(
        "\n".join(["", *scores.table("not known", unknown, lambda one: one.drawn.script, UNREAD)])
    )
    print("\n".join(["", *gained(reader, rest[: chosen.wordless], list(wordless(120, SEED)))]))
    if chosen.costs:
        few = (rest or grounds)[: chosen.costs]
        with_words = [picture.pixels for picture in drawn if picture.kind != "page"]
        pages = [picture.pixels for picture in drawn if picture.kind == "page"]
        kinds = {
            "photographs without words": [loaded(path) for path in few],
            f"the same, {LARGE_PX} px": [loaded(path, LARGE_PX) for path in few],
            "signs on photographs, 1280 px": with_words[: chosen.costs],
            "pages of a dozen lines": pages[: max(1, chosen.costs // 4)],
        }
        print("\n".join(["", *costs(reader, kinds)]))


if __name__ == "__main__":
    main()
