"""Works through what waits under one recipe, and looks after files that have vanished."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path

from segsearch.core.arrays import DescribedPicture
from segsearch.core.errors import PictureError, RecipeError, SegSearchError
from segsearch.core.settings import Settings
from segsearch.core.types import Claim, FileStamp, Recipe, Skipped, State
from segsearch.ingest.job_log import JobLog
from segsearch.ingest.model_process import Lifetime, ModelProcesses
from segsearch.ingest.worker import Pace, Step, Worker
from segsearch.media.sources.paths import normal
from segsearch.media.sources.reader import Sources
from segsearch.media.sources.verified import ClaimReader
from segsearch.models.loading import PresetModels
from segsearch.storage.catalog.sql_catalog import Catalog

LOG = logging.getLogger(__name__)
MAX_LANES = 8  # a lane holds a whole picture in memory
Report = Callable[[int, int, Step], None]  # pictures done, pictures in all, the last one


def recipe_to_fill(
    catalog: Catalog,
    models_of: Callable[[str | None], PresetModels],
    preset: str | None,
    *,
    rebuild: bool,
) -> tuple[PresetModels, int]:
    """The models that pictures go through, and the id of their recipe.

    `preset` None is the library's own. RecipeError when the library was made by other models under
    the same name, unless `rebuild` says that they are to be replaced, or they have made nothing.
    """
    active = catalog.active_recipe()
    wanted = preset or (active[1].preset if active else None)
    models = models_of(wanted)
    # Another preset by name is a wish; the same preset with other weights is a surprise.
    rebuild = rebuild or (active is not None and wanted != active[1].preset)
    is_other = active is not None and active[1].fingerprint != models.recipe.fingerprint
    if active and is_other and not rebuild and catalog.segment_ids(active[0]).size:
        raise RecipeError(
            f"The library was made with preset {active[1].preset!r} and other models or settings "
            f"than {models.recipe.preset!r} has here: run `segsearch index --rebuild` to put every "
            "picture through the present ones."
        )
    return models, catalog.register_recipe(models.recipe)


def can_make(models_of: Callable[[str | None], PresetModels], recipe: Recipe) -> bool:
    """Whether the models and settings of a recipe are here."""
    try:
        return models_of(recipe.preset).recipe.fingerprint == recipe.fingerprint
    except SegSearchError as problem:
        LOG.info("The models of %r are not here: %s", recipe.preset, problem)
        return False


def record(
    catalog: Catalog,
    sources: Sources,
    known: Mapping[str, FileStamp],
    files: Mapping[str, FileStamp],
    recipe_id: int,
    stop: threading.Event,
) -> tuple[list[Skipped], int]:
    """Enter what is new or changed since `known` into the catalog.

    Unreadable files come back, and how many a stop has left unread.
    """
    unreadable: list[Skipped] = []
    left = 0
    for path, stamp in files.items():
        if stamp.is_known and known.get(path) == stamp:
            continue
        if stop.is_set():
            left += 1
            continue
        try:
            sources.check_size(stamp.size_bytes)
            sha256, size = sources.digest(path)
        except PictureError as problem:
            unreadable.append(Skipped(path, str(problem)))
        else:
            held = stamp if stamp.is_known else FileStamp(size, stamp.mtime_ns)
            catalog.record_file(path, held, sha256, recipe_id)
    return unreadable, left


def work(
    catalog: Catalog,
    settings: Settings,
    models: PresetModels,
    recipe_id: int,
    *,
    apart: bool,
    note: Callable[[Step], None],
    stop: threading.Event,
) -> None:
    """Deal with every picture that waits under a recipe; `note` hears of each.

    With `apart` every picture goes through a model process of its own making; without, only those
    that a worker has died or failed over before: one of them may be why.
    """
    reader = ClaimReader(settings)
    lifetime = Lifetime(settings.picture_seconds, settings.recycle_pictures, settings.recycle_bytes)
    processes = ModelProcesses(models.builder(), settings, lifetime)

    def describe(claim: Claim) -> DescribedPicture:
        if apart or claim.interruptions or claim.crashes or claim.errors:
            return processes.describe(claim)
        return models.pipeline().describe(*reader.read(claim))

    worker = Worker(catalog, recipe_id, describe, pace_of(settings), abandon=processes.kill)
    try:
        worker.run(note, stop)
    finally:
        processes.close()


def pace_of(settings: Settings) -> Pace:
    """How a worker goes about its pictures under these settings."""
    return Pace(
        lanes=settings.lanes or min(os.cpu_count() or 1, MAX_LANES),
        lease_seconds=settings.lease_seconds,
        picture_seconds=settings.picture_seconds,
        retry_seconds=settings.retry_seconds,
        drain_seconds=settings.drain_seconds,
    )


def note_vanished(
    catalog: Catalog,
    sources: Sources,
    known: Iterable[str],
    places: Sequence[str | Path],
    listed: Collection[str],
) -> None:
    """Mark `known` files at or below `places` that are gone, and unmark those that are back.

    `listed` is what a look at those places has seen. Nothing is forgotten here: a share that is
    not mounted looks just the same.
    """
    marked = set(catalog.missing_paths())
    back = sorted(marked.intersection(listed))
    if back:
        catalog.mark_found(back)
    roots = [normal(place).rstrip("/") for place in places]
    below = tuple(f"{root}/" for root in roots)
    gone = [
        path
        for path in known
        if path not in listed
        and path not in marked
        and (path in roots or path.startswith(below))
        and not sources.holds(path)
    ]
    if gone:
        catalog.mark_missing(gone)


def failures(catalog: Catalog, files: Iterable[str]) -> list[Skipped]:
    """Paths of this run whose pictures gave nothing, now or in an earlier run, with the reason."""
    ours = set(files)
    found: list[Skipped] = []
    for state in (State.FAILED, State.QUARANTINED):
        after = 0
        while page := catalog.images(state=state, after=after, limit=500):
            for image in page:
                reason = image.reason or "Unknown."
                found.extend(Skipped(path, reason) for path in image.paths if path in ours)
            after = page[-1].id
    return found


def counted(log: JobLog, steps: list[Step], report: Report | None) -> Callable[[Step], None]:
    """A callback that adds to `steps`, the job and the caller's report; retries are not counted."""

    def note(step: Step) -> None:
        if step.again:
            return
        steps.append(step)
        log.note(step)
        if report:
            report(len(steps), log.counts["total"], step)

    return note
