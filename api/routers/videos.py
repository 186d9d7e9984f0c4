"""Videos: their documents, their frames, what is seen at a moment, and their files."""

from __future__ import annotations

import re
from contextlib import ExitStack
from pathlib import PurePath
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse, Response
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException

from segsearch.core.downloads import file_name
from segsearch.core.errors import NotFoundError, QueryError
from segsearch.core.names import file_of
from segsearch.core.query import MAX_LIMIT
from segsearch.core.types import MAX_ID
from segsearch.core.video import Video
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
from segsearch_api.schemas.videos import SeenSegment, SeenSegments, VideoPage

router = APIRouter(prefix="/v1/videos", tags=["videos"])
VideoId = Annotated[int, Path(ge=1, le=MAX_ID, examples=[4])]
Moment = Annotated[
    float,
    Query(alias="t", ge=0, le=1e6, allow_inf_nan=False, description="Seconds of the video."),
]
Side = Annotated[int, Query(ge=16, le=2048, description="The longer side at most, in pixels.")]
RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
KEPT_SIDE_PX = 480  # of frames that are kept among the thumbnails
SHOWN = {".mp4": "video/mp4", ".m4v": "video/mp4", ".webm": "video/webm", ".mov": "video/quicktime"}
OTHER_FILE = "application/octet-stream"
BYTES = {"schema": {"type": "string", "format": "binary"}}
FILE: dict[int | str, Any] = {
    200: {
        "description": "All of the file.",
        "content": dict.fromkeys(sorted({*SHOWN.values(), OTHER_FILE}), BYTES),
    },
    206: {
        "description": "The part that the header Range asks for.",
        "content": dict.fromkeys(sorted({*SHOWN.values(), OTHER_FILE}), BYTES),
    },
}


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
    responses={**refusals(NOT_FOUND, INVALID, NO_RANGE), **FILE},
)
async def video_file(video_id: VideoId, request: Request, library: LibraryDep) -> Response:
    """The file as it was found or uploaded; a part of it where the header Range asks for one."""
    video = await run_in_threadpool(library.catalog.video, video_id)
    stack = ExitStack()
    path = await run_in_threadpool(
        lambda: stack.enter_context(library.pictures.open_file(video.shots[0][0]))
    )
    try:
        _check_range(request, (await run_in_threadpool(path.stat)).st_size)
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
        headers={"Cache-Control": "private, no-cache", "X-Content-Type-Options": "nosniff"},
        background=BackgroundTask(stack.close),
    )


def _check_range(request: Request, size: int) -> None:
    """416 for a part behind the file's end. What is no single range is forgotten, as RFC 9110 has
    it: all of the file is sent."""
    given = request.headers.get("range")
    if given is None:
        return
    match = RANGE.fullmatch(given.strip())
    first, last = match.groups() if match else ("", "")
    is_range = bool(first or last) and not (first and last and int(last) < int(first))
    if not is_range:
        request.scope["headers"] = [
            (name, value) for name, value in request.scope["headers"] if name != b"range"
        ]
    elif int(first) >= size if first else int(last) == 0:
        raise HTTPException(
            416,
            f"The file has {size:,} bytes: it has no part {given!r}.",
            {"Content-Range": f"bytes */{size}"},
        )


def image_at(video: Video, seconds: float) -> int:
    """The id of the image that a moment of a video belongs to; QueryError past its end."""
    if seconds > video.seconds:
        raise QueryError(
            f"The video {video.id} lasts {video.seconds:.2f} seconds, there is no second "
            f"{seconds:.2f} in it."
        )
    if not video.shots:
        raise NotFoundError(f"The video {video.id} has no shots in the library.")
    return next(
        (image_id for image_id, shot in video.shots if seconds < shot.t_end), video.shots[-1][0]
    )
