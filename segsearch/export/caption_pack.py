"""Writes packs of regions for captioning models.

A caption pack is a folder or a tar file: `regions.jsonl` with one region a line, and beside it a
picture each of the region with its surroundings, cut out (the mask as alpha), and marked in the
whole picture. Where pictures are gone, `skipped.json` says why, by segment id.
"""

from __future__ import annotations

import base64
import io
import json
import tarfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

from segsearch.core.arrays import Pixels
from segsearch.core.atomic import whole
from segsearch.core.errors import NotFoundError, PictureError
from segsearch.core.types import Hit, Mask, Segment
from segsearch.export.documents import HitDocument
from segsearch.export.render import CROP_MARGIN, crop_png, cutout_png, marked_jpeg
from segsearch.masks.relations import gap, relations

LIST = "regions.jsonl"
SKIPPED = "skipped.json"
MARKED_SIDE_PX = 768  # what vision models look at
NEIGHBOURS = 8  # the nearest ones that are told of a region
QUESTION = (
    "The first picture shows a region of a photograph with its surroundings, the second the whole "
    "photograph with that region outlined. Describe the outlined region in one sentence."
)


@dataclass(frozen=True, slots=True)
class RegionSources:
    """Where a picture's upright pixels (H, W, 3) and segments are found, by its id."""

    pixels: Callable[[int], Pixels]
    segments: Callable[[int], Sequence[Segment]]


@dataclass(frozen=True, slots=True)
class Written:
    """How many regions were written, and why others were not, by segment id."""

    regions: int
    skipped: dict[int, str]


def write_caption_pack(hits: Iterable[Hit], sources: RegionSources, target: Path) -> Written:
    """Write a caption pack: a tar file where `target` ends in `.tar`, else a folder.

    The list is written last, and a tar file takes its name when it is whole: what is there is
    complete. A pack that lay in the folder before goes first, its list before its pictures are
    written over. Regions whose picture is gone are skipped. OSError when the disk refuses.
    """
    if target.suffix.lower() == ".tar":
        return _write_tar(hits, sources, target)
    target.mkdir(parents=True, exist_ok=True)
    _remove_pack(target)

    def put(name: str, data: bytes) -> None:
        (target / name).write_bytes(data)

    with whole(target / LIST) as partial, partial.open("wb") as lines:
        return _pack(hits, sources, put, lines)


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
    """The names of a region's pictures in a pack, by kind."""
    return {
        "crop": f"{segment_id}-crop.png",
        "cutout": f"{segment_id}-cutout.png",
        "marked": f"{segment_id}-marked.jpg",
    }


def _write_tar(hits: Iterable[Hit], sources: RegionSources, target: Path) -> Written:
    target.parent.mkdir(parents=True, exist_ok=True)
    # A tar file's entries follow each other, so the list grows beside it.
    with (
        whole(target) as partial,
        TemporaryFile(dir=target.parent) as lines,
        tarfile.open(partial, "w") as tar,
    ):

        def put(name: str, data: bytes) -> None:
            _add(tar, name, len(data), io.BytesIO(data))

        written = _pack(hits, sources, put, lines)
        size = lines.tell()
        lines.seek(0)
        _add(tar, LIST, size, lines)
        return written


def _add(tar: tarfile.TarFile, name: str, size: int, data: IO[bytes]) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = size  # no time and no owner: the same regions make the same bytes
    tar.addfile(entry, data)


def _pack(
    hits: Iterable[Hit], sources: RegionSources, put: Callable[[str, bytes], None], lines: IO[bytes]
) -> Written:
    """Put each region's pictures, and a line of it into the list; one region at a time."""
    regions, skipped = 0, {}
    for hit in hits:
        try:
            line = _packed(hit, sources, put)
        except (NotFoundError, PictureError) as problem:
            skipped[hit.segment.id] = str(problem)
            continue
        lines.write(json.dumps(line).encode("utf-8") + b"\n")
        regions += 1
    if skipped:
        put(SKIPPED, json.dumps(skipped, indent=1).encode("utf-8"))
    return Written(regions, skipped)


def neighbours(segment: Segment, others: Sequence[Segment]) -> list[dict[str, Any]]:
    """The nearest other regions of a picture, and how this one lies to each of them."""
    apart = [other for other in others if other.id != segment.id]
    nearest = sorted(apart, key=lambda other: (gap(segment.mask.box, other.mask.box), other.id))
    documents = []
    for other in nearest:
        names = [relation.value for relation in relations(segment.mask, other.mask)]
        if names:
            box = list(other.mask.box.as_tuple())
            documents.append({"segment_id": other.id, "this_is": names, "box": box})
    return documents[:NEIGHBOURS]


def _packed(hit: Hit, sources: RegionSources, put: Callable[[str, bytes], None]) -> dict[str, Any]:
    pixels, segment = sources.pixels(hit.image.id), hit.segment
    crop, marked = views(pixels, segment.mask)
    files = _files(segment.id)
    pictures = {"crop": crop, "cutout": cutout_png(pixels, segment.mask), "marked": marked}
    for kind, name in files.items():
        put(name, pictures[kind])
    return {
        **HitDocument.of(hit).model_dump(),
        **files,
        "neighbours": neighbours(segment, sources.segments(hit.image.id)),
        "messages": messages(crop, marked),
    }


def views(pixels: Pixels, mask: Mask) -> tuple[bytes, bytes]:
    """What a vision model is shown of a region: PNG with its surroundings, JPEG of the whole
    picture (H, W, 3) with the region outlined."""
    return crop_png(pixels, mask, CROP_MARGIN), marked_jpeg(pixels, mask, MARKED_SIDE_PX)


def messages(
    crop_png_bytes: bytes, marked_jpeg_bytes: bytes, question: str = QUESTION
) -> list[dict[str, Any]]:
    """A chat that asks for a caption, in the image format of the OpenAI chat API."""
    parts: list[dict[str, Any]] = [{"type": "text", "text": question}]
    for kind, data in (("png", crop_png_bytes), ("jpeg", marked_jpeg_bytes)):
        url = f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"
        parts.append({"type": "image_url", "image_url": {"url": url}})
    return [{"role": "user", "content": parts}]
