"""What the middle of the program asks of models, indexes and the catalog, as Protocols."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from segsearch.captions import Captions
from segsearch.collecting import Collections
from segsearch.domain import Image, Job, JobState, PictureInfo, Proposal, Recipe, Segment, State
from segsearch.prompts import Prompts
from segsearch.selecting import Selecting

Pixels = NDArray[np.uint8]  # (H, W, 3) upright RGB
BoolArray = NDArray[np.bool_]  # (H, W)
Vectors = NDArray[np.float32]  # (n, d), rows of unit length
Vector = NDArray[np.float32]  # (d,) of unit length
Ids = NDArray[np.int64]  # (n,)
Setback = Literal["crashes", "interruptions", "errors"]  # counts of a `Claim`


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


@dataclass(frozen=True, slots=True)
class Answer:
    """What a promptable segmenter says of B things with k masks each.

    `masks` (B, k, H, W) bool at the picture's size, `predicted_iou` (B, k) float32, `logits`
    (B, k, h, w) float32 as the model made them: one of them may be the next `mask_input`.
    """

    masks: NDArray[np.bool_]
    predicted_iou: NDArray[np.float32]
    logits: NDArray[np.float32]


class Encoded(Protocol):
    """A picture after the image encoder, on the model's device."""

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of the picture."""

    @property
    def mask_size(self) -> tuple[int, int]:
        """(h, w) of the model's logits."""

    @property
    def nbytes(self) -> int:
        """What it takes in memory."""


@runtime_checkable
class Promptable(Protocol):
    """Cuts out what is pointed at."""

    @property
    def looks_closer(self) -> bool:
        """Whether it sees pictures coarsely: a click is worth several encodings, of crops around
        it, and outlines are worth moving to edges."""

    def encode(self, pixels: Pixels) -> Encoded:
        """The slow half, once a picture (H, W, 3)."""

    def answer(self, picture: Any, prompts: Prompts) -> Answer:
        """The fast half; `picture` is what `encode` gave."""


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

    def rows(self, ids: Ids) -> tuple[Ids, Vectors]:
        """The rows (m, d) held under these ids, with their ids (m,); unknown ones are left out."""

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
    interruptions: int = 0  # workers that died, or were stopped, while they held it
    crashes: int = 0  # model processes that died over it
    errors: int = 0  # that the models raised over it


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


class Queue(Protocol):
    """Lends pictures to workers; every method is one transaction."""

    def queue_all(self, recipe_id: int, *, retry_failed: bool = False) -> int:
        """Queue every image that has no state under a recipe; how many wait now comes back."""

    def waiting(self, recipe_id: int) -> int:
        """How many images wait or run under a recipe."""

    def retry_seconds(self, recipe_id: int) -> float | None:
        """Seconds until the first picture that was put back is due; None when there is none."""

    def claim(self, recipe_id: int, owner: str, lease_seconds: float) -> Claim | None:
        """The next waiting image, or one whose lease ran out; None when there is none."""

    def extend(self, claims: Sequence[Claim], lease_seconds: float) -> None:
        """Heartbeat: the leases of these claims end so many seconds from now."""

    def release(
        self, recipe_id: int, is_gone: Callable[[str], bool], *, interrupted: bool = False
    ) -> int:
        """Give back what owners that are gone held; how many images that was comes back.

        `interrupted` counts it against each picture: one of them may be why the owner is gone.
        """

    def put_back(self, claim: Claim, reason: str, *, pause_seconds: float, counts: Setback) -> bool:
        """Let a picture be tried again after a pause, one more counted against it of what `counts`
        names; False when the claim has passed on."""

    def quarantine(self, claim: Claim, reason: str) -> bool:
        """Set a picture that crashes the models aside; False when the claim has passed on."""

    def fail(self, claim: Claim, reason: str, *, gone: bool = False) -> bool:
        """Mark a picture as failed for a reason; False when the claim has passed on.

        With `gone` its paths are marked as missing: it is tried again when one comes back.
        """


class Jobs(Protocol):
    """What is being done to a library, and was."""

    def begin_job(self, kind: str, owner: str, preset: str | None, paths: Sequence[str]) -> int:
        """Note that a run has begun; its id."""

    def update_job(self, job_id: int, **values: Any) -> None:
        """Note how far a run is: `total`, `done`, `segments`, `skipped`, `current`, `report`."""

    def finish_job(self, job_id: int, state: JobState, **values: Any) -> None:
        """Note how a run has ended."""

    def close_lost_jobs(self, is_lost: Callable[[Job], bool]) -> None:
        """Mark those running jobs as lost that are."""

    def jobs(
        self, *, before: int | None = None, limit: int = 50, job_id: int | None = None,
        running: bool = False,
    ) -> list[Job]:  # fmt: skip
        """Jobs, newest first; those `before` an id, only one, or only the running ones."""


class Upkeep(Protocol):
    """What keeps a catalog in order."""

    def missing_paths(self) -> list[str]:
        """Paths marked as missing, sorted."""

    def mark_missing(self, paths: Sequence[str]) -> None:
        """Note that files are gone; their images stay."""

    def mark_found(self, paths: Sequence[str]) -> None:
        """Note that files are back; images among them that had failed wait again."""

    def forget_paths(self, paths: Sequence[str]) -> int:
        """Forget paths, and images left without any; how many images that was."""

    def backup(self, file: Path) -> None:
        """Write a copy of one moment to a file, while others read and write; PathError,
        DiskFullError or DamageError when it cannot be."""

    def restore(self, file: Path) -> None:
        """Take a backup's content in one transaction, under a new timeline.

        Ids given out since the backup are not given out again. DamageError when the file is none.
        """

    def repair(self, recipe: tuple[int, Recipe]) -> list[str]:
        """Put right what can be, a sentence each; damaged pictures are queued again."""


class Catalog(Queue, Jobs, Upkeep, Collections, Captions, Selecting, Protocol):
    """The truth about one library; every method is one transaction, whole or nothing."""

    def identity(self) -> str:
        """`catalog-id/timeline`: differs for another library and after a restore."""

    def schema(self) -> str: ...

    def close(self) -> None: ...

    def active_recipe(self) -> tuple[int, Recipe] | None:
        """Id and recipe that searches use; None for a new library."""

    def register_recipe(self, recipe: Recipe) -> int:
        """Id of a recipe; the first one registered becomes the active one."""

    def begin_generation(self, recipe_id: int, *, keep_old: bool) -> None:
        """Note that a recipe is to take over once every picture has been through its models."""

    def generation_under_way(self) -> tuple[int, Recipe, bool] | None:
        """Id, recipe and `keep_old` of what `begin_generation` noted, until the switch."""

    def switch_recipe(self, recipe_id: int, *, keep_old: bool = False) -> bool:
        """Make a recipe the active one; the segments of every other go, unless they are kept.

        False, with nothing switched, while an image waits or runs under it; images without a
        state are queued. Captions of the active recipe's segments are given to those that match.
        """

    def file_stamps(self) -> dict[str, FileStamp]:
        """The stamp of every known path."""

    def record_file(self, path: str, stamp: FileStamp, sha256: str, recipe_id: int) -> None:
        """Note that a path holds these bytes now, and queue them unless they are known.

        When the path held other bytes before, the image takes over the tags and collections of
        that one, which goes when it is left without any path. An image that had failed waits
        again when the path is new to it, or back, and any of its files is marked as missing.
        """

    def commit(self, claim: Claim, picture: DescribedPicture) -> bool:
        """Store a picture's segments, vectors and change log, and mark it done.

        False, with nothing stored, when the claim has passed to another worker.
        """

    def tag_images(
        self, image_ids: Sequence[int], *, add: Collection[str] = (), remove: Collection[str] = ()
    ) -> list[int]:
        """Give tags to images and take some away; the ids of those that exist come back."""

    def find_images(self, paths: Sequence[str]) -> list[int]:
        """Ids of images at these paths, or anywhere below them."""

    def images(
        self,
        *,
        after: int = 0,
        limit: int = 100,
        ids: Sequence[int] | None = None,
        state: State | None = None,
        collection: str | None = None,
    ) -> list[Image]:
        """Images by ascending id, `after` an id; with `ids`, only these; none of a `collection`
        that is not there."""

    def segments(
        self, *, ids: Sequence[int] | None = None, image_id: int | None = None
    ) -> list[Segment]:
        """Segments by id, or all of an image under the active recipe, by ascending id."""

    def counts(self) -> dict[str, int]:
        """`images`, `segments`, `pending` (with running ones), `failed` and `quarantined` of the
        active recipe, and `missing` paths."""

    def changes(self, recipe_id: int, since: int) -> Changes | None:
        """What happened after `since`; None when the log does not reach back that far."""

    def vectors(self, recipe_id: int, ids: Ids | None = None) -> Iterator[VectorRows]:
        """Vectors of all segments of a recipe, or of some, in batches by ascending id."""

    def segment_ids(self, recipe_id: int) -> Ids:
        """Every segment id of a recipe, ascending."""

    def problems(self, recipe: tuple[int, Recipe]) -> Iterator[str]:
        """What contradicts itself in the catalog, one sentence each."""
