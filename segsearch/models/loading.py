"""Joins the parts: names become adapters here and nowhere else, each loaded when first needed."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segsearch.core.errors import ModelError
from segsearch.core.settings import Settings
from segsearch.core.types import Recipe
from segsearch.models.embed.batching import BatchingEmbedder
from segsearch.models.embed.text_cache import CachedTextEmbedder
from segsearch.models.pipeline import Pipeline
from segsearch.models.presets import Preset, advice, best_present, preset, recipe_of
from segsearch.models.protocols import Embedder, Segmenter
from segsearch.models.zoo.pullable import OPEN_CLIP, PullableModel, entry
from segsearch.models.zoo.registry import Model, embedded_names
from segsearch.models.zoo.registry import model as embedded_model
from segsearch.models.zoo.store import Store, tokenizer_folder

if TYPE_CHECKING:
    from segsearch.models.device import Placement

LOG = logging.getLogger(__name__)


class PresetModels:
    """The models of one preset on one device, loaded once each. Thread-safe."""

    def __init__(self, chosen: Preset, settings: Settings) -> None:
        self._preset = chosen
        self._settings = settings
        self._lock = threading.RLock()
        self._embedder: Embedder | None = None
        self._pipeline: Pipeline | None = None
        self._recipe: Recipe | None = None

    @property
    def recipe(self) -> Recipe:
        with self._lock:
            if self._recipe is None:
                find = partial(find_model, self._settings)
                self._recipe = recipe_of(self._preset, find)
            return self._recipe

    def embedder(self) -> Embedder:
        with self._lock:
            if self._embedder is None:
                embedder = build_embedder(self._preset, self._settings)
                if place(self._settings).device != "cpu":
                    embedder = BatchingEmbedder(embedder)
                self._embedder = CachedTextEmbedder(embedder)
            return self._embedder

    def pipeline(self) -> Pipeline:
        with self._lock:
            if self._pipeline is None:
                segmenter = build_segmenter(self._preset, self._settings)
                self._pipeline = Pipeline(segmenter, self.embedder(), self._preset.crop)
            return self._pipeline

    def builder(self) -> Callable[[], Pipeline]:
        chosen = self._settings.model_copy(update={"preset": self._preset.name})
        return partial(build_pipeline, chosen)


def build_pipeline(settings: Settings) -> Pipeline:
    """The models of the settings' preset, without a library."""
    chosen = preset(settings.preset) if settings.preset else best_here(settings)
    return PresetModels(chosen, settings).pipeline()


def check_models(settings: Settings) -> None:
    """ModelMissingError when models of the preset that these settings name are not here."""
    if settings.preset:
        recipe_of(preset(settings.preset), partial(find_model, settings))


def place(settings: Settings) -> Placement:
    """Where models run; see `devices.choose`."""
    from segsearch.models.device import choose  # loads torch

    return choose(settings)


def model_store(settings: Settings) -> Store:
    """The pulled and imported models of these settings."""
    return Store(settings.models, settings.hub)


def model_entry(name: str) -> PullableModel:
    """The row of a model that can be pulled: of the table, or any other of open_clip.

    ModelError for unknown names, and for models inside the package.
    """
    if name in embedded_names():
        raise ModelError(
            f"The model {name} comes with segsearch: it is not pulled, imported or removed."
        )
    if name.startswith(OPEN_CLIP):
        from segsearch.models.embed.open_clip_zoo import entry_of

        return entry_of(name)
    return entry(name)


def kind_of(name: str) -> str:
    """`segmenter` or `embedder`, of a model that is here or not; ModelError for unknown names."""
    return embedded_model(name).kind if name in embedded_names() else model_entry(name).kind


def model_config(wanted: PullableModel) -> dict[str, Any] | None:
    """What is kept beside a model's weights to build it from; None for segmenters."""
    if wanted.kind != "embedder":
        return None
    from segsearch.models.embed.open_clip_zoo import describe

    return describe(wanted.architecture)


def check_weights(wanted: PullableModel, file: Path) -> None:
    """ModelError or UnsafeWeightsError when a file is not the weights of a model, as loading it
    would raise them; an embedder's tokenizer lies beside it. The model is built without numbers."""
    config = model_config(wanted)
    if config is not None:
        from segsearch.models.embed.open_clip_zoo import check_model

        check_model(config, file, file.parent)
        return
    from segsearch.models.checkpoint import check_fit, read_weights, unfilled
    from segsearch.models.segment.edgetam import build_edgetam  # loads transformers
    from segsearch.models.segment.sam import build_sam
    from segsearch.models.segment.sam2 import build_sam2
    from segsearch.models.segment.state_dict import sam2_to_hub, sam_from_hub

    weights, architecture = read_weights(file), wanted.architecture
    first = architecture.startswith("vit_")
    named = sam_from_hub(weights) if first else sam2_to_hub(weights)
    build = partial(build_sam if first else build_sam2, architecture)
    model = unfilled(build_edgetam if architecture == "edgetam" else build)
    check_fit(model, named, file.name)


def is_here(settings: Settings, name: str) -> bool:
    """Whether a model can be loaded without a network."""
    return name in embedded_names() or model_store(settings).holds(model_entry(name))


def best_here(settings: Settings) -> Preset:
    """The best preset whose models are here, and says in the log how to get a better one."""
    LOG.info(advice_here(settings))
    return best_present(lambda name: is_here(settings, name))


def advice_here(settings: Settings) -> str:
    """Which preset a new library takes here, and what to run for the next better one."""
    return advice(lambda name: is_here(settings, name))


def find_model(settings: Settings, name: str) -> Model:
    """The model of a name that is here; ModelMissingError otherwise."""
    if name in embedded_names():
        return embedded_model(name)
    return model_store(settings).model(model_entry(name))


def build_segmenter(chosen: Preset, settings: Settings) -> Segmenter:
    """The segmenter a preset names."""
    from segsearch.models.segment.automatic import GeneratorSettings
    from segsearch.models.segment.sam import SamSegmenter, build_sam, load_sam
    from segsearch.models.segment.sam_lite import build_sam_lite

    found, on = find_model(settings, chosen.segmenter), place(settings)
    if found.kind != "segmenter":
        raise ModelError(f"{found.name} is no segmenter.")
    LOG.info("Loading %s on %s.", found.name, on.device)
    generator = GeneratorSettings(**chosen.generator)
    weights, identity = found.path("weights"), found.identity
    architecture = found.name if found.name in embedded_names() else entry(found.name).architecture
    if architecture == "edgetam" or architecture.startswith("hiera"):
        from segsearch.models.segment.edgetam import load_edgetam  # loads transformers
        from segsearch.models.segment.sam2 import Sam2Segmenter, load_sam2

        small = architecture == "edgetam"
        network = load_edgetam(weights) if small else load_sam2(architecture, weights)
        return Sam2Segmenter(network, identity=identity, settings=generator, place=on)
    build = build_sam_lite if architecture == "sam-lite" else lambda: build_sam(architecture)
    sam = load_sam(build, weights)
    return SamSegmenter(sam, identity=identity, settings=generator, place=on)


def build_embedder(chosen: Preset, settings: Settings) -> Embedder:
    """The embedder a preset names."""
    found, on = find_model(settings, chosen.embedder), place(settings)
    if found.kind != "embedder":
        raise ModelError(f"{found.name} is no embedder.")
    LOG.info("Loading %s on %s.", found.name, on.device)
    files = (found.path("config"), found.path("weights"))
    if "merges" in found.files:
        from segsearch.models.embed.open_clip import load

        return load(*files, found.path("merges"), identity=found.identity, place=on)
    from segsearch.models.embed.open_clip_zoo import load_model

    return load_model(*files, tokenizer_folder(found), identity=found.identity, place=on)
