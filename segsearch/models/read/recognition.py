"""Turns lines that were found into text: cut out upright, in few widths, the long ones in parts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segsearch.core.arrays import Pixels
from segsearch.core.plain import plain_text
from segsearch.masks.quads import Quad, cut_upright, sides

HEIGHT_PX = 48  # of what the recogniser reads
WIDTHS_PX = (320, 480, 640, 960, 1280, 1920)  # a narrower line is laid on grey of the next width
BATCH = 4  # lines of one width that are read at once; fewer are read one by one
GREY = 128
UPRIGHT_RATIO = 1.5  # a line that is so many times as high as it is wide is read turned by 90
LEAST_WIDTH_PX = 8
SEARCHED_SHARE = 0.25  # of the widest: where a cut between words is looked for
BLANK_SHARE = 0.15  # of the height: a gap that is so wide parts two words


@dataclass(frozen=True, slots=True)
class ReadText:
    """What a strip says, and how sure that is, in [0, 1]."""

    text: str
    score: float


Recognize = Callable[[NDArray[np.uint8]], list[ReadText]]  # of (n, HEIGHT_PX, width, 3)
IsTurned = Callable[[Pixels], bool]  # whether a strip may stand upside down


def read_quads(
    pixels: Pixels, quads: Sequence[Quad], recognize: Recognize, is_turned: IsTurned
) -> list[tuple[Quad, ReadText]]:
    """What each quadrilateral of a picture says, in order, with its corners as the writing runs:
    what is higher than wide is turned by 90 degrees, what stands upside down by 180."""
    along = [_lengthwise(quad) for quad in quads]
    strips = [upright_strip(pixels, quad) for quad in along]
    texts = read_strips(strips, recognize)
    doubtful = [i for i, strip in enumerate(strips) if is_turned(strip)]
    others = read_strips([np.ascontiguousarray(strips[i][::-1, ::-1]) for i in doubtful], recognize)
    for i, other in zip(doubtful, others, strict=True):
        if other.score > texts[i].score:
            along[i], texts[i] = np.roll(along[i], -2, axis=0), other
    return list(zip(along, texts, strict=True))


def _lengthwise(quad: Quad) -> Quad:
    """Corners from the one at which a line of writing may begin."""
    width, height = sides(quad)
    return np.roll(quad, -1, axis=0) if height >= UPRIGHT_RATIO * width else quad


def upright_strip(pixels: Pixels, quad: Quad) -> Pixels:
    """A line as (HEIGHT_PX, width, 3), its width in proportion."""
    width, height = sides(quad)
    return cut_upright(
        pixels, quad, HEIGHT_PX, max(LEAST_WIDTH_PX, round(HEIGHT_PX * width / max(height, 1.0)))
    )


def read_strips(strips: Sequence[Pixels], recognize: Recognize) -> list[ReadText]:
    """What strips (HEIGHT_PX, width, 3) of any width say, in order."""
    pieces = [(i, piece) for i, strip in enumerate(strips) for piece in _parts(strip)]
    said: dict[int, ReadText] = {}
    for width in WIDTHS_PX:
        alike = [k for k, (_, (piece, _)) in enumerate(pieces) if bucket(piece.shape[1]) == width]
        for batch in _batches(alike):
            canvas = np.full((len(batch), HEIGHT_PX, width, 3), GREY, np.uint8)
            for row, k in enumerate(batch):
                piece = pieces[k][1][0]
                canvas[row, :, : piece.shape[1]] = piece
            said.update(zip(batch, recognize(canvas), strict=True))
    parts: list[list[tuple[ReadText, str]]] = [[] for _ in strips]
    for k, (i, (_, gap)) in enumerate(pieces):
        parts[i].append((said[k], gap))
    return [_joined(part) for part in parts]


def bucket(width: int) -> int:
    """The width at which a piece of a line is read."""
    return next(wide for wide in WIDTHS_PX if width <= wide)


def _batches(numbers: Sequence[int]) -> Iterator[Sequence[int]]:
    """Runs of `BATCH`, and what is left one by one: two shapes a width."""
    whole = len(numbers) // BATCH * BATCH
    for start in range(0, whole, BATCH):
        yield numbers[start : start + BATCH]
    for number in numbers[whole:]:
        yield [number]


def _parts(strip: Pixels) -> Iterator[tuple[Pixels, str]]:
    """Pieces of a strip that are no wider than the widest, and what stands between each and the
    next: it is cut where least is drawn."""
    widest = WIDTHS_PX[-1]
    while strip.shape[1] > widest:
        start = int(widest * (1 - SEARCHED_SHARE))
        ink = strip[:, start:widest].mean(axis=2).std(axis=0)
        is_blank = ink <= ink.min() + 0.1 * (ink.max() - ink.min())
        middle, width = _widest_run(is_blank)
        yield strip[:, : start + middle], " " if width > BLANK_SHARE * HEIGHT_PX else ""
        strip = strip[:, start + middle :]
    yield strip, ""


def _widest_run(is_blank: NDArray[np.bool_]) -> tuple[int, int]:
    """The middle of the longest run of true values, at least 1, and its length."""
    edges = np.flatnonzero(np.diff(np.pad(is_blank.astype(np.int8), 1)))
    starts, ends = edges[::2], edges[1::2]
    k = int(np.argmax(ends - starts))
    return max(1, int(starts[k] + ends[k]) // 2), int(ends[k] - starts[k])


def _joined(parts: Sequence[tuple[ReadText, str]]) -> ReadText:
    """The text of a line from that of its pieces; its score is the mean over its letters."""
    text = "".join(said.text + gap for said, gap in parts)
    weights = [max(1, len(said.text)) for said, _ in parts]
    score = float(np.average([said.score for said, _ in parts], weights=weights))
    return ReadText(cleaned(text), score)


def cleaned(text: str) -> str:
    """One line of characters that are shown, one space between words."""
    return " ".join(plain_text(text).split())
