"""Several processes train one model: each makes a part of every batch, and gradients are averaged.

Small kernels keep one core busy and leave a second idle; two processes of one thread each keep both
at work. Nothing here is needed by one process alone, and everything then does nothing.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, distributed
from torch.multiprocessing.spawn import spawn

LONGEST_WAIT = timedelta(hours=2)


def start(train: Callable[..., None], processes: int, *arguments: Any) -> None:
    """Run `train(*arguments)` in so many processes, in this one if they are one."""
    if processes == 1:
        train(*arguments)
        return
    with tempfile.TemporaryDirectory() as folder:
        given = (train, processes, Path(folder) / "meeting", torch.get_num_threads(), arguments)
        spawn(_joined, given, nprocs=processes)


def _joined(  # noqa: PLR0913  torch hands them on by position
    rank: int,
    train: Callable[..., None],
    processes: int,
    meeting: Path,
    threads: int,
    arguments: tuple[Any, ...],
) -> None:
    torch.set_num_threads(threads)
    distributed.init_process_group(
        "gloo", f"file://{meeting}", rank=rank, world_size=processes, timeout=LONGEST_WAIT
    )
    train(*arguments)
    distributed.barrier()  # none hangs up while another still answers
    distributed.destroy_process_group()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    # Python's own way out has been seen to abort: gloo's threads may outlive their group.
    os._exit(0)


def processes() -> int:
    """How many train together."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def rank() -> int:
    """Which of them this one is; the first, 0, saves and validates."""
    return distributed.get_rank() if distributed.is_initialized() else 0


@contextmanager
def first_alone() -> Iterator[None]:
    """The first does what stands inside before the others do: it fills what they find cached."""
    if rank() > 0:
        distributed.barrier()
    yield
    if rank() == 0 and processes() > 1:
        distributed.barrier()


def own_part(total: int) -> int:
    """How many of `total` this process makes; what does not divide goes to the first ones."""
    return total // processes() + (rank() < total % processes())


def average_gradients(parameters: Iterable[Tensor], share: float | None = None) -> None:
    """Every process's gradients become the mean of all; what one has not used counts 0 there.

    `share` is this process's part of the batch where parts differ; all shares sum to 1.
    """
    if processes() == 1:
        return
    learning = [one for one in parameters if one.requires_grad]
    given = [torch.zeros_like(one) if one.grad is None else one.grad for one in learning]
    flat = torch.cat([one.flatten() for one in given])
    flat *= 1 / processes() if share is None else share
    distributed.all_reduce(flat)
    parts = flat.split([one.numel() for one in learning])
    for one, mean in zip(learning, parts, strict=True):
        one.grad = mean.view_as(one).clone()


def of_the_first(value: float) -> float:
    """The first process's value, in all of them: clocks differ."""
    if processes() == 1:
        return value
    held = torch.tensor(value, dtype=torch.float64)
    distributed.broadcast(held, 0)
    return held.item()
