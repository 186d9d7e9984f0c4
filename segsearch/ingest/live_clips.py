"""Finds the clips of live photos among the files of a run: they stay with their stills, and are no
videos of their own."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from itertools import product
from pathlib import Path

from segsearch.core.types import Skipped
from segsearch.media.live_photos import CLIP_SUFFIXES, STILL_SUFFIXES, is_clip_of
from segsearch.media.sources.base import SourceListing, stem_of
from segsearch.media.sources.paths import suffix_of

LIVE_CLIP = "Clip of a live photo: it stays with its still."


def live_clips(
    listing: SourceListing,
    place_of: Callable[[str], Path | None],
    known_among: Callable[[Iterable[str]], Collection[str]],
) -> dict[str, str]:
    """The clips of live photos in a listing, each with its still, which is in the listing, too, or
    in the catalog. `place_of` says where a file lies on this disk: others are not looked at.
    `known_among` says which of some names the catalog has."""
    clips = [path for path in listing.files if suffix_of(path) in CLIP_SUFFIXES]
    if not clips:
        return {}
    stills: dict[str, list[str]] = defaultdict(list)
    for path in listing.files:
        if suffix_of(path) in STILL_SUFFIXES:
            stills[stem_of(path)].append(path)
    alone = [path for path in clips if stem_of(path) not in stills]
    for path in known_among(name for clip in alone for name in _names_beside(clip)):
        stills[stem_of(path)].append(path)
    found: dict[str, str] = {}
    for clip in clips:
        for still in stills.get(stem_of(clip), ()):
            places = place_of(clip), place_of(still)
            if places[0] and places[1] and is_clip_of(places[0], places[1]):
                found[clip] = still
                break
    return found


def without_clips(listing: SourceListing, clips: Mapping[str, str]) -> SourceListing:
    """A listing that passes over these clips, and says why."""
    if not clips:
        return listing
    files = {path: stamp for path, stamp in listing.files.items() if path not in clips}
    passed_over = (Skipped(path, LIVE_CLIP) for path in clips)
    return replace(listing, files=files, skipped=(*listing.skipped, *passed_over))


def _names_beside(clip: str) -> list[str]:
    """What the still of a clip may be called."""
    stem = clip.rpartition(".")[0]
    cases = (str.lower, str.upper)
    return [stem + case(suffix) for suffix, case in product(sorted(STILL_SUFFIXES), cases)]
