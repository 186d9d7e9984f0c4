"""What the middle of the program asks of models, indexes and the catalog, as Protocols."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from segsearch.domain import Image, PictureInfo, Proposal, Recipe, Segment, State

Pixels = NDArray[np.uint8]  # (H, W, 3) upright RGB
BoolArray = NDArray[np.bool_]  # (H, W)
Vectors = NDArray[np.float32]  # (n, d), rows of unit length
Vector = NDArray[np.float32]  # (d,) of unit length
Ids = NDArray[np.int64]  # (n,)


class Segmenter(Protocol):
    """Cuts a picture into regions."""

    @property
    def identity(self) -> str:
        """`name@sha256-of-weights`."""

    @property
    def settings(self) -> dict[str, Any]:
        """The generator settings that change a mask, as plain JSON values."""

    def propose(self, pixels: Pixels) -> list[Proposal]:
        """Regions of one picture (H, W, 3), best first; empty when nothing stands out."""


class Embedder(Protocol):
    """Puts pictures and words into one space of unit vectors."""

    @property
    def identity(self) -> str:
        """`name@sha256-of-weights`."""

    @property
    def dimension(self) -> int:
        """Length d of every vector."""

    @property
    def preprocessing(self) -> dict[str, Any]:
        """What is done to a crop before the model sees it, as plain JSON values."""

    def embed_pictures(self, pictures: Sequence[Pixels]) -> Vectors:
        """(n, d) unit rows for n pictures of any sizes, in order; (0, d) for none."""

    def embed_texts(self, texts: Sequence[str]) -> Vectors:
        """(n, d) unit rows for n texts, in order; (0, d) for none."""


class VectorIndex(Protocol):
    """Nearest rows by inner product, under ids the catalog has given out."""

    @property
    def dimension(self) -> int:
        """Length d of every row."""

    def __len__(self) -> int: ...

    def ids(self) -> Ids:
        """Every id held, ascending."""

    def add(self, ids: Ids, vectors: Vectors) -> None:
        """Store rows (n, d) under ids (n,); an id already held gets the new row."""

    def remove(self, ids: Ids) -> int:
        """Forget these ids; the number that were held comes back."""

    def search(
        self, query: NDArray[np.float32], k: int, *, allowed: Ids | None = None
    ) -> tuple[NDArray[np.float32], Ids]:
        """Scores and ids of the best `min(k, held)` rows for a query (d,), best first.

        Ties go to the smaller id. With `allowed`, only those ids are considered.
        """

    def save(self, path: Path) -> None:
        """Write everything to one file."""


class IndexFactory(Protocol):
    """Makes and reads the index of one kind."""

    @property
    def kind(self) -> str:
        """Name of the kind, written into every snapshot's manifest."""

    def create(self, dimension: int) -> VectorIndex: ...

    def load(self, path: Path) -> VectorIndex:
        """The index that `save` wrote; DamageError when the file is none."""


@dataclass(frozen=True, slots=True)
class DescribedSegment:
    """A proposal with its two vectors (d,) of unit length: with surroundings, and masked."""

    proposal: Proposal
    context: Vector
    masked: Vector


@dataclass(frozen=True, slots=True)
class DescribedPicture:
    """All that the models say of one picture; `vector` (d,) describes it as a whole."""

    info: PictureInfo
    vector: Vector
    segments: tuple[DescribedSegment, ...]


@dataclass(frozen=True, slots=True)
class Claim:
    """One picture lent to one worker; `attempt` fences a commit that comes too late."""

    image_id: int
    recipe_id: int
    attempt: int
    owner: str
    sha256: str
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class VectorRows:
    """Vectors of n segments: ids (n,), and (n, d) each with surroundings, masked, whole picture."""

    ids: Ids
    context: Vectors
    masked: Vectors
    picture: Vectors


@dataclass(frozen=True, slots=True)
class Changes:
    """Segments added and removed since a point of the change log, net; `seq` is the new point."""

    seq: int
    added: Ids
    removed: Ids


UNKNOWN_MTIME_NS = -1  # a nanosecond before 1970: no file has it


@dataclass(frozen=True, slots=True)
class FileStamp:
    """What tells an unchanged file without reading it, unless its source knows no time."""

    size_bytes: int
    mtime_ns: int

    @property
    def is_known(self) -> bool:
        return self.mtime_ns != UNKNOWN_MTIME_NS


class Catalog(Protocol):
    """The truth about one library; every method is one transaction, whole or nothing."""

    def identity(self) -> str:
        """`catalog-id/timeline`: differs for another library and after a restore."""

    def schema(self) -> str: ...

    def close(self) -> None: ...

    def active_recipe(self) -> tuple[int, Recipe] | None:
        """Id and recipe that searches use; None for a new library."""

    def register_recipe(self, recipe: Recipe) -> int:
        """Id of a recipe; the first one registered becomes the active one."""

    def switch_recipe(self, recipe_id: int) -> None:
        """Make a recipe the active one and drop the segments of every other."""

    def file_stamps(self) -> dict[str, FileStamp]:
        """The stamp of every known path."""

    def record_file(self, path: str, stamp: FileStamp, sha256: str, recipe_id: int) -> None:
        """Note that a path holds these bytes now, and queue them unless they are known.

        When the path held other bytes before, an image left without any path goes.
        """

    def queue_all(self, recipe_id: int, *, retry_failed: bool = False) -> int:
        """Queue every image that has no state under a recipe; how many wait now comes back."""

    def waiting(self, recipe_id: int) -> int:
        """How many images are neither done nor failed under a recipe."""

    def claim(self, recipe_id: int, owner: str, lease_seconds: float) -> Claim | None:
        """The next waiting image, or one whose lease ran out; None when there is none."""

    def release(self, recipe_id: int, is_gone: Callable[[str], bool]) -> int:
        """Give back what owners that are gone held; how many images that were comes back."""

    def commit(self, claim: Claim, picture: DescribedPicture) -> bool:
        """Store a picture's segments, vectors and change log, and mark it done.

        False, with nothing stored, when the claim has passed to another worker.
        """

    def fail(self, claim: Claim, reason: str) -> bool:
        """Mark a picture as failed for a reason; False when the claim has passed on."""

    def remove_images(self, image_ids: Sequence[int]) -> int:
        """Forget images with their paths, segments and vectors; how many there were."""

    def tag_images(
        self, image_ids: Sequence[int], *, add: Collection[str] = (), remove: Collection[str] = ()
    ) -> list[int]:
        """Give tags to images and take some away; the ids of those that exist come back."""

    def note_missing(self, places: Sequence[str], present: Collection[str]) -> int:
        """Mark known files at or below `places` that are not `present`, unmark those that are.

        How many are newly missing comes back.
        """

    def missing_files(self) -> list[str]:
        """Paths that were marked as missing, sorted."""

    def forget_files(self, paths: Sequence[str]) -> int:
        """Forget paths, and the images that are left without any; how many images went."""

    def note_counts(self) -> dict[str, int]:
        """`near_duplicates`: images that look almost like another; `missing`: files that went."""

    def find_images(self, paths: Sequence[str]) -> list[int]:
        """Ids of images at these paths, or anywhere below them."""

    def images(
        self,
        *,
        after: int = 0,
        limit: int = 100,
        ids: Sequence[int] | None = None,
        state: State | None = None,
    ) -> list[Image]:
        """Images by ascending id, `after` an id; with `ids`, only these."""

    def segments(
        self, *, ids: Sequence[int] | None = None, image_id: int | None = None
    ) -> list[Segment]:
        """Segments by id, or all of an image under the active recipe, by ascending id."""

    def counts(self) -> dict[str, int]:
        """`images`, `segments`, `pending` (with running ones) and `failed` of the active recipe."""

    def changes(self, recipe_id: int, since: int) -> Changes | None:
        """What happened after `since`; None when the log does not reach back that far."""

    def vectors(self, recipe_id: int, ids: Ids | None = None) -> Iterator[VectorRows]:
        """Vectors of all segments of a recipe, or of some, in batches by ascending id."""

    def segment_ids(self, recipe_id: int) -> Ids:
        """Every segment id of a recipe, ascending."""

    def problems(self, recipe: tuple[int, Recipe]) -> Iterator[str]:
        """What contradicts itself in the catalog, one sentence each."""
