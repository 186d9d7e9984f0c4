"""Training in two processes takes the same steps as in one; what is replayed is what was kept."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest
import torch
from torch import nn

from training import parallel
from training.clip.memory import Memory

pytestmark = pytest.mark.slow

PICTURES = torch.arange(24.0).view(8, 3) / 10
WANTED = torch.linspace(-1, 1, 8)[:, None]


def _train(folder: Path) -> None:
    """Two steps of a small model on this process's part of a batch."""
    torch.manual_seed(3)
    model = nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    own = slice(parallel.rank(), None, parallel.processes())
    share = parallel.own_part(len(PICTURES)) / len(PICTURES)  # 3, 3 and 2 of 8 among three
    for _ in range(2):
        optimizer.zero_grad()
        (model(PICTURES[own]) - WANTED[own]).square().mean().backward()
        parallel.average_gradients(model.parameters(), share)
        optimizer.step()
    first = parallel.of_the_first(float(parallel.rank()) + 0.25)
    torch.save((model.state_dict(), first), folder / f"{parallel.rank()}.pt")


def _fill(folder: Path) -> None:
    """Only the first makes the file: the other finds it. Only the first uses `spare`."""
    with parallel.first_alone():
        if not (made := folder / "made").exists():
            made.write_text(str(parallel.rank()))
    (folder / f"seen-{parallel.rank()}").write_text((folder / "made").read_text())
    used, spare, frozen = (nn.Parameter(torch.ones(2), requires_grad=at < 2) for at in range(3))
    loss = 2 * used.sum() + (4 * spare.sum() if parallel.rank() == 0 else 0)
    torch.autograd.backward(loss)
    parallel.average_gradients([used, spare, frozen])
    torch.save((used.grad, spare.grad, frozen.grad), folder / f"grads-{parallel.rank()}.pt")


@pytest.mark.parametrize("processes", [1, 3])
def test_processes_take_the_step_of_the_whole_batch(tmp_path: Path, processes: int) -> None:
    parallel.start(_train, processes, tmp_path)
    torch.manual_seed(3)
    model = nn.Linear(3, 1)
    for _ in range(2):
        model.zero_grad()
        (model(PICTURES) - WANTED).square().mean().backward()
        with torch.no_grad():
            for one in model.parameters():
                assert one.grad is not None
                one.sub_(0.05 * one.grad)
    for rank in range(processes):
        state, first = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        assert first == 0.25
        for name, value in model.state_dict().items():
            torch.testing.assert_close(state[name], value)
    assert not multiprocessing.active_children()


def test_the_first_fills_the_cache_and_what_one_does_not_use_counts_nothing(
    tmp_path: Path,
) -> None:
    parallel.start(_fill, 2, tmp_path)
    assert [(tmp_path / f"seen-{rank}").read_text() for rank in (0, 1)] == ["0", "0"]
    for rank in (0, 1):
        used, spare, frozen = torch.load(tmp_path / f"grads-{rank}.pt", weights_only=True)
        assert (used.tolist(), spare.tolist(), frozen) == ([2, 2], [2, 2], None)


def test_a_memory_gives_back_patches_with_their_own_answers() -> None:
    memory = Memory(capacity=5, side=4, width=2)
    shades = torch.arange(7.0) / 10
    for start in (0, 3):
        part = shades[start : start + 4]
        pixels = part.view(-1, 1, 1, 1).expand(-1, 3, 4, 4)
        memory.add(pixels, torch.stack([part, -part], 1))
    assert (memory.made, memory.held) == (8, 5)
    pixels, pooled = memory.sample(200, torch.Generator().manual_seed(0))
    assert pixels.shape == (200, 3, 4, 4)
    torch.testing.assert_close(pixels[:, 0, 0, 0], pooled[:, 0], atol=0.003, rtol=0)
    torch.testing.assert_close(pooled[:, 0], -pooled[:, 1])
    kept = {round(one, 1) for one in pooled[:, 0].tolist()}
    assert kept == {0.3, 0.4, 0.5, 0.6}, "the oldest give way"
