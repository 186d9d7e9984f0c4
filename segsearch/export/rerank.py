"""Has a vision model judge the first regions of an answer by the words of its query, and reorders
them; within bounds of count, time and requests. No hit is lost, whatever the endpoint does."""

from __future__ import annotations

import itertools
import json
import re
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace

from segsearch.core.answers import SearchAnswer
from segsearch.core.arrays import Pixels
from segsearch.core.errors import QueryError, SegSearchError
from segsearch.core.judged_order import judged_order
from segsearch.core.plain import plain_text
from segsearch.core.query import RERANK_SECONDS, Query, TextTerm
from segsearch.core.types import Hit, Segment
from segsearch.export.caption_pack import messages
from segsearch.export.chat_answer import answer_in
from segsearch.export.deadline import Cutoff
from segsearch.export.region_views import RegionViews, View
from segsearch.export.vision_chat import Endpoint, VisionChat

MOST_RERANKED = 100
MOST_SECONDS = 600.0
AT_ONCE = 4
QUESTION = (
    "The first picture shows a region of a photograph with its surroundings, the second the whole "
    "photograph with that region outlined. How surely does the outlined region show this: {}? "
    'Answer with JSON alone: {{"score": S}}, with S from 0 (surely not) to 1 (surely).'
)
OBJECT = re.compile(r"\{[^{}]*\}")
NAMED = re.compile(r"\bscore[\"'*`]{0,4}\s{0,3}(?:[:=]|is\b)[\"'*`\s]{0,5}(?=\.?\d)", re.IGNORECASE)
NUMBER = re.compile(r"(\d{0,4}(?:\.\d{1,20})?)\s{0,3}(%|/\s{0,3}\d{1,3})?(?![\w.,]*\d)")
WORD = re.compile(r"\W{0,10}(yes|no|true|false)\b", re.IGNORECASE)
SAID = {"yes": 1.0, "true": 1.0, "no": 0.0, "false": 0.0}


@dataclass(frozen=True, slots=True)
class RerankOptions:
    """How many of the first regions are judged, within how many seconds, by how many requests that
    may be billed; without `most` by one each."""

    first: int = 20
    seconds: float = RERANK_SECONDS
    most: int | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.first <= MOST_RERANKED:
            raise QueryError(
                f"{self.first} regions are to be reranked, expected 1 to {MOST_RERANKED}."
            )
        if not 0 < self.seconds <= MOST_SECONDS:
            raise QueryError(
                f"Reranking may take {self.seconds:g} seconds, expected more than 0 and at most "
                f"{MOST_SECONDS:g}."
            )
        if self.most is not None and self.most < 1:
            raise QueryError(f"Reranking may send {self.most} requests, expected 1 or more.")


@dataclass(frozen=True, slots=True)
class Verdicts:
    """A score in [0, 1] for each of some regions, None where there is none; the requests that may
    be billed; and why the endpoint was not heard on all."""

    scores: tuple[float | None, ...]
    requests: int
    trouble: str | None = None

    @property
    def scored(self) -> int:
        """How many have a score."""
        return sum(score is not None for score in self.scores)


@dataclass(frozen=True, slots=True)
class Reranked:
    """An answer in its new order, each place with the rank that it had.

    `regions` were to be judged, `scored` were; `changed` says whether anything moved, `message` why
    nothing did, or why not all were judged.
    """

    answer: SearchAnswer
    regions: int = 0
    scored: int = 0
    requests: int = 0
    changed: bool = False
    message: str | None = None


def query_words(query: Query) -> str:
    """What a query asks for in words; QueryError where it has none."""
    texts = [term for term in query.terms if isinstance(term, TextTerm)]
    wanted = _quoted(term.text for term in texts if term.weight > 0)
    unwanted = _quoted(term.text for term in texts if term.weight < 0)
    if not wanted:
        raise QueryError("Reranking needs words: the query has none to ask the endpoint about.")
    return f"{wanted}, and not {unwanted}" if unwanted else wanted


def _quoted(texts: Iterable[str]) -> str:
    plain = (plain_text(text).strip() for text in texts)
    return ", ".join(json.dumps(text, ensure_ascii=False) for text in plain if text)


class RerankJudge:
    """Asks one endpoint how surely regions show what words say. It holds `drawing`, which others
    may share, while a view is drawn."""

    def __init__(
        self,
        endpoint: Endpoint,
        options: RerankOptions,
        cutoff: Cutoff | None = None,
        drawing: threading.Lock | None = None,
    ) -> None:
        self._cutoff = cutoff
        self._endpoint = endpoint
        self._options = options
        self._drawing = drawing or threading.Lock()  # a decoded picture may take 600 MB

    @property
    def first(self) -> int:
        """How many regions of an answer it judges."""
        return self._options.first

    def verdicts(self, words: str, shown: Sequence[View]) -> Verdicts:
        """A score for each region that is shown by its views, as `RegionViews` draws them; none
        where the endpoint gives none that can be read, or its picture is gone."""
        most = self._options.most or max(1, len(shown))
        seconds = self._options.seconds
        with VisionChat(
            self._endpoint, most, seconds=seconds, reads=answer_in, cutoff=self._cutoff
        ) as chat:
            judged = _Judgement(chat, QUESTION.format(words), self._drawing)
            pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="rerank")
            try:
                scores = tuple(pool.map(judged.score, shown))
            except BaseException:  # such as Ctrl-C: what is under way would take a minute to end
                chat.cut()
                raise
            finally:
                pool.shutdown(cancel_futures=True)
            return Verdicts(scores, chat.requests, self._trouble(chat, judged, scores))

    def _trouble(
        self, chat: VisionChat, judged: _Judgement, scores: Sequence[float | None]
    ) -> str | None:
        if None not in scores:
            return None
        if judged.trouble:
            return judged.trouble
        last = f"; the last trouble was: {chat.trouble}" if chat.trouble else ""
        if chat.is_over:
            return f"{self._options.seconds:g} seconds were not enough{last}"
        if chat.is_spent:
            return f"{chat.requests} requests were sent, the most allowed{last}"
        return chat.trouble


class BudgetedJudge:
    """Judges the answers to several queries: `options.first` of each, within `seconds` each, and
    within `most` requests in all. What got no score at all ends it: the next would fare the same.

    `pixels` gives the picture that a segment's `image_id` stands for.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        options: RerankOptions,
        pixels: Callable[[int, float | None], Pixels],
    ) -> None:
        self._endpoint = endpoint
        self._options = options
        self._pixels = pixels
        self.regions = self.scored = self.requests = 0
        self.trouble: str | None = None
        self._is_over = False

    def scores(self, words: str, segments: Sequence[Segment]) -> list[float | None]:
        """How surely each region shows what words say, None where nobody says."""
        some = segments[: self._options.first]
        self.regions += len(some)
        most = self._options.most
        left = None if most is None else most - self.requests
        if self._is_over or not some or left == 0:
            return [None] * len(segments)
        options = replace(self._options, most=left)
        verdicts = RerankJudge(self._endpoint, options).verdicts(
            _quoted([words]), RegionViews(some, self._pixels).all()
        )
        self.requests += verdicts.requests
        self.scored += verdicts.scored
        self.trouble = verdicts.trouble or self.trouble
        self._is_over = not verdicts.scored
        return [*verdicts.scores, *[None] * (len(segments) - len(some))]


class _Judgement:
    """One question about several regions; `trouble` is the last reason why one got no score."""

    def __init__(self, chat: VisionChat, question: str, drawing: threading.Lock) -> None:
        self._chat = chat
        self._question = question
        self._drawing = drawing
        self.trouble: str | None = None

    def score(self, view: View) -> float | None:
        """In [0, 1]; None when there is none."""
        try:
            with self._drawing:
                if self._chat.is_halted or self._chat.is_over or self._chat.is_spent:
                    return None
                crop, marked = view()
            said = self._chat.ask(messages(crop, marked, self._question))
        except SegSearchError as problem:  # no hit is lost
            self.trouble = str(problem).rstrip(".")
            return None
        if said is None:
            return None
        score = score_in(said)
        if score is None:
            self.trouble = f"an answer holds no score: {said[:80]!r}"
        return score


def reranked(
    query: Query,
    answer: SearchAnswer,
    judge: RerankJudge,
    pixels: Callable[[int, float | None], Pixels],
) -> Reranked:
    """An answer whose first regions are in the order of a judge, who is shown them in the pixels of
    their images; QueryError without words.

    With `by_picture`, pictures move with their regions, by the best of them.
    """
    words = query_words(query)
    hits = answer.hits[: judge.first]
    if len(hits) < 2:
        return Reranked(answer, message="Reranking changed nothing: fewer than two regions.")
    segments = [hit.segment for hit in hits]
    verdicts = judge.verdicts(words, RegionViews(segments, pixels).all())
    scores = [*verdicts.scores, *[None] * (len(answer.hits) - len(hits))]
    places = [
        list(group)
        for _, group in itertools.groupby(
            zip(answer.hits, scores, strict=True), key=lambda pair: pair[0].rank
        )
    ]
    order = judged_order([_best(place) for place in places])
    moved = tuple(
        replace(hit, rank=place[0][0].rank)
        for place, entry in zip(places, order, strict=True)
        for hit, _ in places[entry]
    )
    changed = order != sorted(order)
    return Reranked(
        replace(answer, hits=moved),
        len(hits),
        verdicts.scored,
        verdicts.requests,
        changed,
        _message(len(hits), verdicts, changed=changed),
    )


def _best(place: Sequence[tuple[Hit, float | None]]) -> float | None:
    """The best score of the regions at one place."""
    return max((score for _, score in place if score is not None), default=None)


def _message(count: int, verdicts: Verdicts, *, changed: bool) -> str | None:
    told = []
    if not changed:
        told.append("Reranking changed nothing.")
    if verdicts.scored < count:
        told.append(
            f"The endpoint judged {verdicts.scored} of {count} regions, the others keep their "
            f"places: {verdicts.trouble or 'no reason given'}."
        )
    return " ".join(told) or None


def score_in(text: str) -> float | None:
    """The score in what a model said, however it wrote it down: JSON, `Score: 0.8`, 80 %, 8/10, a
    number alone, yes or no. None where there is none, or one outside [0, 1]."""
    for written in reversed(OBJECT.findall(text)):
        with suppress(ValueError, RecursionError):
            document = json.loads(written)
            named = {name.lower(): value for name, value in document.items()}
            if "score" in named:
                return _share(named["score"])
    named_at = [found.end() for found in NAMED.finditer(text)]
    if named_at:
        return _number(text[named_at[-1] :])
    bare = text.strip().strip("*`\"'").rstrip(". ")
    if (found := NUMBER.fullmatch(bare)) and found[1]:
        return _number(bare)
    said = WORD.match(text)
    return SAID[said[1].lower()] if said else None


def _share(value: object) -> float | None:
    """A JSON value as a score."""
    if isinstance(value, str):
        return score_in(value)
    if isinstance(value, bool | int | float) and 0 <= value <= 1:
        return float(value)
    return None


def _number(text: str) -> float | None:
    """The number that a text begins with, as a share."""
    found = NUMBER.match(text)
    if not found or found[1] in {"", "."}:
        return None
    value, unit = float(found[1]), found[2] or ""
    if unit == "%":
        value /= 100
    elif unit:
        whole = float(unit[1:])
        if not whole:
            return None
        value /= whole
    return _share(value)
