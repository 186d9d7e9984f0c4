"""A library as tools for an assistant, over the Model Context Protocol (`segsearch mcp`).

Answers carry boxes and ids, and pictures only where a tool is asked for one: masks as run lengths
mean nothing to a language model.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Annotated, Any, Literal

from mcp.server.mcpserver import Image, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from pydantic import Field, FiniteFloat

from segsearch.core.errors import SegSearchError
from segsearch.core.query import NOT_WEIGHT, Query, RegionTerm, SegmentTerm, TextTerm
from segsearch.core.types import MAX_ID, Caption, Hit
from segsearch.core.version import __version__
from segsearch.export.caption_pack import neighbours
from segsearch.export.documents import HitDocument
from segsearch.export.render import crop_png, cutout_png, marked_jpeg, mask_png
from segsearch.library import SegSearch
from segsearch.search.click import ClickedMask

MOST_HITS = 50
MARGIN = 0.15
SHOWN_SIDE_PX = 1024
Id = Annotated[int, Field(ge=1, le=MAX_ID)]
Most = Annotated[int, Field(ge=1, le=MOST_HITS)]
INSTRUCTIONS = (
    "A library of pictures, cut into segments. Search it by the things in the pictures; an answer "
    "is a region: its box in pixels (x0, y0, x1, y1), the picture it lies in, and an id to look "
    "at it, to cut it out, or to find more like it; and, where a vision model was asked, what it "
    "said of the region (captions). Scores are cosines: compare them within one answer only. "
    "Relevance (0 to 1) says how unlikely a find is by chance; an empty answer means that nothing "
    "matches."
)


def create_server(service: SegSearch) -> MCPServer:
    """The tools over one library; nothing in it can be changed through them."""
    server = MCPServer("segsearch", version=__version__, instructions=INSTRUCTIONS)

    @server.tool()
    def search(
        words: str,
        without: str = "",
        limit: Most = 10,
        per_image: Most = 3,
        captions: Literal["off", "join", "only"] = "off",
    ) -> list[dict[str, Any]]:
        """Find regions by words, best first, such as "a red umbrella"; `without` steers away.

        With `captions` "join" the words of captions count as much as what regions look like, with
        "only" nothing else does; scores are no cosines then.
        """
        terms = [TextTerm(words)]
        if without.strip():
            terms.append(TextTerm(without, NOT_WEIGHT))
        with _told():
            return _found(
                service, Query(tuple(terms), limit=limit, per_image=per_image, captions=captions)
            )

    @server.tool()
    def more_like(segment_id: Id, limit: Most = 10, per_image: Most = 1) -> list[dict[str, Any]]:
        """Find regions that look like a stored one, which may itself be among them."""
        with _told():
            return _found(
                service, Query((SegmentTerm(segment_id),), limit=limit, per_image=per_image)
            )

    @server.tool(structured_output=False)
    def segment_at(image_id: Id, x: FiniteFloat, y: FiniteFloat) -> list[Any]:
        """Cut out what stands at a point of a picture (pixels, from the top left).

        Gives the possible regions, best first, each with the id of the stored one that is the
        same, if there is one; then the picture with the best one outlined.
        """
        with _told():
            found = service.masks_at(image_id, x, y)
            told = [_pointed(one) for one in found]
            if not found:
                return [json.dumps(told)]
            marked = marked_jpeg(service.pictures.pixels(image_id), found[0].mask, SHOWN_SIDE_PX)
        return [json.dumps(told), Image(data=marked, format="jpeg")]

    @server.tool()
    def click_search(
        image_id: Id,
        x: FiniteFloat,
        y: FiniteFloat,
        stored: bool = False,
        limit: Most = 10,
        per_image: Most = 1,
    ) -> list[dict[str, Any]]:
        """Find regions that look like what stands at a point of a picture (pixels, from the top
        left), cut out afresh; with `stored`, like the stored region there. The stored region may be
        among them."""
        with _told():
            term = RegionTerm(image_id, ((x, y),), stored=stored)
            return _found(service, Query((term,), limit=limit, per_image=per_image))

    @server.tool(structured_output=False)
    def look(segment_id: Id) -> list[Any]:
        """Show a region: a crop with its surroundings, then its whole picture with it outlined."""
        with _told():
            segment = service.catalog.segment(segment_id)
            pixels = service.pictures.pixels(segment.image_id)
            crop = Image(data=crop_png(pixels, segment.mask, MARGIN), format="png")
            whole = marked_jpeg(pixels, segment.mask, SHOWN_SIDE_PX)
        return [crop, Image(data=whole, format="jpeg")]

    @server.tool()
    def cutout(segment_id: Id) -> Image:
        """A region alone, cut to its box, as PNG of at most 1024 pixels a side; what does not
        belong to it is transparent."""
        with _told():
            segment = service.catalog.segment(segment_id)
            pixels = service.pictures.pixels(segment.image_id)
            return Image(data=cutout_png(pixels, segment.mask, SHOWN_SIDE_PX), format="png")

    @server.tool()
    def mask(segment_id: Id) -> Image:
        """A region's mask over its whole picture as PNG of at most 1024 pixels a side: white
        inside, black outside."""
        with _told():
            mask = service.catalog.segment(segment_id).mask
            return Image(data=mask_png(mask, SHOWN_SIDE_PX), format="png")

    @server.tool()
    def surroundings(segment_id: Id) -> list[dict[str, Any]]:
        """The regions nearest to one in its picture, and how it lies to each of them."""
        with _told():
            segment = service.catalog.segment(segment_id)
            told = neighbours(segment, service.catalog.segments_of(segment.image_id))
            said = service.catalog.captions([one["segment_id"] for one in told])
        return [{**one, "captions": _texts(said.get(one["segment_id"], ()))} for one in told]

    @server.tool()
    def describe_library() -> dict[str, Any]:
        """How many pictures and regions the library holds, and by which models they were made."""
        with _told():
            return asdict(service.status())

    return server


def _found(service: SegSearch, query: Query) -> list[dict[str, Any]]:
    """The regions of an answer, or why there are none."""
    answer = service.search(query)
    return [_brief(hit) for hit in answer.hits] or [{"message": answer.message}]


def _brief(hit: Hit) -> dict[str, Any]:
    """A hit without its mask, and of its captions the words."""
    document = HitDocument.of(hit).model_dump(exclude={"mask"})
    return {**document, "captions": _texts(hit.captions)}


def _texts(captions: Sequence[Caption]) -> list[str]:
    return [one.text for one in captions]


def _pointed(candidate: ClickedMask) -> dict[str, Any]:
    mask = candidate.mask
    return {
        "box": list(mask.box.as_tuple()),
        "area": mask.area,
        "predicted_iou": round(candidate.predicted_iou, 4),
        "segment_id": candidate.segment_id,
    }


@contextmanager
def _told() -> Iterator[None]:
    """Our errors as sentences that the assistant reads."""
    try:
        yield
    except SegSearchError as problem:
        raise ToolError(str(problem)) from problem
