"""Describes and loads the models of open_clip's own catalogue from files that are here.

open_clip's configs say how a model is built and what its pictures go through; its downloading
code is never called.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import open_clip
from open_clip.model import CLIP, CustomTextCLIP, convert_to_custom_text_state_dict
from open_clip.tokenizer import HFTokenizer, SimpleTokenizer
from torch import Tensor, nn

from segsearch.core.errors import ModelError
from segsearch.models.checkpoint import check_fit, fit, read_weights, unfilled
from segsearch.models.device import Placement
from segsearch.models.embed.open_clip import OpenClipEmbedder
from segsearch.models.folding import fold_norms
from segsearch.models.zoo.pullable import OPEN_CLIP, TOKENIZER, ModelSource, PullableModel

HUB_FILE = "open_clip_model.safetensors"  # where a catalogue row names only a repository


def entry_of(name: str) -> PullableModel:
    """The row of `open_clip:ARCHITECTURE/TAG`; ModelError when open_clip has no such pair.

    Licence and size are not in open_clip's catalogue: they are given as unknown.
    """
    architecture = name.removeprefix(OPEN_CLIP)
    config = describe(architecture)
    model, _, tag = architecture.partition("/")
    pretrained = open_clip.get_pretrained_cfg(model, tag)
    repository, _, file = (pretrained.get("hf_hub") or "").rpartition("/")
    if repository:
        weights = ModelSource(file or HUB_FILE, repository)
    elif pretrained.get("url"):
        weights = ModelSource(pretrained["url"])
    else:
        raise ModelError(f"open_clip does not say where {architecture} is: import its file.")
    words = config["model_cfg"]["text_cfg"].get("hf_tokenizer_name")
    companions = (
        tuple((json_file, ModelSource(json_file, words)) for json_file in TOKENIZER)
        if words
        else ()
    )
    return PullableModel(
        name,
        "embedder",
        architecture,
        (weights,),
        "see its source",
        commercial=False,
        parameters=0.0,
        input_px=config["preprocess_cfg"]["size"],
        companions=companions,
    )


def describe(architecture: str) -> dict[str, Any]:
    """How `MODEL/TAG` is built (`model_cfg`) and what a picture goes through (`preprocess_cfg`).

    ModelError for names open_clip does not know, and for text towers it would download.
    """
    model, _, tag = architecture.partition("/")
    shape = open_clip.get_model_config(model)
    pretrained = open_clip.get_pretrained_cfg(model, tag) if shape else None
    if not shape or not pretrained:
        raise ModelError(
            f"open_clip has no model {architecture!r}: `open_clip.list_pretrained()` lists "
            "architecture and tag of each."
        )
    shape = copy.deepcopy(shape)
    if "hf_model_name" in shape["text_cfg"] or "multimodal_cfg" in shape:
        raise ModelError(f"{model} takes parts from other libraries, which is not supported.")
    if pretrained.get("quick_gelu"):
        shape["quick_gelu"] = True
    size = shape["vision_cfg"]["image_size"]
    side = size if isinstance(size, int) else size[0]
    preprocessing = {
        "size": side,
        "mean": list(pretrained.get("mean") or open_clip.OPENAI_DATASET_MEAN),
        "std": list(pretrained.get("std") or open_clip.OPENAI_DATASET_STD),
        "interpolation": pretrained.get("interpolation") or "bicubic",
        "resize_mode": pretrained.get("resize_mode") or "shortest",
    }
    return {"model_cfg": shape, "preprocess_cfg": preprocessing}


def load_model(
    config: Path, weights: Path, words: Path | None, *, identity: str, place: Placement
) -> OpenClipEmbedder:
    """An embedder from what `describe` gave, a checkpoint, and `words`, its tokenizer.

    That is the folder of its files, or the merges file of open_clip's own CLIP tokenizer; with
    None that one has its usual merges. ModelError when a file is missing, damaged or does not fit.
    """
    document = json.loads(config.read_text())
    model = build(document["model_cfg"])
    fit(model, _as_this_version_names_them(read_weights(weights), model), weights.name)
    fold_norms(model.eval())
    encode = tokenizer(document["model_cfg"]["text_cfg"], words)
    return OpenClipEmbedder(model, encode, document, identity=identity, place=place)


def check_model(config: dict[str, Any], weights: Path, words: Path) -> None:
    """ModelError when `load_model` would raise it; builds the model without its numbers.

    `config` is what `describe` gave, `words` the folder of the tokenizer, where it needs one.
    """
    model = unfilled(lambda: build(config["model_cfg"]))
    check_fit(model, _as_this_version_names_them(read_weights(weights), model), weights.name)
    tokenizer(config["model_cfg"]["text_cfg"], words)


def build(shape: dict[str, Any]) -> nn.Module:
    """An untrained model of a `model_cfg`."""
    given = copy.deepcopy(shape)
    towers = CustomTextCLIP if given.pop("custom_text", False) else CLIP
    model: nn.Module = towers(**given)
    return model.eval()


def tokenizer(text: dict[str, Any], words: Path | None) -> Any:
    """The tokenizer of a `text_cfg`; ModelError when its files are not here, or are no tokenizer.

    `words` as in `load_model`. Code that the files name is never run.
    """
    length, options = text.get("context_length", 77), text.get("tokenizer_kwargs", {})
    if not text.get("hf_tokenizer_name"):
        merges = {"bpe_path": str(words)} if words and words.is_file() else {}
        return SimpleTokenizer(context_length=length, **merges, **options)
    if words is None:
        raise ModelError(f"The tokenizer of {text['hf_tokenizer_name']} is not here.")
    try:
        made = HFTokenizer(
            str(words),
            context_length=length,
            local_files_only=True,
            trust_remote_code=False,  # without it a person is asked, and may say yes
            **options,
        )
        made(["a word"])  # one that cannot fill up a row fails only here
    except Exception as problem:  # tokenizers raises it bare
        reason = (str(problem) or type(problem).__name__).splitlines()[0]
        raise ModelError(
            f"The tokenizer in {words} does not load ({reason}): pull the model again, or import "
            "it with its own tokenizer files beside the weights."
        ) from problem
    return made


def _as_this_version_names_them(weights: dict[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
    """Older checkpoints keep the text tower at the top, and scale and bias as one-element rows."""
    if "positional_embedding" in weights and not hasattr(model, "positional_embedding"):
        weights = convert_to_custom_text_state_dict(weights)
    state = model.state_dict()
    for name in ("logit_scale", "logit_bias"):
        if name in weights and name in state and weights[name].numel() == 1:
            weights[name] = weights[name].reshape(state[name].shape)
    return weights
