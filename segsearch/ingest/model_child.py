"""The inside of a model process: loads the models once, answers claims until the parent is gone.

Decoding happens here, too: a decoder that crashes takes no worker with it. Each claim that comes
has a thread of its own; whoever sends them decides how many are under way.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import connection as connections
from multiprocessing import parent_process
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from segsearch.core.arrays import PictureResult, Pixels
from segsearch.core.errors import FileGoneError, PictureError, SegSearchError, StoreError
from segsearch.core.heap import LARGE_PIXELS, collect_less_often, give_back
from segsearch.core.names import split_shot
from segsearch.core.settings import Settings
from segsearch.core.types import Claim, Mask, PictureInfo
from segsearch.core.video import FORMAT as VIDEO
from segsearch.media.sources.verified import ClaimReader
from segsearch.models.faults import fault_of
from segsearch.models.pipeline import Pipeline

OOM_PREFERENCE = "500"  # of -1000 to 1000: the kernel takes the model process before its parent
MOST_THREADS = 64  # made as they are needed
# No image has this id, and no file is read for it; by its crash it goes to a process of its own.
TRIAL = Claim(0, 0, 0, "", "", (), crashes=1)
LOADING = 0  # the number under which loading the models is answered
SHOT = PictureInfo(0, 0, VIDEO)  # of any video; its frames say how large they are
Kind = Literal[
    "ready", "unloadable", "done", "gone", "away", "refused", "memory", "accelerator", "error"
]  # fmt: skip


class Answer(NamedTuple):
    """What became of the claim of a number: `content` is the picture described, or the reason.

    `ready`: the device that the models run on. `held_bytes` is the memory of the process then.
    """

    number: int
    kind: Kind
    content: Any
    held_bytes: int


def serve(connection: Connection, build: Callable[[], Pipeline], settings: Settings) -> None:
    """Answer (number, claim) after (number, claim), several side by side, until there is nobody
    to answer; after a fault of the accelerator the process ends itself."""
    # The parent decides when to end; a signal to the whole group must not cut a picture short.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(OOM_PREFERENCE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core dump can be as large as memory
    collect_less_often()
    try:
        pipeline = build()
    except SegSearchError as problem:
        connection.send(Answer(LOADING, "unloadable", str(problem), 0))
        return
    reader = ClaimReader(settings)
    sending = threading.Lock()

    def deal_with(number: int, claim: Claim) -> None:
        kind, content = _answer(pipeline, claim, reader)
        with sending:
            try:
                connection.send(Answer(number, kind, content, _held_bytes()))
            except OSError:  # the parent is gone
                os._exit(1)
            if kind == "accelerator":
                os._exit(1)  # every further call would fail as this one did

    connection.send(Answer(LOADING, "ready", pipeline.device, 0))
    threads = ThreadPoolExecutor(MOST_THREADS, "claim")
    while True:
        try:
            number, claim = connection.recv()
        except (EOFError, OSError):
            os._exit(0)  # whatever is under way, nobody waits for it
        threads.submit(deal_with, number, claim)


def _answer(pipeline: Pipeline, claim: Claim, reader: ClaimReader) -> tuple[Kind, Any]:
    try:
        if claim == TRIAL:
            return "done", pipeline.describe(*trial_picture())
        return "done", answered(pipeline, claim, reader)
    except FileGoneError as problem:
        return "gone", str(problem)
    except StoreError as problem:
        return "away", str(problem)
    except PictureError as problem:
        return "refused", str(problem)
    except Exception as problem:  # noqa: BLE001  the outermost loop of the child
        text = str(problem)
        return fault_of(problem), f"{type(problem).__name__}: {text}" if text else repr(problem)


def answered(pipeline: Pipeline, claim: Claim, reader: ClaimReader) -> PictureResult:
    """What the models say of a claim's picture: all, or its text alone. Memory goes back to the
    system once a large picture is done with."""
    if any(map(split_shot, claim.paths)):
        return _answered_shot(pipeline, claim, reader)
    pixels, info = reader.read(claim)
    result: PictureResult
    if claim.task == "read":
        masks = [region.mask for region in claim.regions]
        _check_size(pixels, masks)
        result = pipeline.read(pixels, masks)
    else:
        # Whatever ended a process over this picture may have been its text: that can wait.
        is_suspect = claim.crashes or claim.interruptions
        result = pipeline.describe(pixels, info, reads=not is_suspect)
    del pixels
    if info.width * info.height >= LARGE_PIXELS:
        give_back()
    return result


def _answered_shot(pipeline: Pipeline, claim: Claim, reader: ClaimReader) -> PictureResult:
    """What the models say of a shot of a video: its tracks, or the text of the frame that stands
    for it alone."""
    from segsearch.models.tracking.shot import describe_shot  # late: for who has videos

    with reader.frames(claim, followed=claim.task == "describe") as (span, frames):
        if claim.task == "describe":
            is_suspect = claim.crashes or claim.interruptions
            return describe_shot(pipeline, frames, SHOT, span, reads=not is_suspect)
        standing = claim.regions[0].seen_at if claim.regions else None
        moment = sum(span) / 2 if standing is None else standing
        pixels = min(frames, key=lambda frame: abs(frame.seconds - moment)).pixels
    masks = [region.mask for region in claim.regions]
    _check_size(pixels, masks)
    return pipeline.read(pixels, masks)


def _check_size(pixels: Pixels, masks: Sequence[Mask]) -> None:
    """PictureError where a picture has not the size that its regions were cut out in: a page of a
    PDF is drawn as large as settings let it be."""
    height, width = pixels.shape[:2]
    for mask in masks:
        if (mask.height, mask.width) != (height, width):
            raise PictureError(
                f"It is {width} x {height} now, and was indexed as {mask.width} x {mask.height}: "
                "index it with the settings of then, or again."
            )


def trial_picture() -> tuple[Pixels, PictureInfo]:
    """A dark square on light ground: any models that work describe it."""
    pixels = np.full((96, 128, 3), 230, np.uint8)
    pixels[24:72, 40:88] = 30
    return pixels, PictureInfo(128, 96, "PNG")


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        connections.wait([parent.sentinel])
        os._exit(1)


def _held_bytes() -> int:
    """Resident memory of this process; 0 where the system does not say."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    except (OSError, ValueError):
        return 0
