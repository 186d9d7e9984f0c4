"""The shapes of what fills, arranges and describes a library, with an example each."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from segsearch.core.fields import Id, PictureId, strict
from segsearch.core.names import NAME
from segsearch.export.documents import (
    EXAMPLE_IMAGE,
    EXAMPLE_MASK,
    CandidateDocument,
    ImageDocument,
)
from segsearch.models.segment.prompts import MAX_PROMPTS
from segsearch.storage.api_keys import Scope

MAX_IDS = 5_000
COLLECTION: dict[str, Any] = {
    "name": "holidays", "created_at": "2026-01-31T12:00:00+00:00", "images": 48,
}  # fmt: skip
KEY: dict[str, Any] = {
    "id": "5f0c21ab", "name": "laptop", "scope": "read",
    "created_at": "2026-01-31T12:00:00+00:00", "revoked_at": None, "trusted": True,
}  # fmt: skip
PROMPT: dict[str, Any] = {"image_id": 31, "points": [[120.5, 200]], "labels": [1]}
RING = [[37, 60], [211, 60], [211, 302], [37, 302]]


class Health(BaseModel):
    """The process answers."""

    model_config = strict({"status": "ok"})

    status: str


class ReadyDocument(BaseModel):
    """The process answers searches."""

    model_config = strict({"status": "ok", "behind": 0})

    status: str
    behind: int = Field(
        ge=0,
        description="Changes of the catalog that its index has not taken up yet; the next search "
        "does, before it answers.",
    )


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


class UploadedImage(BaseModel):
    """One file that was taken, or one page of a PDF."""

    model_config = strict()

    filename: str = Field(description="As the caller named it; of a page, `name.pdf#page=3`.")
    created: bool = Field(description="False when the library held these bytes before.")
    image: ImageDocument


class RefusedFile(BaseModel):
    """One file that was not taken, and why."""

    model_config = strict()

    filename: str
    code: str
    detail: str


class UploadAnswer(BaseModel):
    """Images that now wait for a worker (`state` says how far each is), and files refused."""

    model_config = strict(
        {
            "images": [{"filename": "umbrella.jpg", "created": True, "image": EXAMPLE_IMAGE}],
            "refused": [
                {"filename": "a.txt", "code": "picture_error", "detail": "The file is empty."}
            ],
        }
    )

    images: list[UploadedImage]
    refused: list[RefusedFile]


Corner = Annotated[list[int], Field(min_length=2, max_length=2)]


class PolygonMask(BaseModel):
    """A mask as polygons along pixel edges, exact. Each polygon is a list of rings, the outer one
    first, then its holes; each ring a list of corners x, y in pixels of the upright image."""

    model_config = strict({"size": [480, 640], "polygons": [[RING]]})

    size: list[int] = Field(description="[H, W]", min_length=2, max_length=2)
    polygons: list[list[list[Corner]]]


class CollectionRequest(BaseModel):
    """A collection to make, or its new name."""

    model_config = strict({"name": "holidays"})

    name: str = Field(pattern=NAME, description="Unique in the library.")


class CollectionDocument(BaseModel):
    """A named set of images."""

    model_config = strict(COLLECTION)

    name: str
    created_at: str = Field(description="ISO 8601, UTC.")
    images: int = Field(description="How many it holds.")


class CollectionList(BaseModel):
    """All collections by name."""

    model_config = strict({"collections": [COLLECTION]})

    collections: list[CollectionDocument]


class ImageIds(BaseModel):
    """Images by their ids."""

    model_config = strict({"image_ids": [31, 32]})

    image_ids: list[Id] = Field(min_length=1, max_length=MAX_IDS)


class Changed(BaseModel):
    """How many images this put in or took out."""

    model_config = strict({"changed": 2})

    changed: int


class SegmentRequest(BaseModel):
    """What is pointed at. All points belong to each box; without a box they mean one object."""

    model_config = strict(PROMPT)

    image_id: Id | None = Field(None, description="A stored image; not with an uploaded picture.")
    picture_id: PictureId | None = Field(None, description="A kept picture, instead of an image.")
    points: list[tuple[float, float]] = Field(
        [], max_length=MAX_PROMPTS, description="x, y in pixels of the upright image."
    )
    labels: list[Literal[0, 1]] | None = Field(
        None, description="1: of the object, 0: not of it, a label a point; without, all are 1."
    )
    boxes: list[tuple[float, float, float, float]] = Field(
        [], max_length=MAX_PROMPTS, description="x0, y0, x1, y1: each is one object."
    )
    multimask: bool = Field(True, description="Up to three candidates an object, not one.")


class PromptedObject(BaseModel):
    """One object's candidates, best first; empty ones are left out. Of several points, those that
    hold all that are of the object and none that is not come before the others."""

    model_config = strict({"masks": [EXAMPLE_MASK]})

    masks: list[CandidateDocument]


class SegmentAnswer(BaseModel):
    """An object for each box, or one for the points."""

    model_config = strict(
        {"width": 640, "height": 480, "objects": [{"masks": [EXAMPLE_MASK]}], "seconds": 0.05}
    )

    width: int = Field(description="Of the upright image, in pixels.")
    height: int = Field(description="Of the upright image, in pixels.")
    objects: list[PromptedObject]
    seconds: float = Field(description="Waiting for others included; the first call encodes.")


class PresetDocument(BaseModel):
    """Models that go together."""

    model_config = strict()

    name: str
    summary: str
    segmenter: str
    embedder: str
    here: bool = Field(description="Whether it can be used without fetching anything.")


class ModelsDocument(BaseModel):
    """The models in use, and those that could be."""

    model_config = strict(
        {
            "preset": "demo",
            "segmenter": "sam-lite@1f0c",
            "embedder": "clip-lite@77ab",
            "dimension": 512,
            "presets": [
                {
                    "name": "demo",
                    "summary": "the small models that come with segsearch",
                    "segmenter": "sam-lite",
                    "embedder": "clip-lite",
                    "here": True,
                }
            ],
        }
    )

    preset: str | None = Field(description="Null in an empty library.")
    segmenter: str | None = Field(description="Name and sha256 of the weights.")
    embedder: str | None = Field(description="Name and sha256 of the weights.")
    dimension: int | None = Field(description="Length of the vectors.")
    presets: list[PresetDocument]


class StatsDocument(BaseModel):
    """Counts over the library, by what they are of."""

    model_config = strict(
        {
            "images": 48,
            "segments": 913,
            "collections": 2,
            "states": {"done": 47, "failed": 1},
            "formats": {"JPEG": 40, "PNG": 7},
            "area_shares": [700, 110, 50, 20, 10, 8, 5, 4, 3, 3],
        }
    )

    images: int
    segments: int
    collections: int
    states: dict[str, int] = Field(description="Images by state under the recipe in use.")
    formats: dict[str, int] = Field(description="Images by format, once looked at.")
    area_shares: list[int] = Field(
        description="Segments by tenths of their picture's area, smallest first.",
        min_length=10,
        max_length=10,
    )


class KeyRequest(BaseModel):
    """A key to make."""

    model_config = strict({"name": "laptop", "scope": "read"})

    name: str = Field(min_length=1, max_length=64, description="Who or what will use it.")
    scope: Scope = Field(Scope.READ, description="Each allows what stands before it, too.")


class KeyDocument(BaseModel):
    """A key without what opens."""

    model_config = strict(KEY)

    id: str
    name: str
    scope: Scope
    created_at: str
    revoked_at: str | None
    trusted: bool = Field(description="Not for one that came back with a dump: it opens nothing.")


class MadeKey(KeyDocument):
    """A new key, and its text, which is not shown again."""

    model_config = strict({**KEY, "key": "segsearch_5f0c21ab_(43 characters)"})

    key: str


class KeyList(BaseModel):
    """Every key that was made."""

    model_config = strict({"keys": [KEY]})

    keys: list[KeyDocument]
