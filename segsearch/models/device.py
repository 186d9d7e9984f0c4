"""Decides where models run and in which numbers, and what happens when memory runs out."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TypeVar

import torch

from segsearch.core.errors import ModelError
from segsearch.core.settings import Settings
from segsearch.models.faults import is_out_of_memory

LOG = logging.getLogger(__name__)
T = TypeVar("T")
DTYPES = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


@dataclass(frozen=True, slots=True)
class Placement:
    """A device (`cpu`, `cuda`, `mps`) and the numbers that matrix products use there.

    Weights stay float32; with another dtype products run in it by autocast.
    """

    device: str = "cpu"
    dtype: torch.dtype = torch.float32

    def computing(self) -> AbstractContextManager[object]:
        """Within it, products run in this place's dtype."""
        if self.dtype == torch.float32:
            return nullcontext()
        return torch.autocast(self.device, self.dtype)


CPU = Placement()


def choose(settings: Settings) -> Placement:
    """The place that the settings stand for on this machine; also sets torch's thread count.

    `auto` takes CUDA, then MPS, then the CPU; and bfloat16 where CUDA has it, float32 elsewhere.
    ModelError for a device that is not here.
    """
    torch.set_num_threads(settings.threads)
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    available["cpu"] = True
    device: str = settings.device
    if device == "auto":
        device = next(name for name in available if available[name])
    if not available[device]:
        raise ModelError(f"There is no {device} here: set SEGSEARCH_DEVICE to auto or cpu.")
    if settings.dtype != "auto":
        return Placement(device, DTYPES[settings.dtype])
    bf16 = device == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return Placement(device, torch.bfloat16 if bf16 else torch.float32)


def with_less_memory(
    work: Callable[[int], T], batch: int, on_cpu: Callable[[], T] | None, *, what: str
) -> T:
    """`work(batch)`; out of memory halves the batch down to 1, then `on_cpu()` does the work.

    `on_cpu` is None where the work is on the CPU already; then ModelError, which names `what`.
    """
    while True:
        try:
            return work(batch)
        except (RuntimeError, MemoryError) as problem:
            if not is_out_of_memory(problem):
                raise
            reason = (str(problem) or "no memory").splitlines()[0]
        _release()
        if batch > 1:
            batch //= 2
            LOG.warning("Out of memory while %s; going on with batches of %d.", what, batch)
        elif on_cpu is not None:
            LOG.warning("Out of memory while %s; this picture goes to the CPU.", what)
            return on_cpu()
        else:
            raise ModelError(f"Out of memory while {what}, one at a time, on the CPU: {reason}.")


def _release() -> None:
    """Give cached blocks back: another process, or a smaller batch, may need them."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
