"""Untrained checkpoints of the table's architectures in their official layout, put into a store."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, pre_tokenizers

from segsearch.models.embed.open_clip_zoo import build, describe
from segsearch.models.segment.edgetam import build_edgetam
from segsearch.models.segment.sam import build_sam
from segsearch.models.segment.sam2 import build_sam2
from segsearch.models.zoo.pullable import PullableModel
from segsearch.models.zoo.store import ModelStore
from tests.support.foreign_names import sam2_from_hub


class HostilePickle:
    """Prints something when it is unpickled: what a checkpoint must not be able to do."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (print, ("a pickle ran",))


def checkpoint(entry: PullableModel, folder: Path) -> Path:
    """A file of the right shape for a row; the embedders' tokenizer beside it where one is due."""
    torch.manual_seed(0)
    if entry.architecture.startswith("vit_"):
        path = folder / "weights.pth.part"
        torch.save(build_sam(entry.architecture).state_dict(), path)
        return path.rename(folder / "weights.pth")
    if entry.architecture.startswith("hiera-"):
        path = folder / "weights.pt"
        torch.save({"model": sam2_from_hub(build_sam2(entry.architecture).state_dict())}, path)
        return path
    if entry.architecture == "edgetam":
        path = folder / "model.safetensors"
        state = build_edgetam().state_dict()
        save_file({name: tensor.clone().contiguous() for name, tensor in state.items()}, path)
        return path
    path = folder / "open_clip_model.safetensors"
    state = build(describe(entry.architecture)["model_cfg"]).state_dict()
    save_file({name: tensor.clone().contiguous() for name, tensor in state.items()}, path)
    if entry.companions:
        write_tokenizer(folder)
    return path


def write_tokenizer(folder: Path) -> None:
    """A word-level tokenizer of a few words in the hub's two files."""
    words = {"<pad>": 0, "<unk>": 1, "a": 2, "red": 3, "umbrella": 4}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))  # noqa: S106 - no secret
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "pad_token": "<pad>",
        "unk_token": "<unk>",
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config))


def put(store: ModelStore, entry: PullableModel, folder: Path) -> None:
    """Import a row's untrained checkpoint, whatever sha256 the row names."""
    unpinned = replace(entry, weights=tuple(replace(row, sha256=None) for row in entry.weights))
    config = describe(entry.architecture) if entry.kind == "embedder" else None
    store.put(unpinned, checkpoint(entry, folder), config)


def siglip_shape() -> dict[str, Any]:
    """The layout of SigLIP 2 with a small text tower and picture tower."""
    shape = describe("ViT-B-16-SigLIP2-256/webli")
    model = shape["model_cfg"]
    model["embed_dim"] = 32
    model["vision_cfg"] = {
        "image_size": 32,
        "patch_size": 16,
        "width": 32,
        "layers": 1,
        "head_width": 16,
    }
    model["text_cfg"] |= {"width": 32, "heads": 2, "layers": 1, "vocab_size": 16}
    shape["preprocess_cfg"]["size"] = 32
    return shape
