"""The routes, a file for each thing they are about; `ROUTERS` is the order of the documentation."""

from __future__ import annotations

from segsearch_api.routers import (
    browse,
    click,
    clips,
    collections,
    export,
    health,
    images,
    jobs,
    keys,
    library,
    maps,
    pictures,
    questions,
    saved,
    scene,
    search,
    segments,
    session,
    uploads,
    videos,
    words,
)

ROUTERS = tuple(
    module.router
    for module in (
        search, scene, click, pictures, saved, maps, browse, images, videos, clips, uploads,
        segments, words, questions, collections, export, jobs, library, keys, session, health,
    )
)  # fmt: skip
