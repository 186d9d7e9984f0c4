"""How often the first moment that words find is one at which the thing is there: by regions that
live, by one frame from the middle of each video, and by a frame every two seconds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.video.truth import TrueClip
from segsearch import Query, SegSearch, TextTerm
from segsearch.core.lives import Life
from segsearch.core.video import Moment
from segsearch.media.ffmpeg import frames_at
from segsearch.models.protocols import Embedder
from segsearch.search.evaluation.run import with_article
from segsearch.search.moments import Appearance, moments_of

LEAST_OVERLAP = 0.5  # of times: what they share of what they cover together
LEAST_SECONDS = 1.0  # that a name must be seen for, to be asked for
EVERY_SECONDS = 2.0
FIRST = 10


@dataclass(frozen=True, slots=True)
class AskedName:
    """A name, and when it is seen: the number of a clip, and its first and last second there."""

    name: str
    sources: frozenset[str]
    moments: tuple[tuple[int, float, float], ...]

    def is_met(self, moment: Moment | None) -> bool:
        """Whether a moment is one of them."""
        return moment is not None and any(
            moment.video_id == clip
            and overlap((moment.t_start, moment.t_end), (start, end)) >= LEAST_OVERLAP
            for clip, start, end in self.moments
        )

    def is_in(self, moment: Moment | None) -> bool:
        """Whether a moment is in a clip that shows it at all."""
        return moment is not None and moment.video_id in {clip for clip, *_ in self.moments}


def overlap(one: tuple[float, float], other: tuple[float, float]) -> float:
    """What two times share of what they cover together."""
    shared = min(one[1], other[1]) - max(one[0], other[0])
    return max(0.0, shared) / (max(one[1], other[1]) - min(one[0], other[0]))


def asked(clips: Sequence[TrueClip]) -> list[AskedName]:
    """The names that are seen for a second at least, and that no ground shows."""
    in_grounds = {name for clip in clips for shot in clip.shots for name in shot.ground}
    names = {thing.name for clip in clips for thing in clip.things} - in_grounds
    found = []
    for name in sorted(names):
        moments = [(n, *one) for n, clip in enumerate(clips) for one in clip.moments(name)]
        sources = {one.source for clip in clips for one in clip.things if one.name == name}
        if sum(end - start for _, start, end in moments) >= LEAST_SECONDS:
            found.append(AskedName(name, frozenset(sources), tuple(moments)))
    return found


def by_regions(
    library: SegSearch, questions: Sequence[AskedName], numbers: dict[int, int]
) -> Answers:
    """The first moment of each answer of a library; `numbers` are those of clips by video id."""
    answers: list[Moment | None] = []
    for question in questions:
        found = library.search(Query((TextTerm(with_article(question.name)),), limit=FIRST))
        first = found.moments[0] if found.moments else None
        answers.append(first and _of_clip(first, numbers[first.video_id]))
    return answers


def _of_clip(moment: Moment, number: int) -> Moment:
    return Moment(number, moment.t_start, moment.t_end, moment.best_seconds, moment.ranks)


Answers = list[Moment | None]


class WholeFrames:
    """Frames of all clips as whole pictures: (n, d) vectors, and what each stands for."""

    def __init__(self, embedder: Embedder, clips: Sequence[TrueClip], every: float | None) -> None:
        """One from the middle of each clip, or one every so many seconds."""
        self._embedder = embedder
        self._of: list[tuple[int, Life]] = []
        rows: list[NDArray[np.float32]] = []
        for number, clip in enumerate(clips):
            spans = list(_spans(clip.seconds, every))
            middles = [(start + end) / 2 for start, end in spans]
            pictures = [pixels for _, pixels in frames_at(clip.path, middles)]
            rows.append(embedder.embed_pictures(pictures))
            for (start, end), middle in zip(spans, middles, strict=True):
                self._of.append((number, Life(start, end, middle)))
        self._vectors = np.concatenate(rows)

    def answers(self, questions: Sequence[AskedName], *, first: int) -> Answers:
        """The best moment of each question, where the best `first` frames make moments as hits
        do."""
        words = self._embedder.embed_texts([with_article(one.name) for one in questions])
        found: Answers = []
        for scores in words @ self._vectors.T:
            best = np.argsort(-scores)[:first]
            shown = [Appearance(rank, *self._of[place]) for rank, place in enumerate(best, 1)]
            found.append(moments_of(shown)[0])
        return found


def _spans(seconds: float, every: float | None) -> Iterator[tuple[float, float]]:
    count = 1 if every is None else max(1, round(seconds / every))
    for number in range(count):
        yield number * seconds / count, (number + 1) * seconds / count


def shares(questions: Sequence[AskedName], answers: Answers) -> dict[str, float]:
    """In %: the first moment is one at which the thing is there, and it is in a clip with it."""
    pairs = list(zip(questions, answers, strict=True))
    return {
        "moment": 100 * float(np.mean([one.is_met(moment) for one, moment in pairs])),
        "clip": 100 * float(np.mean([one.is_in(moment) for one, moment in pairs])),
    }
