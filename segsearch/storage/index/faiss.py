"""The index of one machine, by FAISS: parts that never change, and which of their rows are gone.

Few rows lie in flat parts, compared one by one; from `SETTLED_FROM` rows on `settle` puts them into
one part by lists, and what comes after lies in flat parts beside it until it is worth doing again.
Small flat parts are joined with the next, so that their number grows with the logarithm of the
rows. A search takes the parts as they are when it begins, needs no lock and stops nobody.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from segsearch.core.arrays import Ids, Vectors
from segsearch.core.atomic import whole
from segsearch.core.errors import DamageError
from segsearch.storage.index import inverted
from segsearch.storage.index.flat import FlatPart, Halves, Mask, as_floats, read_rows
from segsearch.storage.index.inverted import InvertedPart

SETTLED_FROM = 200_000  # rows: below, comparing with each takes some 15 ms at most
# What may lie beside a part by lists: rows not in it, and rows of it that are gone.
BESIDE_ROWS, BESIDE_SHARE, GONE_SHARE = 50_000, 1 / 16, 1 / 4
JOINED_ROWS = 65_536  # no flat part is made larger by joining
JOINED_TIMES = 2  # ... and none is joined with one that is more than so many times smaller
FLAGGED_SHARE = 1 / 32  # so many allowed ids are looked up in a table, fewer one by one
GONE = ".gone"  # suffix of the file with the places that are gone, by part

Part = FlatPart | InvertedPart


@dataclass(frozen=True, slots=True)
class LivePart:
    """A part, and which of its rows (n,) still count; None where all do."""

    part: Part
    alive: Mask | None
    count: int

    def ids(self) -> Ids:
        """The ids that still count, ascending."""
        return self.part.ids if self.alive is None else self.part.ids[self.alive]

    def rows(self) -> Halves:
        """Their rows."""
        places = np.arange(len(self.part)) if self.alive is None else np.flatnonzero(self.alive)
        return self.part.at(places)

    def held(self, ids: Ids) -> tuple[Ids, Mask]:
        """Where some ids (m,) are, and which of them are here and count."""
        places, is_here = self.part.places(ids)
        if self.alive is not None and len(self.part):
            is_here = is_here & self.alive[places]
        return places, is_here

    def without(self, ids: Ids) -> LivePart:
        """The same, some ids of it gone."""
        places, is_here = self.held(ids)
        if not is_here.any():
            return self
        alive = np.ones(len(self.part), dtype=bool) if self.alive is None else self.alive.copy()
        alive[places[is_here]] = False
        return replace(self, alive=alive, count=int(np.count_nonzero(alive)))

    def passing(self, allowed: Ids | None, flags: Mask | None) -> tuple[Mask | None, int]:
        """Which rows (n,) count and are allowed, and how many; `flags` says it by id, if given."""
        if allowed is None:
            return self.alive, self.count
        if flags is None:
            places, is_here = self.held(allowed)
            passing = np.zeros(len(self.part), dtype=bool)
            passing[places[is_here]] = True
        else:
            passing = _flagged(self.part.ids, flags)
            if self.alive is not None:
                passing &= self.alive
        return passing, int(np.count_nonzero(passing))


class FaissIndex:
    """Rows of one length, compared by inner product. Thread-safe; searches wait for nobody."""

    def __init__(self, dimension: int, parts: Sequence[LivePart] = ()) -> None:
        self.dimension = dimension
        self._parts = tuple(parts)
        self._changing = threading.RLock()
        self._newest = max((int(one.part.ids[-1]) for one in parts if len(one.part)), default=-1)

    def __len__(self) -> int:
        return sum(one.count for one in self._parts)

    def ids(self) -> Ids:
        held = [one.ids() for one in self._parts]
        return np.sort(np.concatenate([np.empty(0, np.int64), *held]), kind="stable")

    def add(self, ids: Ids, vectors: Vectors) -> None:
        if ids.size == 0:
            return
        order = np.argsort(ids)
        ids, rows = ids[order], vectors[order].astype(np.float16)
        with self._changing:
            newest, self._newest = self._newest, max(self._newest, int(ids[-1]))
            # The catalog gives out each id once: few are held already, and none that is newer.
            old = ids[: np.searchsorted(ids, newest, side="right")]
            parts = [one.without(old) for one in self._parts] if old.size else list(self._parts)
            while parts and _joins(parts[-1], ids.size):
                last = parts.pop()
                ids, rows = _joined((last.ids(), last.rows()), (ids, rows))
            self._parts = (*parts, LivePart(FlatPart(ids, rows), None, ids.size))

    def remove(self, ids: Ids) -> int:
        if ids.size == 0:
            return 0
        with self._changing:
            before = len(self)
            left = [one.without(ids) for one in self._parts]
            self._parts = tuple(_thinned(one) for one in left if one.count)
            return before - len(self)

    def search(
        self, query: NDArray[np.float32], k: int, *, allowed: Ids | None = None
    ) -> tuple[NDArray[np.float32], Ids]:
        flags = None
        if allowed is not None and FLAGGED_SHARE * len(self) < allowed.size:
            flags = _flags(allowed)
        found_scores, found_ids = [np.empty(0, np.float32)], [np.empty(0, np.int64)]
        for one in self._parts:
            passing, count = one.passing(allowed, flags)
            if count:
                scores, places = one.part.search(query, k, passing, count)
                found_scores.append(scores)
                found_ids.append(one.part.ids[places])
        scores, ids = np.concatenate(found_scores), np.concatenate(found_ids)
        order = np.lexsort((ids, -scores))[:k]
        return scores[order], ids[order]

    def rows(self, ids: Ids) -> tuple[Ids, Vectors]:
        rows = np.empty((ids.size, self.dimension), np.float32)
        is_held = np.zeros(ids.size, dtype=bool)
        for one in self._parts:
            places, is_here = one.held(ids)
            if is_here.any():
                rows[is_here] = as_floats(one.part.at(places[is_here]))
                is_held |= is_here
        return (ids, rows) if is_held.all() else (ids[is_held], rows[is_held])

    @property
    def is_exact(self) -> bool:
        return all(isinstance(one.part, FlatPart) for one in self._parts)

    @property
    def is_settled(self) -> bool:
        parts = self._parts
        if sum(one.count for one in parts) < SETTLED_FROM:
            return True
        by_lists = [one for one in parts if isinstance(one.part, InvertedPart)]
        if not by_lists:
            return False
        whole_size = sum(len(one.part) for one in by_lists)
        inside = sum(one.count for one in by_lists)
        beside = sum(one.count for one in parts) - inside
        too_many = beside > max(BESIDE_ROWS, BESIDE_SHARE * inside)
        return not too_many and whole_size - inside <= GONE_SHARE * whole_size

    def settle(self, folder: Path) -> None:
        if self.is_settled:
            return
        taken = self._parts
        count = sum(one.count for one in taken)
        made = inverted.build(_by_id(taken), count, folder)
        with self._changing:
            # What has gone meanwhile goes from the new part, what has come stays beside it; a part
            # that has been joined with what has come is left without what the new one holds, since
            # the row under an id never changes.
            now = np.concatenate([one.ids() for one in self._parts])
            settled = LivePart(made, None, count)
            gone = np.setdiff1d(made.ids, now, assume_unique=True)
            kept = [one for one in self._parts if all(one.part is not old.part for old in taken)]
            rest = [_thinned(one.without(made.ids)) for one in kept]
            self._parts = (settled.without(gone), *(one for one in rest if one.count))

    def save(self, folder: Path) -> list[str]:
        with self._changing:
            parts = self._parts
        names = [file for one in parts for file in _files_of(one.part, folder)]
        gone: dict[str, Any] = {
            one.part.name: np.flatnonzero(~one.alive) for one in parts if one.alive is not None
        }
        if gone or not names:
            name = os.urandom(8).hex() + GONE
            with whole(folder / name, durable=True) as partial, partial.open("wb") as file:
                np.savez(file, dimension=np.array(self.dimension), **gone)
            names.append(name)
        return names


class FaissIndexFactory:
    """Makes and reads `FaissIndex`."""

    kind = "faiss-parts-1"

    def create(self, dimension: int) -> FaissIndex:
        return FaissIndex(dimension)

    def load(self, folder: Path, names: Sequence[str]) -> FaissIndex:
        stems = [name.removesuffix(FlatPart.suffix) for name in names if name.endswith(".rows")]
        by_lists = {name.removesuffix(".ivf") for name in names if name.endswith(".ivf")}
        gone, width = _gone(folder, [name for name in names if name.endswith(GONE)])
        parts = []
        for stem in stems:
            part: Part
            if stem in by_lists:
                part = inverted.read(folder, stem)
            else:
                ids, rows = read_rows(folder / (stem + FlatPart.suffix))
                part = FlatPart(ids, rows.at(np.arange(ids.size)), stem)
            width = part.width
            one = LivePart(part, None, len(part))
            places = gone.get(stem, np.empty(0, np.int64))
            if places.size and (places.max() >= len(part) or places.min() < 0):
                raise DamageError(f"What is gone from {stem}.rows was never in it.")
            parts.append(one.without(part.ids[places]))
        if width is None or any(one.part.width != width for one in parts):
            raise DamageError(f"{', '.join(names) or 'no file'}: no parts of one index.")
        return FaissIndex(width, parts)


def _joins(one: LivePart, size: int) -> bool:
    """Whether the last part becomes one with so many new rows."""
    return (
        isinstance(one.part, FlatPart)
        and one.count <= JOINED_TIMES * size
        and one.count + size <= JOINED_ROWS
    )


def _joined(first: tuple[Ids, Halves], second: tuple[Ids, Halves]) -> tuple[Ids, Halves]:
    ids = np.concatenate((first[0], second[0]))
    rows = np.concatenate((first[1], second[1]))
    if first[0].size == 0 or second[0].size == 0 or first[0][-1] < second[0][0]:
        return ids, rows
    order = np.argsort(ids, kind="stable")
    return ids[order], rows[order]


def _thinned(one: LivePart) -> LivePart:
    """A flat part of which more than half is gone, without that."""
    if isinstance(one.part, InvertedPart) or 2 * one.count >= len(one.part):
        return one
    return LivePart(FlatPart(one.ids(), one.rows()), None, one.count)


def _flags(allowed: Ids) -> Mask:
    """Whether each id up to the largest is allowed, with one more that never is: a byte each."""
    flags = np.zeros(int(allowed.max(initial=0)) + 2, dtype=bool)
    flags[allowed] = True
    return flags


def _flagged(ids: Ids, flags: Mask) -> Mask:
    """The flags of some ids (n,) ascending."""
    first, last = int(ids[0]), int(ids[-1])
    if last - first + 1 == ids.size and last < flags.size:  # none is missing in between
        return flags[first : last + 1].copy()
    flagged: Mask = flags[np.minimum(ids, flags.size - 1)]
    return flagged


def _by_id(parts: Sequence[LivePart]) -> Iterator[tuple[Ids, Halves]]:
    """The rows of several parts in pieces, by ascending id."""
    ordered = sorted((one for one in parts if one.count), key=lambda one: int(one.ids()[0]))
    ends = [int(one.ids()[-1]) for one in ordered]
    starts = [int(one.ids()[0]) for one in ordered]
    if all(end < start for end, start in zip(ends, starts[1:], strict=False)):
        for one in ordered:
            ids = one.ids()
            for start in range(0, ids.size, JOINED_ROWS):
                places = one.part.places(ids[start : start + JOINED_ROWS])[0]
                yield ids[start : start + JOINED_ROWS], one.part.at(places)
        return
    ids = np.concatenate([one.ids() for one in ordered])  # an old id has been added again
    order = np.argsort(ids)
    index = FaissIndex(ordered[0].part.width, ordered)
    for start in range(0, ids.size, JOINED_ROWS):
        some = ids[order[start : start + JOINED_ROWS]]
        yield some, index.rows(some)[1].astype(np.float16)


def _files_of(part: Part, folder: Path) -> list[str]:
    if isinstance(part, FlatPart):
        return part.files(folder)
    names = [part.name + suffix for suffix in InvertedPart.suffixes]  # `build` has written them
    for name in names:
        if not (folder / name).is_file():
            raise DamageError(f"The file {name} of the index is gone.")
    return names


def _gone(folder: Path, names: Sequence[str]) -> tuple[dict[str, Ids], int | None]:
    """The places that are gone by part, and the index's dimension where the files say it."""
    gone: dict[str, Ids] = {}
    width = None
    for name in names:
        try:
            with np.load(folder / name, allow_pickle=False) as file:
                width = int(file["dimension"])
                gone.update({key: file[key].astype(np.int64) for key in file if key != "dimension"})
        except (OSError, ValueError, KeyError, EOFError, TypeError, BadZipFile) as problem:
            raise DamageError(f"{name} does not say what is gone: {problem}.") from problem
    return gone, width
