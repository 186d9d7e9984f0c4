"""Rows that are compared one by one: float16 numbers under ascending ids, which never change.

What a library gains is added as further parts and what it loses is marked beside them, so that a
search needs no lock: the parts it has begun with stay as they are.
"""

from __future__ import annotations

import os
import weakref
from pathlib import Path
from tokenize import TokenError
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from segsearch.core.arrays import Ids, Vector, Vectors
from segsearch.core.atomic import whole
from segsearch.core.errors import DamageError

Mask = NDArray[np.bool_]
Halves = NDArray[np.float16]
Found = tuple[NDArray[np.float32], Ids]  # scores and places, best first

# Of so few rows, or such a share, the product of each is worked out alone.
FEW_ROWS = 1_024
FEW_SHARE = 1 / 16


class FlatPart:
    """Rows (n, w) under ids (n,) ascending; what it gives for a query are places in them.

    `name` is that of its file without the suffix.
    """

    suffix = ".rows"

    def __init__(self, ids: Ids, rows: Halves, name: str | None = None) -> None:
        self.name = name or os.urandom(8).hex()
        self.ids = ids
        self._index = _index_of(rows)
        self.rows: Halves = _held_by(self._index)
        self.width = rows.shape[1]

    def __len__(self) -> int:
        return int(self.ids.size)

    def places(self, ids: Ids) -> tuple[Ids, Mask]:
        """Where some ids (m,) are, and which of them are here at all."""
        places = np.minimum(np.searchsorted(self.ids, ids), max(len(self) - 1, 0))
        return places, self.ids[places] == ids if len(self) else np.zeros(ids.size, dtype=bool)

    def search(self, query: Vector, k: int, passing: Mask | None, count: int) -> Found:
        """The best `k` of the rows that pass (n,), all where that is None, `count` in number."""
        if passing is not None and count <= max(FEW_ROWS, int(FEW_SHARE * len(self))):
            places = np.flatnonzero(passing)
            scores, chosen = nearest(_index_of(self.rows[places]), query, min(k, count), None)
            return scores, places[chosen]
        return nearest(self._index, query, min(k, count), passing)

    def at(self, places: Ids) -> Halves:
        """The rows at some places (m,)."""
        return self.rows[places]

    def files(self, folder: Path) -> list[str]:
        """Write what is not there yet; the names of the files that hold this part."""
        name = self.name + self.suffix
        if not (folder / name).is_file():
            with whole(folder / name, durable=True) as partial, partial.open("wb") as file:
                np.save(file, self.ids)
                np.save(file, self.rows)
        return [name]


class StoredRows:
    """Rows (n, w) float16 in a file, read when they are asked for.

    Mapped into memory, each page of them that is looked at would count as the process's own.
    """

    def __init__(self, path: Path, offset: int, shape: tuple[int, int]) -> None:
        self.shape = shape
        self._offset = offset
        self._file = os.open(path, os.O_RDONLY)
        weakref.finalize(self, os.close, self._file)

    def at(self, places: Ids) -> Halves:
        """Copies of the rows at some places (m,); OSError as the system raises it."""
        rows = np.empty((places.size, self.shape[1]), np.float16)
        if rows.size == 0:
            return rows
        data, length = rows.data.cast("B"), 2 * self.shape[1]
        if (np.diff(places) == 1).all():
            self._read(data, int(places[0]))
            return rows
        for number, place in enumerate(places.tolist()):
            self._read(data[number * length : (number + 1) * length], place)
        return rows

    def _read(self, data: memoryview, place: int) -> None:
        offset = self._offset + 2 * self.shape[1] * place
        while data.nbytes:
            count = os.preadv(self._file, [data], offset)
            if count == 0:
                raise DamageError("A file of the index has been cut off.")
            data, offset = data[count:], offset + count


def read_rows(path: Path) -> tuple[Ids, StoredRows]:
    """Ids and rows of a part's file; DamageError where it holds none."""
    try:
        with path.open("rb") as file:
            ids = np.load(file, allow_pickle=False)
            np.lib.format.read_magic(file)
            shape, _, dtype = np.lib.format.read_array_header_1_0(file)
            offset = file.tell()
        size = path.stat().st_size
    except (OSError, ValueError, EOFError, SyntaxError, TokenError) as problem:
        raise DamageError(f"{path.name} holds no rows of an index: {problem}.") from problem
    is_whole = ids.dtype == np.int64 and ids.ndim == 1 and dtype == np.float16 and len(shape) == 2
    if not is_whole or shape[0] != ids.size or size != offset + 2 * shape[0] * shape[1]:
        raise DamageError(f"{path.name} holds no rows of an index.")
    if (np.diff(ids) <= 0).any():
        raise DamageError(f"The ids in {path.name} do not ascend.")
    return ids, StoredRows(path, offset, (shape[0], shape[1]))


def nearest(index: Any, query: Vector, k: int, passing: Mask | None) -> Found:
    """The best `k` rows of a FAISS index that compares all, of those that pass (n,).

    Ties go to the smaller place.
    """
    if k == 0:
        return np.empty(0, np.float32), np.empty(0, np.int64)
    parameters = None
    if passing is not None:
        bits = np.packbits(passing, bitorder="little")
        selector = faiss.IDSelectorBitmap(bits.size, faiss.swig_ptr(bits))
        parameters = faiss.SearchParameters()
        parameters.sel = selector
    # Setting this is per calling thread. One query over a small index is done before a second
    # thread has woken: 100,000 rows took 4 ms on one thread, 24 ms on two busy cores.
    faiss.omp_set_num_threads(1)
    row = np.ascontiguousarray(query[None], dtype=np.float32)
    scores, places = index.search(row, min(k + 1, int(index.ntotal)), params=parameters)
    held = places[0] >= 0  # FAISS fills up with -1
    scores, places = scores[0][held], places[0][held]
    if len(places) > k and scores[k] == scores[k - 1]:  # FAISS takes any of those that tie
        least = float(np.nextafter(scores[k], -np.inf))
        _, scores, places = index.range_search(row, least, params=parameters)
    order = np.lexsort((places, -scores))[:k]
    return scores[order], places[order]


def _index_of(rows: Halves) -> Any:
    """A FAISS index of rows (n, w); it takes a copy of them."""
    index = faiss.IndexScalarQuantizer(
        rows.shape[1], faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT
    )
    codes = np.ascontiguousarray(rows).view(np.uint8).reshape(-1)
    faiss.copy_array_to_vector(codes, index.codes)
    index.ntotal = len(rows)
    return index


def _held_by(index: Any) -> Halves:
    """The rows (n, w) of such an index, where it holds them."""
    shape = (int(index.ntotal), int(index.d))
    if index.ntotal == 0:
        return np.empty(shape, np.float16)
    codes = faiss.rev_swig_ptr(index.codes.data(), shape[0] * shape[1] * 2)
    return np.asarray(codes).view(np.float16).reshape(shape)


def as_floats(rows: Halves) -> Vectors:
    """Rows (n, w) in float32."""
    return rows.astype(np.float32)
