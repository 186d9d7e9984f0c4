"""Models that are here, and those inside the package: files whose sha256 is checked before use."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from segsearch.core.atomic import sha256_of
from segsearch.core.errors import ChecksumError, ModelError, ModelMissingError

EMBEDDED = Path(str(files("segsearch.models") / "embedded"))


@dataclass(frozen=True, slots=True)
class InstalledModel:
    """One model that is here. `files` maps a role (weights, config, merges) to name and sha256.

    `remedy` is what to do when a file is not what it was.
    """

    name: str
    kind: Literal["segmenter", "embedder"]
    licence: str
    source: str
    files: dict[str, tuple[str, str]]
    folder: Path = EMBEDDED
    remedy: str = "install again"

    @property
    def identity(self) -> str:
        """`name@sha256-of-weights`, as a recipe records it."""
        return f"{self.name}@{self.files['weights'][1]}"

    def path(self, role: str) -> Path:
        """Where a file lies, its bytes checked; ModelError when it is missing or another."""
        name, expected = self.files[role]
        path = self.folder / name
        if not path.is_file():
            raise ModelMissingError(
                f"The file {name} of model {self.name} is missing: {self.remedy}."
            )
        digest = sha256_of(path)
        if digest != expected:
            raise ChecksumError(
                f"The file {name} of model {self.name} has sha256 {digest[:16]}..., expected "
                f"{expected[:16]}...: it is damaged or was replaced; {self.remedy}."
            )
        return path

    def problems(self) -> list[str]:
        """What is wrong with its files, a sentence each; every byte is read."""
        problems: list[str] = []
        for role in self.files:
            try:
                self.path(role)
            except ModelError as problem:
                problems.append(str(problem))
        return problems


def embedded_names() -> list[str]:
    """Names of the models inside the package."""
    return sorted(_manifest())


def embedded_model(name: str) -> InstalledModel:
    """The embedded model of a name; ModelError with the known names otherwise."""
    known = _manifest()
    if name not in known:
        raise ModelError(f"There is no model {name!r}; known are {', '.join(sorted(known))}.")
    row = known[name]
    return InstalledModel(
        name,
        row["kind"],
        row["licence"],
        row["source"],
        {role: (file["name"], file["sha256"]) for role, file in row["files"].items()},
    )


def _manifest() -> dict[str, Any]:
    try:
        manifest: dict[str, Any] = json.loads((EMBEDDED / "manifest.json").read_text())
    except (OSError, ValueError) as problem:
        raise ModelError(f"The list of embedded models cannot be read: {problem}.") from problem
    return manifest
