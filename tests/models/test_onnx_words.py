"""Words by ONNX Runtime: the same tokens and vectors as by torch, made once, and never trusted."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from open_clip.tokenizer import SimpleTokenizer

from segsearch.core.settings import Settings
from segsearch.models.device import CPU
from segsearch.models.embed.onnx_export import tokens_of, write_words
from segsearch.models.embed.onnx_words import SplitEmbedder, is_known, open_words, words_path
from segsearch.models.embed.open_clip import OpenClipEmbedder
from segsearch.models.embed.open_clip_zoo import build, load_model, tokenizer
from segsearch.models.embed.tokens import Tokens
from segsearch.models.loading import build_embedder
from segsearch.models.presets import preset
from segsearch.models.zoo.installed import embedded_model
from tests.support.every_model import siglip_shape, write_tokenizer

pytestmark = pytest.mark.slow

TEXTS = ["a cat", "A red umbrella, folded!", "deux chats", "", "🐈", "x " * 100, "it's 5_6 o'clock"]
IDENTITY = "small@" + "0" * 64


@pytest.fixture(scope="module")
def merges() -> SimpleTokenizer:
    return SimpleTokenizer(context_length=32)


@pytest.fixture(scope="module")
def ours(merges: SimpleTokenizer) -> Tokens:
    """Our own tokenizer of the same merges, read from what is stored beside the words' model."""
    return Tokens.read(json.loads(json.dumps(tokens_of(merges).document)))


# Two libraries' tables of letters part on code points that Unicode has not given out.
ASSIGNED = st.characters(exclude_categories=("Cs", "Cn", "Co"))


@settings(max_examples=300, deadline=None)
@given(text=st.text(ASSIGNED, max_size=60) | st.sampled_from(TEXTS))
def test_tokens_are_those_of_open_clip(merges: SimpleTokenizer, ours: Tokens, text: str) -> None:
    assert np.array_equal(ours([text]), np.asarray(merges([text])))


def small_siglip(folder: Path) -> OpenClipEmbedder:
    """A model of SigLIP 2's layout with a tokenizer of Hugging Face's kind."""
    shape: dict[str, Any] = siglip_shape()
    write_tokenizer(folder)
    torch.manual_seed(0)
    encode = tokenizer(shape["model_cfg"]["text_cfg"], folder)
    return OpenClipEmbedder(build(shape["model_cfg"]), encode, shape, identity=IDENTITY, place=CPU)


def test_a_model_with_a_tokenizer_of_its_own_answers_alike(tmp_path: Path) -> None:
    whole, document = small_siglip(tmp_path), words_path(tmp_path, IDENTITY)
    assert open_words(document, IDENTITY) is None
    whole.write_words(document)
    words = open_words(document, IDENTITY)
    assert words is not None
    theirs = whole.embed_texts(TEXTS)
    assert ((words.embed_texts(TEXTS) * theirs).sum(axis=1) > 0.9999).all()
    assert open_words(document, "small@" + "1" * 64) is None, "of other weights"


def test_what_torch_alone_can_do_is_left_to_it_and_noted(
    tmp_path: Path, merges: SimpleTokenizer
) -> None:
    files = embedded_model("clip-lite")
    config, weights, words = (files.path(role) for role in ("config", "weights", "merges"))
    whole = load_model(config, weights, words, identity=IDENTITY, place=CPU)
    usual = whole._tokenizer.clean_fn

    def _clean_lower(text: str) -> str:  # by its name it is the usual one
        return str(usual(text)) + "!"

    whole._tokenizer.clean_fn = _clean_lower
    document = words_path(tmp_path, IDENTITY)
    whole.write_words(document)
    assert is_known(document, IDENTITY), "it is not tried again"
    assert open_words(document, IDENTITY) is None
    whole._tokenizer.clean_fn = usual
    assert not write_words(whole._model, object(), IDENTITY, document), "an unknown tokenizer"
    assert not write_words(whole._model, merges, IDENTITY, Path("/proc/nowhere/words.json"))


def test_the_embedded_words_are_made_once_and_made_again_when_damaged(tmp_path: Path) -> None:
    settings_here = Settings(models=tmp_path)
    first = build_embedder(preset("demo"), settings_here)
    assert isinstance(first, SplitEmbedder)
    (document,) = (tmp_path / "words").glob("*.json")
    graph = document.with_suffix(".onnx")
    made = graph.stat().st_mtime_ns
    wanted = first.loaded().embed_texts(TEXTS)
    again = build_embedder(preset("demo"), settings_here)
    assert graph.stat().st_mtime_ns == made
    assert np.array_equal(again.embed_texts(TEXTS), first.embed_texts(TEXTS))
    assert ((again.embed_texts(TEXTS) * wanted).sum(axis=1) > 0.9999).all()
    assert again.embed_texts([]).shape == (0, again.dimension)
    graph.write_bytes(graph.read_bytes()[:-100])
    assert not is_known(document, again.identity)
    mended = build_embedder(preset("demo"), settings_here)
    assert isinstance(mended, SplitEmbedder)
    assert np.array_equal(mended.embed_texts(TEXTS), again.embed_texts(TEXTS))


@pytest.mark.process
def test_a_search_by_words_loads_no_torch(tmp_path: Path) -> None:
    build_embedder(preset("demo"), Settings(models=tmp_path))
    code = (
        "import sys; from pathlib import Path; from segsearch.core.settings import Settings;"
        "from segsearch.library import open_library; from segsearch.models.presets import preset;"
        "from segsearch.models.loading import build_embedder;"
        "rows = build_embedder(preset('demo'), Settings(models=Path(sys.argv[1])))"
        ".embed_texts(['a cat']); assert rows.shape == (1, 512);"
        "print(sorted({'torch', 'open_clip', 'transformers', 'timm'} & sys.modules.keys()))"
    )
    told = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert told.stdout.strip() == "[]"
