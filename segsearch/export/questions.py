"""Asks a vision model about a region or a whole picture: what it is shown, what it is told, and
where its answer is kept.

One question is one request that may be billed. What an endpoint says is printed or kept as text.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, Field

from segsearch.core.answers import SearchAnswer
from segsearch.core.errors import AnswerError, QueryError
from segsearch.core.fields import strict
from segsearch.core.plain import plain_text
from segsearch.core.query import Query
from segsearch.core.settings import Settings
from segsearch.core.types import Image, Origin, Segment
from segsearch.export.caption_pack import chat, messages, views
from segsearch.export.captioning import origin_of
from segsearch.export.chat_answer import answer_in
from segsearch.export.deadline import Cutoff
from segsearch.export.picture_facts import PictureFacts
from segsearch.export.render import numbered_jpeg
from segsearch.export.rerank import (
    Reranked,
    RerankJudge,
    RerankOptions,
    query_words,
    reranked,
)
from segsearch.export.vision_chat import Endpoint, VisionChat, endpoint_of
from segsearch.storage.catalog.sql_catalog import Catalog
from segsearch.storage.pictures import StoredPictures

MAX_QUESTION_CHARACTERS = 2_000
NUMBERED_SIDE_PX = 1024
COVERING_SHARE = 0.95  # of a picture's area: what is said of all of it holds for such a region
HOW_THINGS_LIE = "Describe how the things in this picture lie to each other."
OF_REGION = (
    "The first picture shows a region of a photograph with its surroundings, the second the whole "
    "photograph with that region outlined.\n{facts}\nAnswer about the outlined region: {question}"
)
OF_PICTURE = (
    "The picture is a photograph in which regions are outlined and numbered.\n{facts}\n"
    "Call things by what they are, not by their numbers alone. {question}"
)
EXAMPLE_ANSWER: dict[str, Any] = {
    "answer": "A red umbrella, stuck in the sand beside a towel.",
    "image_id": 31,
    "segment_id": 812,
    "model": "some-vision-model",
    "host": "localhost:8001",
    "prompt_sha256": "d2c76e8ec1bd7b8bd1b4e3b4c2f5d0ad43fbe2ee2a4d9b8f26e5c8d06a6a5b0f",
    "kept_for": 812,
}


@dataclass(frozen=True, slots=True)
class VisionAnswer:
    """What a model said of a region, or of a picture where `segment_id` is None.

    `origin` names the model, its host, and the sha256 of the question as it was asked. `kept_for`
    is the segment that has it as a caption now; None where it is kept nowhere.
    """

    text: str
    image_id: int
    segment_id: int | None
    origin: Origin
    kept_for: int | None = None


class AnswerDocument(BaseModel):
    """What a vision model said of a region or a picture."""

    model_config = strict(EXAMPLE_ANSWER)

    answer: str
    image_id: int
    segment_id: int | None = Field(description="Null where the whole picture was asked about.")
    model: str
    host: str = Field(description="Where the model runs.")
    prompt_sha256: str = Field(description="Of the question, as hex.")
    kept_for: int | None = Field(
        description="The segment that has the answer as a caption now; null where it is not kept."
    )

    @classmethod
    def of(cls, answer: VisionAnswer) -> AnswerDocument:
        """The document of an answer."""
        return cls(
            answer=answer.text,
            image_id=answer.image_id,
            segment_id=answer.segment_id,
            model=answer.origin.model,
            host=answer.origin.host,
            prompt_sha256=answer.origin.prompt_sha256,
            kept_for=answer.kept_for,
        )


class Questions:
    """Asks about the regions and pictures of one library, and has answers of searches reranked.

    Without an `endpoint` of the caller's the settings' one is asked: EndpointMissingError where
    there is none. Calls may come from several threads.
    """

    def __init__(
        self, settings: Settings, catalog: Catalog, pictures: StoredPictures, facts: PictureFacts
    ) -> None:
        self._settings = settings
        self._catalog = catalog
        self._pictures = pictures
        self._facts = facts
        self._drawing = threading.Lock()  # a decoded picture may take 600 MB
        self._cutoff = Cutoff()

    @property
    def is_offered(self) -> bool:
        """Whether the settings name an endpoint."""
        return bool(self._settings.caption_url and self._settings.caption_model)

    def ask_region(
        self,
        segment_id: int,
        question: str,
        *,
        keep: bool = False,
        endpoint: Endpoint | None = None,
    ) -> VisionAnswer:
        """What a vision model answers about a region, shown with its surroundings and outlined in
        its picture, and told how others lie around it.

        With `keep` the answer becomes a caption of the region, in place of what the same model
        said to the same question before. QueryError for a question that is empty or too long,
        NotFoundError and PictureError for a region or picture that is gone, ReadOnlyError before
        anything is sent, EndpointError and AnswerError where there is no answer.
        """
        question = checked_question(question)
        endpoint = endpoint or endpoint_of(self._settings)
        segment = self._catalog.segment(segment_id)
        image = self._catalog.image(segment.image_id)
        origin = origin_of(endpoint, question)
        if keep:
            self._check_writable(origin)
        facts = self._facts.of_region(image, segment)
        with self._drawing:
            shown = views(self._pictures.pixels(image.id, segment.seen_at), segment.mask)
        asked = messages(*shown, OF_REGION.format(facts=facts, question=question))
        text = self._answer_to(asked, endpoint)
        kept_for = self._kept_for(segment if keep else None, text, origin)
        return VisionAnswer(text, image.id, segment.id, origin, kept_for)

    def ask_picture(
        self,
        image_id: int,
        question: str = HOW_THINGS_LIE,
        *,
        keep: bool = False,
        endpoint: Endpoint | None = None,
    ) -> VisionAnswer:
        """What a vision model answers about a whole picture, shown with its largest regions
        outlined and numbered, and told how these lie to each other. Of a shot that is the frame
        that stands for it, with what is seen there.

        With `keep` the answer becomes a caption of the region that covers the picture; QueryError
        before anything is sent where none does. Raises what `ask_region` raises.
        """
        question = checked_question(question)
        endpoint = endpoint or endpoint_of(self._settings)
        image = self._catalog.image(image_id)
        origin = origin_of(endpoint, question)
        holder = self._covering(image) if keep else None
        if holder:
            self._check_writable(origin)
        regions = self._facts.numbered(image.id)
        facts = self._facts.of_picture(image, regions)
        with self._drawing:
            pixels = self._pictures.small(image.id, NUMBERED_SIDE_PX)
            shown = numbered_jpeg(pixels, [one.mask for one in regions], NUMBERED_SIDE_PX)
        told = OF_PICTURE.format(facts=facts, question=question)
        text = self._answer_to(chat(told, [("jpeg", shown)]), endpoint)
        kept_for = self._kept_for(holder, text, origin)
        return VisionAnswer(text, image.id, None, origin, kept_for)

    def rerank(
        self,
        query: Query,
        answer: SearchAnswer,
        options: RerankOptions,
        endpoint: Endpoint | None = None,
    ) -> Reranked:
        """The answer to a query with its first regions in the order in which a vision model says
        that they show the query's words. QueryError for a query without words."""
        endpoint = endpoint or endpoint_of(self._settings)
        judge = RerankJudge(endpoint, options, self._cutoff, self._drawing)
        return reranked(query, answer, judge, self._pictures.pixels)

    def let_go(self) -> None:
        """End what is under way: who asked gets an error, and it is not asked again."""
        cutoff, self._cutoff = self._cutoff, Cutoff()
        cutoff.cut()

    def check_rerank(self, query: Query) -> None:
        """Raise now what `rerank` would raise after the search."""
        query_words(query)
        endpoint_of(self._settings)

    def _answer_to(self, asked: list[dict[str, Any]], endpoint: Endpoint) -> str:
        """What the endpoint says, within its time and one request that may be billed."""
        seconds = endpoint.timeout_seconds
        with VisionChat(
            endpoint, most=1, seconds=seconds, reads=answer_in, cutoff=self._cutoff
        ) as chatting:
            text = chatting.ask(asked)
            if text is None:  # such as an answer that broke off: to ask again may cost again
                raise AnswerError(
                    f"{endpoint.url}: {chatting.trouble or f'no answer within {seconds:g} s'}; not "
                    "asked again, since a question is one request."
                )
        return text

    def _check_writable(self, origin: Origin) -> None:
        self._catalog.add_caption(0, "", origin)  # keeps nothing, but says if nothing can be kept

    def _kept_for(self, segment: Segment | None, text: str, origin: Origin) -> int | None:
        """The segment that has the text as a caption now; None where that has gone meanwhile."""
        if segment is None or not self._catalog.add_caption(segment.id, text, origin):
            return None
        return segment.id

    def _covering(self, image: Image) -> Segment:
        """The region that covers a picture; QueryError when none does."""
        segments: Sequence[Segment] = self._catalog.segments_on_frame(image.id)
        largest = max(segments, key=lambda one: one.mask.area, default=None)
        least = COVERING_SHARE * image.width * image.height
        if largest is None or largest.mask.area < least:
            raise QueryError(
                f"No region covers image {image.id}, so nothing can keep what is said of all of "
                "it: ask about a region, or without --keep."
            )
        return largest


def checked_question(question: str) -> str:
    """A question without spaces around it; QueryError when it is empty or too long."""
    asked = plain_text(question).strip()
    if not asked:
        raise QueryError("The question is empty.")
    if len(asked) > MAX_QUESTION_CHARACTERS:
        raise QueryError(
            f"The question has {len(asked):,} characters, expected at most "
            f"{MAX_QUESTION_CHARACTERS:,}."
        )
    return asked
