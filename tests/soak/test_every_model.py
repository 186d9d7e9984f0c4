"""Every row of the table loads from a file of its shape: gigabytes, so not in `make test`."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from segsearch.core.settings import Settings
from segsearch.models.loading import build_embedder, build_segmenter, model_store
from segsearch.models.presets import preset
from segsearch.models.segment.automatic import GeneratorSettings
from segsearch.models.segment.sam2 import Sam2Segmenter
from segsearch.models.zoo.pullable import TABLE, PullableModel
from tests.support.every_model import put
from tests.support.small_sam import patchwork
from tests.support.small_sam2 import small_sam2

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("entry", TABLE, ids=lambda entry: entry.name)
def test_every_row_loads_from_a_file_of_its_shape(entry: PullableModel, tmp_path: Path) -> None:
    settings = Settings(models=tmp_path / "models", device="cpu")
    put(model_store(settings), entry, tmp_path)
    if entry.kind == "segmenter":
        build_segmenter(preset(f"{entry.name}+clip-lite"), settings)
        return
    embedder = build_embedder(preset(f"sam-lite+{entry.name}"), settings)
    assert embedder.embed_texts(["a red umbrella"]).shape == (1, embedder.dimension)


def test_encoding_500_pictures_keeps_memory_where_it_was_after_50() -> None:
    segmenter = Sam2Segmenter(small_sam2(), identity="small2@0", settings=GeneratorSettings())
    peak = 0
    for number in range(500):
        segmenter.encode(patchwork(300 + number % 7, 400, seed=number))
        if number == 49:
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss <= 1.1 * peak
