"""Runs an evaluation: decodes, describes and measures, and lays the rows out as a table."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from segsearch.core.arrays import Pixels
from segsearch.core.errors import InputError, PathError, PictureError
from segsearch.core.mix import Mix
from segsearch.media.decode import DEFAULT_LIMITS, Limits, decode, read_file
from segsearch.models.pipeline import Pipeline
from segsearch.search.evaluation.methods import (
    BOTH,
    BY_SEGMENT,
    METHODS,
    Description,
    describe,
)
from segsearch.search.evaluation.metrics import (
    ANSWERS,
    DEPTHS,
    PER_PICTURE,
    SIZES,
    Rerank,
    Row,
    measure,
)
from segsearch.search.evaluation.truth import TruePicture

SAMPLE_SEED = 0


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What was measured over how much; rows in the order of `methods.METHODS`."""

    pictures: int
    things: int
    names: int
    rows: tuple[Row, ...]

    @property
    def document(self) -> dict[str, Any]:
        """Plain JSON values; null where nothing could be measured, JSON has no nan."""
        document: dict[str, Any] = _without_nan(asdict(self))
        return document


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return None if value != value else value


def sampled(pictures: Sequence[TruePicture], limit: int | None) -> list[TruePicture]:
    """At most `limit` pictures, drawn with a fixed seed, in their order."""
    if limit is None or limit >= len(pictures):
        return list(pictures)
    if limit < 1:
        raise InputError(f"The limit is {limit}, expected at least 1.")
    kept = random.Random(SAMPLE_SEED).sample(range(len(pictures)), limit)  # noqa: S311
    return [pictures[index] for index in sorted(kept)]


def check_present(pictures: Sequence[TruePicture]) -> None:
    """PathError when files of these pictures are not there, before hours are spent on others."""
    missing = [picture.path for picture in pictures if not picture.path.is_file()]
    if missing:
        raise PathError(
            f"{len(missing)} of {len(pictures)} pictures are not there, such as "
            f"{str(missing[0])!r}."
        )


def evaluate(  # noqa: PLR0913  what is measured, on what, how, and whether once more
    pipeline: Pipeline,
    truth_pictures: Iterable[TruePicture],
    mix: Mix,
    *,
    methods: Sequence[str] = METHODS,
    limits: Limits = DEFAULT_LIMITS,
    rerank: Rerank | None = None,
) -> Evaluation:
    """Measure these methods on these pictures, one query "a NAME" for each category in them.

    `mix` makes the rows of regions, as in a search. With `rerank`, the last of the methods is
    measured once more with its answers in the order of what it says of "a NAME". InputError when a
    picture has another size than its truth says; PictureError when it is none, or one beyond
    `limits`.
    """
    pictures: list[TruePicture] = []
    described: list[Description] = []
    for picture in truth_pictures:
        pictures.append(picture)
        described.append(describe(pipeline, pixels_of(picture, limits), mix))
    names = sorted({thing.name for picture in pictures for thing in picture.things})
    if not names:
        raise InputError("None of the pictures has annotated things.")
    words = pipeline.embedder.embed_texts([with_article(name) for name in names])
    rows = []
    for method in methods:
        regions = [description.regions[method] for description in described]
        quality: list[Sequence[float]] = [
            description.quality if method in BY_SEGMENT else [1.0] * len(part.masks)
            for description, part in zip(described, regions, strict=True)
        ]
        asked = mix.asked(words, 1.0) if method == BOTH else words
        queries = (names, asked)
        rows.append(measure(method, pictures, regions, quality, queries))
        if rerank is not None and method == methods[-1]:
            again = f"{method}, reranked"
            rows.append(measure(again, pictures, regions, quality, queries, _said(rerank)))
    things = sum(len(picture.things) for picture in pictures)
    return Evaluation(len(pictures), things, len(names), tuple(rows))


def _said(rerank: Rerank) -> Rerank:
    """The same, asked as a search is."""
    return lambda name, segments: rerank(with_article(name), segments)


def with_article(name: str) -> str:
    """The words that ask for a category: "a dog", "an owl"."""
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"


def pixels_of(picture: TruePicture, limits: Limits) -> Pixels:
    """Upright pixels (H, W, 3); InputError when they are not as many as the truth says."""
    try:
        pixels, info = decode(read_file(picture.path, limits), limits)
    except PictureError as problem:
        raise type(problem)(f"{str(picture.path)!r}: {problem}") from problem
    if (info.width, info.height) != (picture.width, picture.height):
        raise InputError(
            f"{str(picture.path)!r} is {info.width} x {info.height} upright, its annotations say "
            f"{picture.width} x {picture.height}."
        )
    return pixels


def table(evaluation: Evaluation) -> str:
    """The rows as plain text, one method a line; shares in percent."""
    recall = [f"{size[0]}@{k}" for size in SIZES for k in DEPTHS]
    head = ["", *recall, "first", "mAP50", "mAP75", "IoU", "AR100", "AR1000", "R70"]
    head += ["regions", "sec"]
    lines = [head]
    for row in evaluation.rows:
        figures = [row.picture_recall[size][k] for size in SIZES for k in DEPTHS]
        figures += [row.first_right, row.map_50, row.map_75, row.right_iou]
        figures += [row.recall_100, row.recall_1000, row.reached]
        percent = ["-" if value != value else f"{100 * value:.1f}" for value in figures]
        lines.append([row.method, *percent, f"{row.regions:.1f}", f"{row.seconds:.2f}"])
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    laid = [
        "  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])])
        for line in lines
    ]
    told = (
        f"{evaluation.pictures} pictures, {evaluation.things} things, {evaluation.names} names. "
        "s@k, m@k, l@k: picture recall at k for small, medium and large things; first: the best "
        f"region covers the thing (IoU 0.5); IoU: of those; mAP: of the first {ANSWERS} regions of "
        f"each name, at most {PER_PICTURE} a picture; R70: things over 1 % of the picture that "
        "some region meets at IoU 0.7; sec: seconds a picture. Shares in %."
    )
    return "\n".join([told, *laid])
