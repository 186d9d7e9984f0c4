"""Reads checkpoints without running what is in them, and fits them to a model or says what differs.

safetensors hold nothing but tensors; pickles go through torch's restricted reader
(`weights_only=True`), and one that names anything else is refused.
"""

from __future__ import annotations

import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from segsearch.errors import ModelError, UnsafeWeightsError

WRAPPERS = ("model", "state_dict")  # Meta's SAM 2 files and open_clip's training checkpoints
NAMED = 3  # differing tensors that a message names


def read_weights(path: Path) -> dict[str, Tensor]:
    """Every tensor of a .safetensors, .pt, .pth or .bin file by name, on the CPU.

    Raises ModelError when it is damaged or no checkpoint, UnsafeWeightsError when a pickle wants
    to import or call something.
    """
    if not path.is_file():
        raise ModelError(f"The weights {path.name} are not in {path.parent}.")
    try:
        if path.suffix == ".safetensors":
            return dict(load_file(path))
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as problem:
        raise _refused(path, problem) from problem
    except (SafetensorError, OSError, RuntimeError, ValueError, EOFError, KeyError) as problem:
        raise ModelError(
            f"{path.name} is no checkpoint or is damaged: {_first_line(problem)}"
        ) from problem
    return _tensors(content, path)


def fit(model: nn.Module, weights: Mapping[str, Tensor], source: str) -> None:
    """Put weights into a model of the same shape, as float32.

    ModelError otherwise, naming the first tensors that are missing, not expected, or of another
    shape than the model's, or the first parameter that holds NaN or infinity.
    """
    wanted = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    given = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    differing = [
        f"{name} is {_shown(given.get(name))}, expected {_shown(wanted.get(name))}"
        for name in sorted({*wanted, *given})
        if wanted.get(name) != given.get(name)
    ]
    if differing:
        more = f" ({len(differing) - NAMED} more differ)" if len(differing) > NAMED else ""
        raise ModelError(
            f"{source} is of another architecture: {'; '.join(differing[:NAMED])}{more}."
        )
    floats = {name: tensor.float() for name, tensor in weights.items()}
    for name, _ in model.named_parameters():
        if not floats[name].isfinite().all():
            raise ModelError(f"{source} is damaged: {name} holds what is no finite number.")
    model.load_state_dict(floats)


def _shown(shape: tuple[int, ...] | None) -> str:
    return "missing" if shape is None else " x ".join(map(str, shape)) or "a number"


def _tensors(content: Any, path: Path) -> dict[str, Tensor]:
    """The name-to-tensor mapping inside a pickle, unwrapped from what its makers put around it."""
    for name in WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(name), Mapping):
            content = content[name]
    if not isinstance(content, Mapping) or not content:
        raise ModelError(f"{path.name} holds no tensors by name.")
    strange = [str(name) for name, value in content.items() if not isinstance(value, Tensor)]
    if strange:
        raise ModelError(f"{path.name} holds {strange[0]!r}, which is no tensor.")
    return {str(name).removeprefix("module."): value for name, value in content.items()}


def _refused(path: Path, problem: Exception) -> ModelError:
    """Tell a pickle that wants more than tensors from one that is damaged."""
    wanted = re.search(r"GLOBAL ([\w.]+)", str(problem))
    if wanted is None:
        return ModelError(f"{path.name} is no checkpoint or is damaged: {_first_line(problem)}")
    return UnsafeWeightsError(
        f"{path.name} is refused: loading it would run {wanted[1]}, and weights are tensors only. "
        "Get the model as safetensors."
    )


def _first_line(problem: Exception) -> str:
    return (str(problem) or type(problem).__name__).strip().splitlines()[0]
