"""Prints what RESULTS.md says of video: `python -m benchmarks.video`, after `.compose`.

All clips are indexed into a new library as any videos are, on what processors there are, and timed
from the first look to the last commit. Then shots, tracks and moments are compared with the truth,
and moments with what whole frames find by the same model, in the same run.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.video.moments import (
    EVERY_SECONDS,
    FIRST,
    Answers,
    AskedName,
    WholeFrames,
    asked,
    by_regions,
    shares,
)
from benchmarks.video.paths import KINDS
from benchmarks.video.truth import (
    Counted,
    FoundTrack,
    Identity,
    TrueClip,
    count_boundaries,
    count_identity,
    read_clips,
)
from segsearch import SegSearch, Settings, open_library
from segsearch.core.video import Video
from segsearch.models.loading import build_pipeline


def videos_of(library: SegSearch, clips: Sequence[TrueClip]) -> list[Video]:
    """The clips as the library knows them, in their order."""
    by_name: dict[str, Video] = {}
    after = 0
    while page := library.catalog.videos(after=after, limit=100):
        by_name |= {Path(path).name: video for video in page for path in video.paths}
        after = page[-1].id
    return [by_name[clip.path.name] for clip in clips]


def compared(
    library: SegSearch, clips: Sequence[TrueClip], videos: Sequence[Video]
) -> tuple[dict[str, Counted], Identity]:
    """How well shots and tracks agree with the truth."""
    boundaries: dict[str, Counted] = defaultdict(Counted)
    identity = Identity()
    for clip, video in zip(clips, videos, strict=True):
        count_boundaries(clip, [shot.t_start for _, shot in video.shots[1:]], boundaries)
        for image_id, _ in video.shots:
            segments = [segment.id for segment in library.catalog.segments_of(image_id)]
            masks = library.catalog.key_masks(segments)
            tracks = [FoundTrack({key.seconds: key.mask for key in masks[one]}) for one in segments]
            keyframes = sorted({seconds for track in tracks for seconds in track.masks})
            count_identity(clip, keyframes, tracks, identity)
    return boundaries, identity


def searched(
    library: SegSearch,
    settings: Settings,
    clips: Sequence[TrueClip],
    videos: Sequence[Video],
) -> tuple[list[AskedName], dict[str, Answers]]:
    """Every name asked for, by each method."""
    questions = asked(clips)
    numbers = {video.id: number for number, video in enumerate(videos)}
    answers = {"segsearch": by_regions(library, questions, numbers)}
    embedder = build_pipeline(settings).embedder
    middles = WholeFrames(embedder, clips, None)
    answers["one frame from the middle of each video"] = middles.answers(questions, first=1)
    frames = WholeFrames(embedder, clips, EVERY_SECONDS)
    name = f"a frame every {EVERY_SECONDS:g} s"
    answers[name] = frames.answers(questions, first=1)
    answers[f"{name}, the best {FIRST} joined to moments"] = frames.answers(questions, first=FIRST)
    return questions, answers


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--clips", type=Path, default=Path(".benchmarks/video/test"))
    options.add_argument("--library", type=Path, help="keep it here; one that is there is not made")
    options.add_argument("--preset")
    options.add_argument("--json", type=Path, help="write the numbers here as well")
    chosen = options.parse_args()
    clips = read_clips(chosen.clips)
    with tempfile.TemporaryDirectory(prefix="segsearch-video-") as temporary:
        folder = chosen.library or Path(temporary) / "library"
        settings = Settings(library=str(folder), preset=chosen.preset)
        numbers = measured(settings, clips, is_new=not folder.exists())
    if chosen.json:
        chosen.json.write_text(json.dumps(numbers, indent=1) + "\n", "utf-8")


def measured(settings: Settings, clips: Sequence[TrueClip], *, is_new: bool) -> dict[str, Any]:
    """Index the clips if that is wanted, and print all tables; the numbers in them."""
    length = sum(clip.seconds for clip in clips)
    numbers: dict[str, Any] = {"clips": len(clips), "seconds": length}
    print(f"{len(clips)} clips of {length:,.0f} s, {sum(len(one.things) for one in clips)} things")
    with open_library(settings, create=is_new) as library:
        if is_new:
            began = time.monotonic()
            report = library.index([clip.path for clip in clips])
            numbers["seconds_a_second"] = (time.monotonic() - began) / length
            print(f"{numbers['seconds_a_second']:.2f} s of work for a second of video")
            if report.skipped:
                raise SystemExit(f"Not all clips were indexed: {report.skipped}")
        videos = videos_of(library, clips)
        boundaries, identity = compared(library, clips, videos)
        questions, answers = searched(library, settings, clips, videos)
    for name, counted in boundaries.items():
        numbers[f"F1 {name}"] = 100 * counted.f1
        print(f"{name}: F1 {100 * counted.f1:.1f} ({counted})")
    for moves in (None, *KINDS):
        of_kind = identity.table(moves)
        numbers[moves or "all"] = of_kind
        said = ", ".join(f"{name} {value:.2f}" for name, value in of_kind.items())
        print(f"{moves or 'all'}: {said}")
    print(f"{len(questions)} names")
    for source in (None, "drawing", "photograph"):
        among = [n for n, one in enumerate(questions) if source in {None, *one.sources}]
        for name, row in answers.items() if among else ():
            found = shares([questions[n] for n in among], [row[n] for n in among])
            numbers[f"{source or 'all'}: {name}"] = found
            print(f"{source or 'all'}, {len(among)}: {name}: {found}")
    return numbers


if __name__ == "__main__":
    main()
