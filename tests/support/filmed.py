"""A catalog with a described video of three shots, and pictures beside it."""

from __future__ import annotations

from datetime import datetime

from segsearch.core.types import Claim, FileStamp
from segsearch.storage.catalog.sql_catalog import Catalog
from tests.support.described import describe, describe_shot, digest, seen_shots

FILE = "/films/Clip.mp4"
CUTS = (0.0, 4.0, 12.5, 20.0)
MADE = datetime(2023, 5, 6, 7, 8, 9)
STAMP = FileStamp(1, 1)


def take(catalog: Catalog) -> Claim:
    claim = catalog.claim(1, "me", 60)
    assert claim is not None
    return claim


def enter(catalog: Catalog, file: str = FILE, video: str = "film") -> list[int]:
    """A video of three shots, described; the ids of its images."""
    seen = seen_shots(file, video, CUTS, made_at=MADE, has_sound=True)
    assert catalog.record_files(seen, 1) == 3
    ids = []
    for number, shot in enumerate(seen):
        claim = take(catalog)
        assert claim.paths == (shot.path,)
        assert shot.shot
        described = describe_shot(number, shot.shot.t_start, shot.shot.t_end)
        assert catalog.commit(claim, described)
        ids.append(claim.image_id)
    return ids


def picture(catalog: Catalog, name: str = "/films/a.jpg") -> int:
    catalog.record_file(name, STAMP, digest(name), 1)
    claim = take(catalog)
    assert catalog.commit(claim, describe(9))
    return claim.image_id
