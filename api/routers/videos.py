"""Videos: their documents, their frames, what is seen at a moment, and their files."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import PurePath
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse, Response
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException

from segsearch.core.downloads import file_name
from segsearch.core.names import file_of
from segsearch.core.query import MAX_LIMIT
from segsearch.core.types import MAX_ID
from segsearch.core.video import image_at
from segsearch.export.documents import SegmentDocument
from segsearch.export.render import thumbnail_jpeg
from segsearch.export.video_documents import KeyMaskDocument, VideoDocument
from segsearch_api.deps import LibraryDep
from segsearch_api.drawings import DrawerDep, tag_of
from segsearch_api.openapi import (
    BAD_MOMENT,
    INVALID,
    NO_RANGE,
    NOT_FOUND,
    drawing,
    picture,
    refusals,
)
from segsearch_api.ranges import settle_range, whole_and_part
from segsearch_api.schemas.videos import SeenSegment, SeenSegments, VideoPage

router = APIRouter(prefix="/v1/videos", tags=["videos"])
VideoId = Annotated[int, Path(ge=1, le=MAX_ID, examples=[4])]
Moment = Annotated[
    float,
    Query(alias="t", ge=0, le=1e6, allow_inf_nan=False, description="Seconds of the video."),
]
Side = Annotated[int, Query(ge=16, le=2048, description="The longer side at most, in pixels.")]
KEPT_SIDE_PX = 480  # of frames that are kept among the thumbnails
SHOWN = {".mp4": "video/mp4", ".m4v": "video/mp4", ".webm": "video/webm", ".mov": "video/quicktime"}
OTHER_FILE = "application/octet-stream"


@router.get("", response_model=VideoPage, responses=refusals(INVALID))
def list_videos(
    library: LibraryDep,
    after: Annotated[int, Query(ge=0, le=MAX_ID, description="The last page's next_after.")] = 0,
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT, description="How many at most.")] = 100,
) -> dict[str, Any]:
    """Videos by ascending id, a page at a time."""
    videos = library.catalog.videos(after=after, limit=limit)
    following = videos[-1].id if len(videos) == limit else None
    return {"videos": [VideoDocument.of(video) for video in videos], "next_after": following}


@router.get("/{video_id}", response_model=VideoDocument, responses=refusals(NOT_FOUND, INVALID))
def read_video(video_id: VideoId, library: LibraryDep) -> VideoDocument:
    """One video with its shots."""
    return VideoDocument.of(library.catalog.video(video_id))


@router.get(
    "/{video_id}/segments",
    response_model=SeenSegments,
    responses=refusals(BAD_MOMENT, NOT_FOUND, INVALID),
)
def list_seen(video_id: VideoId, library: LibraryDep, seconds: Moment) -> SeenSegments:
    """The regions that are there at a moment, each with its mask at the nearest keyframe."""
    image_at(library.catalog.video(video_id), seconds)
    seen = library.catalog.segments_at(video_id, seconds)
    said = library.catalog.captions([segment.id for segment, _ in seen])
    segments = [
        SeenSegment(
            segment=SegmentDocument.of(segment, said.get(segment.id, ())),
            at=KeyMaskDocument.of(key),
        )
        for segment, key in seen
    ]
    return SeenSegments(seconds=seconds, segments=segments)


@router.get(
    "/{video_id}/frame.jpg",
    response_class=Response,
    responses=drawing(
        picture("image/jpeg", "The upright frame, shrunk when it is larger than `side`."),
        BAD_MOMENT,
    ),
)
async def frame(
    video_id: VideoId, library: LibraryDep, drawer: DrawerDep, seconds: Moment, side: Side = 1280
) -> Response:
    """The frame that is shown at a moment."""
    video = await run_in_threadpool(library.catalog.video, video_id)
    image_id = image_at(video, seconds)
    tag = tag_of("frame", video.sha256, f"{seconds:.3f}", side)

    def draw() -> bytes:
        return thumbnail_jpeg(library.pictures.small(image_id, side, seconds), side)

    return await drawer.answer(tag, "image/jpeg", draw, keep=side <= KEPT_SIDE_PX)


@router.get(
    "/{video_id}/file",
    response_class=FileResponse,
    responses={
        304: {"description": "The caller's copy is still right; no body."},
        **refusals(NOT_FOUND, INVALID, NO_RANGE),
        **whole_and_part(*SHOWN.values(), OTHER_FILE),
    },
)
async def video_file(
    video_id: VideoId, request: Request, library: LibraryDep, drawer: DrawerDep
) -> Response:
    """The file as it was found or uploaded; a part of it where the header Range asks for one."""
    video = await run_in_threadpool(library.catalog.video, video_id)
    tag = f'"{video.sha256}"'
    if (unchanged := drawer.unchanged(tag)) is not None:
        return unchanged
    stack = ExitStack()
    path = await run_in_threadpool(
        lambda: stack.enter_context(library.pictures.open_file(video.shots[0][0]))
    )
    try:
        settle_range(request, (await run_in_threadpool(path.stat)).st_size, tag)
    except HTTPException:
        stack.close()
        raise
    name = file_name(file_of(video.paths[0]) if video.paths else None)
    kind = SHOWN.get(PurePath(name).suffix.lower(), OTHER_FILE)
    return FileResponse(
        path,
        media_type=kind,
        filename=name,
        content_disposition_type="attachment" if kind == OTHER_FILE else "inline",
        headers={"ETag": tag, **drawer.headers, "X-Content-Type-Options": "nosniff"},
        background=BackgroundTask(stack.close),
    )
