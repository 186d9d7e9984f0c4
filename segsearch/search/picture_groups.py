"""Keeps the regions of a picture, or of a video, together, as an answer by either shows them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from segsearch.core.query import AnswerOrder
from segsearch.core.types import Segment
from segsearch.search import ranking
from segsearch.search.moments import in_order
from segsearch.search.ranking import Ranked, Rules


class Siblings:
    """The scored regions of images, best first; each image's are looked up once, by `find`."""

    def __init__(self, find: Callable[[Sequence[int]], list[Ranked]] = lambda _: []) -> None:
        self._find = find
        self._known: dict[int, list[Ranked]] = {}

    def look_up(self, image_ids: Sequence[int]) -> None:
        """Look the regions of several images up together."""
        new = [image_id for image_id in dict.fromkeys(image_ids) if image_id not in self._known]
        self._known |= {image_id: [] for image_id in new}
        for score, segment in self._find(new) if new else ():
            self._known[segment.image_id].append((score, segment))

    def rescored(self, scores: Mapping[int, float]) -> Siblings:
        """The same with other scores for some regions, by their ids; these come first of equals."""

        def find(image_ids: Sequence[int]) -> list[Ranked]:
            pairs = [(scores.get(one.id, score), one) for score, one in self._find(image_ids)]
            return sorted(pairs, key=lambda pair: (-pair[0], pair[1].id not in scores))

        return Siblings(find)

    def __call__(self, image_id: int) -> list[Ranked]:
        self.look_up([image_id])
        return self._known[image_id]


def grouped(heads: Sequence[Ranked], rules: Rules, siblings: Siblings) -> list[tuple[int, Ranked]]:
    """The regions of each head's picture, beside the picture's number in the page."""
    siblings.look_up([head.image_id for _, head in heads])
    return [
        (number, pair)
        for number, (_, head) in enumerate(heads)
        for pair in _of_picture(head, rules, siblings)
    ]


def _of_picture(head: Segment, rules: Rules, siblings: Siblings) -> list[Ranked]:
    alone = replace(rules, below=None, closed=frozenset(), alike=None, per_video=None)
    return ranking.choose(siblings(head.image_id), rules.per_image, alone)


def grouped_by_video(
    heads: Sequence[Ranked],
    passed: Sequence[Ranked],
    rules: Rules,
    siblings: Siblings,
    order: AnswerOrder,
) -> list[tuple[int, Ranked]]:
    """The best regions of each head's video, of those that were `passed`, beside the video's number
    in the page; of a picture its regions. An order other than the best first is that of a video's
    regions among each other."""
    siblings.look_up([head.image_id for _, head in heads if head.life is None])
    video = rules.footage.video
    of_video: dict[int | None, list[Ranked]] = defaultdict(list)
    for pair in passed:
        of_video[video(pair[1].image_id)].append(pair)
    alone = replace(rules, below=None, closed=frozenset(), alike=None)
    most = rules.per_video or len(passed)
    numbered: list[tuple[int, Ranked]] = []
    for number, (_, head) in enumerate(heads):
        own = video(head.image_id)
        if own is None:
            regions = _of_picture(head, rules, siblings)
        else:
            regions = in_order(order, ranking.choose(of_video[own], most, alone), rules.footage)
        numbered += ((number, pair) for pair in regions)
    return numbered


def beside(heads: Sequence[Ranked], passed: Sequence[Ranked], siblings: Siblings) -> list[Ranked]:
    """All regions of the heads' pictures, then those of other pictures that were passed."""
    pictures = dict.fromkeys(head.image_id for _, head in heads)
    own = [pair for image_id in pictures for pair in siblings(image_id)]
    return own + [pair for pair in passed if pair[1].image_id not in pictures]
