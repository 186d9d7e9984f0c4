"""Models that cannot be what they are named for are refused in a sentence, before harm is done."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from segsearch.decode import sha256_of
from segsearch.domain import Proposal
from segsearch.embedders.open_clip_models import tokenizer
from segsearch.errors import ModelError
from segsearch.modelprocess import Lifetime, ModelProcess
from segsearch.models.presets import preset, recipe_of
from segsearch.pipeline import Pipeline
from segsearch.ports import Claim, Pixels, Vectors
from segsearch.settings import Settings
from segsearch.wiring import find_model, open_service
from tests.every_model import write_tokenizer
from tests.small_models import (
    ColourEmbedder,
    ColourSegmenter,
    Shape,
    SmallModels,
    open_small_service,
    paint,
)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("sam-lite+sam-lite", "sam-lite is no embedder: expected SEGMENTER"),
        ("clip-lite+sam-lite", "clip-lite is no segmenter"),
        ("clip-lite+clip-lite", "clip-lite is no segmenter"),
        ("sam-lite+edgetam", "edgetam is no embedder"),
        ("siglip2-b-16-256+clip-lite", "siglip2-b-16-256 is no segmenter"),
    ],
)
def test_no_library_is_made_for_models_of_the_wrong_kind(
    name: str, said: str, tmp_path: Path
) -> None:
    settings = Settings(preset=name, library=tmp_path / "library", models=tmp_path / "models")
    with pytest.raises(ModelError, match=said):
        open_service(settings, create=True)
    assert not settings.library.exists()


def test_a_recipe_is_of_a_segmenter_and_an_embedder(tmp_path: Path) -> None:
    find = partial(find_model, Settings(models=tmp_path))
    for name in ("sam-lite+sam-lite", "clip-lite+sam-lite"):
        with pytest.raises(ModelError, match=r"is no (segmenter|embedder)"):
            recipe_of(preset(name), find)


TOKENIZED = {"hf_tokenizer_name": "owner/name", "context_length": 8}


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("tokenizer.json", {}),
        ("tokenizer.json", []),
        ("tokenizer.json", None),
        ("tokenizer.json", {"added_tokens": []}),
        ("tokenizer_config.json", [1]),
        ("tokenizer_config.json", {}),
        ("tokenizer_config.json", {"pad_token": 5}),
        ("tokenizer_config.json", {"tokenizer_class": 3}),
    ],
)
def test_a_wrong_tokenizer_is_said(file: str, content: Any, tmp_path: Path) -> None:
    write_tokenizer(tmp_path)
    assert tokenizer(TOKENIZED, tmp_path)(["a red umbrella"]).tolist() == [[2, 3, 4, 0, 0, 0, 0, 0]]
    (tmp_path / file).write_text(json.dumps(content))
    with pytest.raises(ModelError, match=r"tokenizer in .* does not load .*: pull the model again"):
        tokenizer(TOKENIZED, tmp_path)


@pytest.mark.parametrize("kind", ["Mine", None])
def test_nobody_is_asked_to_run_a_tokenizer_s_code(
    kind: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tokenizer(tmp_path)
    (tmp_path / "code.py").write_text("raise SystemExit('ran')\n")
    named = {"tokenizer_class": kind, "auto_map": {"AutoTokenizer": ["code.Mine", "code.Mine"]}}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(named))
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("somebody was asked"))
    with pytest.raises(ModelError, match="does not load") as problem:
        tokenizer(TOKENIZED, tmp_path)
    assert "trust_remote_code" not in str(problem.value)


class ScaledEmbedder(ColourEmbedder):
    """Multiplies every last vector of a picture's by a factor, as overflowing products do."""

    def __init__(self, factor: float) -> None:
        self.factor = factor

    def embed_pictures(self, pictures: Sequence[Pixels]) -> Vectors:
        rows = super().embed_pictures(pictures)
        rows[-1] *= self.factor
        return rows


class UnsureSegmenter(ColourSegmenter):
    """Estimates no mask's quality."""

    def propose(self, pixels: Pixels) -> list[Proposal]:
        return [replace(one, predicted_iou=math.nan) for one in super().propose(pixels)]


def nan_pipeline() -> Pipeline:
    return Pipeline(ColourSegmenter(), ScaledEmbedder(math.nan), SmallModels.crop)


def zero_pipeline() -> Pipeline:
    return Pipeline(ColourSegmenter(), ScaledEmbedder(0.0), SmallModels.crop)


def long_pipeline() -> Pipeline:
    return Pipeline(ColourSegmenter(), ScaledEmbedder(1.1), SmallModels.crop)


def unsure_pipeline() -> Pipeline:
    return Pipeline(UnsureSegmenter(), ColourEmbedder(), SmallModels.crop)


USELESS = [
    (nan_pipeline, "colour-embedder gives vectors"),
    (zero_pipeline, "colour-embedder gives vectors"),
    (long_pipeline, "colour-embedder gives vectors"),
    (unsure_pipeline, "colour-segmenter gives masks"),
]


class UselessModels(SmallModels):
    """Small models of the same recipe whose pipeline is another."""

    def __init__(self, build: Callable[[], Pipeline]) -> None:
        self.build = build

    def pipeline(self) -> Pipeline:
        return self.build()


@pytest.mark.parametrize(("build", "said"), USELESS)
def test_what_is_no_unit_vector_is_never_stored(
    build: Callable[[], Pipeline], said: str, tmp_path: Path
) -> None:
    path = paint(tmp_path / "one.png", [Shape("red", (10, 10, 50, 50))])
    with open_small_service(tmp_path / "library", models=UselessModels(build)) as service:
        with pytest.raises(ModelError, match=rf"{said}.* pull or import it again"):
            service.index([path])
        assert service.status().segments == 0


def test_a_model_process_says_what_is_of_no_use(tmp_path: Path) -> None:
    path = paint(tmp_path / "one.png", [Shape("red", (10, 10, 50, 50))])
    claim = Claim(1, 1, 1, "me", sha256_of(path), (str(path),))
    process = ModelProcess(nan_pipeline, Settings(), Lifetime())
    try:
        with pytest.raises(ModelError, match="colour-embedder gives vectors"):
            process.describe(claim)
    finally:
        process.close()
