"""Writes packs of regions for captioning models, laid out as webdataset wants samples.

A caption pack is a tar file or a folder. A region is one sample, its key the segment's id:
`000012.context.jpg` (with its surroundings), `000012.cutout.png` (the mask as alpha),
`000012.marked.jpg` (outlined in the whole picture) and `000012.json`. A region of a video has its
life besides: `000012.clip.mp4`, and whole frames of when it begins, is seen best and ends. Each
picture is there once; the chat messages in the JSON name it. Where pictures are gone, `__skipped__`
says why, by segment id: readers of samples pass such names by. A folder has a list besides,
`regions.jsonl`.
"""

from __future__ import annotations

import base64
import io
import json
import tarfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segsearch.core.arrays import Pixels
from segsearch.core.atomic import whole
from segsearch.core.errors import NotFoundError, PictureError
from segsearch.core.lives import Life
from segsearch.core.picture_text import joined_lines
from segsearch.core.text import TextLine
from segsearch.core.types import Hit, Mask, Segment
from segsearch.core.video import KeyMask, clip_of_life
from segsearch.export.documents import HitDocument
from segsearch.export.render import (
    CROP_MARGIN,
    context_jpeg,
    crop_png,
    cutout_png,
    marked_jpeg,
    thumbnail_jpeg,
)
from segsearch.masks.relations import gap, relations

KEY_DIGITS = 6  # at least; a longer id is a longer key
LIST = "regions.jsonl"
SKIPPED = "__skipped__"
MARKED_SIDE_PX = 768  # what vision models look at
PACKED_SECONDS = 10.0  # of a thing's life, at most
PACKED_SIDE_PX = 768
BEFORE_END_SECONDS = 0.001  # a life's end is when something else is shown already
NEIGHBOURS = 8  # the nearest ones that are told of a region
QUESTION = (
    "The first picture shows a region of a photograph with its surroundings, the second the whole "
    "photograph with that region outlined. Describe the outlined region in one sentence."
)


@dataclass(frozen=True, slots=True)
class RegionSources:
    """Where a picture's upright pixels (H, W, 3), segments and lines of text are found, by its
    id; pixels and segments of a shot by the second of a frame as well. Of things of videos also
    their masks by the ids of segments, by the id of a video the seconds at which its shots have
    masks, by the ids of their images in order of time, and a part of it as MP4, from and to which
    second."""

    pixels: Callable[[int, float | None], Pixels]
    segments: Callable[[int, float | None], Sequence[Segment]]
    lines: Callable[[int], Sequence[TextLine]] = lambda _: ()
    key_masks: Callable[[Sequence[int]], Mapping[int, tuple[KeyMask, ...]]] = lambda _: {}
    key_times: Callable[[int], Mapping[int, tuple[float, ...]]] = lambda _: {}
    clip: Callable[[int, float, float], bytes] | None = None


@dataclass(frozen=True, slots=True)
class Written:
    """How many regions were written, and why others were not, by segment id; `left_out` counts
    those of pictures where a format holds videos alone."""

    regions: int
    skipped: dict[int, str]
    left_out: int = 0


def write_caption_pack(hits: Iterable[Hit], sources: RegionSources, target: Path) -> Written:
    """Write a caption pack: a tar file where `target` ends in `.tar`, else a folder.

    A folder's list is written last, and a tar file takes its name when it is whole: what is there
    is complete. A pack that lay in the folder before goes first, its list before its pictures are
    written over. Regions whose picture is gone are skipped. OSError when the disk refuses.
    """
    if target.suffix.lower() == ".tar":
        return _write_tar(hits, sources, target)
    target.mkdir(parents=True, exist_ok=True)
    _remove_pack(target)

    def put(name: str, data: bytes) -> None:
        (target / name).write_bytes(data)

    with whole(target / LIST) as partial, partial.open("wb") as lines:
        return _pack(hits, sources, put, lines.write)


def _remove_pack(folder: Path) -> None:
    """Delete the list in a folder, and the pictures that it names; what else is there stays."""
    listed, going = folder / LIST, folder / f"{LIST}.going"
    if listed.is_file():
        listed.replace(going)
    if not going.is_file():
        return
    with going.open("rb") as lines:
        for line in lines:
            with suppress(KeyError, TypeError, ValueError):  # a list of another program
                for name in _files(int(json.loads(line)["segment_id"])).values():
                    (folder / name).unlink(missing_ok=True)
    (folder / SKIPPED).unlink(missing_ok=True)
    going.unlink()


def _files(segment_id: int) -> dict[str, str]:
    """The names of a region's files in a pack, by kind: all that stands before the first dot is the
    sample's key."""
    endings = {"context": "context.jpg", "cutout": "cutout.png", "marked": "marked.jpg"}
    endings |= {"begin": "begin.jpg", "best": "best.jpg", "end": "end.jpg", "clip": "clip.mp4"}
    endings["document"] = "json"
    return {kind: f"{segment_id:0{KEY_DIGITS}}.{ending}" for kind, ending in endings.items()}


def _write_tar(hits: Iterable[Hit], sources: RegionSources, target: Path) -> Written:
    target.parent.mkdir(parents=True, exist_ok=True)
    with whole(target) as partial, tarfile.open(partial, "w") as tar:

        def put(name: str, data: bytes) -> None:
            entry = tarfile.TarInfo(name)
            entry.size = len(data)  # no time and no owner: the same regions make the same bytes
            tar.addfile(entry, io.BytesIO(data))

        return _pack(hits, sources, put, lambda _: None)


def _pack(
    hits: Iterable[Hit],
    sources: RegionSources,
    put: Callable[[str, bytes], None],
    enlist: Callable[[bytes], object],
) -> Written:
    """Put each region's files, and a line of it into a list; one region at a time."""
    regions, skipped = 0, {}
    for hit in hits:
        try:
            line = _packed(hit, sources, put)
        except (NotFoundError, PictureError) as problem:
            skipped[hit.segment.id] = str(problem)
            continue
        enlist(line + b"\n")
        regions += 1
    if skipped:
        put(SKIPPED, json.dumps(skipped, indent=1).encode("utf-8"))
    return Written(regions, skipped)


def neighbours(segment: Segment, others: Sequence[Segment]) -> list[dict[str, Any]]:
    """The nearest other regions of a picture, and how this one lies to each of them; of a shot
    those that are there when this one is seen best."""
    at = segment.seen_at
    apart = [other for other in others if other.id != segment.id and _is_there(other, at)]
    nearest = sorted(apart, key=lambda other: (gap(segment.mask.box, other.mask.box), other.id))
    documents = []
    for other in nearest:
        names = [relation.value for relation in relations(segment.mask, other.mask)]
        if names:
            box = list(other.mask.box.as_tuple())
            documents.append({"segment_id": other.id, "this_is": names, "box": box})
    return documents[:NEIGHBOURS]


def _is_there(segment: Segment, seconds: float | None) -> bool:
    life = segment.life
    return seconds is None or life is None or life.t_start <= seconds <= life.t_end


def _packed(hit: Hit, sources: RegionSources, put: Callable[[str, bytes], None]) -> bytes:
    """Put a region's files; its document as a line of JSON comes back."""
    segment = hit.segment
    pixels = sources.pixels(hit.image.id, segment.seen_at)
    files = _files(segment.id)
    pictures = {
        "context": context_jpeg(pixels, segment.mask, CROP_MARGIN),
        "cutout": cutout_png(pixels, segment.mask),
        "marked": marked_jpeg(pixels, segment.mask, MARKED_SIDE_PX),
    }
    times: dict[str, float] = {}
    if segment.life is not None and hit.image.shot is not None and sources.clip is not None:
        start, end = clip_of_life(segment.life, PACKED_SECONDS)
        pictures |= _frames(hit.image.id, segment.life, sources)
        with suppress(NotFoundError):  # frames are there, and may be all that can be decoded
            pictures["clip"] = sources.clip(hit.image.shot.video_id, start, end)
            times = {"clip_start": start, "clip_end": end}
    others = neighbours(segment, sources.segments(hit.image.id, segment.seen_at))
    names = {kind: files[kind] for kind in pictures}
    whole_text = joined_lines(sources.lines(hit.image.id))
    document = {**_document(hit, names, others), **times, "picture_text": whole_text}
    line = json.dumps(document).encode("utf-8")
    for kind, data in pictures.items():
        put(files[kind], data)
    put(files["document"], line)
    return line


def _frames(image_id: int, life: Life, sources: RegionSources) -> dict[str, bytes]:
    """The frames that are shown when a thing begins, is seen best and ends, as JPEG."""
    last = max(life.t_start, life.t_end - BEFORE_END_SECONDS)
    times = {"begin": life.t_start, "best": life.best_seconds, "end": last}
    return {
        kind: thumbnail_jpeg(sources.pixels(image_id, seconds), MARKED_SIDE_PX)
        for kind, seconds in times.items()
    }


def _document(hit: Hit, names: dict[str, str], others: list[dict[str, Any]]) -> dict[str, Any]:
    """What is told of a region.

    What may be an empty list is JSON text: `datasets` takes the columns' types from the first
    samples, and an empty list has none.
    """
    document = HitDocument.of(hit).model_dump()
    captions, lines = document.pop("captions"), document.pop("lines")
    return {
        **document,
        **names,
        "caption": captions[0]["text"] if captions else "",
        "captions_json": json.dumps(captions),
        "text": joined_lines(hit.lines),
        "lines_json": json.dumps(lines),
        "neighbours_json": json.dumps(others),
        "messages": _chat(QUESTION, [names["context"], names["marked"]]),
    }


def views(pixels: Pixels, mask: Mask) -> tuple[bytes, bytes]:
    """What a vision model is shown of a region: PNG with its surroundings, JPEG of the whole
    picture (H, W, 3) with the region outlined."""
    return crop_png(pixels, mask, CROP_MARGIN), marked_jpeg(pixels, mask, MARKED_SIDE_PX)


def messages(
    crop_png_bytes: bytes, marked_jpeg_bytes: bytes, question: str = QUESTION
) -> list[dict[str, Any]]:
    """A chat that asks for a caption, in the image format of the OpenAI chat API."""
    return chat(question, (("png", crop_png_bytes), ("jpeg", marked_jpeg_bytes)))


def chat(text: str, pictures: Sequence[tuple[str, bytes]]) -> list[dict[str, Any]]:
    """A chat of words, and picture files with their kinds, `png` or `jpeg`."""
    urls = [
        f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"
        for kind, data in pictures
    ]
    return _chat(text, urls)


def _chat(question: str, urls: Sequence[str]) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = [{"type": "text", "text": question}]
    parts += ({"type": "image_url", "image_url": {"url": url}} for url in urls)
    return [{"role": "user", "content": parts}]
