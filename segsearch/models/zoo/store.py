"""Keeps pulled and imported models on disk: a folder each, with a record of every file's sha256.

A record is written when all files of a model are there, so a model is here whole or not at all. Who
changes a model holds its lock; a second process waits, and finds the work done. It loads nothing
and decides nothing about how a model is used.
"""

from __future__ import annotations

import json
import logging
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from segsearch.core.atomic import sha256_of
from segsearch.core.errors import ChecksumError, ModelError, ModelMissingError, PathError
from segsearch.models.zoo.download import fetch, settle, write_error
from segsearch.models.zoo.installed import InstalledModel
from segsearch.models.zoo.pullable import TOKENIZER, ModelSource, PullableModel

LOG = logging.getLogger(__name__)
RECORD = "record.json"
CONFIG = "config.json"
Progress = Callable[[str, int, int | None], None]  # file name, bytes here, bytes in all if known


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One file of a model here: its name in the model's folder, what it is, and where from."""

    name: str
    sha256: str
    bytes: int
    source: str
    revision: str | None


class ModelStore:
    """The models in one folder; `hub` is the address that repositories are asked at."""

    def __init__(self, folder: Path, hub: str) -> None:
        try:
            self.folder = folder.expanduser()
        except RuntimeError as problem:
            raise ModelError(
                f"{str(folder)!r} leads nowhere, for this user has no home folder: name a folder "
                "with SEGSEARCH_MODELS."
            ) from problem
        self._hub = hub

    def holds(self, entry: PullableModel) -> bool:
        """Whether all files of a model are here; looks at names, not at bytes."""
        files = self._record(entry.name)
        return bool(files) and all(
            (self._home(entry.name) / file.name).is_file() for file in files.values()
        )

    def files(self, entry: PullableModel) -> dict[str, StoredFile]:
        """What is here of a model by role; ModelMissingError when it is not here."""
        files = self._record(entry.name)
        if not files:
            raise ModelMissingError(
                f"The model {entry.name} is not here: run `segsearch models pull {entry.name}`, or "
                f"on a machine without network `segsearch models import {entry.name} FILE`."
            )
        return files

    def model(self, entry: PullableModel) -> InstalledModel:
        """A model that is here, for loading; ModelMissingError otherwise."""
        files = self.files(entry)
        weights = files["weights"]
        return InstalledModel(
            entry.name,
            entry.kind,
            entry.licence,
            f"{weights.source}@{weights.revision}" if weights.revision else weights.source,
            {role: (file.name, file.sha256) for role, file in files.items()},
            folder=self._home(entry.name),
            remedy=f"run `segsearch models pull {entry.name}`",
        )

    def pull(
        self,
        entry: PullableModel,
        config: dict[str, Any] | None,
        *,
        format: str | None = None,  # noqa: A002 - the command's own word
        report: Progress | None = None,
    ) -> bool:
        """Fetch what is missing or damaged of a model; False when all was here, every byte right.

        Without a `format` the weights that are here stay, whichever they are: libraries are bound
        to their sha256. `config` is what the model is built from, kept beside it. Raises
        DownloadError, ChecksumError, NoRoomError.
        """
        weights = entry.source(format)
        with self._alone(entry.name):
            earlier = self._record(entry.name)
            present = earlier["weights"].name if earlier else None
            if format is None:
                weights = next((row for row in entry.weights if row.name == present), weights)
            same = present and (format is None or present == weights.name)
            if same and not self.model(entry).problems():
                return False
            sources = [("weights", weights), *entry.companions]
            files = {
                role: self._fetch(entry, role, source, earlier.get(role), report)
                for role, source in sources
            }
            self._finish(entry, files, config)
            return True

    def put(
        self,
        entry: PullableModel,
        file: Path,
        config: dict[str, Any] | None,
        *,
        check: Callable[[Path], None] = lambda _: None,
    ) -> None:
        """Take weights from a file; a tokenizer's files are taken from beside it.

        The bytes are copied. `check` gets the copied weights, with the tokenizer beside them, and
        raises what is wrong with them; the files that are here stay until all is proven. Raises
        PathError, ChecksumError (the row names another sha256), NoRoomError.
        """
        _check_complete(entry, file)
        pinned = next(
            (row.sha256 for row in entry.weights if file.suffix == f".{row.format}"), None
        )
        home = self._home(entry.name)
        apart = home.with_name(f".{home.name}.import")  # beside the model's folder: no copy later
        with self._alone(entry.name):
            shutil.rmtree(apart, ignore_errors=True)  # of an import that was killed
            try:
                files = {"weights": _copied(entry, file, apart, pinned)}
                for role, source in entry.companions:
                    files[role] = _copied(entry, file.parent / source.name, apart, source.sha256)
                check(apart / file.name)
                home.mkdir(exist_ok=True)
                for stored in files.values():
                    settle(apart / stored.name, home / stored.name)
            finally:
                shutil.rmtree(apart, ignore_errors=True)
            self._finish(entry, files, config)

    def begun(self, entry: PullableModel) -> Path:
        """The folder of a model, whole or not; ModelMissingError when there is none."""
        home = self._home(entry.name)
        if not home.is_dir():
            raise ModelMissingError(f"The model {entry.name} is not here.")
        return home

    def remove(self, entry: PullableModel) -> int:
        """Delete a model, and what was begun of it; the bytes freed come back."""
        home = self.begun(entry)
        with self._alone(entry.name):
            size = sum(file.stat().st_size for file in home.iterdir())
            shutil.rmtree(home)
        return size

    def kept(self) -> list[str]:
        """Names of all models here, in the table or not."""
        return [_read(record)[0] for record in sorted(self.folder.glob(f"*/{RECORD}"))]

    def _fetch(
        self,
        entry: PullableModel,
        role: str,
        source: ModelSource,
        earlier: StoredFile | None,
        report: Progress | None,
    ) -> StoredFile:
        """Fetch one file; what an earlier record says of it holds where the row says nothing."""
        url = source.url(self._hub)
        same = earlier is not None and earlier.source == url
        pinned = source.sha256 or (earlier.sha256 if same and earlier else None)
        target = self._home(entry.name) / source.name

        def progress(here: int, total: int | None) -> None:
            if report:
                report(f"{entry.name} {role}", here, total)

        got = fetch(url, target, sha256=pinned, report=progress)
        return StoredFile(
            source.name, got.sha256, got.size_bytes, url, got.revision or source.revision
        )

    def _finish(
        self, entry: PullableModel, files: dict[str, StoredFile], config: dict[str, Any] | None
    ) -> None:
        """Write the record, and drop files that no role names any more."""
        home = self._home(entry.name)
        if config is not None:
            written = home / CONFIG
            _write(written, config)
            size = written.stat().st_size
            files["config"] = StoredFile(
                CONFIG, sha256_of(written), size, "made from open_clip", None
            )
        rows = {role: asdict(file) for role, file in files.items()}
        _write(home / RECORD, {"name": entry.name, "files": rows})
        named = {RECORD, *(file.name for file in files.values())}
        for file in home.iterdir():
            if file.name not in named:
                file.unlink()

    def _record(self, name: str) -> dict[str, StoredFile]:
        try:
            return _read(self._home(name) / RECORD)[1]
        except FileNotFoundError:
            return {}

    def _home(self, name: str) -> Path:
        return self.folder / re.sub(r"[^\w.+-]", "_", name)

    @contextmanager
    def _alone(self, name: str) -> Iterator[None]:
        """Hold a model's lock, which the system frees when its holder dies; wait while it is held.

        It lies beside the model's folder, which may be removed.
        """
        home = self._home(name)
        file = home.with_name(f".{home.name}.lock")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = FileLock(file)
            try:
                lock.acquire(timeout=0)
            except Timeout:
                LOG.warning("Another process is changing the model %s: waiting for it.", name)
                lock.acquire()
        except OSError as problem:
            raise write_error(problem, file) from problem
        try:
            yield
        finally:
            lock.release()


def tokenizer_folder(model: InstalledModel) -> Path | None:
    """Where a model's tokenizer files lie, their bytes checked; None when it has none."""
    folders = [model.path(role).parent for role in TOKENIZER if role in model.files]
    return folders[0] if folders else None


def _check_complete(entry: PullableModel, file: Path) -> None:
    """Refuse an import that lacks a file, before gigabytes are copied."""
    if not file.is_file():
        raise PathError(f"There is no file {str(file)!r}.")
    formats = {".safetensors", ".pt", ".pth", ".bin", *(f".{row.format}" for row in entry.weights)}
    if file.suffix not in formats:
        raise ModelError(f"{file.name} is no weights file: expected .safetensors, .pt or .pth.")
    for _, source in entry.companions:
        if not (file.parent / source.name).is_file():
            raise ModelMissingError(
                f"{entry.name} needs {source.name} of {source.repository} too: put it beside "
                f"{file.name}."
            )


def _copied(entry: PullableModel, file: Path, folder: Path, pinned: str | None) -> StoredFile:
    """Copy one file of a model into a folder; ChecksumError unless it has the pinned sha256."""
    target = folder / file.name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
    except OSError as problem:
        if problem.filename == str(file):
            raise PathError(f"{str(file)!r} cannot be read: {problem.strerror}.") from problem
        raise write_error(problem, target) from problem
    digest = sha256_of(target)
    if pinned and digest != pinned:
        raise ChecksumError(
            f"{file.name} has sha256 {digest[:16]}..., expected {pinned[:16]}...: it is not the "
            f"file of {entry.name}, or it is damaged."
        )
    return StoredFile(file.name, digest, target.stat().st_size, f"imported {file.name}", None)


def _read(record: Path) -> tuple[str, dict[str, StoredFile]]:
    """The name of the model that a record is of, and its files by role.

    FileNotFoundError when there is none, ModelError when it is damaged.
    """
    try:
        document = json.loads(record.read_text())
        files = {role: StoredFile(**row) for role, row in document["files"].items()}
        return str(document["name"]), files
    except FileNotFoundError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as problem:
        raise ModelError(
            f"The record {str(record)!r} cannot be read ({problem}): delete its folder, and pull "
            "or import the model again."
        ) from problem


def _write(path: Path, document: dict[str, Any]) -> None:
    part = path.with_name(path.name + ".part")
    try:
        part.write_text(json.dumps(document, indent=1) + "\n")
    except OSError as problem:
        raise write_error(problem, part) from problem
    settle(part, path)
