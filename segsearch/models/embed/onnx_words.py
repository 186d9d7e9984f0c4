"""The text tower of an embedder in ONNX Runtime: a search by words loads no torch.

The files are made once from the model's weights, by `onnx_export`, and named by their sha256.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from segsearch.core.arrays import Pixels, Vectors
from segsearch.core.atomic import sha256_of
from segsearch.models.embed.tokens import Tokens
from segsearch.models.protocols import Embedder

LOG = logging.getLogger(__name__)
BATCH = 64
INPUT, OUTPUT = "tokens", "vectors"


class OnnxWords:
    """Words -> unit rows, by a graph of tokens (n, length) int64 -> vectors (n, d) float32."""

    def __init__(self, graph: Path, tokens: Tokens) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # a query is a few milliseconds of one core
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            str(graph), options, providers=["CPUExecutionProvider"]
        )
        self._tokens = tokens

    def embed_texts(self, texts: Sequence[str]) -> Vectors:
        """(n, d) unit rows for n texts, in order; n is at least 1."""
        rows = [
            self._session.run([OUTPUT], {INPUT: self._tokens(texts[start : start + BATCH])})[0]
            for start in range(0, len(texts), BATCH)
        ]
        return np.asarray(np.concatenate(rows), np.float32)


def words_path(folder: Path, identity: str) -> Path:
    """Where the document of an embedder's words lies; its graph lies beside it as `.onnx`."""
    name, _, sha256 = identity.partition("@")
    plain = "".join(letter if letter.isalnum() or letter in "-." else "_" for letter in name)
    return folder / "words" / f"{plain}-{sha256[:32]}.json"


def open_words(document: Path, identity: str) -> OnnxWords | None:
    """The words of an embedder, None where they have not been made, or are not whole."""
    known = _read(document, identity)
    if known is None or known["graph"] is None:
        return None
    graph = document.with_suffix(".onnx")
    try:
        return OnnxWords(graph, Tokens.read(known["tokens"]))
    except Exception as problem:  # noqa: BLE001  whatever it is: torch knows the words as well
        LOG.warning("%s does not open, and is made again: %s.", graph.name, problem)
        document.unlink(missing_ok=True)
        return None


def is_known(document: Path, identity: str) -> bool:
    """Whether somebody has made the words of an embedder, or found that they cannot be made."""
    return _read(document, identity) is not None


def _read(document: Path, identity: str) -> dict[str, Any] | None:
    """What a document says; None unless it and its graph are whole."""
    try:
        known: dict[str, Any] = json.loads(document.read_text("utf-8"))
        right = known["identity"] == identity
        if right and known["graph"] is not None:
            right = sha256_of(document.with_suffix(".onnx")) == known["graph"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return known if right else None


class SplitEmbedder:
    """An embedder whose words go to ONNX Runtime; the other half is loaded when pictures come.

    `config` is open_clip's; `load` gives the whole model, unless it is `loaded`. Thread-safe.
    """

    def __init__(
        self,
        identity: str,
        config: dict[str, Any],
        words: OnnxWords,
        load: Callable[[], Embedder],
        loaded: Embedder | None = None,
    ) -> None:
        self._identity, self._config, self._words = identity, config, words
        self._load, self._whole = load, loaded
        self._lock = threading.Lock()

    @property
    def identity(self) -> str:
        return self._identity

    @property
    def dimension(self) -> int:
        return int(self._config["model_cfg"]["embed_dim"])

    @property
    def preprocessing(self) -> dict[str, Any]:
        return dict(self._config["preprocess_cfg"])

    def loaded(self) -> Embedder:
        """The whole model, loaded now if it has not been."""
        with self._lock:
            self._whole = self._whole or self._load()
            return self._whole

    def embed_pictures(self, pictures: Sequence[Pixels]) -> Vectors:
        return self.loaded().embed_pictures(pictures)

    def embed_texts(self, texts: Sequence[str]) -> Vectors:
        if not texts:
            return np.empty((0, self.dimension), np.float32)
        return self._words.embed_texts(texts)
