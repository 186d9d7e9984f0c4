"""What is written of hits, images and segments as JSON, each described once: for HTTP, `--json`,
JSON lines, Parquet and caption packs. `of` turns a value into its document."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, Field

from segsearch.core.answers import MaskCandidate, Pointed
from segsearch.core.atomic import whole
from segsearch.core.fields import strict
from segsearch.core.text import RegionKind
from segsearch.core.types import Caption, Hit, Image, IngestReport, Mask, Segment
from segsearch.export.text_documents import EXAMPLE_HIT_LINE, HitLineDocument, hit_lines
from segsearch.export.video_documents import LifeDocument, ShotDocument
from segsearch.masks.rle import CocoMask, to_coco
from segsearch.media.sources.paths import album_of

EXAMPLE_MASK: dict[str, Any] = {
    "box": [37, 60, 211, 302],
    "area": 21877,
    "mask": {"size": [480, 640], "counts": "Zd81k>6L2N2N2N2N2N2N"},
    "predicted_iou": 0.93,
}
EXAMPLE_REGION: dict[str, Any] = {
    **EXAMPLE_MASK, "stability": 0.97, "kind": "thing", "reading_order": None,
    "life": None,
}  # fmt: skip
EXAMPLE_CAPTION: dict[str, Any] = {
    "text": "A red umbrella stuck in the sand beside a towel.",
    "model": "some-vision-model",
    "host": "localhost:8001",
    "prompt_sha256": "d2c76e8ec1bd7b8bd1b4e3b4c2f5d0ad43fbe2ee2a4d9b8f26e5c8d06a6a5b0f",
    "created_at": "2026-01-31T12:00:00.000+00:00",
}
EXAMPLE_PLACE: dict[str, Any] = {
    "image_id": 31, "path": "/pictures/beach/umbrella.jpg", "width": 640, "height": 480,
    "shot": None,
}  # fmt: skip
EXAMPLE_FOLDED: dict[str, Any] = {"parts": 2, "near_duplicates": 0, "moments": 0}
EXAMPLE_HIT: dict[str, Any] = {
    "rank": 1,
    "score": 0.412345,
    "relevance": 0.97,
    "segment_id": 812,
    **EXAMPLE_PLACE,
    **EXAMPLE_REGION,
    "captions": [EXAMPLE_CAPTION],
    "folded": EXAMPLE_FOLDED,
    "lines": [EXAMPLE_HIT_LINE],
}
EXAMPLE_SEGMENT: dict[str, Any] = {
    "segment_id": 812, "image_id": 31, **EXAMPLE_REGION, "captions": [EXAMPLE_CAPTION],
}  # fmt: skip
EXAMPLE_LISTED: dict[str, Any] = {"segment_id": 812, **EXAMPLE_PLACE, **EXAMPLE_REGION}
EXAMPLE_IMAGE: dict[str, Any] = {
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
    "shot": None,
}


class MaskDocument(BaseModel):
    """A mask with what is measured of it."""

    box: list[int] = Field(
        description="x0, y0, x1, y1 in pixels of the upright image, half-open.",
        min_length=4,
        max_length=4,
    )
    area: int = Field(description="Pixels inside the mask.")
    mask: CocoMask = Field(
        description="COCO's compressed run lengths of the whole upright image; size is H, W."
    )
    predicted_iou: float = Field(
        description="The segmenter's own estimate of the mask's quality; 1 for one that was given."
    )


class CandidateDocument(MaskDocument):
    """A mask on offer for what was pointed at."""

    model_config = strict(EXAMPLE_MASK)

    @classmethod
    def of(cls, candidate: MaskCandidate) -> Self:
        """The document of a candidate."""
        return cls(**_mask_fields(candidate.mask, candidate.predicted_iou))


class RegionDocument(MaskDocument):
    """What a segment and a hit have in common."""

    stability: float = Field(description="IoU of the mask at a higher and a lower threshold.")
    kind: RegionKind = Field(
        description="`thing`: the segmenter cut it out; `text`: lines that no thing holds; the "
        "others are elements of a page."
    )
    reading_order: int | None = Field(
        description="Among the elements of a page as they are read, from 1; null for what is none."
    )
    life: LifeDocument | None = Field(description="Of a region of a video: when it is there.")


class PointedDocument(BaseModel):
    """What a region of the query stood for."""

    model_config = strict({"candidates": [EXAMPLE_MASK], "chosen": 0})

    candidates: list[CandidateDocument] = Field(description="Best first.")
    chosen: int = Field(description="Which of them was searched for.")

    @classmethod
    def of(cls, pointed: Pointed) -> Self:
        """The document of what was pointed at."""
        return cls(
            candidates=[CandidateDocument.of(candidate) for candidate in pointed.candidates],
            chosen=pointed.chosen,
        )


class _SegmentFields(BaseModel):
    segment_id: int
    image_id: int


class _SegmentField(BaseModel):
    segment_id: int


class PictureFields(BaseModel):
    """What is said of the picture of a region."""

    image_id: int
    path: str | None = Field(description="Where the picture lies on the server.")
    width: int = Field(description="Of the upright image, in pixels.")
    height: int = Field(description="Of the upright image, in pixels.")
    shot: ShotDocument | None = Field(description="The part of a video that the picture is.")


class ListedRegionDocument(RegionDocument, PictureFields, _SegmentField):
    """A stored region with its picture."""

    model_config = strict(EXAMPLE_LISTED)

    @classmethod
    def of(cls, segment: Segment, image: Image) -> Self:
        """The document of a segment of an image."""
        fields = {**picture_fields(image), **region_fields(segment)}
        return cls(segment_id=segment.id, **fields)


class CaptionDocument(BaseModel):
    """What a vision model said of a region."""

    model_config = strict()

    text: str
    model: str
    host: str = Field(description="Where the model ran.")
    prompt_sha256: str = Field(description="Of what it was asked, as hex.")
    created_at: str

    @classmethod
    def of(cls, caption: Caption) -> Self:
        """The document of a caption."""
        return cls(text=caption.text, created_at=caption.created_at, **asdict(caption.origin))


class SegmentDocument(RegionDocument, _SegmentFields):
    """A stored region. Its captions alone change, and its id is never given out again."""

    model_config = strict(EXAMPLE_SEGMENT)

    captions: list[CaptionDocument] = Field(description="Newest first.")

    @classmethod
    def of(cls, segment: Segment, captions: Sequence[Caption] = ()) -> Self:
        """The document of a segment, and of what was said of it."""
        return cls(
            segment_id=segment.id,
            image_id=segment.image_id,
            **region_fields(segment),
            captions=[CaptionDocument.of(caption) for caption in captions],
        )


class FoldedDocument(BaseModel):
    """What an answer leaves out behind a region that it shows. It is looked for among the
    candidates of the search, so there may be more."""

    model_config = strict(EXAMPLE_FOLDED)

    parts: int = Field(
        description="Regions of the same picture that score about as well, but are the same thing, "
        "or lie in or around it: `prefer` `any` shows most of them."
    )
    near_duplicates: int = Field(
        description="Pictures with candidates that look almost like this one; counted behind the "
        "picture's first region: `near_duplicates` shows them."
    )
    moments: int = Field(
        description="Regions of the same video that show the same thing right before or after: "
        "`near_duplicates` shows them, too."
    )


class ScoreFields(BaseModel):
    """How a region answers."""

    score: float = Field(
        description="The higher the better: a cosine; with `captions` `join` the sum of "
        "1 / (60 + rank) over the rankings, with `only` the share of the words that is held. A "
        "region that is found by its text has its cosine or that of the region behind it, if that "
        "is higher; where nothing else is asked for, the share of the words that it shows."
    )
    relevance: float | None = Field(
        description="How unlikely a region like this is by chance, in [0, 1]: for words beside "
        "what everyday words find in the library, else beside what the query scores with all of "
        "it; of a region that is found by its text beside others, the share of the words that it "
        "shows. Null where the library is too small to tell, where captions take part, and where "
        "text alone is searched."
    )
    segment_id: int


class RankField(BaseModel):
    """The place in an answer."""

    rank: int = Field(description="1 for the best.")


class HitDocument(RegionDocument, PictureFields, ScoreFields, RankField):
    """A region that answers a query; the same fields as a line of `segsearch search --json`."""

    model_config = strict(EXAMPLE_HIT)

    captions: list[CaptionDocument] = Field(description="Newest first.")
    folded: FoldedDocument = Field(
        description="What is left out behind this region, among what the search looked at."
    )
    lines: list[HitLineDocument] = Field(
        description="The lines of text that belong to the region, as they are read."
    )

    @classmethod
    def of(cls, hit: Hit) -> Self:
        """The document of a hit."""
        return cls(
            rank=hit.rank,
            **score_fields(hit),
            **picture_fields(hit.image),
            **region_fields(hit.segment),
            captions=[CaptionDocument.of(caption) for caption in hit.captions],
            folded=FoldedDocument(**asdict(hit.folded)),
            lines=hit_lines(hit),
        )


class ImageDocument(BaseModel):
    """A picture: its content, and every path it lies at."""

    model_config = strict(EXAMPLE_IMAGE)

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
    shot: ShotDocument | None = Field(description="The part of a video that the image stands for.")

    @classmethod
    def of(cls, image: Image) -> Self:
        """The document of an image: all its paths, what its file and its users say of it."""
        taken_at = image.info.taken_at if image.info else None
        albums = {album for path in image.paths if (album := album_of(path))}
        return cls(
            image_id=image.id,
            albums=sorted(albums),
            state=image.state.value,
            taken_at=taken_at.isoformat() if taken_at else None,
            shot=ShotDocument.of(image.shot),
            **{name: getattr(image, name) for name in OF_IMAGE},
            **{name: getattr(image.info, name, None) for name in OF_INFO},
        )


OF_IMAGE = (
    "sha256", "paths", "width", "height", "format", "reason", "near_duplicates", "tags",
)  # fmt: skip
OF_INFO = (
    "size_bytes", "camera", "lens", "latitude", "longitude", "orientation", "icc_profile",
    "perceptual_hash",
)  # fmt: skip


def report_document(report: IngestReport) -> dict[str, Any]:
    """What a run of `index` did."""
    return {**asdict(report), "seconds": round(report.seconds, 3)}


def json_lines(hits: Iterable[Hit]) -> Iterator[str]:
    """Hits as `search --json` prints them, a line each, with the line's end."""
    return (json.dumps(HitDocument.of(hit).model_dump()) + "\n" for hit in hits)


def write_json_lines(hits: Iterable[Hit], target: Path) -> int:
    """Write hits as JSON lines, made or replaced when they are whole; how many they are.

    One region at a time is in memory. OSError when the disk refuses.
    """
    written = 0
    with whole(target) as partial, partial.open("w", encoding="utf-8") as file:
        for line in json_lines(hits):
            file.write(line)
            written += 1
    return written


def _mask_fields(mask: Mask, predicted_iou: float) -> dict[str, Any]:
    return {
        "box": list(mask.box.as_tuple()),
        "area": mask.area,
        "mask": to_coco(mask),
        "predicted_iou": round(predicted_iou, 4),
    }


def region_fields(segment: Segment) -> dict[str, Any]:
    """What is said of any region."""
    fields = _mask_fields(segment.mask, segment.predicted_iou)
    stability = round(segment.stability, 4)
    kind = {"kind": segment.kind, "reading_order": segment.reading_order}
    return {**fields, "stability": stability, **kind, "life": LifeDocument.of(segment.life)}


def score_fields(hit: Hit) -> dict[str, Any]:
    """How a region answers."""
    relevance = None if hit.relevance is None else round(hit.relevance, 4)
    return {
        "score": round(hit.score, 6), "relevance": relevance, "segment_id": hit.segment.id,
    }  # fmt: skip


def picture_fields(image: Image) -> dict[str, Any]:
    """What is said of the picture of a region."""
    return {
        "image_id": image.id,
        "path": image.paths[0] if image.paths else None,
        "width": image.width,
        "height": image.height,
        "shot": ShotDocument.of(image.shot),
    }
