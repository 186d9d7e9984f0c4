"""Keeps the rows of texts that every library is asked for in a file, and believes it only where it
was made by the same weights of the same texts, and is whole."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from segsearch.core.arrays import Vectors
from segsearch.core.atomic import whole

LOG = logging.getLogger(__name__)
LONGEST_HEADER = 4_096  # bytes


def kept_rows(
    folder: Path, identity: str, texts: Sequence[str], embed: Callable[[Sequence[str]], Vectors]
) -> Vectors:
    """The unit rows (n, d) float32 of n >= 1 texts, by the embedder of an identity: from the file
    that an earlier process left in a folder, else by `embed`, which are then left there.

    Where nothing can be written, nothing is kept.
    """
    digest = hashlib.sha256(json.dumps([identity, *texts]).encode()).hexdigest()
    file = folder / f"everyday-{digest[:32]}.rows"
    rows = _read(file, digest, len(texts))
    if rows is None:
        rows = np.ascontiguousarray(embed(texts), dtype=np.float32)
        _write(file, digest, rows)
    return rows


def _write(file: Path, digest: str, rows: Vectors) -> None:
    content = rows.astype("<f4").tobytes()
    header = {
        "of": digest, "shape": rows.shape, "sha256": hashlib.sha256(content).hexdigest(),
    }  # fmt: skip
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with whole(file) as partial:
            partial.write_bytes(json.dumps(header).encode() + b"\n" + content)
    except OSError as problem:
        LOG.info("Nothing can be kept in %s: %s", file.parent, problem)


def _read(file: Path, digest: str, count: int) -> Vectors | None:
    """The rows in a file; None where it is not there, of something else, or damaged."""
    try:
        with file.open("rb") as stream:
            header = json.loads(stream.readline(LONGEST_HEADER))
            content = stream.read()
        is_right = header["of"] == digest and int(header["shape"][0]) == count
        if is_right and header["sha256"] == hashlib.sha256(content).hexdigest():
            return np.frombuffer(content, "<f4").astype(np.float32).reshape(count, -1)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        pass
    LOG.info("%s is damaged, and made again.", file.name)
    return None
