"""Writes regions as cutouts: a zip of one PNG a region, the mask as its alpha channel.

A PNG is named after its picture and the region's id: `umbrella-812.png`. `regions.jsonl` says of
each what JSON lines say, and the name under `file`; `skipped.txt` says why others are not there.
"""

from __future__ import annotations

import itertools
import json
import tempfile
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from segsearch.core.atomic import whole
from segsearch.core.downloads import stem_of
from segsearch.core.errors import NotFoundError, PictureError
from segsearch.core.types import Hit, Image
from segsearch.export.caption_pack import RegionSources, Written
from segsearch.export.documents import HitDocument
from segsearch.export.render import cutout_png

LIST, SKIPPED = "regions.jsonl", "skipped.txt"
PIECE_BYTES = 1 << 20


def region_file(image: Image, segment_id: int) -> str:
    """What a region's files are called, without an ending."""
    return f"{stem_of(image.paths[0] if image.paths else None)}-{segment_id}"


def write_cutouts(
    hits: Iterable[Hit],
    sources: RegionSources,
    target: Path,
    *,
    most: int | None = None,
    lacking: Sequence[str] = (),
) -> Written:
    """Write a zip file, made or replaced when it is whole; one region at a time is in memory.

    Regions whose picture is gone are skipped. `lacking` are sentences about what else was asked
    for and is not there; regions behind the first `most` are another one. PNG are stored as they
    are. OSError when the disk refuses.
    """
    regions, skipped = 0, {}
    coming = iter(hits)
    target.parent.mkdir(parents=True, exist_ok=True)
    with (
        whole(target) as partial,
        zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as pack,
        tempfile.TemporaryFile() as lines,
    ):
        for hit in itertools.islice(coming, most):
            try:
                drawn = cutout_png(
                    sources.pixels(hit.image.id, hit.segment.seen_at), hit.segment.mask
                )
            except (NotFoundError, PictureError) as problem:
                skipped[hit.segment.id] = str(problem)
                continue
            name = f"{region_file(hit.image, hit.segment.id)}.png"
            pack.writestr(zipfile.ZipInfo(name), drawn)  # no time: the same regions, the same bytes
            document = {"file": name, **HitDocument.of(hit).model_dump()}
            lines.write(json.dumps(document).encode() + b"\n")
            regions += 1
        lines.seek(0)
        with pack.open(zipfile.ZipInfo(LIST), "w", force_zip64=True) as listed:
            while piece := lines.read(PIECE_BYTES):
                listed.write(piece)
        said = [*lacking, *(f"Segment {number}: {why}" for number, why in skipped.items())]
        if most is not None and next(coming, None) is not None:
            said.append(f"Only the first {most:,} regions are here.")
        if said:
            pack.writestr(zipfile.ZipInfo(SKIPPED), "".join(f"{line}\n" for line in said))
    return Written(regions, skipped)
