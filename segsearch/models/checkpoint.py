"""Reads checkpoints without running what is in them, and fits them to a model or says what differs.

safetensors hold nothing but tensors; pickles go through torch's restricted reader
(`weights_only=True`), and one that names anything else is refused.
"""

from __future__ import annotations

import pickletools
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from segsearch.core.errors import ModelError, UnsafeWeightsError

WRAPPERS = ("model", "state_dict")  # Meta's SAM 2 files and open_clip's training checkpoints
NAMED = 3  # differing tensors that a message names
# What a pickle of tensors imports, of any version of torch.
OF_TENSORS = re.compile(
    r"collections\.OrderedDict|torch\._utils\._rebuild_\w+|torch\.(storage\.)?\w+Storage"
    r"|torch\.(Size|device|b?float\d*|u?int\d+)"
)
A_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")


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
    except (SafetensorError, OSError) as problem:
        reason = (str(problem) or type(problem).__name__).splitlines()[0]
        raise ModelError(f"{path.name} is no checkpoint or is damaged: {reason}") from problem
    except Exception as problem:  # any kind: torch's reader goes by what the bytes say
        raise _refused(path) from problem
    return _tensors(content, path)


def fit(model: nn.Module, weights: Mapping[str, Tensor], source: str) -> None:
    """Put weights into a model of the same shape, as float32; ModelError as `check_fit`."""
    check_fit(model, weights, source)
    model.load_state_dict({name: tensor.float() for name, tensor in weights.items()})


def unfilled(build: Callable[[], nn.Module]) -> nn.Module:
    """What `build()` makes, with names and shapes but no numbers: on torch's meta device."""
    with torch.device("meta"):
        return build()


def check_fit(model: nn.Module, weights: Mapping[str, Tensor], source: str) -> None:
    """ModelError unless weights fit a model, which may be `unfilled`.

    It names the first tensors that are missing, not expected, or of another shape than the
    model's, or the first parameter that holds NaN or infinity.
    """
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    given = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    differing = [
        f"{name} is {_shown(given.get(name))}, expected {_shown(expected.get(name))}"
        for name in sorted({*expected, *given})
        if expected.get(name) != given.get(name)
    ]
    if differing:
        more = f" ({len(differing) - NAMED} more differ)" if len(differing) > NAMED else ""
        raise ModelError(
            f"{source} is of another architecture: {'; '.join(differing[:NAMED])}{more}."
        )
    for name, _ in model.named_parameters():
        if not weights[name].float().isfinite().all():
            raise ModelError(f"{source} is damaged: {name} holds what is no finite number.")


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


def _refused(path: Path) -> ModelError:
    """Tell a pickle that wants more than tensors from one that is damaged.

    Torch's own words advise loading either without protection, and its
    `get_unsafe_globals_in_checkpoint` reads zip files of pickle protocol 2 only.
    """
    unsafe = next((name for name in _imports(path) if not OF_TENSORS.fullmatch(name)), None)
    if unsafe is None:
        return ModelError(
            f"{path.name} is no checkpoint or is damaged: expected .safetensors, or tensors by "
            "name as torch.save writes them by default."
        )
    return UnsafeWeightsError(
        f"{path.name} is refused: loading it would run {unsafe}, and weights are tensors only. "
        "Get the model as safetensors."
    )


def _imports(path: Path) -> Iterator[str]:
    """Dotted names that a file's pickles would import, as far as it can be read; runs nothing."""
    try:
        if not zipfile.is_zipfile(path):
            with path.open("rb") as file:
                yield from _names(file)
            return
        with zipfile.ZipFile(path) as archive:
            for member in archive.namelist():
                if member.endswith(".pkl"):
                    with archive.open(member) as pickled:
                        yield from _names(pickled)
    except Exception:  # noqa: BLE001 - damaged bytes raise anything, and name nothing further
        return


def _names(file: IO[bytes]) -> Iterator[str]:
    """Names that the pickles in a file import, one pickle after the other to where they end.

    From protocol 4 on a name's two halves are the last strings before its opcode, new or recalled.
    """
    while True:
        strings: list[str] = []
        recalled: dict[int, str | None] = {}
        latest: str | None = None
        for opcode, argument, _ in pickletools.genops(file):
            name = opcode.name
            if "PUT" in name or name == "MEMOIZE":
                recalled[len(recalled) if argument is None else argument] = latest
                continue
            latest = argument if "UNICODE" in name else None
            if "GET" in name:
                latest = recalled.get(argument or 0)
            if latest is not None:
                strings = [*strings[-1:], latest]
            imported = ".".join(strings) if name == "STACK_GLOBAL" else ""
            if name in ("GLOBAL", "INST"):
                imported = str(argument).replace(" ", ".")
            if A_NAME.fullmatch(imported):
                yield imported
