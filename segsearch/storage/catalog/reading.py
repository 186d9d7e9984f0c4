"""Text in pictures: which are read, their lines, and the regions that reading adds."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import Any

import sqlalchemy as sa

from segsearch.core.arrays import DescribedSegment, PictureText
from segsearch.core.text import Line, LineText, TextLine, folded_text
from segsearch.core.text_query import words_of
from segsearch.core.types import Box, Claim, Segment, State
from segsearch.storage.catalog import rows
from segsearch.storage.catalog.change_log import log_change
from segsearch.storage.catalog.counters import CounterMixin, tallies
from segsearch.storage.catalog.portable import AMONG_IDS, ids_parameter, insert
from segsearch.storage.catalog.rows import FRESH, OF_SEGMENT
from segsearch.storage.catalog.shots import (
    on_frame,
    segments_from,
    shot_of_claim,
    store_tracks,
    whole_tracks,
)
from segsearch.storage.catalog.tables import (
    ACTIVE_RECIPE,
    IMAGE,
    INGEST,
    PICTURE_TEXT,
    READING,
    SEGMENT,
    SEGMENT_VECTOR,
    TEXT_LINE,
)  # fmt: skip

CORNER_DIGITS = 1  # of a pixel
SAME_BOX = 0.8  # intersection over union
QUEUED_AT_ONCE = 5_000  # images, in one transaction
_LINES = sa.select(TEXT_LINE).where(TEXT_LINE.c.recipe_id == ACTIVE_RECIPE)
_OF_IMAGES = _LINES.where(TEXT_LINE.c.image_id.in_(AMONG_IDS)).order_by(
    TEXT_LINE.c.image_id, TEXT_LINE.c.position
)
_TEXTS = _OF_IMAGES.with_only_columns(
    TEXT_LINE.c.image_id, TEXT_LINE.c.id, TEXT_LINE.c.segment_id, TEXT_LINE.c.element_id,
    TEXT_LINE.c.position, TEXT_LINE.c.text,
)  # fmt: skip
_TEXTS_THAT_MAY = _TEXTS.where(sa.Function[bool]("may_hold", TEXT_LINE.c.text))
# A plain OR would read all lines of the recipe.
_THEIRS = sa.union(
    *(
        sa.select(TEXT_LINE.c.id).where(column.in_(AMONG_IDS))
        for column in (TEXT_LINE.c.segment_id, TEXT_LINE.c.element_id)
    )
)
_OF_SEGMENTS = _LINES.where(TEXT_LINE.c.id.in_(_THEIRS)).order_by(TEXT_LINE.c.position)


class ReadingMixin(CounterMixin):
    """The part of the catalog that holds the text of pictures."""

    def queue_reading(self, recipe_id: int, reader: str) -> int:
        """Queue every image that is done under a recipe and was not read by this reader; how many
        wait now comes back. What was read by another stays until it is read again; what could not
        be read stays so. Some at a time are written, so that others may write between them."""
        after = 0
        while ids := self._unread(recipe_id, reader, after):
            rows_ = [{"image_id": number, "recipe_id": recipe_id} for number in ids]
            upsert = insert(READING).values(state=State.PENDING)
            again = upsert.on_conflict_do_update(
                index_elements=["image_id", "recipe_id"],
                set_=FRESH,
                where=READING.c.state == State.DONE,
            )
            with self._writing() as db:
                db.execute(again, rows_)
            after = ids[-1]
        with self._reading() as db:
            return tallies(db, recipe_id).get("reading", Counter())[State.PENDING]

    def _unread(self, recipe_id: int, reader: str, after: int) -> list[int]:
        """Ids above `after` of images that are done and were not read by a reader, ascending."""
        same = (READING.c.image_id == INGEST.c.image_id) & (READING.c.recipe_id == recipe_id)
        by_another = (READING.c.state == State.DONE) & READING.c.reader.is_distinct_from(reader)
        unread = (
            sa.select(INGEST.c.image_id)
            .outerjoin(READING, same)
            .where(INGEST.c.recipe_id == recipe_id, INGEST.c.state == State.DONE)
            .where(INGEST.c.image_id > after, READING.c.image_id.is_(None) | by_another)
            .order_by(INGEST.c.image_id)
            .limit(QUEUED_AT_ONCE)
        )
        with self._reading() as db:
            return list(db.execute(unread).scalars())

    def lines_of(self, image_id: int) -> list[TextLine]:
        """The lines of an image under the active recipe, as they are read; none of an unknown
        image."""
        return self._lines(_OF_IMAGES, [image_id])

    def lines_by_image(self, image_ids: Sequence[int]) -> dict[int, list[TextLine]]:
        """`lines_of` for several images, in as many statements as for one; those without any are
        left out."""
        found: dict[int, list[TextLine]] = defaultdict(list)
        for line in self._lines(_OF_IMAGES, image_ids):
            found[line.image_id].append(line)
        return dict(found)

    def lines_by_segment(self, segment_ids: Sequence[int]) -> dict[int, list[TextLine]]:
        """The lines that belong to some segments, as they are read: of an element also those that
        smaller regions cover. Segments without any are left out."""
        asked, found = set(segment_ids), defaultdict[int, list[TextLine]](list)
        for line in self._lines(_OF_SEGMENTS, segment_ids):
            for segment_id in asked.intersection(line.regions):
                found[segment_id].append(line)
        return dict(found)

    def _text_tallies(self) -> tuple[int, int]:
        """How many pictures were read under the active recipe, and how many lines they hold."""

        def read() -> tuple[int, int]:
            with self._reading() as db:
                recipe_id = db.execute(sa.select(ACTIVE_RECIPE)).scalar()
                kept = tallies(db, recipe_id)
            none: Counter[str] = Counter()
            return kept.get("reading", none)[State.DONE], kept.get("lines", none).total()

        return self._since_written("text tallies", read)

    def _lines(self, query: sa.Select[Any], ids: Sequence[int]) -> list[TextLine]:
        if not ids or not self._text_tallies()[1]:
            return []
        with self._reading() as db:
            return [_line(row) for row in db.execute(query, ids_parameter(ids)).all()]

    def reader_of(self, image_id: int) -> str | None:
        """What read an image last under the active recipe, as `name@sha256-of-weights`; None where
        it was not read."""
        query = sa.select(READING.c.reader).where(
            READING.c.image_id == image_id, READING.c.recipe_id == ACTIVE_RECIPE
        )
        with self._reading() as db:
            return db.execute(query).scalar()


TextsOf = Callable[[Sequence[int]], dict[int, list[LineText]]]


def texts_of_lines(db: sa.Connection, may_hold: Callable[[str], bool]) -> TextsOf:
    """What reads, for images, what their lines say under the active recipe, as they are read, of
    those texts that `may_hold` lets by. Asked for before a query whose rows are taken one by one:
    SQLite hears of a function between queries alone."""
    is_sqlite = db.dialect.name == "sqlite"
    if is_sqlite:  # which asks before a row comes out
        driver: Any = db.connection.driver_connection
        driver.create_function("may_hold", 1, may_hold, deterministic=True)

    def texts_of(image_ids: Sequence[int]) -> dict[int, list[LineText]]:
        found: dict[int, list[LineText]] = defaultdict(list)
        query = _TEXTS_THAT_MAY if is_sqlite else _TEXTS
        lines: Any = db.execute(query, ids_parameter(image_ids)).cursor  # the driver's own rows
        for image_id, *line in lines:
            if is_sqlite or may_hold(line[-1]):
                found[image_id].append(LineText(*line))
        return found

    return texts_of


def regions_to_read(db: sa.Connection, recipe_id: int, image_id: int) -> tuple[Segment, ...]:
    """The regions of an image that were not made of what was read, by ascending id."""
    things = sa.select(*OF_SEGMENT).join(IMAGE, IMAGE.c.id == SEGMENT.c.image_id)
    things = things.where(SEGMENT.c.image_id == image_id, SEGMENT.c.recipe_id == recipe_id)
    things = things.where(~SEGMENT.c.of_text).order_by(SEGMENT.c.id)
    return tuple(on_frame(db, image_id, segments_from(db, db.execute(things).all())))


def store_segments(
    db: sa.Connection, claim: Claim, segments: Sequence[DescribedSegment], **values: Any
) -> list[int]:
    """Store the segments of a claim's picture with their vectors, and log them; their ids, in
    order. `values` are further columns of all of them."""
    if not segments:
        return []
    added = [
        rows.segment_values(claim.image_id, claim.recipe_id, segment) | values
        for segment in segments
    ]
    newest = sa.select(sa.func.max(SEGMENT.c.id))
    before = db.execute(newest).scalar() or 0
    db.execute(sa.insert(SEGMENT), added)
    stored = sa.select(SEGMENT.c.id).where(
        SEGMENT.c.image_id == claim.image_id,
        SEGMENT.c.recipe_id == claim.recipe_id,
        SEGMENT.c.id > before,
    )
    ids = list(db.execute(stored.order_by(SEGMENT.c.id)).scalars())
    db.execute(sa.insert(SEGMENT_VECTOR), list(map(rows.vector_values, ids, segments)))
    log_change(db, "add", stored)
    return ids


def store_text(
    db: sa.Connection, claim: Claim, text: PictureText, region_ids: Sequence[int]
) -> None:
    """Store what reading gave, in place of what there was; `region_ids` are those of the regions
    that the picture had, in the order in which `text` numbers them. A region that an earlier
    reading had added stays as it is where this one finds it again, with what was said of it."""
    kept = _found_again(db, claim, text)
    _forget(db, claim, sorted(kept.values()))
    there = sa.select(SEGMENT.c.id).where(
        SEGMENT.c.image_id == claim.image_id, SEGMENT.c.recipe_id == claim.recipe_id
    )
    held = set(db.execute(there).scalars())
    new = [region for place, region in enumerate(text.regions) if place not in kept]
    new_ids = store_segments(db, claim, new, of_text=True)
    shot = shot_of_claim(db, claim) if new else None
    if shot:
        store_tracks(db, new_ids, whole_tracks(shot, new))
    stored = iter(new_ids)
    added = [kept.get(place) or next(stored) for place in range(len(text.regions))]
    ids = [number if number in held else None for number in region_ids] + added
    for number, kind, order in zip(ids, text.kinds, text.order, strict=True):
        if number is not None and (kind != "thing" or order is not None):
            change = sa.update(SEGMENT).where(SEGMENT.c.id == number)
            db.execute(change.values(kind=kind, reading_order=order))
    if text.lines:
        db.execute(sa.insert(TEXT_LINE), list(_line_values(claim, text, ids)))
        texts = [placed.line.text for placed in text.lines]
        enter_text(db, claim.image_id, claim.recipe_id, texts)


def mark_read(db: sa.Connection, claim: Claim, reader: str) -> None:
    """Note that a picture was read with its regions."""
    key = {"image_id": claim.image_id, "recipe_id": claim.recipe_id}
    read = FRESH | {"state": State.DONE, "reader": reader}
    upsert = insert(READING).values(**key, **read)
    db.execute(upsert.on_conflict_do_update(index_elements=list(key), set_=read))


def mark_unread(db: sa.Connection, claim: Claim) -> None:
    """Note that a picture is to be read by itself: together with its regions it could not be."""
    key = {"image_id": claim.image_id, "recipe_id": claim.recipe_id}
    waits = FRESH | {"errors": 1}
    upsert = insert(READING).values(**key, **waits)
    db.execute(upsert.on_conflict_do_update(index_elements=list(key), set_=waits))


def queue_unread(db: sa.Connection, recipe_id: int) -> None:
    """Queue every image that is done under a recipe and was never read: text was read under the
    one before it."""
    known = sa.exists().where(
        READING.c.image_id == INGEST.c.image_id, READING.c.recipe_id == INGEST.c.recipe_id
    )
    done = (INGEST.c.recipe_id == recipe_id) & (INGEST.c.state == State.DONE)
    pending = sa.literal(State.PENDING.value)
    unread = sa.select(INGEST.c.image_id, INGEST.c.recipe_id, pending).where(done, ~known)
    db.execute(sa.insert(READING).from_select(["image_id", "recipe_id", "state"], unread))


def _found_again(db: sa.Connection, claim: Claim, text: PictureText) -> dict[int, int]:
    """Which of a text's regions, by their places, an earlier reading had added, with their ids: of
    the same kind, and with nearly the same box; each stands for one, the most alike first."""
    columns = (
        SEGMENT.c.id,
        SEGMENT.c.kind,
        *(SEGMENT.c[name] for name in ("x0", "y0", "x1", "y1")),
    )
    earlier = sa.select(*columns).where(
        SEGMENT.c.image_id == claim.image_id,
        SEGMENT.c.recipe_id == claim.recipe_id,
        SEGMENT.c.of_text,
    )
    kinds = text.kinds[len(text.kinds) - len(text.regions) :]
    alike = []
    for number, kind, *corners in db.execute(earlier).all():
        for place, region in enumerate(text.regions):
            share = _iou(Box(*corners), region.proposal.mask.box) if kind == kinds[place] else 0.0
            if share >= SAME_BOX:
                alike.append((-share, number, place))
    kept: dict[int, int] = {}
    for _, number, place in sorted(alike):
        if place not in kept and number not in kept.values():
            kept[place] = number
    return kept


def _iou(first: Box, second: Box) -> float:
    """Of two boxes."""
    width = min(first.x1, second.x1) - max(first.x0, second.x0)
    height = min(first.y1, second.y1) - max(first.y0, second.y0)
    both = max(0, width) * max(0, height)
    return both / (first.area + second.area - both)


def _forget(db: sa.Connection, claim: Claim, kept: Sequence[int] = ()) -> None:
    """Take away what was read of a claim's picture before, with the regions that came of it but for
    those that are `kept`."""
    for table in (TEXT_LINE, PICTURE_TEXT):
        theirs = (table.c.image_id == claim.image_id) & (table.c.recipe_id == claim.recipe_id)
        db.execute(sa.delete(table).where(theirs))
    of_picture = SEGMENT.c.image_id == claim.image_id
    of_picture &= SEGMENT.c.recipe_id == claim.recipe_id
    made = of_picture & SEGMENT.c.of_text & SEGMENT.c.id.not_in(kept)
    gone = sa.select(SEGMENT.c.id).where(made)
    if db.execute(gone.limit(1)).first():
        log_change(db, "remove", gone)
        db.execute(sa.delete(SEGMENT).where(made))
    marked = of_picture & ((SEGMENT.c.kind != "thing") | SEGMENT.c.reading_order.is_not(None))
    plain = sa.update(SEGMENT).where(marked)
    db.execute(plain.values(kind="thing", reading_order=None))


def _line_values(
    claim: Claim, text: PictureText, ids: Sequence[int | None]
) -> Iterator[dict[str, Any]]:
    for position, placed in enumerate(text.lines, start=1):
        corners = [[round(value, CORNER_DIGITS) for value in xy] for xy in placed.line.corners]
        yield {
            "image_id": claim.image_id,
            "recipe_id": claim.recipe_id,
            "segment_id": None if placed.region is None else ids[placed.region],
            "element_id": None if placed.element is None else ids[placed.element],
            "position": position,
            "corners": json.dumps(corners),
            "text": placed.line.text,
            "score": float(placed.line.score),
        }


def _line(row: sa.Row[Any]) -> TextLine:
    first, second, third, fourth = ((x, y) for x, y in json.loads(row.corners))
    line = Line((first, second, third, fourth), row.text, row.score)
    return TextLine(row.id, row.image_id, row.segment_id, row.position, line, row.element_id)


def text_problems(db: sa.Connection) -> Iterator[str]:
    """A sentence for pictures whose lines and text differ."""
    of = "recipe_id, image_id FROM"
    for one, other in (("text_line", "picture_text"), ("picture_text", "text_line")):
        query = f"SELECT count(*) FROM (SELECT {of} {one} EXCEPT SELECT {of} {other}) AS odd"  # noqa: S608  names of our own
        if count := db.exec_driver_sql(query).scalar_one():
            yield f"Of {count} pictures there is a {one} but no {other}."
    differing = sum(
        whole != folded_text(" ".join(lines)) for _, whole, lines in _texts_and_lines(db)
    )
    if differing:
        yield f"The text of {differing} pictures is not what their lines say."


def _texts_and_lines(db: sa.Connection) -> Iterator[tuple[tuple[int, int], str, list[str]]]:
    """Recipe and image, the text and the lines of each picture that has both; a picture at a time
    is in memory."""
    own = (PICTURE_TEXT.c.image_id == TEXT_LINE.c.image_id) & (
        PICTURE_TEXT.c.recipe_id == TEXT_LINE.c.recipe_id
    )
    query = (
        sa.select(TEXT_LINE.c.recipe_id, TEXT_LINE.c.image_id, PICTURE_TEXT.c.folded)
        .add_columns(TEXT_LINE.c.text)
        .join(PICTURE_TEXT, own)
        .order_by(TEXT_LINE.c.image_id, TEXT_LINE.c.recipe_id, TEXT_LINE.c.position)
    )
    # Of this statement alone: of the connection it would hold for whatever is written next.
    found = db.execute(query.execution_options(yield_per=1_000))
    for (recipe_id, image_id, whole), some in groupby(found, lambda row: row[:3]):
        yield (recipe_id, image_id), whole, [text for *_, text in some]


def enter_text_again(db: sa.Connection) -> None:
    """Build the texts of pictures from their lines."""
    db.execute(sa.delete(PICTURE_TEXT))
    pictures = sa.select(TEXT_LINE.c.image_id, TEXT_LINE.c.recipe_id).distinct()
    for image_id, recipe_id in db.execute(pictures).all():
        own = (TEXT_LINE.c.image_id == image_id) & (TEXT_LINE.c.recipe_id == recipe_id)
        lines = sa.select(TEXT_LINE.c.text).where(own).order_by(TEXT_LINE.c.position)
        enter_text(db, image_id, recipe_id, list(db.execute(lines).scalars()))


def enter_text(db: sa.Connection, image_id: int, recipe_id: int, lines: Sequence[str]) -> None:
    """Enter the lines of a picture as one text, in which words are looked for."""
    whole = folded_text(" ".join(lines))
    values = {"image_id": image_id, "recipe_id": recipe_id, "folded": whole}
    db.execute(sa.insert(PICTURE_TEXT).values(**values, spaced=" ".join(words_of(whole))))
