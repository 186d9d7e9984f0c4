"""Whether pictures are found by the words they show: `python -m benchmarks.text.search`.

Pages and signs are drawn, on photographs and on plain ground, with lines that share most of their
words with those of other pictures. They are indexed as any others are, with true masks, vectors
and reading. Then each picture is asked for by a line that stands on no other and was read right: by
plain words, and by words that must stand in the picture (`text:`); as it is written, in another
case and without accents, with a wrong letter, with half of a word. Counted is how often the right
picture comes first, and is among the first ten; and on which region of it the first hit lies.

    python -m benchmarks.text.search [--pictures 100] [--photographs FOLDER] [--folder NEW]

`--folder` keeps the pictures and their library, for another run; `--preset demo-fast` takes half as
long. Fonts and `--photographs` are as in `benchmarks.text`.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from benchmarks.text import scores
from benchmarks.text.__main__ import SEED, photographs
from benchmarks.text.drawing import DrawnLine
from benchmarks.text.pictures import READ, DrawnPicture, Writing, check_fonts, endless
from benchmarks.text.questions import KINDS, asked, similar_lines, unique
from segsearch import SegSearch, Settings, open_library
from segsearch.core.text import Line
from segsearch.core.types import Hit
from segsearch.masks import rle

FIRST = 10


@dataclass(frozen=True, slots=True)
class Question:
    """A line that is asked for, the picture that shows it, and what is typed."""

    picture: int
    line: DrawnLine
    kind: str
    words: str
    text: str


@dataclass(frozen=True, slots=True)
class AnsweredQuestion:
    """What came of a question: the rank of its picture, None beyond the first ten, and the first
    hit in it."""

    question: Question
    typed: str
    rank: int | None
    hit: Hit | None


def name_of(number: int) -> str:
    return f"{number:04}.png"


def fill(library: SegSearch, folder: Path, drawn: Sequence[DrawnPicture]) -> None:
    """Index the pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, picture in enumerate(drawn):
        path = folder / name_of(number)
        if not path.exists():
            Image.fromarray(picture.pixels).save(path)
    report = library.index([folder])
    if report.skipped or report.files != len(drawn):
        raise SystemExit(f"Of {len(drawn)} pictures {report.files} were indexed: {report.skipped}")


def questions(library: SegSearch, drawn: Sequence[DrawnPicture]) -> list[Question]:
    """Of each picture one line that was read right and stands on no other, in each way to ask."""
    rng = np.random.default_rng(SEED)
    read = library_lines(library)
    own = unique([[line.text for line in picture.lines] for picture in drawn])
    found: list[Question] = []
    for number, picture in enumerate(drawn):
        scored = scores.score(picture.lines, read.get(name_of(number), ()), picture.kind)
        right = [one.drawn for one in scored if one.is_findable and one.drawn.text in own[number]]
        if not right:
            continue
        line = right[int(rng.integers(len(right)))]
        found += [
            Question(number, line, kind, *typed)
            for kind in KINDS
            if (typed := asked(line.text, kind, rng))
        ]
    return found


def library_lines(library: SegSearch) -> dict[str, list[Line]]:
    """The lines of each picture, by its name."""
    images = library.catalog.images(limit=100_000)
    lines = library.catalog.lines_by_image([image.id for image in images])
    return {
        Path(image.paths[0]).name: [line.line for line in lines.get(image.id, ())]
        for image in images
    }


def answers(library: SegSearch, every: Sequence[Question]) -> list[AnsweredQuestion]:
    """Ask everything."""
    given = []
    for question in every:
        for typed in (question.words, question.text):
            hits = library.search_text(typed, limit=FIRST, per_image=1).hits
            name = name_of(question.picture)
            ranks = [hit.rank for hit in hits if Path(hit.image.paths[0]).name == name]
            own = next((hit for hit in hits if hit.rank in ranks[:1]), None)
            given.append(AnsweredQuestion(question, typed, ranks[0] if ranks else None, own))
    return given


def holds(hit: Hit, line: DrawnLine) -> bool:
    """Whether the region covers the middle of a line."""
    x, y = (round(value) for value in np.mean(line.corners, axis=0).tolist())
    box = hit.segment.mask.box
    if not (box.x0 <= x < box.x1 and box.y0 <= y < box.y1):
        return False
    return bool(rle.decode_crop(hit.segment.mask)[y - box.y0, x - box.x0])


def tables(given: Sequence[AnsweredQuestion], drawn: Sequence[DrawnPicture]) -> list[str]:
    """Rows of markdown."""
    rows = ["| typed | questions | first | of the first ten |", "|---|---|---|---|"]
    for kind in KINDS:
        asked_so = [one for one in given if one.question.kind == kind]
        plain = [one for one in asked_so if one.typed == one.question.words]
        text = [one for one in asked_so if one.typed == one.question.text]
        rows += [row(f"{kind}, plain words", plain), row(f"{kind}, text:", text)]
    exact = [one for one in given if one.question.kind == KINDS[0]]
    places = list(dict.fromkeys(picture.kind for picture in drawn))
    by_place = {
        place: [one for one in exact if drawn[one.question.picture].kind == place]
        for place in places
    }
    rows += [row(place, some) for place, some in by_place.items()]
    rows += ["", "| first hit in a | hits | lies on the line | share of the picture | what it is |",
             "|---|---|---|---|---|"]  # fmt: skip
    return rows + [hit_row(place, some) for place, some in by_place.items()]


def hit_row(name: str, some: Sequence[AnsweredQuestion]) -> str:
    """Of the first hits in right pictures: how many lie on the line that was asked for, in %, their
    median share of the picture in %, and what they are."""
    hits = [(one.hit, one.question.line) for one in some if one.hit is not None]
    if not hits:
        return f"| {name} | 0 | | | |"
    right = np.mean([holds(hit, line) for hit, line in hits])
    shares = [hit.segment.mask.area / (hit.image.width * hit.image.height) for hit, _ in hits]
    kinds = Counter(hit.segment.kind for hit, _ in hits).most_common()
    named = ", ".join(f"{kind} {count}" for kind, count in kinds)
    return f"| {name} | {len(hits)} | {100 * right:.1f} | {100 * np.median(shares):.2f} | {named} |"


def row(name: str, some: Sequence[AnsweredQuestion]) -> str:
    """Shares in %."""
    first = 100 * np.mean([one.rank == 1 for one in some]) if some else float("nan")
    within = 100 * np.mean([one.rank is not None for one in some]) if some else float("nan")
    return f"| {name} | {len(some)} | {first:.1f} | {within:.1f} |"


def drawn_over(
    drawn: Sequence[DrawnPicture], given: Sequence[AnsweredQuestion], folder: Path
) -> None:
    """Draw the first hit, and the line that was asked for, into some pictures."""
    for one in given:
        if one.hit is None or one.question.kind != KINDS[0]:
            continue
        pixels = drawn[one.question.picture].pixels.copy()
        mask = rle.decode(one.hit.segment.mask)
        pixels[mask] = pixels[mask] // 2 + np.array([0, 90, 0], np.uint8)
        picture = Image.fromarray(pixels)
        corners = [tuple(corner) for corner in one.question.line.corners]
        ImageDraw.Draw(picture).polygon(corners, outline=(255, 0, 0), width=3)
        picture.save(folder / f"{one.question.picture:04}.jpg")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--pictures", type=int, default=100)
    options.add_argument("--photographs", type=Path)
    options.add_argument("--folder", type=Path)
    options.add_argument("--preset", default="demo")
    options.add_argument("--overlays", type=Path, help="a folder for pictures with their hits")
    options.add_argument("--wrong", action="store_true", help="list what did not come first")
    chosen = options.parse_args()
    check_fonts()
    grounds, _ = photographs(chosen.photographs)
    writing = Writing(READ, similar_lines())
    drawn = list(islice(endless(writing, SEED + 2, grounds), chosen.pictures))
    with tempfile.TemporaryDirectory() as made:
        folder = chosen.folder or Path(made)
        settings = Settings(library=folder / "library", preset=chosen.preset)
        with open_library(settings, create=True) as library:
            fill(library, folder / "pictures", drawn)
            every = questions(library, drawn)
            given = answers(library, every)
            regions = library.status().segments
    lines = sum(len(picture.lines) for picture in drawn)
    pictures = len({question.picture for question in every})
    print(f"{len(drawn)} pictures, {lines} lines, {regions} regions; {pictures} are asked for.\n")
    print("\n".join(tables(given, drawn)))
    if chosen.wrong:
        print()
        for one in given:
            if one.rank != 1:
                print(
                    f"{one.question.kind}: {one.typed!r} {name_of(one.question.picture)} {one.rank}"
                )
    if chosen.overlays:
        chosen.overlays.mkdir(parents=True, exist_ok=True)
        drawn_over(drawn, given, chosen.overlays)


if __name__ == "__main__":
    main()
