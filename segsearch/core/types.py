"""The values the whole program speaks in.

`Job` and `Status` also cross HTTP and the command line as they are, and so describe their fields.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, fields
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass as validated

from segsearch.core.lives import Life, Shot
from segsearch.core.text import RegionKind, TextLine

MAX_ID = 2**63 - 1  # SQLite's largest integer; beyond it a look-up would fail instead of miss


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in pixels of the upright image, half-open: x0 <= x < x1, y0 <= y < y1."""

    x0: int
    y0: int
    x1: int
    y1: int

    @property
    def width(self) -> int:
        return self.x1 - self.x0

    @property
    def height(self) -> int:
        return self.y1 - self.y0

    @property
    def area(self) -> int:
        return self.width * self.height

    def as_tuple(self) -> tuple[int, int, int, int]:
        return (self.x0, self.y0, self.x1, self.y1)


@dataclass(frozen=True, slots=True)
class Mask:
    """A non-empty region of an image: its tight box, and the run lengths of the crop inside it.

    `counts` is COCO's compressed encoding of the `box.height x box.width` crop (column-major),
    thirty times cheaper to decode than the whole frame. `masks.rle.to_coco` gives the usual
    full-frame form, `masks.rle.decode` an array.
    """

    height: int
    width: int
    box: Box
    counts: bytes
    area: int


@dataclass(frozen=True, slots=True)
class Proposal:
    """A region a segmenter believes in, before it is stored.

    `predicted_iou` is the model's own estimate of the mask's quality; `stability` is the IoU of
    the mask thresholded a little higher and a little lower. Both usually lie in [0, 1]. `seen` is
    the mask on the reduced picture on which it was found, where that was done.
    """

    mask: Mask
    predicted_iou: float
    stability: float
    seen: Mask | None = None


@dataclass(frozen=True, slots=True)
class Segment:
    """A stored region. Ids are given out once and never reused. `reading_order` numbers the
    elements of a page, from 1. `life` is None for a picture's."""

    id: int
    image_id: int
    mask: Mask
    predicted_iou: float
    stability: float
    kind: RegionKind = "thing"
    reading_order: int | None = None
    life: Life | None = None

    @property
    def seen_at(self) -> float | None:
        """The second of its video at which its mask lies; None for a picture's."""
        return None if self.life is None else self.life.best_seconds


LONGEST_PAUSE_SECONDS = 3600.0  # before a picture is tried again


class State(StrEnum):
    """Where an image stands under a recipe; quarantined ones have crashed the models twice."""

    PENDING = "pending"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    QUARANTINED = "quarantined"


class JobState(StrEnum):
    """Where a job stands; lost ones belonged to a process that died."""

    RUNNING = "running"
    DONE = "done"
    STOPPED = "stopped"
    FAILED = "failed"
    LOST = "lost"


class JobStage(StrEnum):
    """What a running job does now."""

    SCANNING = "scanning"
    LOADING_MODELS = "loading_models"
    INDEXING = "indexing"
    SAVING = "saving"


@dataclass(frozen=True, slots=True)
class PictureInfo:
    """What decoding learnt about a picture besides its pixels; sizes are of the upright image.

    `taken_at` is local time. `latitude` and `longitude` are degrees (WGS 84), north and east
    positive. `orientation` is EXIF's, 1 to 8, of the pixels as they were stored. `icc_profile` is
    the name of the colour profile that was converted to sRGB. `perceptual_hash` is `media.phash`'s.
    """

    width: int
    height: int
    format: str
    taken_at: datetime | None = None
    camera: str | None = None
    lens: str | None = None
    latitude: float | None = None
    longitude: float | None = None
    orientation: int = 1
    icc_profile: str | None = None
    size_bytes: int = 0
    perceptual_hash: str | None = None


@dataclass(frozen=True, slots=True)
class Image:
    """A picture known to the catalog: identified by the sha256 of its bytes, found at `paths`.

    `width` and `height` are 0 until the picture has been decoded once. Copies and renames of one
    file are further entries in `paths`, not further images; uploads come last in them.
    """

    id: int
    sha256: str
    width: int
    height: int
    format: str
    paths: tuple[str, ...]
    state: State
    reason: str | None = None
    info: PictureInfo | None = None
    tags: tuple[str, ...] = ()
    near_duplicates: tuple[int, ...] = ()
    shot: Shot | None = None


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that changes a mask or a vector; its fingerprint is stored beside each of them.

    `segmenter` and `embedder` are `name@sha256-of-weights`; `generator`, `crop` and
    `preprocessing` hold the settings that act between them.
    """

    preset: str
    segmenter: str
    embedder: str
    dimension: int
    generator: dict[str, Any] = field(hash=False)
    crop: dict[str, Any] = field(hash=False)
    preprocessing: dict[str, Any] = field(hash=False)

    @property
    def document(self) -> dict[str, Any]:
        return {entry.name: getattr(self, entry.name) for entry in fields(self)}

    @property
    def fingerprint(self) -> str:
        """sha256 over the canonical JSON of everything but the preset's name, as hex."""
        content = {name: value for name, value in self.document.items() if name != "preset"}
        text = json.dumps(content, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Origin:
    """Who said a caption: the model, the host and port it ran on, the prompt's sha256 as hex."""

    model: str
    host: str
    prompt_sha256: str


@dataclass(frozen=True, slots=True)
class Caption:
    """What a vision model said of a segment; `created_at` is ISO 8601 in UTC."""

    segment_id: int
    text: str
    origin: Origin
    created_at: str


@dataclass(frozen=True, slots=True)
class Folded:
    """What an answer leaves out behind a region that it shows.

    `parts` counts regions of the same picture that score about as well, but are the same thing or
    lie in or around it; `near_duplicates` counts pictures that look almost like its own; `moments`
    counts regions of the same video that show the same thing right before or after. All count
    among what the search looked at, so there may be more.
    """

    parts: int = 0
    near_duplicates: int = 0
    moments: int = 0


@dataclass(frozen=True, slots=True)
class Hit:
    """A region that answers a query. `score` is a cosine, the higher the better; where
    captions take part, it is what `search.fusion` says, and where text does, `search.text_ranking`.
    Captions come newest first; `lines` are those that belong to the region, as they are read, and
    `found_lines` the ids of those that hold words that were asked for.

    `relevance` in [0, 1] is how unlikely it is that a library of this size has such a region by
    chance. For words that is judged beside what everyday words find in it
    (`search.calibration`), and need not fall with the score; else beside the query's own scores.
    None where the library is too small to tell, and where captions take part.
    """

    rank: int
    score: float
    segment: Segment
    image: Image
    relevance: float | None = None
    captions: tuple[Caption, ...] = ()
    folded: Folded = Folded()
    lines: tuple[TextLine, ...] = ()
    found_lines: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file that was refused, and why, in one sentence."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class IngestReport:
    """What one run of `index` did. `skipped` lists files that gave nothing, `lost` videos of which
    a part could not be read; `excluded` counts known files that the globs leave out, `shots` those
    indexed of videos, of `video_seconds`. One `cancelled` has left some to the next."""

    files: int
    indexed: int
    unchanged: int
    segments: int
    skipped: tuple[Skipped, ...]
    seconds: float
    excluded: int = 0
    cancelled: bool = False
    read: int = 0
    lines: int = 0
    shots: int = 0
    video_seconds: float = 0.0
    lost: tuple[Skipped, ...] = ()


@validated(frozen=True, slots=True)
class Job:
    """One run that fills the library. Times are ISO 8601 in UTC by the catalog's clock."""

    id: int
    kind: Annotated[
        str, Field(description="`index`, or what works in the background: `worker`, `watch`.")
    ]
    state: Annotated[JobState, Field(description="`lost`: its process died.")]
    preset: str | None
    paths: tuple[str, ...]
    total: Annotated[int, Field(description="Pictures that waited, or were found since.")]
    done: Annotated[int, Field(description="Pictures dealt with.")]
    segments: int
    skipped: Annotated[int, Field(description="Files that gave nothing; the report says why.")]
    current: Annotated[
        str | None,
        Field(description="The last file dealt with; of an upload the name it came with."),
    ]
    error: Annotated[str | None, Field(description="What ended a failed run.")]
    report: Annotated[str | None, Field(description="The report's file in the library's folder.")]
    owner: Annotated[str, Field(description="Host, process, and when it was started.")]
    started_at: str
    updated_at: str
    finished_at: str | None
    stage: Annotated[
        JobStage | None, Field(description="What it does now; null once it has ended.")
    ]
    stopping: Annotated[
        bool, Field(description="It was cancelled, and ends with the pictures under way.")
    ]
    device: Annotated[str | None, Field(description="Where its models run, once they are loaded.")]


@dataclass(frozen=True, slots=True)
class RepairReport:
    """What a repair put right, and what it could not, a sentence each."""

    fixed: tuple[str, ...]
    left: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PruneReport:
    """Paths whose files are gone, or left out by the globs, and that were forgotten, and how many
    images went with them; of a dry run, what would be."""

    paths: tuple[str, ...]
    images: int


Setback = Literal["crashes", "interruptions", "errors"]  # counts of a `Claim`
Task = Literal["describe", "read"]


@dataclass(frozen=True, slots=True)
class Claim:
    """One picture assigned to one worker; `attempt` fences a commit that comes too late.

    The task `describe` is to put it through all models; `read`, to read its text alone, with the
    `regions` that it has.
    """

    image_id: int
    recipe_id: int
    attempt: int
    owner: str
    sha256: str
    paths: tuple[str, ...]
    interruptions: int = 0  # workers that died, or were stopped, while they held it
    crashes: int = 0  # model processes that died over it
    errors: int = 0  # that the models raised over it
    task: Task = "describe"
    regions: tuple[Segment, ...] = ()


UNKNOWN_MTIME_NS = -1  # a nanosecond before 1970: no file has it


@dataclass(frozen=True, slots=True)
class FileStamp:
    """What tells an unchanged file without reading it, unless its source knows no time."""

    size_bytes: int
    mtime_ns: int

    @property
    def is_known(self) -> bool:
        return self.mtime_ns != UNKNOWN_MTIME_NS


@dataclass(frozen=True, slots=True)
class Collection:
    """A named set of images; `created_at` is ISO 8601 in UTC, `images` counts its members."""

    id: int
    name: str
    created_at: str
    images: int


@dataclass(frozen=True, slots=True)
class SavedSearch:
    """An address of the page, from its question mark on, under a name; `saved_at` is ISO 8601 in
    UTC."""

    name: str
    address: str
    saved_at: str
