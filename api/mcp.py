"""A library as tools for an assistant, over the Model Context Protocol (`segsearch mcp`).

Answers carry boxes and ids, and pictures only where a tool is asked for one: masks as run lengths
mean nothing to a language model.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import wraps
from typing import Annotated, Any, Literal, ParamSpec, TypeVar

from mcp.server.mcpserver import Image, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.mcpserver.tools import Tool
from mcp.types import ToolAnnotations
from pydantic import Field, FiniteFloat

from segsearch.core.errors import SegSearchError
from segsearch.core.query import NOT_WEIGHT, Query, RegionTerm, SegmentTerm, Term, terms_of_words
from segsearch.core.types import MAX_ID, Caption, Hit
from segsearch.core.version import __version__
from segsearch.core.video import image_at
from segsearch.export.caption_pack import neighbours
from segsearch.export.documents import HitDocument
from segsearch.export.questions import HOW_THINGS_LIE, MAX_QUESTION_CHARACTERS
from segsearch.export.render import (
    CROP_MARGIN,
    crop_png,
    cutout_png,
    marked_jpeg,
    mask_png,
    thumbnail_jpeg,
)
from segsearch.export.text_documents import PictureTextDocument
from segsearch.library import SegSearch
from segsearch.search.click import ClickedMask

MAX_HITS = 50
SHOWN_SIDE_PX = 1024
Id = Annotated[int, Field(ge=1, le=MAX_ID)]
Limit = Annotated[int, Field(ge=1, le=MAX_HITS)]
Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")
# Hosts ask their users before tools that may change something, or reach further than the library.
HARMLESS = ToolAnnotations(
    read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False
)
ASKING = ToolAnnotations(
    read_only_hint=True, destructive_hint=False, idempotent_hint=False, open_world_hint=True
)
Question = Annotated[str, Field(min_length=1, max_length=MAX_QUESTION_CHARACTERS)]
INSTRUCTIONS = (
    "A library of pictures, cut into segments. Search it by the things in the pictures; an answer "
    "is a region: its box in pixels (x0, y0, x1, y1), the picture it lies in, and an id to look "
    "at it, to cut it out, or to find more like it; and, where a vision model was asked, what it "
    "said of the region (captions), and the text that stands in it (lines). Scores are cosines, "
    "unless text alone is asked for: compare them within one answer only. "
    "Relevance (0 to 1) says how unlikely a find is by chance; an empty answer means that nothing "
    "matches."
)


def create_server(library: SegSearch) -> MCPServer:
    """The tools over one library; nothing in it can be changed through them.

    Those that ask a vision model are there where the settings name its endpoint.
    """
    tools = Tools(library)
    with_documents: tuple[Callable[..., object], ...] = (
        tools.search, tools.more_like, tools.click_search, tools.video_frame, tools.cutout,
        tools.mask, tools.surroundings, tools.picture_text, tools.describe_library,
    )  # fmt: skip
    with_pictures: tuple[Callable[..., object], ...] = (tools.segment_at, tools.look)
    asking: tuple[Callable[..., object], ...] = (tools.ask_region, tools.describe_picture)
    offered = [
        *(_tool(tool) for tool in with_documents),
        *(_tool(tool, ASKING) for tool in asking if library.questions.is_offered),
        *(_tool(tool, structured_output=False) for tool in with_pictures),  # text and pictures
    ]
    return MCPServer("segsearch", version=__version__, instructions=INSTRUCTIONS, tools=offered)


def _tool(
    tool: Callable[..., object],
    annotations: ToolAnnotations = HARMLESS,
    *,
    structured_output: bool | None = None,
) -> Tool:
    """A tool that says it changes nothing, and refuses arguments that it does not know: a misspelt
    one would be passed over, and the answer taken for what was asked."""
    made = Tool.from_function(
        _with_sentences(tool), annotations=annotations, structured_output=structured_output
    )
    arguments = made.fn_metadata.arg_model
    arguments.model_config["extra"] = "forbid"
    arguments.model_rebuild(force=True)
    made.parameters = arguments.model_json_schema(by_alias=True)
    return made


class Tools:
    """What an assistant can do; it reads the names and docstrings of these methods."""

    def __init__(self, library: SegSearch) -> None:
        self._library = library

    def search(
        self,
        words: str,
        without: str = "",
        limit: Limit = 10,
        per_image: Limit = 3,
        captions: Literal["off", "join", "only"] = "off",
    ) -> list[dict[str, Any]]:
        """Find regions by words, best first, such as "a red umbrella"; `without` steers away.

        Words that stand in pictures: text:exit, text:"24 hours" in this order, text:stair* for how
        a word begins, -text:sold for what must not stand there. Plain words find pictures that show
        all of them, too.

        With `captions` "join" the words of captions count as much as what regions look like, with
        "only" nothing else does; scores are no cosines then.
        """
        terms: tuple[Term, ...] = terms_of_words(words)
        if without.strip():
            terms += terms_of_words(without, NOT_WEIGHT)
        return self._hits(Query(terms, limit=limit, per_image=per_image, captions=captions))

    def more_like(
        self, segment_id: Id, limit: Limit = 10, per_image: Limit = 1
    ) -> list[dict[str, Any]]:
        """Find regions that look like a stored one, which may itself be among them."""
        return self._hits(Query((SegmentTerm(segment_id),), limit=limit, per_image=per_image))

    def segment_at(self, image_id: Id, x: FiniteFloat, y: FiniteFloat) -> list[Any]:
        """Cut out what stands at a point of a picture (pixels, from the top left).

        Gives the possible regions, best first, each with the id of the stored one that is the
        same, if there is one; then the picture with the best one outlined.
        """
        masks = self._library.masks_at(image_id, x, y)
        text = json.dumps([_clicked(mask) for mask in masks])
        if not masks:
            return [text]
        pixels = self._library.pictures.small(image_id, SHOWN_SIDE_PX)
        return [text, _jpeg(marked_jpeg(pixels, masks[0].mask, SHOWN_SIDE_PX))]

    def click_search(  # noqa: PLR0913  the arguments of a tool
        self,
        image_id: Id,
        x: FiniteFloat,
        y: FiniteFloat,
        stored: bool = False,
        limit: Limit = 10,
        per_image: Limit = 1,
    ) -> list[dict[str, Any]]:
        """Find regions that look like what stands at a point of a picture (pixels, from the top
        left), cut out afresh; with `stored`, like the stored region there. The stored region may be
        among them."""
        term = RegionTerm(image_id, ((x, y),), stored=stored)
        return self._hits(Query((term,), limit=limit, per_image=per_image))

    def look(self, segment_id: Id) -> list[Any]:
        """Show a region: a crop with its surroundings, then its whole picture with it outlined."""
        segment = self._library.catalog.segment(segment_id)
        pixels = self._library.pictures.pixels(segment.image_id, segment.seen_at)
        crop = _png(crop_png(pixels, segment.mask, CROP_MARGIN))
        return [crop, _jpeg(marked_jpeg(pixels, segment.mask, SHOWN_SIDE_PX))]

    def video_frame(self, video_id: Id, seconds: FiniteFloat) -> Image:
        """The frame of a video that is shown at a second, counted from its first frame, as JPEG.
        Hits in videos have the video's id (`shot.video_id`) and the second at which they are seen
        best (`life.best_seconds`)."""
        image_id = image_at(self._library.catalog.video(video_id), seconds)
        pixels = self._library.pictures.small(image_id, SHOWN_SIDE_PX, seconds)
        return _jpeg(thumbnail_jpeg(pixels, SHOWN_SIDE_PX))

    def cutout(self, segment_id: Id) -> Image:
        """A region alone, cut to its box, as PNG of at most 1024 pixels a side; what does not
        belong to it is transparent."""
        segment = self._library.catalog.segment(segment_id)
        pixels = self._library.pictures.pixels(segment.image_id, segment.seen_at)
        return _png(cutout_png(pixels, segment.mask, SHOWN_SIDE_PX))

    def mask(self, segment_id: Id) -> Image:
        """A region's mask over its whole picture as PNG of at most 1024 pixels a side: white
        inside, black outside."""
        return _png(mask_png(self._library.catalog.segment(segment_id).mask, SHOWN_SIDE_PX))

    def surroundings(self, segment_id: Id) -> list[dict[str, Any]]:
        """The regions nearest to one in its picture, and how it lies to each of them; in a video
        those that are there at the moment at which it is seen best."""
        catalog = self._library.catalog
        segment = catalog.segment(segment_id)
        shown = catalog.segments_on_frame(segment.image_id, segment.seen_at)
        near = neighbours(segment, shown)
        captions = catalog.captions([region["segment_id"] for region in near])
        return [
            {**region, "captions": _texts(captions.get(region["segment_id"], ()))}
            for region in near
        ]

    def ask_region(self, segment_id: Id, question: Question) -> str:
        """Ask another vision model about a region, which is shown to it with its surroundings.

        The picture is sent to that model's endpoint, and the request may be billed.
        """
        return self._library.questions.ask_region(segment_id, question).text

    def describe_picture(self, image_id: Id, question: Question = HOW_THINGS_LIE) -> str:
        """Ask another vision model how the things in a picture lie, or something else about it.

        The picture is sent to that model's endpoint, and the request may be billed.
        """
        return self._library.questions.ask_picture(image_id, question).text

    def picture_text(self, image_id: Id) -> dict[str, Any]:
        """The text in a picture, line by line, and of a page its elements (headings, paragraphs,
        cells, figures) with their text, in the order of reading. `reader` is null where the picture
        was not read."""
        return PictureTextDocument.of(self._library.text_of(image_id)).model_dump()

    def describe_library(self) -> dict[str, Any]:
        """How many pictures and regions the library holds, and by which models they were made."""
        return asdict(self._library.status())

    def _hits(self, query: Query) -> list[dict[str, Any]]:
        """The regions of an answer, or why there are none."""
        answer = self._library.search(query)
        return [_brief(hit) for hit in answer.hits] or [{"message": answer.message}]


def _brief(hit: Hit) -> dict[str, Any]:
    """A hit without its mask, and of its captions and lines the words."""
    document = HitDocument.of(hit).model_dump(exclude={"mask"})
    lines = [line.line.text for line in hit.lines]
    return {**document, "captions": _texts(hit.captions), "lines": lines}


def _texts(captions: Sequence[Caption]) -> list[str]:
    return [caption.text for caption in captions]


def _clicked(clicked: ClickedMask) -> dict[str, Any]:
    return {
        "box": list(clicked.mask.box.as_tuple()),
        "area": clicked.mask.area,
        "predicted_iou": round(clicked.predicted_iou, 4),
        "segment_id": clicked.segment_id,
    }


def _png(data: bytes) -> Image:
    return Image(data=data, format="png")


def _jpeg(data: bytes) -> Image:
    return Image(data=data, format="jpeg")


def _with_sentences(tool: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """The tool with our errors as sentences that the assistant reads."""

    @wraps(tool)
    def answer(*args: Parameters.args, **named: Parameters.kwargs) -> Result:
        try:
            return tool(*args, **named)
        except SegSearchError as problem:
            raise ToolError(str(problem)) from problem

    return answer
