"""Makes the text tower of a loaded model for ONNX Runtime, and believes it only where it agrees.

Weights are kept as float16 and read as float32: half the room, and what was stored in halves is the
same. Tokens must be equal and vectors agree to a cosine of 0.9999 on words of every kind; else the
file says that this model has none, and torch goes on answering for it.
"""

from __future__ import annotations

import io
import json
import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from open_clip.tokenizer import HFTokenizer, SimpleTokenizer
from tokenizers import AddedToken, Regex, Tokenizer, models, pre_tokenizers
from torch import nn

from segsearch.core.atomic import sha256_of, whole
from segsearch.models.embed.onnx_words import INPUT, OUTPUT, OnnxWords
from segsearch.models.embed.tokens import WORDS_PATTERN, TokenRule, Tokens

LOG = logging.getLogger(__name__)
MOST_BYTES = 1_500_000_000  # of float32 weights: what one file may hold is 2 GB
LEAST_COSINE = 0.9999
LEAST_NUMBERS = 1024  # of a table of weights: smaller ones stay as they are
OPSET = 17
ONE_AT_A_TIME = threading.Lock()  # warnings, and how attention runs, belong to the process
PROBES = (
    "a cat", "A photo of two DOGS, sleeping.", "rouge & blanc", "café naïve", "猫が寝ている",
    "it's 10:30, we're late", "a_b-c/d", "   spaced   out ", "🐈‍⬛ black cat", "x" * 300,
    " ".join(["word"] * 200), "<end_of_text> &amp; more", "ﬁne “quotes”", "1234567890", "Straße",
)  # fmt: skip


class _Words(nn.Module):
    """Tokens (n, length) -> unit rows (n, d)."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        vectors = self.model.encode_text(tokens).float()
        return torch.nn.functional.normalize(vectors, dim=-1)


def write_words(model: Any, tokenizer: Any, identity: str, document: Path) -> bool:
    """Write the words of a model on the CPU; whether they can be used. No error leaves this: what
    cannot be made is left to torch, and the reason is logged."""
    graph: str | None = None
    tokens = None
    try:
        tokens = tokens_of(tokenizer)
        document.parent.mkdir(parents=True, exist_ok=True)
        with whole(document.with_suffix(".onnx")) as partial:
            partial.write_bytes(exported(model, tokens))
            _check(OnnxWords(partial, tokens), model, tokenizer, tokens)
        graph = sha256_of(document.with_suffix(".onnx"))
    except Exception as problem:  # noqa: BLE001  exporters raise anything
        LOG.info("%s answers words by torch: %s", identity.partition("@")[0], problem)
    known = {
        "identity": identity,
        "graph": graph,
        "tokens": tokens.document if graph and tokens else None,
    }
    try:
        with whole(document) as partial:
            partial.write_text(json.dumps(known), "utf-8")
    except OSError as problem:
        LOG.info("Nothing can be kept in %s: %s", document.parent, problem)
        return False
    return graph is not None


def exported(model: Any, tokens: Tokens) -> bytes:
    """The graph of a model's text tower."""
    words = _Words(model).eval()
    numbers = sum(value.numel() for name, value in model.named_parameters() if "visual" not in name)
    if 4 * numbers > MOST_BYTES:
        raise ValueError(f"its text tower has {numbers / 1e6:.0f} million weights")
    buffer = io.BytesIO()
    probe = torch.from_numpy(tokens(PROBES[:2]))
    with ONE_AT_A_TIME, warnings.catch_warnings(), _attention_in_plain_steps():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            words,
            (probe,),
            cast(Any, buffer),  # it takes one, whatever its types say
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_axes={INPUT: {0: "n"}, OUTPUT: {0: "n"}},
            opset_version=OPSET,
            dynamo=False,  # the other exporter wants a package of its own
        )
    graph = onnx.load_from_string(buffer.getvalue())
    halve(graph)
    content: bytes = graph.SerializeToString()
    return content


@contextmanager
def _attention_in_plain_steps() -> Iterator[None]:
    """torch's own kernel for attention has no counterpart in ONNX."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(value=False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(value=fast)


def halve(model: onnx.ModelProto) -> None:
    """Keep large float32 weights as float16, read back by a cast, where that loses nothing much."""
    graph, casts = model.graph, []
    for tensor in graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.size < LEAST_NUMBERS:
            continue
        halves = values.astype(np.float16)
        if not np.isfinite(halves).all():
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(halves, f"{name}.half"))
        casts.append(
            onnx.helper.make_node("Cast", [f"{name}.half"], [name], to=onnx.TensorProto.FLOAT)
        )
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


def tokens_of(tokenizer: Any) -> Tokens:
    """The same tokenizer without open_clip; ValueError for one that is not known here."""
    if isinstance(tokenizer, SimpleTokenizer):
        return _of_merges(tokenizer)
    if isinstance(tokenizer, HFTokenizer) and not tokenizer.tokenizer_mode:
        return _of_hugging_face(tokenizer)
    raise ValueError(f"its tokenizer is a {type(tokenizer).__name__}")


def _of_merges(tokenizer: SimpleTokenizer) -> Tokens:
    if tokenizer.reduction_fn is not None:
        raise ValueError("its tokenizer shortens texts in a way of its own")
    merges = sorted(tokenizer.bpe_ranks, key=tokenizer.bpe_ranks.__getitem__)
    pieces = Tokenizer(models.BPE(tokenizer.encoder, merges, end_of_word_suffix="</w>"))
    words = pre_tokenizers.Split(Regex(f"(?i){WORDS_PATTERN}"), "removed", invert=True)
    letters = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    pieces.pre_tokenizer = pre_tokenizers.Sequence([words, letters])
    special = [tokenizer.decoder[number] for number in tokenizer.all_special_ids]
    pieces.add_special_tokens([AddedToken(name, normalized=False) for name in special])
    start, end = tokenizer.sot_token_id, tokenizer.eot_token_id
    rule = TokenRule(_cleaning(tokenizer), tokenizer.context_length, 0, (start,), (end,))
    return Tokens(pieces, rule)


def _of_hugging_face(tokenizer: HFTokenizer) -> Tokens:
    fast = tokenizer.tokenizer
    if not getattr(fast, "is_fast", False):
        raise ValueError("its tokenizer is none of the fast ones")
    pieces = Tokenizer.from_str(fast.backend_tokenizer.to_str())
    length, fill = tokenizer.context_length, fast.pad_token_id
    pieces.no_padding()
    pieces.enable_truncation(length)
    blank = fast.sep_token_id if tokenizer.strip_sep_token else None
    return Tokens(pieces, TokenRule(_cleaning(tokenizer), length, fill, blank=blank))


def _cleaning(tokenizer: Any) -> str:
    """The name of a tokenizer's cleaning, by what open_clip calls the function."""
    name = tokenizer.clean_fn.__name__
    known = {
        "_clean_lower": "lower", "_clean_whitespace": "whitespace",
        "_clean_canonicalize": "canonicalize",
    }  # fmt: skip
    if name not in known:
        raise ValueError(f"its tokenizer cleans by {name}")
    return known[name]


@torch.inference_mode()
def _check(words: OnnxWords, model: Any, tokenizer: Any, tokens: Tokens) -> None:
    wanted: NDArray[np.int64] = np.asarray(tokenizer(list(PROBES)))
    if not np.array_equal(tokens(PROBES), wanted):
        raise ValueError("its tokenizer gives other tokens")
    ours = words.embed_texts(PROBES)
    theirs = np.asarray(_Words(model)(torch.from_numpy(wanted)))
    least = float((ours * theirs).sum(axis=1).min())
    if not least >= LEAST_COSINE:
        raise ValueError(f"its vectors agree to a cosine of {least:.5f} only")
