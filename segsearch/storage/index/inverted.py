"""Many rows by lists of alike ones: 8-bit codes find the candidates, float16 rows decide.

An inverted file (Sivic and Zisserman, 2003, as FAISS has it) over k-means centroids. A query looks
through the lists whose centroids are nearest until they hold enough rows that pass: with a filter
that leaves a tenth, through ten times as many, so that it never comes back short. Nothing is ever
added to one or removed; what is known of FAISS's trouble there (issues 4535, 4655) does not arise.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from segsearch.core.arrays import Ids, Vector, Vectors
from segsearch.core.atomic import whole
from segsearch.core.errors import DamageError
from segsearch.storage.index.flat import (
    Found,
    Halves,
    Mask,
    StoredRows,
    as_floats,
    read_rows,
)

TRAINED_ON = 40  # rows a list
ROWS_AT_ONCE = 32_768
# A query looks at this share of the rows, at so many at least, and at so many of those asked for:
# where rows are few nearly all of them.
LOOKED_AT = 1 / 16
LOOKED_AT_LEAST = 32_768
FILTERED_TIMES = 2  # a filter may take what is nearest, and farther off lists tell less
LOOKED_AT_PER_ROW = 16
# How many candidates are compared by their float16 rows, beyond those asked for.
CANDIDATES, REFINED, MOST_REFINED = 64, 3, 1_024
COMPARED_ALONE = 4_096  # where so few pass, by their float16 rows at once
COUNTED = 65_536  # passing rows at most, to see in which lists they are
SEED = 20261130


class InvertedPart:
    """Rows (n, w) under ids (n,) ascending, with a FAISS index of places in them.

    `name` is that of its files without the suffixes.
    """

    suffixes = (".rows", ".ivf")

    def __init__(self, ids: Ids, rows: StoredRows, index: Any, name: str) -> None:
        self.name = name
        self.ids = ids
        self.width = rows.shape[1]
        self._rows = rows
        self._index = index
        self._centroids: Vectors = index.quantizer.reconstruct_n(0, index.nlist)
        self._list_of = _lists(index)
        self._sizes = np.bincount(self._list_of, minlength=index.nlist)

    def __len__(self) -> int:
        return int(self.ids.size)

    def places(self, ids: Ids) -> tuple[Ids, Mask]:
        """Where some ids (m,) are, and which of them are here at all."""
        places = np.minimum(np.searchsorted(self.ids, ids), len(self) - 1)
        return places, self.ids[places] == ids

    def at(self, places: Ids) -> Halves:
        """The rows at some places (m,)."""
        return self._rows.at(places)

    def search(self, query: Vector, k: int, passing: Mask | None, count: int) -> Found:
        """The best `k` of the rows that pass (n,), all where that is None, `count` in number; as
        good as all lists together would give nearly always."""
        k = min(k, count)
        if k == 0:
            return np.empty(0, np.float32), np.empty(0, np.int64)
        if passing is not None and count <= COMPARED_ALONE:
            return self._best(query, np.flatnonzero(passing), k)
        wanted = min(k + min(REFINED * k + CANDIDATES, MOST_REFINED), count)
        order = np.argsort(-np.einsum("lw,w->l", self._centroids, query), kind="stable")
        probed = self._lists_to_probe(order, wanted, passing, count)
        places = self._candidates(query, wanted, passing, probed)
        if places.size < k:  # an estimate was wrong
            places = self._candidates(query, wanted, passing, order.size)
        return self._best(query, places, k)

    def _candidates(self, query: Vector, k: int, passing: Mask | None, lists: int) -> Ids:
        """Places (m,) of the best `k` by their codes in so many of the nearest lists."""
        parameters = faiss.SearchParametersIVF()
        parameters.nprobe = lists
        if passing is not None:
            bits = np.packbits(passing, bitorder="little")
            selector = faiss.IDSelectorBitmap(bits.size, faiss.swig_ptr(bits))
            parameters.sel = selector
        faiss.omp_set_num_threads(1)
        row = np.ascontiguousarray(query[None], dtype=np.float32)
        places = self._index.search(row, k, params=parameters)[1][0]
        held: Ids = places[places >= 0]
        return held

    def _lists_to_probe(
        self, order: NDArray[np.int64], wanted: int, passing: Mask | None, count: int
    ) -> int:
        """How many lists in this order, nearest first, hold enough rows that pass."""
        sizes = self._sizes
        enough = max(LOOKED_AT * len(self), LOOKED_AT_LEAST, LOOKED_AT_PER_ROW * wanted)
        if passing is not None:
            enough *= FILTERED_TIMES
            # Where very many pass, a part of them tells how they are spread.
            apart = max(1, count // COUNTED)
            places = apart * np.flatnonzero(passing[::apart])
            sizes = apart * np.bincount(self._list_of[places], minlength=order.size)
        held = np.cumsum(sizes[order])
        return min(int(np.searchsorted(held, enough)) + 1, order.size)

    def _best(self, query: Vector, places: Ids, k: int) -> Found:
        """The best `k` of the rows at some places, by their float16 numbers."""
        places = np.sort(places)
        scores = np.einsum("nw,w->n", as_floats(self.at(places)), query)
        order = np.lexsort((places, -scores))[:k]
        return scores[order], places[order]


def build(parts: Iterable[tuple[Ids, Halves]], count: int, folder: Path) -> InvertedPart:
    """Make one of `count` rows, given in pieces by ascending ids, as files in a folder.

    About 30 seconds a million rows on two cores; memory of the codes alone.
    """
    name = os.urandom(8).hex()
    rows_file, codes_file = (folder / (name + suffix) for suffix in InvertedPart.suffixes)
    with whole(rows_file, durable=True) as partial:
        _write_rows(partial, parts, count)
        rows = read_rows(partial)[1]
        index = _trained(rows)
        for start in range(0, count, ROWS_AT_ONCE):
            some = np.arange(start, min(count, start + ROWS_AT_ONCE))
            index.add(as_floats(rows.at(some)))
        with whole(codes_file, durable=True) as codes:
            faiss.write_index(index, str(codes))
    del index, rows
    return read(folder, name)


def read(folder: Path, name: str) -> InvertedPart:
    """The one whose files `build` wrote, mapped into memory; DamageError when they hold none."""
    ids, rows = read_rows(folder / f"{name}.rows")
    path = folder / f"{name}.ivf"
    try:
        index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
        if not isinstance(index, faiss.IndexIVFScalarQuantizer):
            raise DamageError(f"{path.name} holds no index by lists.")
        if int(index.ntotal) != ids.size or int(index.d) != rows.shape[1]:
            raise DamageError(f"{path.name} is not of the rows beside it.")
        return InvertedPart(ids, rows, index, name)
    except (RuntimeError, OSError) as problem:
        raise DamageError(f"{path.name} holds no FAISS index.") from problem


def _write_rows(path: Path, parts: Iterable[tuple[Ids, Halves]], count: int) -> None:
    """As `FlatPart.files` does, piece by piece."""
    ids = np.empty(count, np.int64)
    filled = 0
    with path.open("w+b") as file:
        np.save(file, ids)  # room for them
        start = file.tell()
        for some, rows in parts:
            if filled == 0:
                _start_array(file, (count, rows.shape[1]), rows.dtype)
            ids[filled : filled + some.size] = some
            filled += some.size
            file.write(np.ascontiguousarray(rows).data)
        if filled != count:
            raise ValueError(f"expected {count} rows, found {filled}")
        file.seek(start - ids.nbytes)
        file.write(ids.data)


def _start_array(file: Any, shape: tuple[int, int], dtype: np.dtype[Any]) -> None:
    header = {"shape": shape, "fortran_order": False, "descr": np.lib.format.dtype_to_descr(dtype)}
    np.lib.format.write_array_header_1_0(file, header)


def _trained(rows: StoredRows) -> Any:
    """An empty FAISS index whose lists fit these rows."""
    count, width = rows.shape
    lists = list_count(count)
    index = faiss.IndexIVFScalarQuantizer(
        faiss.IndexFlatIP(width),
        width,
        lists,
        faiss.ScalarQuantizer.QT_8bit,
        faiss.METRIC_INNER_PRODUCT,
    )
    # Half of the cores: searches go on meanwhile.
    faiss.omp_set_num_threads(max(1, (os.cpu_count() or 1) // 2))
    rng = np.random.default_rng(SEED)
    some = np.sort(rng.choice(count, min(count, TRAINED_ON * lists), replace=False))
    index.cp.seed = SEED
    index.cp.min_points_per_centroid = 1  # FAISS warns about fewer than 39
    index.train(as_floats(rows.at(some)))
    return index


def list_count(rows: int) -> int:
    """Into how many lists so many rows are parted: a power of two near twice their root."""
    rows = max(rows, 1)
    return int(2 ** min(round(np.log2(2 * np.sqrt(rows))), int(np.log2(rows))))


def _lists(index: Any) -> NDArray[np.int32]:
    """Which list each row (n,) of a FAISS index is in."""
    list_of = np.empty(int(index.ntotal), np.int32)
    for number in range(int(index.nlist)):
        size = int(index.invlists.list_size(number))
        if size:
            held = faiss.rev_swig_ptr(index.invlists.get_ids(number), size)
            if held.max() >= list_of.size or held.min() < 0:
                raise DamageError("A list of the index names a row that is not there.")
            list_of[held] = number
    return list_of
