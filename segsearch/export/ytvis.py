"""Writes things of videos in the layout of YouTube-VIS: a clip a shot, whose frames are keyframes.

A clip is a shot and no whole video, as in the data set itself: a thing lives within a shot, and a
list of an hour's frames, null but for a few, would stand with each. Pictures are left out.
"""

from __future__ import annotations

import json
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, Any

from segsearch.core.atomic import whole
from segsearch.core.downloads import stem_of
from segsearch.core.errors import NotFoundError, PictureError
from segsearch.core.types import Hit
from segsearch.core.video import KeyMask
from segsearch.export.caption_pack import RegionSources, Written
from segsearch.export.coco import common_folder, information, name_below, named_folder
from segsearch.export.documents import CaptionDocument
from segsearch.export.render import picture_jpeg
from segsearch.export.shot_frames import FramedHits, ShotFrames
from segsearch.masks.rle import to_coco

INSTANCES, FRAMES, SKIPPED = "instances.json", "JPEGImages", "skipped.txt"
PIECE_CHARACTERS = 1 << 20
Put = Callable[[str, bytes], object]  # a frame's file name, and its JPEG


@dataclass(slots=True)
class _Clips:
    """What is written of clips. `put` takes their frames in, where these are asked for, of at most
    so many."""

    sources: RegionSources
    base: str | None
    put: Put | None = None
    most_frames: int | None = None
    shots: dict[int, ShotFrames] = field(default_factory=dict)  # by the ids of their images
    refused: dict[int, str] = field(default_factory=dict)  # why a shot is not there
    skipped: dict[int, str] = field(default_factory=dict)
    regions: int = 0
    left_out: int = 0
    frames: int = 0

    def write(self, hits: Iterable[Hit], file: IO[str], label: str) -> Written:
        """Write the document of some hits."""
        file.write('{"annotations": [')
        for hit, frames, masks in FramedHits(self.sources).of(hits):
            if frames is None:
                self.left_out += 1
            elif not masks:
                self.skipped[hit.segment.id] = "The region was removed meanwhile."
            elif reason := self._refusal(frames):
                self.skipped[hit.segment.id] = reason
            else:
                file.write(", " if self.regions else "")
                json.dump(_annotation(hit, frames, masks), file)
                self.regions += 1
        # Last: which folder all videos have in common is known at the end.
        file.write(f"], {json.dumps(self._rest(label))[1:]}\n")
        return Written(self.regions, self.skipped, self.left_out)

    def _refusal(self, frames: ShotFrames) -> str | None:
        """Why a shot cannot be there, else None; its frames are put away when it first comes."""
        number = frames.image_id
        if number in self.shots or number in self.refused:
            return self.refused.get(number)
        if self.base is not None:
            name_below(self.base, frames.path or str(number))
        try:
            reason = self._put_frames(frames)
        except (NotFoundError, PictureError) as problem:
            reason = str(problem)
        if reason is None:
            self.shots[number] = frames
        else:
            self.refused[number] = reason
        return reason

    def _put_frames(self, frames: ShotFrames) -> str | None:
        if self.put is None:
            return None
        count = self.frames + len(frames.seconds)
        if self.most_frames is not None and count > self.most_frames:
            return f"Only the first {self.most_frames:,} frames are here."
        self.frames = count
        for name, seconds in zip(_file_names(frames), frames.seconds, strict=True):
            self.put(name, picture_jpeg(self.sources.pixels(frames.image_id, seconds)))
        return None

    def _rest(self, label: str) -> dict[str, Any]:
        """A document without its annotations."""
        base = self.base
        if base is None:
            files = {one.file for one in self.shots.values() if one.file}
            base = common_folder(sorted(files))
        return {
            "info": information(base),
            "licenses": [],
            "videos": [_video(one, base) for one in self.shots.values()],
            "categories": [{"id": 1, "name": label, "supercategory": "region"}],
        }


def _file_names(frames: ShotFrames) -> list[str]:
    """The files of a shot's frames, in a folder that no other shot has."""
    folder = f"{stem_of(frames.file)}-{frames.image_id}"
    return [f"{folder}/{place:05}.jpg" for place in range(len(frames.seconds))]


def _video(frames: ShotFrames, base: str) -> dict[str, Any]:
    return {
        "id": frames.image_id,
        "width": frames.width,
        "height": frames.height,
        "length": len(frames.seconds),
        "file_names": _file_names(frames),
        "name": name_below(base, frames.path or str(frames.image_id)),
        "seconds": [round(seconds, 3) for seconds in frames.seconds],
    }


def _annotation(hit: Hit, frames: ShotFrames, masks: Sequence[KeyMask]) -> dict[str, Any]:
    """A thing with what it is at each keyframe of its shot, null where it is not seen."""
    seen = {key.seconds: key.mask for key in masks}
    each = [seen.get(seconds) for seconds in frames.seconds]
    boxes = [mask and mask.box for mask in each]
    return {
        "id": hit.segment.id,
        "video_id": frames.image_id,
        "category_id": 1,
        "iscrowd": 0,
        "width": frames.width,
        "height": frames.height,
        "segmentations": [mask and to_coco(mask) for mask in each],
        "bboxes": [box and [box.x0, box.y0, box.width, box.height] for box in boxes],
        "areas": [mask and mask.area for mask in each],
        "score": round(hit.score, 6),
        "captions": [CaptionDocument.of(caption).model_dump() for caption in hit.captions],
        "kind": hit.segment.kind,
    }


def write_ytvis(  # noqa: PLR0913  what to write, whereto, and how
    hits: Iterable[Hit],
    sources: RegionSources,
    target: Path,
    label: str = "region",
    *,
    relative_to: str | Path | None = None,
    frames: Path | None = None,
) -> Written:
    """Write the file of a YouTube-VIS data set, made or replaced when it is whole.

    `videos` are shots, with the ids of their images: `file_names` of their frames, and `seconds` of
    these. `annotations` are things with the library's ids: `segmentations` (compressed run
    lengths), `bboxes` (x, y, width, height) and `areas` have an entry a frame, null where the thing
    is not seen. `name` is the shot's path below `info.base_folder`, as `coco_document` has it.

    With `frames` the frames are written into that folder as JPEG under their names, and things of
    videos that are gone are skipped. A few regions at a time are in memory, and of all shots the
    seconds of their frames. PathError for a video that does not lie below `relative_to`; OSError
    when the disk refuses.
    """

    put = None if frames is None else partial(_write_frame, frames)
    clips = _Clips(sources, named_folder(relative_to), put)
    with whole(target) as unnamed, unnamed.open("w", encoding="utf-8") as file:
        return clips.write(hits, file, label)


def _write_frame(folder: Path, name: str, data: bytes) -> None:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)


def write_ytvis_zip(  # noqa: PLR0913  what to write, whereto, and how
    hits: Iterable[Hit],
    sources: RegionSources,
    target: Path,
    label: str = "region",
    *,
    relative_to: str | Path | None = None,
    most_frames: int | None = None,
) -> Written:
    """As `write_ytvis`, but a zip of that file, `instances.json`, and the frames in `JPEGImages`.

    Shots behind the first `most_frames` frames are skipped; `skipped.txt` says what is, and why.
    """
    with (
        whole(target) as unnamed,
        zipfile.ZipFile(unnamed, "w", zipfile.ZIP_STORED) as pack,
        tempfile.TemporaryFile("w+", encoding="utf-8") as document,
    ):

        def put(name: str, data: bytes) -> None:
            pack.writestr(zipfile.ZipInfo(f"{FRAMES}/{name}"), data)  # no time: the same bytes

        clips = _Clips(sources, named_folder(relative_to), put, most_frames)
        written = clips.write(hits, document, label)
        document.seek(0)
        with pack.open(zipfile.ZipInfo(INSTANCES), "w", force_zip64=True) as file:
            while piece := document.read(PIECE_CHARACTERS):
                file.write(piece.encode("utf-8"))
        said = [f"Segment {number}: {why}\n" for number, why in written.skipped.items()]
        if said:
            pack.writestr(zipfile.ZipInfo(SKIPPED), "".join(said))
    return written
