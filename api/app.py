"""Puts routes, guards, errors and the page together over one library."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Set
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from anyio import to_thread
from fastapi import FastAPI
from fastapi.responses import FileResponse
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.staticfiles import StaticFiles

from segsearch.core.errors import SegSearchError
from segsearch.core.settings import Settings
from segsearch.core.version import __version__
from segsearch.library import SegSearch
from segsearch.media.ffmpeg import reads_videos
from segsearch.storage.announcement import Announcement
from segsearch_api import errors, openapi
from segsearch_api.deps import Shared
from segsearch_api.middleware.auth import Access, AuthMiddleware, LocalKeys
from segsearch_api.middleware.guards import LOOPBACK_HOSTS, GuardMiddleware, names_of
from segsearch_api.middleware.head import HeadMiddleware
from segsearch_api.middleware.metrics import (
    PAGE_POLICY,
    REQUEST_ID,
    FailureMiddleware,
    Metrics,
    MetricsMiddleware,
)
from segsearch_api.middleware.rates import SharedRates
from segsearch_api.middleware.root_path import RootPathMiddleware
from segsearch_api.routers import ROUTERS

LOG = logging.getLogger(__name__)

CORS: dict[str, Any] = {
    "allow_methods": ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"],
    "allow_headers": ["Authorization", "Content-Type", "If-None-Match", REQUEST_ID],
    "expose_headers": ["ETag", "Retry-After", REQUEST_ID],
}

STATIC = Path(__file__).parent / "static"
DESCRIPTION = """\
Boxes are `[x0, y0, x1, y1]` in pixels of the upright image, half-open. Masks are COCO's compressed
run lengths over the whole upright image. Errors are problem documents (RFC 9457): compare `code`,
show `detail`. Every answer carries `X-Request-Id`, the caller's own when it sends one."""
TAGS = [
    {"name": "search", "description": "Regions for words, pictures and stored segments."},
    {"name": "maps", "description": "All regions in two dimensions, and regions without a query."},
    {"name": "images", "description": "The pictures of the library."},
    {"name": "videos", "description": "Videos, whose shots are images of the library."},
    {"name": "segments", "description": "Their regions, as documents and as PNG."},
    {"name": "collections", "description": "Named sets of images."},
    {"name": "jobs", "description": "What fills the library, now and before."},
    {"name": "library", "description": "What the library holds."},
    {"name": "keys", "description": "Who may ask, and who may change."},
    {"name": "health", "description": "For whoever runs the server."},
]


def create_app(
    library: SegSearch,
    *,
    hosts: Set[str] | None = LOOPBACK_HOSTS,
    need_key: bool | None = None,
    announcement: Announcement | None = None,
) -> FastAPI:
    """The API and the page over one library.

    `hosts` are the names it answers to; None for any. With `need_key` every request must show an
    API key; left open, that is so where any name is answered or the settings say so. Who knows the
    token of an `announcement` may read.
    """
    if need_key is None:
        need_key = hosts is None or library.settings.require_key
    app = FastAPI(
        title="segsearch",
        version=__version__,
        summary="Search pictures by the things in them.",
        description=DESCRIPTION,
        openapi_tags=TAGS,
        servers=[{"url": library.settings.root_path or "/", "description": "This server."}],
        contact={"name": "segsearch"},
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        lifespan=_lifespan,
        docs_url=None,  # those load scripts from elsewhere; ours is static/docs.html
        redoc_url=None,
    )
    ring = library.catalog.keys
    shared = Shared(library, ring, announcement)
    app.state.shared, app.state.metrics = shared, Metrics(shared)
    app.state.access = Access(
        ring if announcement is None else LocalKeys(ring, announcement),
        need_key=need_key,
        per_minute=library.settings.rate_per_minute,
    )
    errors.install(app)
    openapi.describe(app, need_key=need_key)
    _add_middleware(app, library.settings, hosts=hosts)
    for router in ROUTERS:
        app.include_router(router)
    _add_page(app)
    return app


def _add_middleware(app: FastAPI, settings: Settings, *, hosts: Set[str] | None) -> None:
    """What every request passes. The last one added is the outermost."""
    origins = names_of(settings.cors_origins)
    app.add_middleware(HeadMiddleware)
    app.add_middleware(AuthMiddleware, access=app.state.access)
    app.add_middleware(GZipMiddleware, minimum_size=1024, compresslevel=5)
    app.add_middleware(
        GuardMiddleware,
        hosts=hosts,
        origins=origins,
        max_picture_bytes=settings.max_bytes,
        max_video_bytes=settings.max_video_bytes if reads_videos() else 0,
    )
    app.add_middleware(FailureMiddleware)
    if origins:  # around all that refuses: a page reads why only where these headers are
        app.add_middleware(CORSMiddleware, allow_origins=sorted(origins), **CORS)
    app.add_middleware(MetricsMiddleware, metrics=app.state.metrics)
    app.add_middleware(RootPathMiddleware, prefix=settings.root_path or "")


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Load the models beside the first requests, then put the index in order; when the server
    ends, let loading end first. The other may be cut off anywhere, and takes minutes."""
    shared: Shared = app.state.shared
    thread = threading.Thread(target=shared.readiness.load, args=[shared.library], name="warm")
    thread.start()
    threading.Thread(target=_settle, args=[shared], name="settle", daemon=True).start()
    access: Access = app.state.access
    limiters = {"key": access.rates, "address": access.tries}
    sharing = asyncio.create_task(SharedRates(shared.library.catalog, limiters).run())
    yield
    sharing.cancel()
    shared.library.questions.let_go()  # nobody waits for them any more
    await to_thread.run_sync(thread.join)


def _settle(shared: Shared) -> None:
    if shared.readiness.wait():
        try:
            shared.library.settle()
        except SegSearchError as problem:  # searches go on with the index as it is
            LOG.warning("Searches may stay slow: %s", problem, extra={"action": "api.settle"})


def _add_page(app: FastAPI) -> None:
    app.mount("/static", StaticFiles(directory=STATIC), name="static")

    @app.get("/", include_in_schema=False)
    async def page() -> FileResponse:
        headers = {"Cache-Control": "no-cache", "Content-Security-Policy": PAGE_POLICY}
        return FileResponse(STATIC / "index.html", headers=headers)

    @app.get("/docs", include_in_schema=False)
    async def docs() -> FileResponse:
        return FileResponse(STATIC / "docs.html", headers={"Cache-Control": "no-cache"})
