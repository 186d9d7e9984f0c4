"""Writes regions as a COCO instances file, whose pictures are named relative to one folder.

Of a video each keyframe is an image, and what a thing is there an annotation, as in the files of
COCO-VID, TAO and MMTracking: `videos`, `video_id`, `frame_id`, `track_id`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any, NamedTuple

from segsearch.core.atomic import whole
from segsearch.core.errors import PathError
from segsearch.core.names import moment_name
from segsearch.core.types import Hit
from segsearch.core.video import KeyMask
from segsearch.export.caption_pack import RegionSources
from segsearch.export.documents import HitDocument
from segsearch.export.shot_frames import FramedHits, ShotFrames, numbered_id
from segsearch.masks.polygons import keyholed
from segsearch.masks.rle import to_coco
from segsearch.media.sources.paths import normal


class _Picture(NamedTuple):
    """What a document says of a picture; sides in pixels."""

    path: str | None
    width: int
    height: int


Folder = str | Path | None


class _Pictures:
    """The pictures and shots that annotations are of, by the ids of their images."""

    def __init__(self, sources: RegionSources | None, relative_to: Folder) -> None:
        self._base = named_folder(relative_to)
        self._framed = FramedHits(sources)
        self._pictures: dict[int, _Picture | ShotFrames] = {}
        self.regions = 0  # that were annotated

    def annotations(self, hits: Iterable[Hit], *, polygons: bool) -> Iterator[dict[str, Any]]:
        """The annotations one by one; the pictures that they are of are taken in."""
        for hit, frames, masks in self._framed.of(hits):
            document = HitDocument.of(hit)
            path = document.path
            self.regions += 1
            if self._base is not None:
                name_below(self._base, path or str(hit.image.id))
            if frames is None:
                self._pictures[hit.image.id] = _Picture(path, document.width, document.height)
                yield _annotation(document, keyholed(hit.segment.mask) if polygons else None)
                continue
            self._pictures[hit.image.id] = frames
            for key in masks:
                yield _key_annotation(document, frames, key, polygons=polygons)

    def frame(self, label: str) -> dict[str, Any]:
        """A document without its annotations."""
        pictures = self._pictures.values()
        files = (one.file if isinstance(one, ShotFrames) else one.path for one in pictures)
        base = self._base
        if base is None:
            base = common_folder(sorted({file for file in files if file}))
        images = [row for number in self._pictures for row in self._images(number, base)]
        return {
            "info": information(base),
            "licenses": [],
            **self._videos(base),
            "images": images,
            "categories": [{"id": 1, "name": label, "supercategory": "region"}],
        }

    def _images(self, image_id: int, base: str) -> Iterator[dict[str, Any]]:
        picture = self._pictures[image_id]
        size = {"width": picture.width, "height": picture.height}
        if isinstance(picture, _Picture):
            name = name_below(base, picture.path or str(image_id))
            yield {"id": image_id, "file_name": name, **size}
            return
        file = name_below(base, picture.file or str(picture.video_id))
        for place, seconds in enumerate(picture.seconds):
            yield {
                "id": numbered_id(image_id, place),
                "file_name": moment_name(file, seconds),
                **size,
                "video_id": picture.video_id,
                "frame_id": picture.first + place,
                "seconds": round(seconds, 3),
            }

    def _videos(self, base: str) -> dict[str, Any]:
        """The videos, where there are any: a file of pictures is as if there could be none."""
        found: dict[int, dict[str, Any]] = {}
        for one in self._pictures.values():
            if isinstance(one, ShotFrames):
                name = name_below(base, one.file or str(one.video_id))
                found[one.video_id] = {
                    "id": one.video_id,
                    "name": name,
                    "file_name": name,
                    "width": one.width,
                    "height": one.height,
                }
        return {"videos": list(found.values())} if found else {}


def coco_document(
    hits: Iterable[Hit],
    label: str = "region",
    *,
    sources: RegionSources | None = None,
    relative_to: Folder = None,
    polygons: bool = False,
) -> dict[str, Any]:
    """Hits as a COCO instances document with one category; the boxes are x, y, width, height.

    Ids are the library's. `file_name` is the picture's path below `info.base_folder`: `relative_to`
    or what all pictures have in common, null where that is nothing. No name leads out of it: tools
    write beside pictures what they make of them. With `polygons` the masks are polygons, holes
    joined to their outlines by a slit, instead of run lengths. `score` and `captions` come with
    each annotation.

    Of a shot each keyframe is an image, `clip.mp4#t=12.48`, with its `video_id`, its number in the
    video from 0 as `frame_id`, and `seconds`; a thing has an annotation at each that it is seen at,
    whose `track_id` and `instance_id` are its segment. Images and annotations of the first keyframe
    of a shot have the library's ids, the next ones 10^10 more each.

    PathError for a picture that does not lie below `relative_to`; InputError for a thing of a video
    without `sources`.
    """
    pictures = _Pictures(sources, relative_to)
    annotations = list(pictures.annotations(hits, polygons=polygons))
    return {**pictures.frame(label), "annotations": annotations}


def named_folder(relative_to: Folder) -> str | None:
    """The folder that pictures shall be named below, with its slash; None where nobody says."""
    return None if relative_to is None else normal(relative_to).rstrip("/") + "/"


def information(base: str) -> dict[str, Any]:
    """What a file says of itself, whose pictures are named below a folder."""
    return {"description": "Regions exported by segsearch.", "base_folder": base or None}


def common_folder(paths: Sequence[str]) -> str:
    """The deepest folder that all of these lie in, with its slash; empty where there is none."""
    folders = [path.split("/")[:-1] for path in paths]
    alike = takewhile(lambda parts: len(set(parts)) == 1, zip(*folders, strict=False))
    common = [parts[0] for parts in alike]
    return "/".join([*common, ""]) if common else ""


def name_below(base: str, path: str) -> str:
    """A picture's name below a folder; of places that have no folder in common, the whole path
    with no slash in front."""
    if not path.startswith(base):
        raise PathError(
            f"The picture {path!r} does not lie below {base!r}: name a folder that holds all "
            "pictures (--relative-to), or leave it out."
        )
    # An object store may hold a part of two dots, and no folder does.
    parts = path[len(base) :].replace("://", "/").split("/")
    return "/".join(part for part in parts if part not in {"", ".", ".."})


def _annotation(hit: HitDocument, outline: list[list[int]] | None) -> dict[str, Any]:
    x0, y0, x1, y1 = hit.box
    return {
        "id": hit.segment_id,
        "image_id": hit.image_id,
        "category_id": 1,
        "segmentation": hit.mask if outline is None else outline,
        "area": hit.area,
        "bbox": [x0, y0, x1 - x0, y1 - y0],
        "iscrowd": 0,
        "score": hit.score,
        "captions": [caption.model_dump() for caption in hit.captions],
        "kind": hit.kind,
        "reading_order": hit.reading_order,
        "lines": [line.model_dump() for line in hit.lines],
    }


def _key_annotation(
    hit: HitDocument, frames: ShotFrames, key: KeyMask, *, polygons: bool
) -> dict[str, Any]:
    """What a thing is at one keyframe. Its text was read on the frame that stands for the shot."""
    mask, place = key.mask, frames.place(key.seconds)
    changed = {
        "image_id": numbered_id(hit.image_id, place),
        "box": list(mask.box.as_tuple()),
        "area": mask.area,
        "mask": to_coco(mask),
        "lines": hit.lines if key.seconds == frames.standing else [],
    }
    seen = hit.model_copy(update=changed)
    annotation = _annotation(seen, keyholed(mask) if polygons else None)
    return {
        **annotation,
        "id": numbered_id(hit.segment_id, place),
        "video_id": frames.video_id,
        "track_id": hit.segment_id,
        "instance_id": hit.segment_id,
    }


def write_coco(  # noqa: PLR0913  what to write, whereto, and how
    hits: Iterable[Hit],
    target: Path,
    label: str = "region",
    *,
    sources: RegionSources | None = None,
    relative_to: Folder = None,
    polygons: bool = False,
) -> int:
    """Write a COCO instances file, made or replaced when it is whole; how many regions are in it.

    A few regions at a time are in memory, and the names of all pictures and frames. Options and
    errors as `coco_document`; OSError when the disk refuses.
    """
    pictures = _Pictures(sources, relative_to)
    with whole(target) as partial, partial.open("w", encoding="utf-8") as file:
        file.write('{"annotations": [')
        comma = ""
        for annotation in pictures.annotations(hits, polygons=polygons):
            file.write(comma)
            json.dump(annotation, file)
            comma = ", "
        # Last: which folder all pictures have in common is known at the end.
        frame = json.dumps(pictures.frame(label))
        file.write(f"], {frame[1:]}\n")
    return pictures.regions
