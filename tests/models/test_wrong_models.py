"""Models that cannot be what they are named for are refused in a sentence, before harm is done."""

from __future__ import annotations

import json
import math
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from segsearch.cli.commands.models import app
from segsearch.core.errors import ChecksumError, ModelError, UnsafeWeightsError
from segsearch.core.settings import Settings
from segsearch.library import open_library
from segsearch.models.embed.open_clip_zoo import build, check_model, tokenizer
from segsearch.models.loading import check_weights, find_model
from segsearch.models.pipeline import Pipeline
from segsearch.models.presets import preset, recipe_of
from segsearch.models.zoo.installed import EMBEDDED, embedded_model
from segsearch.models.zoo.pullable import find_pullable
from tests.support.every_model import HostilePickle, checkpoint, siglip_shape, write_tokenizer
from tests.support.small_models import Shape, open_small_service, paint
from tests.support.useless_models import (
    UselessModels,
    long_pipeline,
    nan_pipeline,
    unsure_pipeline,
    zero_pipeline,
)

pytestmark = pytest.mark.slow


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
        open_library(settings, create=True)
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


USELESS = [
    (nan_pipeline, "colour-embedder gives vectors"),
    (zero_pipeline, "colour-embedder gives vectors"),
    (long_pipeline, "colour-embedder gives vectors"),
    (unsure_pipeline, "colour-segmenter gives masks"),
]


@pytest.mark.parametrize(("build", "said"), USELESS)
def test_what_is_no_unit_vector_is_never_stored(
    build: Callable[[], Pipeline], said: str, tmp_path: Path
) -> None:
    path = paint(tmp_path / "one.png", [Shape("red", (10, 10, 50, 50))])
    library, models = tmp_path / "library", UselessModels(build)
    with open_small_service(library, models=models, retry_seconds=0.01) as service:
        (skipped,) = service.index([path]).skipped
        assert re.search(rf"{said}.* pull or import it again", skipped.reason)
        assert service.status().segments == 0


def shrunk(path: Path, to: Path) -> Path:
    """A checkpoint that lacks its first tensor."""
    weights = load_file(path)
    del weights[min(weights)]
    save_file(weights, to)
    return to


def spoilt(path: Path, to: Path) -> Path:
    """A checkpoint with one NaN."""
    weights = load_file(path)
    weights["no_memory_embedding"].view(-1)[0] = math.nan
    save_file(weights, to)
    return to


def junk(_: Path, to: Path) -> Path:
    to.write_bytes(b"junk" * 1000)
    return to


def hostile(_: Path, to: Path) -> Path:
    torch.save({"weight": HostilePickle()}, to.with_suffix(".pt"), pickle_protocol=4)
    return to.with_suffix(".pt")


@pytest.mark.parametrize(
    ("make", "kind", "said"),
    [
        (junk, ModelError, "no checkpoint or is damaged"),
        (hostile, UnsafeWeightsError, "would run builtins.print"),
        (shrunk, ModelError, "is of another architecture: .* is missing"),
        (spoilt, ModelError, "holds what is no finite number"),
    ],
)
def test_an_import_that_does_not_fit_leaves_the_weights_that_are_here(
    make: Callable[[Path, Path], Path], kind: type[ModelError], said: str, edgetam: Path
) -> None:
    folder = edgetam.parent
    models = partial(CliRunner().invoke, app, obj=Settings(models=folder / f"m-{make.__name__}"))
    assert models(["import", "edgetam", str(edgetam)]).exit_code == 0
    (folder / make.__name__).mkdir()
    wrong = make(edgetam, folder / make.__name__ / edgetam.name)
    refused = models(["import", "edgetam", str(wrong)])
    assert type(refused.exception) is kind
    assert re.search(said, str(refused.exception))
    assert models(["verify", "edgetam"]).exit_code == 0
    kept = folder / f"m-{make.__name__}"
    assert (kept / "edgetam" / edgetam.name).read_bytes() == edgetam.read_bytes()
    assert sorted(file.name for file in kept.iterdir()) == [".edgetam.lock", "edgetam"]


@pytest.fixture(scope="module")
def edgetam(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkpoint(find_pullable("edgetam"), tmp_path_factory.mktemp("edgetam"))


@pytest.mark.parametrize("name", ["sam-vit-b", "sam2.1-tiny", "mobileclip2-s0"])
def test_what_fits_is_taken_and_a_neighbour_s_file_is_not(name: str, tmp_path: Path) -> None:
    file = checkpoint(find_pullable(name), tmp_path)
    check_weights(find_pullable(name), file)
    others = {"sam-vit-b": "sam-vit-l", "sam2.1-tiny": "sam2.1-small"}
    with pytest.raises(ModelError, match="is of another architecture"):
        check_weights(find_pullable(others.get(name, "mobileclip2-s2")), file)


def test_a_tokenizer_that_does_not_load_is_not_imported(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{}")
    (tmp_path / "tokenizer_config.json").write_text("[1]")
    shape = siglip_shape()
    save_file(build(shape["model_cfg"]).state_dict(), tmp_path / "w.safetensors")
    with pytest.raises(ModelError, match=r"tokenizer in .* does not load"):
        check_model(shape, tmp_path / "w.safetensors", tmp_path)
    write_tokenizer(tmp_path)
    check_model(shape, tmp_path / "w.safetensors", tmp_path)


@pytest.mark.parametrize("wrong", ["nope", "sam-vit-b", "sam-lite"])
def test_no_model_is_removed_beside_one_that_cannot_be(
    wrong: str, edgetam: Path, tmp_path: Path
) -> None:
    models = partial(CliRunner().invoke, app, obj=Settings(models=tmp_path))
    assert models(["import", "edgetam", str(edgetam)]).exit_code == 0
    assert isinstance(models(["remove", "edgetam", wrong]).exception, ModelError)
    assert models(["verify", "edgetam"]).stdout == "edgetam: every byte as recorded\n"
    assert models(["remove", "edgetam", "edgetam"]).exit_code == 0
    assert not (tmp_path / "edgetam").exists()


@pytest.mark.parametrize(
    "given", [["pull", "sam-lite"], ["remove", "sam-lite"], ["import", "sam-lite", "w.pt"]]
)
def test_models_that_come_with_segsearch_are_said_to(given: list[str], tmp_path: Path) -> None:
    refused = CliRunner().invoke(app, given, obj=Settings(models=tmp_path)).exception
    assert isinstance(refused, ModelError)
    assert "sam-lite comes with segsearch" in str(refused)


def test_models_that_come_with_segsearch_are_held_against_their_manifest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = partial(CliRunner().invoke, app, obj=Settings(models=tmp_path))
    for names in (["sam-lite", "clip-lite"], []):
        done = models(["verify", "--json", *names])
        assert json.loads(done.stdout) == {"sam-lite": [], "clip-lite": []}
    copied = shutil.copytree(EMBEDDED, tmp_path / "embedded")
    (copied / embedded_model("sam-lite").files["weights"][0]).write_bytes(b"other")
    damaged = replace(embedded_model("sam-lite"), folder=copied)
    monkeypatch.setattr("segsearch.models.loading.embedded_model", lambda _: damaged)
    done = models(["verify", "sam-lite"])
    assert done.exit_code == ChecksumError.exit_code
    assert "is damaged or was replaced; install again" in done.stdout
