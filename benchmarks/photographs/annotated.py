"""Prints what a person feels who searches their own photographs.

    python -m benchmarks.photographs.annotated --coco annotations.json --images images

The photographs are indexed by the product, and every name of the annotations is asked for by the
product ("a dog"), with the ranking and the floor of relevance that users get. Measured: whether the
first region is the thing, or one of the first three is; whether it is a whole thing or a part;
which picture comes first, beside search by whole pictures; masks; clicks; names that are not there.
The library is kept in `--cache` and filled again only when models or settings have changed.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.looks import click
from segsearch.core.answers import SearchAnswer
from segsearch.core.arrays import VectorRows, Vectors
from segsearch.core.errors import RecipeError
from segsearch.core.query import MIN_RELEVANCE, Query, TextTerm
from segsearch.core.settings import Settings
from segsearch.core.types import Hit, Segment
from segsearch.library import SegSearch, open_library
from segsearch.masks.levels import Levels
from segsearch.masks.rle import intersection, iou
from segsearch.models.loading import build_embedder
from segsearch.models.presets import Preset, preset
from segsearch.models.protocols import Embedder
from segsearch.search.evaluation.methods import Regions
from segsearch.search.evaluation.metrics import (
    ANSWERS,
    PER_PICTURE,
    RIGHT_IOU,
    mask_recall,
    mean_precision,
    picture_recall,
    reached,
)
from segsearch.search.evaluation.run import sampled, with_article
from segsearch.search.evaluation.truth import Thing, TruePicture, read_truth

INSIDE = 0.9  # of a hit's area: from here on it lies in the thing
FIRST = 3
IN_FIVE = 5
RECALL_AT = 10
CLICKED_SHARE = 0.01  # things over this share of their picture are clicked
CLICKED = 400  # of them: a tenth of a second to a second each
# Things that photographs of daily life seldom show; names that an annotation file has are left out.
_WORDS = """
    accordion anchor anvil armadillo bagpipes beehive binoculars boomerang cannon castle
    chandelier coral crocodile dinosaur dolphin escalator excavator fireworks flamingo fossil globe
    gondola harp hedgehog helicopter igloo jellyfish kangaroo lighthouse lobster microscope
    octopus owl parachute peacock penguin pyramid rocket saxophone scorpion seahorse shark
    skeleton snail spaceship squirrel stethoscope submarine sword tank telescope tiger tractor
    trumpet turtle typewriter violin volcano walrus whale windmill
    """
ABSENT = tuple(_WORDS.split())


@dataclass(frozen=True, slots=True)
class Measures:
    """What was measured; shares in [0, 1]."""

    pictures: int
    things: int
    names: int
    first_right: float
    first_three_right: float
    first_is_part: float
    first_in_right_picture: float
    map_50: float
    recall_100: float
    reached_70: float
    small_first: float
    medium_first: float
    large_first: float
    whole_small_first: float
    whole_medium_first: float
    whole_large_first: float
    absent_turned_away: float
    recall_10: float
    recall_10_with_floor: float
    clicks_right: float
    named_right: float
    named_in_five: float
    regions: float
    seconds: float


@dataclass(frozen=True, slots=True)
class KnownLibrary:
    """An indexed library beside the truth of its pictures; `numbers` gives the place of an image's
    truth in `pictures` by the image's id."""

    library: SegSearch
    pictures: Sequence[TruePicture]
    numbers: dict[int, int]

    def things(self, hit: Hit, name: str) -> list[Thing]:
        """The things of a name in a hit's picture."""
        picture = self.pictures[self.numbers[hit.image.id]]
        return [thing for thing in picture.things if thing.name == name]

    def is_right(self, hit: Hit, name: str) -> bool:
        """Whether a hit covers a thing of a name."""
        return any(iou(hit.segment.mask, t.mask) >= RIGHT_IOU for t in self.things(hit, name))

    def is_part(self, hit: Hit, name: str) -> bool:
        """Whether a hit lies inside a thing of a name without covering it."""
        mask = hit.segment.mask
        return not self.is_right(hit, name) and any(
            intersection(mask, thing.mask) >= INSIDE * mask.area for thing in self.things(hit, name)
        )


def asked(library: SegSearch, name: str, limit: int, floor: float = 0.0) -> SearchAnswer:
    """What the product answers to a name."""
    terms = (TextTerm(with_article(name)),)
    return library.search(Query(terms, limit=limit, per_image=PER_PICTURE, min_relevance=floor))


def measure(stored: KnownLibrary, seconds: float) -> Measures:
    """All measures over an indexed library; `seconds` a picture took to index."""
    pictures = stored.pictures
    names = sorted({thing.name for picture in pictures for thing in picture.things})
    answers = {name: asked(stored.library, name, ANSWERS).hits for name in names}
    firsts = {name: hits[0] for name, hits in answers.items() if hits}
    right = {
        name: [number for number, hit in enumerate(hits) if stored.is_right(hit, name)]
        for name, hits in answers.items()
    }
    regions = stored_regions(stored)
    masks = [part.masks for part in regions]
    ours, whole = picture_scores(stored, names, regions)
    by_region, by_picture = (picture_recall(pictures, names, part) for part in (ours, whole))
    above_floor = [asked(stored.library, name, RECALL_AT, MIN_RELEVANCE).hits for name in names]
    absent = [name for name in ABSENT if not set(name.split()) & set(" ".join(names).split())]
    return Measures(
        len(pictures),
        sum(len(picture.things) for picture in pictures),
        len(names),
        share(0 in places for places in right.values()),
        share(bool(places) and places[0] < FIRST for places in right.values()),
        share(stored.is_part(firsts[name], name) for name in names if name in firsts),
        share(bool(stored.things(firsts[name], name)) for name in names if name in firsts),
        mean_precision(pictures, names, [ranked(stored, answers[name]) for name in names])[0],
        mask_recall(pictures, masks, qualities(stored))[0],
        reached(pictures, masks),
        by_region["small"][1],
        by_region["medium"][1],
        by_region["large"][1],
        by_picture["small"][1],
        by_picture["medium"][1],
        by_picture["large"][1],
        share(not asked(stored.library, name, 1, MIN_RELEVANCE).hits for name in absent),
        share(bool(places) and places[0] < RECALL_AT for places in right.values()),
        share(
            any(stored.is_right(hit, name) for hit in hits)
            for name, hits in zip(names, above_floor, strict=True)
        ),
        clicks(stored),
        *named(stored, names),
        sum(map(len, masks)) / len(pictures),
        seconds,
    )


def share(claims: Iterable[bool]) -> float:
    """The part of these that are true; nan of none."""
    listed = list(claims)
    return sum(listed) / len(listed) if listed else float("nan")


def ranked(stored: KnownLibrary, hits: Sequence[Hit]) -> list[tuple[float, Segment]]:
    """Hits as COCO's judge wants them: falling scores, pictures by their place in the truth."""
    pairs = []
    for rank, hit in enumerate(hits):
        part = hit.segment
        number = stored.numbers[hit.image.id]
        moved = Segment(part.id, number, part.mask, part.predicted_iou, part.stability)
        pairs.append((1.0 / (1 + rank), moved))
    return pairs


def stored_regions(stored: KnownLibrary) -> list[Regions]:
    """The stored regions of each picture, in the order of the truth, with no vectors."""
    by_picture: dict[int, list[Segment]] = {number: [] for number in range(len(stored.pictures))}
    for image_id, number in stored.numbers.items():
        by_picture[number] = stored.library.catalog.segments_of(image_id)
    nothing = np.empty((0, 0), np.float32)
    return [
        Regions(tuple(segment.mask for segment in segments), nothing, 0.0)
        for segments in by_picture.values()
    ]


def qualities(stored: KnownLibrary) -> list[list[float]]:
    """The predicted IoU of each picture's regions, in the order of `stored_regions`."""
    by_picture: dict[int, list[float]] = {number: [] for number in range(len(stored.pictures))}
    for image_id, number in stored.numbers.items():
        segments = stored.library.catalog.segments_of(image_id)
        by_picture[number] = [segment.predicted_iou for segment in segments]
    return list(by_picture.values())


def picture_scores(
    stored: KnownLibrary, names: Sequence[str], regions: Sequence[Regions]
) -> tuple[Vectors, Vectors]:
    """How well each picture answers each name (names, pictures): by its best region as the product
    ranks them, and by its whole-picture vector."""
    count = len(regions)
    ours = np.full((len(names), count), -np.inf, np.float32)
    whole = np.zeros((len(names), count), np.float32)
    library = stored.library
    for row, name in enumerate(names):
        query = Query(
            (TextTerm(with_article(name)),),
            limit=min(count, 1000),
            per_image=1,
            min_relevance=0.0,
        )
        for hit in library.search(query).hits:
            column = stored.numbers[hit.image.id]
            ours[row, column] = max(ours[row, column], -hit.rank)
    recipe_id, _, embedder = models_of(library)
    words = embedder.embed_texts([with_article(name) for name in names])
    for image_id, column in stored.numbers.items():
        vector = library.catalog.picture_vector(recipe_id, image_id)
        whole[:, column] = -np.inf if vector is None else words @ vector
    return ours, whole


def models_of(library: SegSearch) -> tuple[int, Preset, Embedder]:
    """Id of the recipe in use, its preset, and its embedder."""
    active = library.catalog.active_recipe()
    if active is None:
        raise SystemExit("The library is empty.")
    chosen = preset(active[1].preset)
    return active[0], chosen, build_embedder(chosen, library.settings)


def clicks(stored: KnownLibrary) -> float:
    """The share of things over 1 % of their picture whose first mask of one click is right; of
    many things some, drawn with a fixed seed."""
    things = [
        (image_id, thing)
        for image_id, number in sorted(stored.numbers.items())
        for thing in stored.pictures[number].things
        if thing.share > CLICKED_SHARE
    ]
    drawn = random.Random(0).sample(range(len(things)), min(CLICKED, len(things)))  # noqa: S311
    opened, last, right = None, -1, []
    for image_id, thing in (things[at] for at in sorted(drawn)):
        if image_id != last:
            opened, last = stored.library.open_picture(image_id), image_id
        masks = click(opened, thing.mask) if opened else []
        right.append(bool(masks) and iou(masks[0].mask, thing.mask) >= RIGHT_IOU)
    return share(right)


def named(stored: KnownLibrary, names: Sequence[str]) -> tuple[float, float]:
    """The shares of things whose own name is the best, and one of the five best, among all names,
    where people's masks cut them out: what the embedder knows, whatever the segmenter does."""
    library = stored.library
    _, chosen, embedder = models_of(library)
    words = embedder.embed_texts([with_article(name) for name in names])
    ranks: list[int] = []
    for image_id, number in stored.numbers.items():
        things = stored.pictures[number].things
        if not things:
            continue
        levels = Levels(library.pictures.pixels(image_id))
        crops = [levels.whole()]
        for thing in things:
            crops += levels.crops(thing.mask, chosen.crop)
        vectors = embedder.embed_pictures(crops)
        pictures = np.repeat(vectors[:1], len(things), axis=0)
        nothing = np.zeros((len(things), 0), np.float32)
        ids = np.arange(len(things), dtype=np.int64)
        rows = VectorRows(ids, vectors[1::2], vectors[2::2], pictures, nothing)
        scores = chosen.mix.blend(rows) @ words.T
        own = scores[ids, [names.index(thing.name) for thing in things]]
        ranks += (scores > own[:, None]).sum(1).tolist()
    return share(rank < 1 for rank in ranks), share(rank < IN_FIVE for rank in ranks)


def table(felt: Measures) -> str:
    """The measures as lines; shares in percent."""
    counts = ("pictures", "things", "names", "regions", "seconds")
    lines = []
    for name, value in asdict(felt).items():
        number = f"{value:.1f}" if name in counts else f"{100 * value:.1f} %"
        lines.append(f"{name.replace('_', ' '):28}{number:>10}")
    return "\n".join(lines)


def main() -> None:
    """Command line."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--coco", type=Path, required=True, help="COCO instances file")
    options.add_argument("--images", type=Path, required=True, help="folder of the photographs")
    options.add_argument("--limit", type=int, help="so many photographs, drawn with a fixed seed")
    options.add_argument("--preset", default="demo")
    options.add_argument("--cache", type=Path, default=Path(".benchmarks/photographs"))
    options.add_argument("--json", action="store_true", help="print JSON")
    chosen = options.parse_args()
    pictures = sampled(read_truth(chosen.coco, chosen.images), chosen.limit)
    paths = [picture.path for picture in pictures]
    settings = Settings(
        library=chosen.cache / f"{chosen.preset}-{len(paths)}", preset=chosen.preset
    )
    with open_library(settings, create=True) as library:
        index = partial(library.index, paths)
        try:
            report = index()
        except RecipeError:  # the cache was filled with other models
            report = index(rebuild=True)
        kept = settings.library / "seconds.json"
        if report.indexed:
            kept.write_text(json.dumps(report.seconds / report.indexed))
        numbers = {
            image_id: number
            for number, path in enumerate(paths)
            for image_id in library.catalog.find_images([str(path.resolve())])
        }
        felt = measure(KnownLibrary(library, pictures, numbers), json.loads(kept.read_text()))
    print(json.dumps(asdict(felt)) if chosen.json else table(felt))


if __name__ == "__main__":
    main()
