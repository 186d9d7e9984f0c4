"""`segsearch models` and `presets` as a user types them, and loading what they brought."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import weakref
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image
from safetensors.torch import save_file

from segsearch.cli.commands.presets import _measured
from segsearch.core import errors
from segsearch.core.errors import ModelError, ModelMissingError
from segsearch.core.settings import Settings
from segsearch.models.device import CPU
from segsearch.models.embed.open_clip import resize
from segsearch.models.embed.open_clip_zoo import build, describe, entry_of, load_model
from segsearch.models.loading import (
    best_here,
    build_pipeline,
    build_segmenter,
    find_model,
    model_store,
)
from segsearch.models.presets import PRESETS, advice, preset, recipe_of
from segsearch.models.zoo.pullable import find_pullable
from tests.support.every_model import put, siglip_shape, write_tokenizer
from tests.support.hub import serving
from tests.support.small_sam import patchwork

pytestmark = pytest.mark.server

HUB_FILE = "/facebook/sam2.1-hiera-tiny/resolve/main/model.safetensors"


def run(
    *arguments: str, models: Path, hub: str = "http://127.0.0.1:1"
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "segsearch", *arguments]
    environment = {**os.environ, "SEGSEARCH_MODELS": str(models), "SEGSEARCH_HUB": hub}
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=120, env=environment
    )


def fails(done: subprocess.CompletedProcess[str], kind: type[errors.SegSearchError]) -> None:
    assert done.returncode == kind.exit_code, (done.returncode, done.stderr)
    assert "Traceback" not in done.stderr
    assert done.stderr.strip().splitlines()[-1].startswith("segsearch: ")


def test_a_model_is_pulled_listed_verified_and_removed(tmp_path: Path) -> None:
    models = tmp_path / "models"
    with serving({HUB_FILE: b"weights" * 1000}) as hub:
        done = run(
            "models", "pull", "sam2.1-tiny", "--format", "safetensors", "--json",
            models=models, hub=hub.url,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (pulled,) = json.loads(done.stdout)
    rows = {
        row["name"]: row
        for row in json.loads(run("models", "list", "--json", models=models).stdout)
    }
    assert rows["sam2.1-tiny"]["here"]
    assert rows["sam2.1-tiny"]["sha256"] == pulled["sha256"]
    assert rows["sam-lite"]["here"]
    assert not rows["sam-vit-h"]["here"]
    assert not rows["mobileclip2-s0"]["commercial"]
    file = Path(run("models", "path", "sam2.1-tiny", models=models).stdout.strip())
    assert file.read_bytes() == b"weights" * 1000
    assert run("models", "verify", models=models).returncode == 0
    file.write_bytes(b"other")
    assert run("models", "verify", models=models).returncode == errors.ChecksumError.exit_code
    assert run("models", "remove", "sam2.1-tiny", models=models).returncode == 0
    assert not list(models.rglob("*.safetensors"))


@pytest.mark.parametrize("command", ["index", "watch"])
def test_models_that_are_not_here_leave_no_empty_library_behind(
    command: str, tmp_path: Path
) -> None:
    library = tmp_path / "library"
    Image.new("RGB", (8, 8)).save(tmp_path / "one.png")
    asked = ("--library", str(library), "--preset", "balanced", command, str(tmp_path))
    fails(run(*asked, models=tmp_path / "models"), ModelMissingError)
    assert not library.exists()


def test_each_failure_has_its_sentence_and_code(tmp_path: Path) -> None:
    models = tmp_path / "models"
    fails(run("models", "pull", "sam9", models=models), ModelError)
    fails(run("models", "path", "sam-vit-b", models=models), ModelMissingError)
    fails(run("models", "remove", "sam-vit-b", models=models), ModelMissingError)
    (tmp_path / "wrong.pth").write_bytes(b"no weights")
    wrong = run("models", "import", "sam-vit-b", str(tmp_path / "wrong.pth"), models=models)
    fails(wrong, errors.ChecksumError)
    with serving({}) as hub:
        missing = run(
            "models", "pull", "sam2-tiny", "--format", "safetensors", models=models, hub=hub.url
        )
    fails(missing, errors.DownloadError)
    left = [path.name for path in models.rglob("*") if path.is_file()]
    assert all(name.endswith(".lock") for name in left)  # empty, and taken again by the next pull


def test_presets_say_what_to_pull(tmp_path: Path) -> None:
    rows = {
        row["name"]: row for row in json.loads(run("presets", "--json", models=tmp_path).stdout)
    }
    assert list(rows) == list(PRESETS)
    assert {"demo", "fast", "balanced", "thorough"} <= set(rows)
    assert rows["demo"]["missing"] == []
    assert rows["balanced"]["missing"] == ["sam2.1-base-plus", "siglip2-b-16-256"]


def test_presets_say_which_is_the_best_here_and_how_to_get_a_better_one(tmp_path: Path) -> None:
    done = run("presets", models=tmp_path)
    said = " ".join(done.stdout.split())
    assert "A new library takes demo, the best preset whose models are here." in said
    assert "For fast, run `segsearch models pull sam2.1-tiny clip-vit-b-32-256`." in said
    rows = json.loads(run("presets", "--json", models=tmp_path).stdout)
    assert [row["name"] for row in rows if row["best_here"]] == ["demo"]


@pytest.mark.parametrize(
    ("here", "expected"),
    [
        ({"sam2.1-tiny"}, "takes demo, .* For fast, run .*pull clip-vit-b-32-256`"),
        ({*PRESETS["fast"].models, "sam2.1-base-plus"}, "takes fast, .* pull siglip2-b-16-256`"),
        (
            {*PRESETS["thorough"].models},
            r"takes thorough, the best preset whose models are here\.$",
        ),
    ],
)
def test_advice_names_only_what_is_missing(here: set[str], expected: str) -> None:
    assert re.search(expected, advice(lambda name: name in here))


def test_presets_are_measured_on_the_user_s_own_pictures(tmp_path: Path) -> None:
    Image.fromarray(patchwork(60, 80)).save(tmp_path / "one.png")
    done = run("presets", "--measure", str(tmp_path), "--json", models=tmp_path / "models")
    rows = {row["name"]: row for row in json.loads(done.stdout)}
    assert rows["demo"]["pictures"] == 1
    assert rows["demo"]["seconds_per_picture"] > 0
    assert "seconds_per_picture" not in rows["fast"]


def test_of_measured_pictures_one_at_a_time_is_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for width in range(20, 24):
        Image.fromarray(patchwork(30, width)).save(tmp_path / f"{width}.png")
    seen: list[weakref.ref[Any]] = []

    class Counting:
        def describe(self, pixels: Any, _info: object) -> SimpleNamespace:
            seen.append(weakref.ref(pixels))
            assert len({id(pixels()) for pixels in seen if pixels() is not None}) == 1
            return SimpleNamespace(segments=("one", "two"))

    monkeypatch.setattr("segsearch.models.loading.build_pipeline", lambda _settings: Counting())
    measured = _measured(Settings(), tmp_path)
    assert (measured["pictures"], measured["masks_per_picture"]) == (4, 2)


def test_a_row_loads_from_meta_s_layout_and_the_best_preset_here_is_taken(tmp_path: Path) -> None:
    settings = Settings(models=tmp_path / "models", device="cpu")
    chosen = preset("sam2.1-tiny+clip-lite")
    with pytest.raises(ModelMissingError, match=r"models pull sam2\.1-tiny"):
        build_segmenter(chosen, settings)
    put(model_store(settings), find_pullable("sam2.1-tiny"), tmp_path)
    segmenter = build_segmenter(chosen, settings)
    recipe = recipe_of(chosen, lambda name: find_model(settings, name))
    assert recipe.segmenter == segmenter.identity
    assert segmenter.identity.startswith("sam2.1-tiny@")
    assert best_here(settings).name == "demo"
    tracking = settings.model_copy(update={"preset": chosen.name, "tracks": "propagated"})
    with pytest.raises(ModelError, match=r"sam2\.1-tiny cannot propagate.*SEGSEARCH_TRACKS"):
        build_pipeline(tracking)  # the file that was put there has no video half


def test_an_embedder_of_siglip_s_layout_loads_with_its_tokenizer(tmp_path: Path) -> None:
    shape = siglip_shape()
    torch.manual_seed(0)
    model = build(shape["model_cfg"])
    weights = {name: tensor.clone().contiguous() for name, tensor in model.state_dict().items()}
    save_file(weights, tmp_path / "w.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(shape))
    files = (tmp_path / "config.json", tmp_path / "w.safetensors")
    with pytest.raises(ModelError, match="tokenizer"):
        load_model(*files, tmp_path, identity="x@0", place=CPU)
    write_tokenizer(tmp_path)
    embedder = load_model(*files, tmp_path, identity="x@0", place=CPU)
    texts = embedder.embed_texts(["a red umbrella", "a umbrella"])
    assert texts.shape == (2, 32)
    assert np.allclose(np.linalg.norm(texts, axis=1), 1, atol=1e-5)
    assert not np.allclose(texts[0], texts[1])
    pixels = patchwork(50, 70)
    assert np.allclose(np.linalg.norm(embedder.embed_pictures([pixels]), axis=1), 1, atol=1e-5)
    other = siglip_shape()
    other["model_cfg"]["embed_dim"] = 64
    (tmp_path / "config.json").write_text(json.dumps(other))
    with pytest.raises(ModelError, match="another architecture: "):
        load_model(*files, tmp_path, identity="x@0", place=CPU)


@pytest.mark.parametrize(
    "architecture", ["ViT-B-32-256/datacomp_s34b_b86k", "PE-Core-L-14-336/meta"]
)
def test_a_picture_goes_through_what_open_clip_does(architecture: str) -> None:
    config = describe(architecture)["preprocess_cfg"]
    names = ("size", "mean", "std", "interpolation", "resize_mode")
    theirs = image_transform_v2(
        PreprocessCfg(**{name: config[name] for name in names}), is_train=False
    )
    pixels = np.repeat(np.repeat(patchwork(50, 80), 10, axis=0), 10, axis=1)
    expected = theirs(Image.fromarray(pixels))
    ours = torch.from_numpy(resize(pixels, config["size"], config).copy()).permute(2, 0, 1) / 255
    mean, std = (torch.tensor(config[name]).view(3, 1, 1) for name in ("mean", "std"))
    # Ours cuts the middle before it resizes, theirs after: up to half a pixel apart at hard edges.
    assert ((ours - mean) / std - expected).abs().mean() < 0.04


def test_any_other_model_of_open_clip_is_named_by_architecture_and_tag() -> None:
    row = entry_of("open_clip:ViT-B-32/laion2b_s34b_b79k")
    assert row.source().repository == "laion/CLIP-ViT-B-32-laion2B-s34B-b79K"
    assert row.input_px == 224
    with pytest.raises(ModelError, match="list_pretrained"):
        entry_of("open_clip:ViT-B-32/nothing")
