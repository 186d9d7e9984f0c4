"""The shapes of requests and answers, with an example each; OpenAPI is made from them."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

REGION: dict[str, Any] = {
    "box": [37, 60, 211, 302],
    "area": 21877,
    "mask": {"size": [480, 640], "counts": "Zd81k>6L2N2N2N2N2N2N"},
    "predicted_iou": 0.93,
    "stability": 0.97,
}
HIT: dict[str, Any] = {
    "rank": 1,
    "score": 0.412345,
    "relevance": 0.97,
    "segment_id": 812,
    "image_id": 31,
    "path": "/pictures/beach/umbrella.jpg",
    "width": 640,
    "height": 480,
    **REGION,
    "captions": [
        {
            "text": "A red umbrella stuck in the sand beside a towel.",
            "model": "some-vision-model",
            "host": "localhost:8001",
            "prompt_sha256": "d2c76e8ec1bd7b8bd1b4e3b4c2f5d0ad43fbe2ee2a4d9b8f26e5c8d06a6a5b0f",
            "created_at": "2026-01-31T12:00:00.000+00:00",
        }
    ],
}
SEGMENT: dict[str, Any] = {"segment_id": 812, "image_id": 31, **REGION}
IMAGE: dict[str, Any] = {
    "image_id": 31,
    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "paths": ["/pictures/beach/umbrella.jpg"],
    "albums": ["beach"],
    "width": 640,
    "height": 480,
    "format": "JPEG",
    "size_bytes": 212480,
    "state": "done",
    "reason": None,
    "taken_at": "2024-07-14T12:31:05",
    "camera": "ACME Pocket 3",
    "lens": "ACME 28mm f/2",
    "latitude": 43.6961,
    "longitude": 7.2717,
    "orientation": 1,
    "icc_profile": "Display P3",
    "perceptual_hash": "0f3c6e1a88d4b2970f1e3c78f0e1c387",
    "near_duplicates": [44],
    "tags": ["holiday"],
}


def _strict(example: dict[str, Any] | None = None) -> ConfigDict:
    """Unknown fields are an error: misspelt ones in requests, undocumented ones in answers."""
    extra: Any = {"examples": [example]} if example else None
    return ConfigDict(extra="forbid", json_schema_extra=extra)


class CocoMask(BaseModel):
    """COCO's compressed run lengths over the whole upright image."""

    model_config = _strict()

    size: list[int] = Field(description="[H, W]", min_length=2, max_length=2)
    counts: str = Field(description="What `pycocotools.mask.decode` reads.")


class Region(BaseModel):
    """What a segment and a hit have in common."""

    model_config = _strict()

    box: list[int] = Field(
        description="x0, y0, x1, y1 in pixels of the upright image, half-open.",
        min_length=4,
        max_length=4,
    )
    area: int = Field(description="Pixels inside the mask.")
    mask: CocoMask
    predicted_iou: float = Field(description="The segmenter's own estimate of the mask's quality.")
    stability: float = Field(description="IoU of the mask at a higher and a lower threshold.")


class _Stored(BaseModel):
    segment_id: int
    image_id: int


class SegmentDocument(Region, _Stored):
    """A stored region. It never changes, and its id is never given out again."""

    model_config = _strict(SEGMENT)


class _Ranked(BaseModel):
    rank: int = Field(description="1 for the best.")
    score: float = Field(
        description="The higher the better: a cosine; with `captions` `join` the sum of "
        "1 / (60 + rank) over both rankings, with `only` the share of the words that is held."
    )
    relevance: float | None = Field(
        description="How unlikely a region like this is by chance, in [0, 1]: for words beside "
        "what everyday words find in the library, else beside what the query scores with all of "
        "it. Null where the library is too small to tell, and where captions take part."
    )
    segment_id: int
    image_id: int
    path: str | None = Field(description="Where the picture lies on the server.")
    width: int = Field(description="Of the upright image, in pixels.")
    height: int = Field(description="Of the upright image, in pixels.")


class CaptionDocument(BaseModel):
    """What a vision model said of a region."""

    model_config = _strict()

    text: str
    model: str
    host: str = Field(description="Where the model ran.")
    prompt_sha256: str = Field(description="Of what it was asked, as hex.")
    created_at: str


class HitDocument(Region, _Ranked):
    """A region that answers a query; the same fields as a line of `segsearch search --json`."""

    model_config = _strict(HIT)

    captions: list[CaptionDocument] = Field(description="Newest first.")


class ImageDocument(BaseModel):
    """A picture: its content, and every path it lies at."""

    model_config = _strict(IMAGE)

    image_id: int
    sha256: str = Field(description="Of the file's bytes, as hex.")
    paths: list[str] = Field(description="Copies of one file are one image with several paths.")
    albums: list[str] = Field(description="Names of the folders, or archives, it lies in.")
    width: int = Field(description="Of the upright image in pixels; 0 until it was looked at.")
    height: int = Field(description="Of the upright image in pixels; 0 until it was looked at.")
    format: str
    size_bytes: int | None = Field(description="Of the file; null until it was looked at.")
    state: str = Field(description="pending, running, done, failed or quarantined.")
    reason: str | None = Field(description="Why it failed, or was quarantined.")
    taken_at: str | None = Field(description="When the camera says it was taken, local time.")
    camera: str | None = Field(description="Maker and model.")
    lens: str | None
    latitude: float | None = Field(description="Degrees, north positive.")
    longitude: float | None = Field(description="Degrees, east positive.")
    orientation: int | None = Field(description="EXIF's, of the pixels as stored; 1 is upright.")
    icc_profile: str | None = Field(description="The colour profile that was converted to sRGB.")
    perceptual_hash: str | None = Field(
        description="128 bits as hex; null for a plain picture, or one not looked at yet."
    )
    near_duplicates: list[int] = Field(
        description="Images that look almost the same (at most 7 bits apart), the nearest first."
    )
    tags: list[str] = Field(description="What users said, sorted.")


class TagsRequest(BaseModel):
    """Tags to give to an image, and tags to take away."""

    model_config = _strict({"add": ["holiday"], "remove": ["unsorted"]})

    add: list[str] = Field([], max_length=100, description="Tags of 1 to 100 characters.")
    remove: list[str] = Field([], max_length=100, description="Tags the image may not have.")


class ImagePage(BaseModel):
    """Images by ascending id."""

    model_config = _strict({"images": [IMAGE], "next_after": 31})

    images: list[ImageDocument]
    next_after: int | None = Field(description="`after` of the next page; null at the end.")


class SegmentList(BaseModel):
    """All segments of one image by ascending id."""

    model_config = _strict({"segments": [SEGMENT]})

    segments: list[SegmentDocument]


JOB = {
    "id": 12,
    "kind": "index",
    "state": "running",
    "preset": "demo",
    "paths": ["/pictures"],
    "total": 48,
    "done": 17,
    "segments": 311,
    "skipped": 1,
    "current": "/pictures/a.jpg",
    "error": None,
    "report": "reports/job-000012.jsonl",
    "owner": "host:4711:182341",
    "started_at": "2026-01-31T12:00:00.000+00:00",
    "updated_at": "2026-01-31T12:00:41.250+00:00",
    "finished_at": None,
}


class JobDocument(BaseModel):
    """One run that fills the library."""

    model_config = _strict(JOB)

    id: int
    kind: str = Field(description="`index`, or what works in the background: `worker`, `watch`.")
    state: Literal["running", "done", "stopped", "failed", "lost"] = Field(
        description="`lost`: its process died."
    )
    preset: str | None
    paths: list[str]
    total: int = Field(description="Pictures that waited, or were found since.")
    done: int = Field(description="Pictures dealt with.")
    segments: int
    skipped: int = Field(description="Files that gave nothing; the report says why.")
    current: str | None = Field(description="The last file dealt with.")
    error: str | None = Field(description="What ended a failed run.")
    report: str | None = Field(description="The report's file in the library's folder.")
    owner: str = Field(description="Host, process, and when it was started.")
    started_at: str
    updated_at: str
    finished_at: str | None


class JobPage(BaseModel):
    """Runs, newest first."""

    model_config = _strict({"jobs": [JOB], "next_before": None})

    jobs: list[JobDocument]
    next_before: int | None = Field(
        description="Pass it as `before` for older ones; null at the end."
    )


class StatusDocument(BaseModel):
    """Counts over the library."""

    model_config = _strict(
        {
            "images": 48,
            "segments": 913,
            "pending": 0,
            "failed": 0,
            "quarantined": 0,
            "near_duplicates": 2,
            "missing": 0,
            "preset": "demo",
            "bytes": 4180212,
            "library": "/library",
            "recipe": "f2ca1bb6c7e907d06dafe4687e579fce76b37e4e93b7605022da52e6ccc26fd2",
            "schema": "0006",
            "jobs": [],
        }
    )

    images: int
    segments: int
    pending: int = Field(description="Images that wait for a worker, or are with one.")
    failed: int
    quarantined: int = Field(description="Images that crashed the models twice.")
    near_duplicates: int = Field(description="Images that look almost like another.")
    missing: int = Field(description="Paths whose files were gone when last looked for.")
    preset: str | None = Field(description="Models and settings of the library; null when empty.")
    bytes: int = Field(description="What the library's folder takes on disk.")
    library: str
    recipe: str | None = Field(description="Fingerprint of what made masks and vectors.")
    schema_: str = Field(alias="schema", description="Revision of the catalog's tables.")
    jobs: list[JobDocument] = Field(description="Runs under way, newest first.")


class Health(BaseModel):
    """The process answers."""

    model_config = _strict({"status": "ok"})

    status: str


class FieldError(BaseModel):
    """One wrong field of a request."""

    field: str
    message: str


class Problem(BaseModel):
    """Why a request was refused (RFC 9457)."""

    type: str = Field(description="`urn:segsearch:problem:` and the code.")
    title: str = Field(description="What the code means.")
    status: int = Field(description="The HTTP status.")
    code: str = Field(description="What to compare with: stable, in snake case.")
    detail: str = Field(description="One sentence for a person.")
    errors: list[FieldError] | None = Field(None, description="Every wrong field, for 422.")
