"""Tells what an error of a model says about the process it was raised in; loads no torch.

A process in which an accelerator has failed can be used no more: CUDA repeats the error at every
later call (CUDA C++ Programming Guide, error checking of asynchronous calls), whatever the picture.
"""

from __future__ import annotations

from typing import Literal

from segsearch.core.errors import ModelError

# `memory`: there was too little; `accelerator`: its driver or a kernel of it failed; `error`: any
# other error, after which the process can go on.
Fault = Literal["memory", "accelerator", "error"]
# What torch says when it is not an OutOfMemoryError: mps, the CPU's allocator, cuBLAS.
MEMORY_WORDS = (
    "out of memory",
    "can't allocate memory",
    "not enough memory",
    "cublas_status_alloc_failed",
)
OTHERS_MEMORY_WORDS = ("cannot allocate memory", "insufficient memory")  # the system's, OpenCV's
ACCELERATOR_WORDS = (
    "cuda error", "cuda driver error", "cuda kernel", "cublas_status", "cublas error",
    "cudnn_status", "cudnn error", "cusolver", "cufft error", "cusparse", "nvrtc",
    "device-side assert", "illegal memory access", "misaligned address", "launch failure",
    "launch timed out", "hip error", "miopen", "hipblas", "mps backend", "mps internal error",
    "command buffer",
)  # fmt: skip


def fault_of(problem: BaseException) -> Fault:
    """What kind of fault an error that models raised is."""
    if is_out_of_memory(problem) or _says(problem, OTHERS_MEMORY_WORDS):
        return "memory"
    if isinstance(problem, ModelError) and _says(problem, MEMORY_WORDS):
        return "memory"
    cause: BaseException | None = problem
    while cause is not None:
        if isinstance(cause, RuntimeError) and (
            _is_called(cause, "AcceleratorError") or _says(cause, ACCELERATOR_WORDS)
        ):
            return "accelerator"
        cause = cause.__cause__
    return "error"


def is_out_of_memory(problem: BaseException) -> bool:
    """Whether an error says that memory ran out, on whichever device."""
    if isinstance(problem, MemoryError) or _is_called(problem, "OutOfMemoryError"):
        return True
    return isinstance(problem, RuntimeError) and _says(problem, MEMORY_WORDS)


def _is_called(problem: BaseException, name: str) -> bool:
    """Whether an error is of a class of torch, by its name: whoever raised it has loaded torch."""
    return any(kind.__name__ == name for kind in type(problem).__mro__)


def _says(problem: BaseException, words: tuple[str, ...]) -> bool:
    text = str(problem).lower()
    return any(word in text for word in words)
