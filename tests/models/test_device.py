"""Where models run, and that no picture is lost when memory runs out."""

from __future__ import annotations

import logging

import pytest
import torch

from segsearch.core.errors import ModelError
from segsearch.core.settings import Settings
from segsearch.models.device import Placement, choose, with_less_memory
from segsearch.models.faults import fault_of, is_out_of_memory


def test_auto_takes_what_is_here() -> None:
    best = "cuda" if torch.cuda.is_available() else "cpu"
    if not torch.backends.mps.is_available():
        assert choose(Settings()).device == best
    assert choose(Settings(device="cpu")) == Placement("cpu", torch.float32)
    assert choose(Settings(device="cpu", dtype="bfloat16")).dtype == torch.bfloat16


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_device_that_is_not_here_is_said() -> None:
    with pytest.raises(ModelError, match="SEGSEARCH_DEVICE"):
        choose(Settings(device="cuda"))


def test_products_run_in_the_place_s_numbers() -> None:
    with Placement("cpu", torch.bfloat16).computing():
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.bfloat16
    with Placement().computing():
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32


def needs(room: int, tried: list[int]) -> int:
    """Work that a batch above `room` makes fail as a GPU does."""
    batch = tried[-1]
    if batch > room:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
    return batch


def test_out_of_memory_halves_the_batch_and_then_goes_to_the_cpu(
    caplog: pytest.LogCaptureFixture,
) -> None:
    tried: list[int] = []

    def work(room: int) -> int:
        def run(batch: int) -> int:
            tried.append(batch)
            return needs(room, tried)

        return with_less_memory(run, 8, lambda: -1, what="testing")

    with caplog.at_level(logging.WARNING):
        assert work(3) == 2
        assert tried == [8, 4, 2]
        assert work(0) == -1
    assert "goes to the CPU" in caplog.text


def test_on_the_cpu_it_is_an_error_of_ours_and_others_pass_through() -> None:
    def never(_batch: int) -> int:
        raise MemoryError

    def broken(_batch: int) -> int:
        raise RuntimeError("shapes do not match")

    with pytest.raises(ModelError, match="Out of memory while testing"):
        with_less_memory(never, 4, None, what="testing")
    with pytest.raises(RuntimeError, match="shapes"):
        with_less_memory(broken, 4, None, what="testing")
    assert not is_out_of_memory(ValueError("out of memory"))


def test_the_cpu_s_own_allocator_is_understood() -> None:
    with pytest.raises(RuntimeError) as problem:
        torch.empty(1 << 60)
    assert is_out_of_memory(problem.value)


@pytest.mark.parametrize(
    ("problem", "fault"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), "memory"),
        (MemoryError(), "memory"),
        (RuntimeError("CUDA error: out of memory"), "memory"),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling"), "memory"),
        (ModelError("Out of memory while segmenting a picture, one at a time"), "memory"),
        (OSError(12, "Cannot allocate memory"), "memory"),
        (torch.AcceleratorError("it is broken", 700), "accelerator"),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), "accelerator"),
        (RuntimeError("CUDA error: device-side assert triggered"), "accelerator"),
        (RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"), "accelerator"),
        (RuntimeError("MPS backend failed"), "accelerator"),
        (RuntimeError("shapes do not match"), "error"),
        (ValueError("CUDA error"), "error"),
        (FloatingPointError("vectors whose memory is poor"), "error"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_errors_of_models_are_told_apart(problem: Exception, fault: str) -> None:
    assert fault_of(problem) == fault


def test_an_accelerator_s_fault_shows_through_what_was_made_of_it() -> None:
    problem = ValueError("The picture could not be cut.")
    problem.__cause__ = RuntimeError("CUDA error: unspecified launch failure")
    assert fault_of(problem) == "accelerator"
