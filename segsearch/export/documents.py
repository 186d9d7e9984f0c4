"""Turns hits, images and segments into the plain documents that JSON is made of."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from segsearch.core.query import MaskCandidate, Pointed, SceneHit
from segsearch.core.types import Caption, Hit, Image, IngestReport, Mask, Segment
from segsearch.masks.rle import to_coco
from segsearch.media.sources.paths import album_of


def hit_document(hit: Hit) -> dict[str, Any]:
    """A hit as the `--json` contract of `search` has it: box half-open in pixels of the upright
    image, mask as COCO compressed run lengths of the whole frame."""
    return {
        "rank": hit.rank,
        "score": round(hit.score, 6),
        "relevance": None if hit.relevance is None else round(hit.relevance, 4),
        "segment_id": hit.segment.id,
        "image_id": hit.image.id,
        "path": hit.image.paths[0] if hit.image.paths else None,
        "width": hit.image.width,
        "height": hit.image.height,
        **_stored(hit.segment),
        "captions": [caption_document(one) for one in hit.captions],
    }


def caption_document(caption: Caption) -> dict[str, Any]:
    """What was said of a region, and who said it."""
    return {"text": caption.text, **asdict(caption.origin), "created_at": caption.created_at}


def scene_document(hit: SceneHit) -> dict[str, Any]:
    """A picture that holds a scene, with the region that fills each slot."""
    return {
        "rank": hit.rank,
        "fit": round(hit.fit, 4),
        "image_id": hit.image.id,
        "path": hit.image.paths[0] if hit.image.paths else None,
        "width": hit.image.width,
        "height": hit.image.height,
        "regions": {name: region_document(one) for name, one in hit.regions.items()},
    }


def region_document(hit: Hit) -> dict[str, Any]:
    """A hit without what belongs to its picture."""
    return {
        "segment_id": hit.segment.id,
        "score": round(hit.score, 6),
        "relevance": None if hit.relevance is None else round(hit.relevance, 4),
        **_stored(hit.segment),
    }


def pointed_document(pointed: Pointed) -> dict[str, Any]:
    """What was pointed at: the masks on offer, best first, and which was taken."""
    return {
        "candidates": [candidate_document(one) for one in pointed.candidates],
        "chosen": pointed.chosen,
    }


def candidate_document(one: MaskCandidate) -> dict[str, Any]:
    """A mask on offer for what was pointed at."""
    return _region(one.mask, one.predicted_iou)


def segment_document(segment: Segment) -> dict[str, Any]:
    """A stored segment with its mask."""
    return {"segment_id": segment.id, "image_id": segment.image_id, **_stored(segment)}


def image_document(image: Image) -> dict[str, Any]:
    """An image with all its paths, what its file says of itself, and what users say of it."""
    info = image.info
    return {
        "image_id": image.id,
        "sha256": image.sha256,
        "paths": list(image.paths),
        "albums": sorted({name for path in image.paths if (name := album_of(path))}),
        "width": image.width,
        "height": image.height,
        "format": image.format,
        "size_bytes": info.size_bytes if info else None,
        "state": image.state.value,
        "reason": image.reason,
        "taken_at": info.taken_at.isoformat() if info and info.taken_at else None,
        "camera": info.camera if info else None,
        "lens": info.lens if info else None,
        "latitude": info.latitude if info else None,
        "longitude": info.longitude if info else None,
        "orientation": info.orientation if info else None,
        "icc_profile": info.icc_profile if info else None,
        "perceptual_hash": info.perceptual_hash if info else None,
        "near_duplicates": list(image.near_duplicates),
        "tags": list(image.tags),
    }


def report_document(report: IngestReport) -> dict[str, Any]:
    """What a run of `index` did."""
    return {
        "files": report.files,
        "indexed": report.indexed,
        "unchanged": report.unchanged,
        "segments": report.segments,
        "skipped": [{"path": one.path, "reason": one.reason} for one in report.skipped],
        "seconds": round(report.seconds, 3),
    }


def _stored(segment: Segment) -> dict[str, Any]:
    region = _region(segment.mask, segment.predicted_iou)
    return {**region, "stability": round(segment.stability, 4)}


def _region(mask: Mask, predicted_iou: float) -> dict[str, Any]:
    return {
        "box": list(mask.box.as_tuple()),
        "area": mask.area,
        "mask": to_coco(mask),
        "predicted_iou": round(predicted_iou, 4),
    }
