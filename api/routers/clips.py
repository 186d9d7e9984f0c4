"""Parts of videos, encoded again so that every browser plays them."""

from __future__ import annotations

from pathlib import PurePath
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse, Response
from starlette.background import BackgroundTask

from segsearch.core.downloads import file_name
from segsearch.core.names import file_of
from segsearch.core.video import (
    CLIP_SIDE_PX,
    LEAST_CLIP_SIDE_PX,
    MOST_CLIP_SIDE_PX,
    Video,
    check_clip,
)
from segsearch_api.deps import LibraryDep, SharedDep
from segsearch_api.drawings import DrawerDep, tag_of
from segsearch_api.openapi import BAD_MOMENT, FULL, NO_RANGE, drawing, picture
from segsearch_api.ranges import settle_range, whole_and_part
from segsearch_api.routers.videos import VideoId

router = APIRouter(prefix="/v1/videos", tags=["videos"])
KIND = "video/mp4"
OK = picture(KIND, "All of the clip: H.264 and AAC, from 0 seconds on, its index at the front.")
ClipSide = Annotated[
    int,
    Query(
        ge=LEAST_CLIP_SIDE_PX,
        le=MOST_CLIP_SIDE_PX,
        description="The longer side at most, in pixels.",
    ),
]
Start = Annotated[
    float,
    Query(alias="from", ge=0, le=1e6, allow_inf_nan=False, description="Seconds of the video."),
]
End = Annotated[
    float,
    Query(
        alias="to",
        ge=0,
        le=1e6,
        allow_inf_nan=False,
        description="Seconds of the video, at most 60 after `from`.",
    ),
]


@router.get(
    "/{video_id}/clip.mp4",
    response_class=FileResponse,
    responses={**whole_and_part(KIND), **drawing(OK, BAD_MOMENT, NO_RANGE, FULL)},
)
async def clip(  # noqa: PLR0913  the parameters of a route
    video_id: VideoId,
    request: Request,
    library: LibraryDep,
    shared: SharedDep,
    drawer: DrawerDep,
    start: Start,
    end: End,
    side: ClipSide = CLIP_SIDE_PX,
) -> Response:
    """A part of a video as MP4, at most a minute, upright, with sound; a part of that file where
    the header Range asks for one."""
    start, end = round(start, 3), round(end, 3)
    video = await run_in_threadpool(library.catalog.video, video_id)
    check_clip(video, start, end, side)
    tag = tag_of("clip", video.sha256, f"{start:.3f}", f"{end:.3f}", side)
    if (unchanged := drawer.unchanged(tag)) is not None:
        return unchanged
    made = await shared.kept_clips.get(
        tag, shared.clips, lambda: library.pictures.clip_file(video_id, start, end, side_px=side)
    )
    settle_range(request, (await run_in_threadpool(made.path.stat)).st_size, tag)
    return FileResponse(
        made.path,
        media_type=KIND,
        filename=_name(video, start, end),
        content_disposition_type="inline",
        headers={"ETag": tag, **drawer.headers, "X-Content-Type-Options": "nosniff"},
        background=BackgroundTask(lambda: made),  # which holds it until all is sent
    )


def _name(video: Video, start: float, end: float) -> str:
    """What a browser that saves it calls it."""
    name = PurePath(file_name(file_of(video.paths[0]) if video.paths else None))
    return f"{name.stem} {start:g}-{end:g}s.mp4"
