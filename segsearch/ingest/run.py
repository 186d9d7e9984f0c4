"""Fills a library: scan -> claim -> describe -> commit, then the switch to other models.

`scan` enters files, `worker` claims and commits meanwhile, `model_pool` describes where that may
crash.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from segsearch.core.arrays import PictureResult
from segsearch.core.errors import RecipeError, SegSearchError
from segsearch.core.settings import Settings
from segsearch.core.types import Claim, FileStamp, IngestReport, JobStage, Recipe, Skipped, Task
from segsearch.ingest.job_log import JobLog, RunStop
from segsearch.ingest.model_child import answered
from segsearch.ingest.model_pool import Loan, ModelPool
from segsearch.ingest.scan import Entered, IsMoving, Scan
from segsearch.ingest.worker import Described, Pace, Step, Worker, WorkQueue
from segsearch.media.ffmpeg import VideoLimits
from segsearch.media.sources.reader import Sources
from segsearch.media.sources.verified import ClaimReader
from segsearch.models.faults import fault_of
from segsearch.models.pipeline import Models, ModelsOf
from segsearch.storage.catalog.sql_catalog import Catalog
from segsearch.storage.index.library_index import LibraryIndex

LOG = logging.getLogger(__name__)
SWITCH_LOOK_SECONDS = 0.5  # between two looks whether others are done with their last pictures
Report = Callable[[int, int, Step], None]  # pictures done, pictures in all, the last one


@dataclass(frozen=True, slots=True)
class RunMode:
    """How a run goes about its work: by hand, or as one pass of a worker or watch.

    `job_kind` names the job. With `isolates_models` they run in processes that may die. A run that
    is `quiet` leaves no trace when it finds nothing to do. One that `waits_for_others` stays until
    pictures that other workers hold are done, where searches switch to other models. `within` are
    watched folders: of a path below one counts what a look at the whole folder would take. Files
    of which `is_moving` says that they are being written are left to a later run.
    """

    job_kind: str = "index"
    isolates_models: bool = False
    quiet: bool = False
    waits_for_others: bool = True
    within: Sequence[Path] = ()
    is_moving: IsMoving | None = None


BY_HAND = RunMode()


def one_pass(
    job_kind: str, within: Sequence[Path] = (), is_moving: IsMoving | None = None
) -> RunMode:
    """The mode of a pass that is one of many: of `worker`, `watch`, or a server's own worker."""
    return RunMode(
        job_kind, isolates_models=True, quiet=True, waits_for_others=False, within=within,
        is_moving=is_moving,
    )  # fmt: skip


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
    read_missing: bool = False


@dataclass(frozen=True, slots=True)
class RunTarget:
    """What a run fills: a recipe, by the models that make it. With `takes_over`, searches switch
    to it once every picture has been through them."""

    recipe_id: int
    models: Models
    takes_over: bool


class Ingest:
    """Fills one library: what its catalog, its files and its models make of paths."""

    def __init__(
        self,
        settings: Settings,
        catalog: Catalog,
        sources: Sources,
        index: LibraryIndex,
        models_of: ModelsOf,
    ) -> None:
        self._settings = settings
        self._catalog = catalog
        self._scan = Scan(catalog, sources, VideoLimits.of(settings), animated=settings.animated)
        self._index = index
        self._models_of = models_of
        self._pool = ModelPool(settings)
        self._accelerator_failed = False  # in this process: it can run no model there any more

    @property
    def model_pids(self) -> list[int]:
        """Process numbers of the model processes there are."""
        return self._pool.pids

    @property
    def is_paused(self) -> bool:
        """Whether workers wait since a job was cancelled; a run by hand asks nobody."""
        return self._catalog.is_paused()

    def resume(self) -> None:
        """Let workers go on: a person has just started one."""
        self._catalog.resume()

    def close(self) -> None:
        """End the model processes."""
        self._pool.close()

    def run(self, paths: Sequence[Path | str], options: IndexOptions) -> IngestReport:
        """Put every new picture at these paths, and all that waits, through the models. Ends early
        when `options.stop` is set, or its job is cancelled by whoever.

        Raises PathError, RecipeError, BusyError.
        """
        started = time.monotonic()
        mode, stop = options.mode, RunStop(options.stop)
        options = replace(options, stop=stop)
        with JobLog(self._catalog, mode.job_kind, paths, stop, lazy=mode.quiet) as log:
            listing = self._scan.find(paths, mode.within, mode.is_moving)
            target = self._target(options)
            log.take(target.models.recipe.preset)
            retry = options.retry_failed
            look = self._scan.look(paths, listing, again=retry)
            entered = Entered(parted=look.parted)
            # What has changed first: what it held before is not to be described any more.
            self._scan.enter(look.changed, target.recipe_id, entered, stop.is_set)
            waiting = self._catalog.queue_all(target.recipe_id, retry_failed=retry)
            log.begin_work(waiting - self._scan.refuse(entered.refused, target.recipe_id))
            with self._entering(look.new, target, entered, stop, log) as entering:
                steps = self._work(target, options, log, entering)
            excluded = self._scan.mark(look)
            steps += self._work(target, options, log)  # what is back
            unreadable_names = {file.path for file in entered.unreadable}
            raws = self._scan.settle_companions(
                look.listing, unreadable_names, target.recipe_id, stop.is_set
            )
            if raws.entered:
                steps += self._work(target, options, log)
            steps += self._switch(target, options, log)
            read = self._read(target, options, log)
            # Not described, by a stop or because other workers hold them.
            left = entered.unread + raws.unread + self._catalog.waiting(target.recipe_id)
            log.stopped = stop.is_set()
            log.enter(JobStage.SAVING)
            self._save_index()
            files = {**entered.files(look.listing), **raws.files}
            failed = self._scan.failures(files.keys())
            passed_over = (file for file in look.listing.skipped if file.path not in raws.files)
            unread = (Skipped(step.path, step.reason) for step in read if step.reason)
            skipped = (*passed_over, *entered.unreadable, *raws.unreadable, *failed, *unread)
            log.skip(skipped)
            log.lost = entered.lost
        tried = {step.path for step in steps}
        failed_before = sum(file.path not in tried for file in failed)
        cannot_be_read = len(entered.unreadable) + len(raws.unreadable)
        indexed = [step for step in steps if step.reason is None]
        lines = [step.lines for step in (*indexed, *read) if step.lines is not None]
        of_videos = [s.video_seconds for s in indexed if s.video_seconds is not None]
        return IngestReport(
            files=len(files),
            indexed=len(indexed),
            unchanged=max(0, len(files) - len(steps) - cannot_be_read - left - failed_before),
            segments=sum(step.segments for step in (*indexed, *read)),
            skipped=skipped,
            seconds=time.monotonic() - started,
            excluded=excluded,
            cancelled=stop.is_cancelled,
            read=len(lines),
            lines=sum(lines),
            shots=len(of_videos),
            video_seconds=round(sum(of_videos), 3),
            lost=tuple(entered.lost),
        )

    def run_waiting(self, stop: threading.Event) -> bool:
        """Deal with what waits under the recipe in use, or the one that is to take over from it.

        Returns whether a picture was indexed. Nothing is done while workers pause.
        """
        active = self._catalog.active_recipe()
        if active is None or self._catalog.is_paused():
            return False
        self._scan.take_up_uploads()
        mode = one_pass("worker")
        if self._catalog.waiting(active[0]) or self._waits_for_reading(active):
            options = IndexOptions(stop=stop, preset=active[1].preset, mode=mode)
            done = self.run((), options)
            return done.indexed + done.read > 0
        coming = self._catalog.generation_under_way()
        if coming is None or not self._can_make(coming[1]):
            return False
        _, recipe, keep_old = coming
        options = IndexOptions(
            stop=stop, preset=recipe.preset, rebuild=True, keep_old=keep_old, mode=mode
        )
        return self.run((), options).indexed > 0

    def _target(self, options: IndexOptions) -> RunTarget:
        """What to fill: the preset that is asked for, or the library's own.

        RecipeError when the library was made by other models under the same name, unless `rebuild`
        says that they are to be replaced, or they have made nothing.
        """
        active = self._catalog.active_recipe()
        asked = options.preset or self._settings.preset
        preset = asked or (active[1].preset if active else None)
        models = self._models_of(preset)
        # Another preset by name is a wish; the same preset with other weights is a surprise.
        if (
            active
            and preset == active[1].preset
            and models.recipe.fingerprint != active[1].fingerprint
            and not options.rebuild
            and self._catalog.segment_ids(active[0]).size
        ):
            raise RecipeError(
                f"The library was made with preset {preset!r} and other models or settings than "
                f"{models.recipe.preset!r} has here: run `segsearch index --rebuild` to put every "
                "picture through the present ones."
            )
        recipe_id = self._catalog.register_recipe(models.recipe)
        self._index.begin((recipe_id, models.recipe))
        active = self._catalog.active_recipe()
        takes_over = active is not None and active[0] != recipe_id
        if takes_over:
            self._catalog.begin_generation(recipe_id, keep_old=options.keep_old)
        return RunTarget(recipe_id, models, takes_over)

    def _waits_for_reading(self, active: tuple[int, Recipe]) -> bool:
        """Whether pictures wait to be read, and their text can be read here."""
        if not self._catalog.waiting(active[0], "read") or not self._can_make(active[1]):
            return False
        return self._models_of(active[1].preset).reader is not None

    def _can_make(self, recipe: Recipe) -> bool:
        """Whether the models and settings of a recipe are here."""
        try:
            return self._models_of(recipe.preset).recipe.fingerprint == recipe.fingerprint
        except SegSearchError as problem:
            LOG.info("The models of %r are not here: %s", recipe.preset, problem)
            return False

    def _switch(self, target: RunTarget, options: IndexOptions, log: JobLog) -> list[Step]:
        """Switch searches over to a recipe that takes over, as soon as nothing waits under it any
        more; the steps that ended a picture meanwhile."""
        steps: list[Step] = []
        while target.takes_over and not self._catalog.switch_recipe(
            target.recipe_id, keep_old=options.keep_old
        ):
            # Others hold pictures: one of them switches, or leaves some that are taken over.
            if not options.mode.waits_for_others or options.stop.wait(SWITCH_LOOK_SECONDS):
                break
            steps += self._work(target, options, log)
        return steps

    def _read(self, target: RunTarget, options: IndexOptions, log: JobLog) -> list[Step]:
        """Read the text of pictures whose regions are there; the steps that ended one. Where
        searches are still to switch, every picture is read as it is described."""
        active, reader = self._catalog.active_recipe(), target.models.reader
        if reader is None:
            return []
        if options.read_missing:
            log.expect(self._catalog.queue_reading(target.recipe_id, reader))
        if active is None or active[0] != target.recipe_id:
            return []
        if not self._catalog.waiting(target.recipe_id, "read"):
            return []
        return self._work(target, options, log, task="read")

    @contextmanager
    def _entering(
        self,
        files: Mapping[str, FileStamp],
        target: RunTarget,
        entered: Entered,
        stop: threading.Event,
        log: JobLog,
    ) -> Iterator[Future[None] | None]:
        """Enter files in a thread of its own while the block deals with those that are there
        already; all are entered at its end, unless it raises. Raises what entering raises."""
        if not files:
            yield None
            return
        is_over = threading.Event()

        def has_stopped() -> bool:
            return stop.is_set() or is_over.is_set()

        with ThreadPoolExecutor(1, "scan") as thread:
            entering = thread.submit(
                self._scan.enter, files, target.recipe_id, entered, has_stopped, log.expect
            )
            try:
                yield entering
            except BaseException:
                is_over.set()
                raise
            entering.result()

    def _work(
        self,
        target: RunTarget,
        options: IndexOptions,
        log: JobLog,
        entering: Future[None] | None = None,
        task: Task = "describe",
    ) -> list[Step]:
        """Deal with every picture that waits, and those that are still `entering`; the steps that
        ended one."""
        steps: list[Step] = []

        def note(step: Step) -> None:
            if step.again:
                return
            steps.append(step)
            log.note(step)
            if options.report:
                options.report(log.counts["done"], log.counts["total"], step)

        def more() -> bool:
            return entering is not None and not entering.done()

        with self._pool.lend(target.models) as loan:
            describe = self._describer(target, options, loan, log)
            pace = Pace.of(self._settings)
            yields = task == "read" and not options.mode.waits_for_others
            queue = WorkQueue(target.recipe_id, task, yields)
            worker = Worker(self._catalog, queue, describe, pace, abandon=loan.kill)
            worker.run(note, options.stop, more)
        return steps

    def _describer(
        self, target: RunTarget, options: IndexOptions, loan: Loan, log: JobLog
    ) -> Described:
        """What describes pictures. By hand, the models run in this process, but for pictures that
        a worker has died or failed over before: one of them may be why. After a fault of the
        accelerator in this process, all go to others."""
        models, reader = target.models, ClaimReader(self._settings)

        def isolated(claim: Claim) -> PictureResult:
            if not loan.is_loaded:
                log.enter(JobStage.LOADING_MODELS)
            return loan.describe(claim, log.loaded)

        def describe(claim: Claim) -> PictureResult:
            is_suspect = claim.interruptions or claim.crashes or claim.errors
            if options.mode.isolates_models or is_suspect or self._accelerator_failed:
                return isolated(claim)
            log.enter(JobStage.LOADING_MODELS)
            try:
                pipeline = models.pipeline()
                log.loaded(pipeline.device)
                return answered(pipeline, claim, reader)
            except RuntimeError as problem:
                if fault_of(problem) != "accelerator":
                    raise
                self._accelerator_failed = True
                text = "The accelerator failed; models run in processes of their own from here: %s"
                LOG.warning(text, problem, extra={"action": "models.isolated"})
            return isolated(claim)

        return describe

    def _save_index(self) -> None:
        """Put the index of the recipe in use in order, and write what is new of it."""
        active = self._catalog.active_recipe()
        if active:
            self._index.settle(active)
