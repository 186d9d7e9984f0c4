"""Models that cannot be what they are named for are refused in a sentence, before harm is done."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from segsearch.errors import ModelError
from segsearch.models.presets import preset, recipe_of
from segsearch.settings import Settings
from segsearch.wiring import find_model, open_service


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
