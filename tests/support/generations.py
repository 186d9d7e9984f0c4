"""Stores an index as a generation, as `SyncedIndex` does with one that others search meanwhile."""

from __future__ import annotations

from pathlib import Path

from segsearch.storage.index import snapshots
from segsearch.storage.index.protocol import VectorIndex
from segsearch.storage.index.snapshots import Binding


def write(folder: Path, index: VectorIndex, seq: int, binding: Binding) -> None:
    """Save and publish an index that nobody changes meanwhile, under the folder's lock."""
    with snapshots.locked(folder):
        names = snapshots.save(folder, index, seq)
        snapshots.publish(folder, names, seq, len(index), binding)
