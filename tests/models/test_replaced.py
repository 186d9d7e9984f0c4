"""Models whose weights were replaced while a process ran make nothing under the old name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from segsearch.core.errors import ModelError
from segsearch.core.settings import Settings
from segsearch.core.types import Recipe
from segsearch.models import loading
from segsearch.models.loading import PresetModels, build_pipeline
from segsearch.models.presets import preset
from segsearch.models.zoo.installed import InstalledModel

SETTINGS = Settings(preset="demo", device="cpu")


@pytest.mark.parametrize("part", ["segmenter", "embedder"])
def test_a_process_that_starts_now_makes_nothing_of_another_recipe(part: str) -> None:
    """As one does whose parent has learnt its recipe before a model was pulled again."""
    recipe = PresetModels(preset("demo"), SETTINGS).recipe
    before = Recipe(**{**recipe.document, part: f"{part}-before@{'0' * 64}"})
    with pytest.raises(ModelError, match=r"was replaced .*: start again"):
        build_pipeline(SETTINGS, before)


def test_models_that_are_loaded_later_are_those_of_the_recipe(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    models = PresetModels(preset("demo"), SETTINGS.model_copy(update={"models": tmp_path}))
    known = models.recipe
    find = loading.find_model

    def pulled_again(settings: Settings, name: str) -> InstalledModel:
        return replace(find(settings, name), name="pulled-again")

    monkeypatch.setattr(loading, "find_model", pulled_again)
    with pytest.raises(ModelError, match=r"pulled-again was replaced .*: start again"):
        models.embedder()
    monkeypatch.undo()
    assert models.embedder().identity == known.embedder
    assert models.builder().args[1] == known  # type: ignore[attr-defined]  # a partial
