"""Puts routes, guards, problems and the page together over one service."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Set
from contextlib import asynccontextmanager
from pathlib import Path

from anyio import to_thread
from fastapi import FastAPI
from fastapi.responses import FileResponse
from starlette.staticfiles import StaticFiles

from segsearch import __version__
from segsearch.service import SegSearch

from . import (
    documented,
    problems,
    routes_health,
    routes_images,
    routes_jobs,
    routes_scene,
    routes_search,
    routes_segments,
)
from .guards import LOOPBACK_HOSTS, Guards
from .state import Shared

STATIC = Path(__file__).parent / "static"
DESCRIPTION = """\
Boxes are `[x0, y0, x1, y1]` in pixels of the upright image, half-open. Masks are COCO's compressed
run lengths over the whole upright image. Errors are problem documents (RFC 9457): compare `code`,
show `detail`."""
TAGS = [
    {"name": "search", "description": "Regions for words, pictures and stored segments."},
    {"name": "images", "description": "The pictures of the library."},
    {"name": "segments", "description": "Their regions, as documents and as PNG."},
    {"name": "jobs", "description": "What fills the library, now and before."},
    {"name": "library", "description": "What the library holds."},
    {"name": "health", "description": "For whoever runs the server."},
]


def create_app(service: SegSearch, *, hosts: Set[str] | None = LOOPBACK_HOSTS) -> FastAPI:
    """The API and the page over one library.

    `hosts` are the names it answers to; None for any, which is right only where another computer's
    pages cannot reach it through a browser on this one, or should.
    """
    app = FastAPI(
        title="segsearch",
        version=__version__,
        summary="Search pictures by the things in them.",
        description=DESCRIPTION,
        openapi_tags=TAGS,
        lifespan=_lifespan,
        docs_url=None,  # those load scripts from elsewhere; ours is static/docs.html
        redoc_url=None,
    )
    app.state.shared = Shared(service)
    problems.install(app)
    documented.describe(app)
    app.add_middleware(Guards, hosts=hosts, max_picture_bytes=service.settings.max_bytes)
    for part in (
        routes_search,
        routes_scene,
        routes_images,
        routes_segments,
        routes_jobs,
        routes_health,
    ):
        app.include_router(part.router)
    _add_page(app)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Load the models beside the first requests; when the server ends, let loading end first."""
    shared: Shared = app.state.shared
    thread = threading.Thread(target=shared.readiness.load, args=[shared.service], name="warm")
    thread.start()
    yield
    await to_thread.run_sync(thread.join)


def _add_page(app: FastAPI) -> None:
    app.mount("/static", StaticFiles(directory=STATIC), name="static")

    @app.api_route("/", methods=["GET", "HEAD"], include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(STATIC / "index.html", headers={"Cache-Control": "no-cache"})

    @app.api_route("/docs", methods=["GET", "HEAD"], include_in_schema=False)
    async def docs() -> FileResponse:
        return FileResponse(STATIC / "docs.html", headers={"Cache-Control": "no-cache"})
