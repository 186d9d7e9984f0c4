"""Joins the parts: names become adapters here and nowhere else, each loaded when first needed."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from functools import partial

from segsearch.domain import Recipe
from segsearch.errors import LibraryMissingError, ModelError
from segsearch.models.presets import DEFAULT_PRESET, Preset, preset, recipe_of
from segsearch.models.registry import model
from segsearch.pipeline import Pipeline
from segsearch.ports import Embedder, Segmenter
from segsearch.projection import Mix, Projection
from segsearch.service import SegSearch
from segsearch.settings import Settings

LOG = logging.getLogger(__name__)


class LazyModels:
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
                self._recipe = recipe_of(self._preset)
            return self._recipe

    def embedder(self) -> Embedder:
        with self._lock:
            if self._embedder is None:
                self._embedder = build_embedder(self._preset, device(self._settings))
            return self._embedder

    def pipeline(self) -> Pipeline:
        with self._lock:
            if self._pipeline is None:
                segmenter = build_segmenter(self._preset, device(self._settings))
                self._pipeline = Pipeline(segmenter, self.embedder(), self._preset.crop)
            return self._pipeline

    def builder(self) -> Callable[[], Pipeline]:
        chosen = self._settings.model_copy(update={"preset": self._preset.name})
        return partial(build_pipeline, chosen)


def open_service(settings: Settings, *, create: bool = False) -> SegSearch:
    """The library of these settings; LibraryMissingError when there is none and `create` is off."""
    from segsearch.catalog.sql import SqlCatalog  # loads sqlalchemy
    from segsearch.indexes.faiss import FaissIndexFactory  # loads faiss

    file = settings.library / "catalog.sqlite"
    if not file.is_file() and not create:
        raise LibraryMissingError(
            f"There is no library in {str(settings.library)!r}: run `segsearch index` first, or "
            "name another folder with --library."
        )
    try:
        settings.library.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise LibraryMissingError(
            f"The library folder {str(settings.library)!r} cannot be made: {problem.strerror}."
        ) from problem
    catalog = SqlCatalog(file)
    mix = Mix(*settings.mix)
    projection = Projection(catalog, FaissIndexFactory(), settings.library / "index", mix)
    loaded: dict[str, LazyModels] = {}
    lock = threading.Lock()

    def models(name: str | None) -> LazyModels:
        chosen = preset(name or DEFAULT_PRESET)
        with lock:
            return loaded.setdefault(chosen.name, LazyModels(chosen, settings))

    return SegSearch(settings, catalog, projection, models)


def build_pipeline(settings: Settings) -> Pipeline:
    """The models of the settings' preset, without a library."""
    return LazyModels(preset(settings.preset or DEFAULT_PRESET), settings).pipeline()


def device(settings: Settings) -> str:
    """The torch device that `auto` stands for here; also applies the thread count: see Worker."""
    import torch

    torch.set_num_threads(settings.threads)
    if settings.device != "auto":
        return settings.device
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def build_segmenter(chosen: Preset, on: str) -> Segmenter:
    """The segmenter a preset names."""
    from segsearch.segmenters.generator import GeneratorSettings
    from segsearch.segmenters.lite import build_sam_lite
    from segsearch.segmenters.sam import SamSegmenter, load_sam

    entry = model(chosen.segmenter)
    if entry.kind != "segmenter":
        raise ModelError(f"{entry.name} is no segmenter.")
    LOG.info("Loading %s on %s.", entry.name, on)
    network = load_sam(build_sam_lite, entry.path("weights"))
    settings = GeneratorSettings(**chosen.generator)
    return SamSegmenter(network, identity=entry.identity, settings=settings, device=on)


def build_embedder(chosen: Preset, on: str) -> Embedder:
    """The embedder a preset names."""
    from segsearch.embedders.open_clip import load

    entry = model(chosen.embedder)
    if entry.kind != "embedder":
        raise ModelError(f"{entry.name} is no embedder.")
    LOG.info("Loading %s on %s.", entry.name, on)
    return load(
        entry.path("config"),
        entry.path("weights"),
        entry.path("merges"),
        identity=entry.identity,
        device=on,
    )
