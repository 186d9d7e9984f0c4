"""Fills a library: finds picture files, enters them, works through what waits, switches recipes."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from segsearch.core.arrays import DescribedPicture
from segsearch.core.errors import PictureError, RecipeError, SegSearchError
from segsearch.core.settings import Settings
from segsearch.core.types import Claim, FileStamp, IngestReport, Recipe, Skipped, State
from segsearch.ingest.job_log import JobLog
from segsearch.ingest.model_process import Lifetime, ModelProcesses
from segsearch.ingest.worker import Pace, Step, Worker
from segsearch.media.sources.base import SourceListing
from segsearch.media.sources.paths import normal
from segsearch.media.sources.reader import Sources
from segsearch.media.sources.verified import ClaimReader
from segsearch.models.pipeline import Models, ModelsOf
from segsearch.storage.catalog.sql_catalog import Catalog
from segsearch.storage.index.synced import SyncedIndex

LOG = logging.getLogger(__name__)
SWITCH_LOOK_SECONDS = 0.5  # between two looks whether others are done with their last pictures
MAX_LANES = 8  # a lane holds a whole picture in memory
Report = Callable[[int, int, Step], None]  # pictures done, pictures in all, the last one


@dataclass(frozen=True, slots=True)
class RunMode:
    """How a run goes about its work: by hand, or as one pass of a worker or watch.

    `job_kind` names the job. With `isolates_models` they run in processes that may die. A run that
    is `quiet` leaves no trace when it finds nothing to do. One that `waits_for_others` stays until
    pictures that other workers hold are done, where searches switch to other models. `within` are
    watched folders: of a path below one counts what a look at the whole folder would take.
    """

    job_kind: str = "index"
    isolates_models: bool = False
    quiet: bool = False
    waits_for_others: bool = True
    within: Sequence[Path] = ()


BY_HAND = RunMode()


def one_pass(job_kind: str, within: Sequence[Path] = ()) -> RunMode:
    """The mode of a pass that is one of many: of `worker`, `watch`, or a server's own worker."""
    return RunMode(
        job_kind, isolates_models=True, quiet=True, waits_for_others=False, within=within
    )


@dataclass(frozen=True, slots=True)
class IndexOptions:
    """What a run of `index` may be told; `SegSearch.index` says what each means."""

    report: Report | None = None
    stop: threading.Event = field(default_factory=threading.Event)
    rebuild: bool = False
    retry_failed: bool = False
    keep_old: bool = False
    preset: str | None = None
    mode: RunMode = BY_HAND


class Ingest:
    """Fills one library: what its catalog, its files and its models make of paths."""

    def __init__(
        self,
        settings: Settings,
        catalog: Catalog,
        sources: Sources,
        index: SyncedIndex,
        models_of: ModelsOf,
    ) -> None:
        self._settings = settings
        self._catalog = catalog
        self._sources = sources
        self._index = index
        self._models_of = models_of

    def run(self, paths: Sequence[Path | str], options: IndexOptions) -> IngestReport:
        """Put every new picture at these paths, and all that waits, through the models."""
        started = time.monotonic()
        mode, stop = options.mode, options.stop
        listing = SourceListing({}, ())
        if paths:
            listing = self._sources.find(paths, within=mode.within)
        preset = options.preset or self._settings.preset
        models, recipe_id = recipe_to_fill(
            self._catalog, self._models_of, preset, rebuild=options.rebuild
        )
        takes_over = self._takes_over(recipe_id)
        if takes_over:
            self._catalog.begin_generation(recipe_id, keep_old=options.keep_old)
        log = JobLog(
            self._catalog, self._settings.library, mode.job_kind, models.recipe.preset, paths,
            lazy=mode.quiet,
        )  # fmt: skip
        steps: list[Step] = []
        with log:
            unreadable, unread = self._enter(paths, listing, recipe_id, stop)
            waiting = self._catalog.queue_all(recipe_id, retry_failed=options.retry_failed)
            log.begin_work(waiting)
            note = counted(log, steps, options.report)
            while True:
                work(
                    self._catalog, self._settings, models, recipe_id,
                    apart=mode.isolates_models, note=note, stop=stop,
                )  # fmt: skip
                if not takes_over or self._catalog.switch_recipe(
                    recipe_id, keep_old=options.keep_old
                ):
                    break
                # Others hold pictures: one of them switches, or leaves some that are taken over.
                if not mode.waits_for_others or stop.wait(SWITCH_LOOK_SECONDS):
                    break
            left = unread + self._catalog.waiting(recipe_id)  # by a stop, or with other workers
            log.stopped = stop.is_set()
            self._save_index()
            # Paths of this run that gave nothing, now or in an earlier run.
            failed = failures(self._catalog, listing.files)
            skipped = (*listing.skipped, *unreadable, *failed)
            log.skip(skipped)
        indexed = [step for step in steps if step.reason is None]
        tried = {step.path for step in steps}
        earlier = sum(skip.path not in tried for skip in failed)
        not_new = len(listing.files) - len(steps) - len(unreadable) - left - earlier
        return IngestReport(
            files=len(listing.files),
            indexed=len(indexed),
            unchanged=max(0, not_new),
            segments=sum(step.segments for step in indexed),
            skipped=skipped,
            seconds=time.monotonic() - started,
        )

    def run_waiting(self, stop: threading.Event) -> bool:
        """Deal with what waits under the recipe in use, or the one that is to take over from it.

        Returns whether a picture was indexed.
        """
        active = self._catalog.active_recipe()
        if active is None:
            return False
        mode = one_pass("worker")
        if self._catalog.waiting(active[0]):
            options = IndexOptions(stop=stop, preset=active[1].preset, mode=mode)
            return self.run((), options).indexed > 0
        coming = self._catalog.generation_under_way()
        if coming is None or not can_make(self._models_of, coming[1]):
            return False
        _, recipe, keep_old = coming
        options = IndexOptions(
            stop=stop, preset=recipe.preset, rebuild=True, keep_old=keep_old, mode=mode
        )
        return self.run((), options).indexed > 0

    def _takes_over(self, recipe_id: int) -> bool:
        """Whether searches are to switch to this recipe once it is complete."""
        active = self._catalog.active_recipe()
        return active is not None and active[0] != recipe_id

    def _enter(
        self,
        paths: Sequence[Path | str],
        listing: SourceListing,
        recipe_id: int,
        stop: threading.Event,
    ) -> tuple[list[Skipped], int]:
        """Enter what is new or changed, mark what has vanished; see `record`."""
        known = self._catalog.file_stamps()
        parts = (self._catalog, self._sources, known)
        unreadable, unread = record(*parts, listing.files, recipe_id, stop)
        note_vanished(*parts, paths, listing.listed)
        return unreadable, unread

    def _save_index(self) -> None:
        """Write the index of the recipe in use down."""
        active = self._catalog.active_recipe()
        if active:
            self._index.save(active)


def recipe_to_fill(
    catalog: Catalog,
    models_of: ModelsOf,
    preset: str | None,
    *,
    rebuild: bool,
) -> tuple[Models, int]:
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


def can_make(models_of: ModelsOf, recipe: Recipe) -> bool:
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
    models: Models,
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
