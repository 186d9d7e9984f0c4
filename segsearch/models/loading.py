"""Turns names into models: a preset's into the two it binds, loaded when first needed.

Knows which adapter each architecture takes; those are imported here and nowhere else, late,
because they load torch.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segsearch.core.errors import ModelError
from segsearch.core.mix import Mix
from segsearch.core.settings import Settings
from segsearch.core.types import Recipe
from segsearch.models.embed.batching import BatchingEmbedder
from segsearch.models.embed.text_cache import CachedTextEmbedder
from segsearch.models.pipeline import Pipeline
from segsearch.models.presets import Preset, advice, best_present, mix_of, preset, recipe_of
from segsearch.models.protocols import Embedder, Follow, Propagates, Reader, Segmenter
from segsearch.models.zoo.installed import InstalledModel, embedded_model, embedded_names
from segsearch.models.zoo.pullable import OPEN_CLIP, PullableModel, find_pullable
from segsearch.models.zoo.store import ModelStore, tokenizer_folder

if TYPE_CHECKING:
    from segsearch.models.device import Placement

LOG = logging.getLogger(__name__)


class PresetModels:
    """`Models` of one preset on the device that the settings choose. Thread-safe."""

    def __init__(self, chosen: Preset, settings: Settings) -> None:
        self._preset = chosen
        self._settings = settings
        self._lock = threading.RLock()
        self._segmenter_lock = threading.RLock()  # taken first; while it loads, words are answered

    @property
    def recipe(self) -> Recipe:
        with self._lock:
            return self._recipe

    @property
    def reader(self) -> str | None:
        reader = self._reader
        return None if reader is None else reader.identity

    def embedder(self) -> Embedder:
        with self._lock:
            return self._embedder

    def pipeline(self) -> Pipeline:
        with self._segmenter_lock:
            return self._pipeline

    def builder(self) -> Callable[[], Pipeline]:
        chosen = self._settings.model_copy(update={"preset": self._preset.name})
        return partial(build_pipeline, chosen, self.recipe)

    @cached_property
    def _recipe(self) -> Recipe:
        return recipe_of(self._preset, partial(find_model, self._settings))

    @cached_property
    def _embedder(self) -> Embedder:
        embedder = build_embedder(self._preset, self._settings)
        _check_same(embedder.identity, self._recipe.embedder)
        folder = model_store(self._settings).folder / "words"
        return CachedTextEmbedder(embedder, folder=folder)

    @cached_property
    def _pipeline(self) -> Pipeline:
        from segsearch.models.device import choose

        segmenter = build_segmenter(self._preset, self._settings)
        _check_same(segmenter.identity, self.recipe.segmenter)
        device = choose(self._settings).device
        follow = build_follow(segmenter, self._settings, device)
        return Pipeline(segmenter, self.embedder(), self._preset.crop, device, self._reader, follow)

    @cached_property
    def _reader(self) -> Reader | None:
        return build_reader(self._settings)


def build_reader(settings: Settings) -> Reader | None:
    """What reads text, unloaded; None where the settings want none, or leave it open and it is not
    installed. ModelError where they want it, and it is not."""
    from segsearch.models.read.rapid_ocr import (
        RapidOcrReader,
        check_weights,
        is_installed,
        packaged_weights,
    )

    if settings.read is False or (settings.read is None and not is_installed()):
        return None
    try:
        check_weights(packaged_weights())
    except ModelError as problem:
        if settings.read:
            raise
        LOG.warning("No text is read: %s", problem)
        return None
    return RapidOcrReader(threads=settings.threads)


def build_follow(segmenter: Segmenter, settings: Settings, device: str) -> Follow | None:
    """What carries masks of a video from one keyframe to the next, None for optical flow.

    `auto` propagates on a GPU alone: on a CPU a thing costs seconds a frame (docs/video.md).
    ModelError where the settings want propagation, and the segmenter's weights have none.
    """
    if settings.tracks == "flow" or (settings.tracks == "auto" and device == "cpu"):
        return None
    if isinstance(segmenter, Propagates) and segmenter.has_video:
        return segmenter.follow
    if settings.tracks == "propagated":
        name = segmenter.identity.partition("@")[0]
        raise ModelError(
            f"{name} cannot propagate masks: take a preset with a SAM 2.1, or set SEGSEARCH_TRACKS "
            "to flow."
        )
    return None


def mix_here(settings: Settings) -> Mix:
    """What rows of the regions are made of under the settings' preset."""
    chosen = preset(settings.preset) if settings.preset else best_here(settings)
    return mix_of(chosen.name, settings.mix)


def build_pipeline(settings: Settings, recipe: Recipe | None = None) -> Pipeline:
    """The models of the settings' preset, without a library; ModelError where they are not those
    of the recipe that is given."""
    chosen = preset(settings.preset) if settings.preset else best_here(settings)
    models = PresetModels(chosen, settings)
    if recipe is not None:
        _check_same(models.recipe.segmenter, recipe.segmenter)
        _check_same(models.recipe.embedder, recipe.embedder)
    return models.pipeline()


def _check_same(identity: str, expected: str) -> None:
    """ModelError unless a model is the one that a process has said it makes its vectors with."""
    if identity != expected:
        raise ModelError(
            f"The model {identity.partition('@')[0]} was replaced by other weights while this ran: "
            "start again."
        )


def build_segmenter(chosen: Preset, settings: Settings) -> Segmenter:
    """The segmenter a preset names; ModelError when it is none, or cannot be loaded."""
    from segsearch.models.folding import fold_norms
    from segsearch.models.segment.automatic import GeneratorSettings
    from segsearch.models.segment.sam import SamSegmenter, build_sam, load_sam
    from segsearch.models.segment.sam_lite import build_sam_lite

    model = _of_kind(settings, chosen.segmenter, "segmenter")
    place = _place_for(settings, model)
    generator = GeneratorSettings(**chosen.generator)
    weights, identity = model.path("weights"), model.identity
    is_embedded = model.name in embedded_names()
    architecture = model.name if is_embedded else find_pullable(model.name).architecture
    if architecture == "edgetam" or architecture.startswith("hiera"):
        from segsearch.models.segment.edgetam import build_edgetam  # loads transformers
        from segsearch.models.segment.sam2 import Sam2Segmenter, build_sam2, load_with_video

        is_edgetam = architecture == "edgetam"  # whose video half is of another kind
        build2 = build_edgetam if is_edgetam else partial(build_sam2, architecture)
        sam2, video = load_with_video(build2, weights)
        return Sam2Segmenter(
            sam2,
            identity=identity,
            settings=generator,
            place=place,
            video=None if is_edgetam else video,
        )
    build = build_sam_lite if is_embedded else partial(build_sam, architecture)
    sam = load_sam(build, weights)
    fold_norms(sam.image_encoder)
    return SamSegmenter(sam, identity=identity, settings=generator, place=place)


def build_embedder(chosen: Preset, settings: Settings) -> Embedder:
    """The embedder a preset names; ModelError when it is none, or cannot be loaded.

    Where its words have been made for ONNX Runtime, the rest of it is loaded when pictures come.
    """
    from segsearch.models.embed.onnx_words import SplitEmbedder, open_words, words_path

    model = _of_kind(settings, chosen.embedder, "embedder")
    document = words_path(model_store(settings).folder, model.identity)
    load = partial(_load_embedder, settings, model, document)
    words, loaded = open_words(document, model.identity), None
    if words is None:
        loaded = load()
        words = open_words(document, model.identity)
        if words is None:
            return loaded
    config = json.loads(model.path("config").read_text())
    return SplitEmbedder(model.identity, config, words, load, loaded)


def _load_embedder(settings: Settings, model: InstalledModel, document: Path) -> Embedder:
    """The whole model of an embedder; its words are made at `document` if they never were."""
    from segsearch.models.embed.onnx_words import is_known
    from segsearch.models.embed.open_clip_zoo import load_model

    place = _place_for(settings, model)
    config, weights = model.path("config"), model.path("weights")
    words = model.path("merges") if "merges" in model.files else tokenizer_folder(model)
    embedder = load_model(config, weights, words, identity=model.identity, place=place)
    if not is_known(document, model.identity):
        embedder.write_words(document)
    return embedder if place.device == "cpu" else BatchingEmbedder(embedder)


def _of_kind(settings: Settings, name: str, kind: str) -> InstalledModel:
    """The model of a name; ModelError when it is of another kind."""
    model = find_model(settings, name)
    if model.kind != kind:
        raise ModelError(f"{name} is no {kind}.")
    return model


def _place_for(settings: Settings, model: InstalledModel) -> Placement:
    """Where a model runs that is about to be loaded."""
    from segsearch.models.device import choose

    place = choose(settings)
    LOG.info("Loading %s on %s.", model.name, place.device)
    return place


def find_model(settings: Settings, name: str) -> InstalledModel:
    """The model of a name that is here; ModelMissingError otherwise."""
    if name in embedded_names():
        return embedded_model(name)
    return model_store(settings).model(model_entry(name))


def check_models(settings: Settings) -> None:
    """ModelMissingError when models of the preset that these settings name are not here."""
    if settings.preset:
        recipe_of(preset(settings.preset), partial(find_model, settings))


def is_here(settings: Settings, name: str) -> bool:
    """Whether a model can be loaded without a network."""
    return name in embedded_names() or model_store(settings).holds(model_entry(name))


def best_here(settings: Settings) -> Preset:
    """The best preset whose models are here, and says in the log how to get a better one."""
    LOG.info(advice_here(settings))
    return best_present(partial(is_here, settings))


def advice_here(settings: Settings) -> str:
    """Which preset a new library takes here, and what to run for the next better one."""
    return advice(partial(is_here, settings))


def model_store(settings: Settings) -> ModelStore:
    """The pulled and imported models of these settings."""
    return ModelStore(settings.models, settings.hub)


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
    return find_pullable(name)


def kind_of(name: str) -> str:
    """`segmenter` or `embedder`, of a model that is here or not; ModelError for unknown names."""
    return embedded_model(name).kind if name in embedded_names() else model_entry(name).kind


def model_config(entry: PullableModel) -> dict[str, Any] | None:
    """What is kept beside a model's weights to build it from; None for segmenters."""
    if entry.kind != "embedder":
        return None
    from segsearch.models.embed.open_clip_zoo import describe

    return describe(entry.architecture)


def check_weights(entry: PullableModel, file: Path) -> None:
    """ModelError or UnsafeWeightsError when a file is not the weights of a model, as loading it
    would raise them; an embedder's tokenizer lies beside it. The model is built without numbers."""
    config = model_config(entry)
    if config is not None:
        from segsearch.models.embed.open_clip_zoo import check_model

        check_model(config, file, file.parent)
        return
    from segsearch.models.checkpoint import check_fit, read_weights, unfilled
    from segsearch.models.segment.edgetam import build_edgetam  # loads transformers
    from segsearch.models.segment.sam import build_sam
    from segsearch.models.segment.sam2 import build_sam2
    from segsearch.models.segment.state_dict import sam2_to_hub, sam_from_hub

    weights, architecture = read_weights(file), entry.architecture
    is_first = architecture.startswith("vit_")
    renamed = sam_from_hub(weights) if is_first else sam2_to_hub(weights)
    build = partial(build_sam if is_first else build_sam2, architecture)
    model = unfilled(build_edgetam if architecture == "edgetam" else build)
    check_fit(model, renamed, file.name)
