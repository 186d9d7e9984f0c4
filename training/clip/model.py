"""Builds the two open_clip towers from the config that ships, and names their parts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from open_clip.model import CLIP
from torch import nn

EMBEDDED = Path(__file__).parents[2] / "segsearch" / "models" / "embedded"
CONFIG = EMBEDDED / "clip-lite.json"


def config() -> dict[str, Any]:
    """The config file: open_clip's `model_cfg` and `preprocess_cfg`."""
    return dict(json.loads(CONFIG.read_text("utf-8")))


def trunk_name() -> str:
    """What timm calls the image tower's backbone."""
    return str(config()["model_cfg"]["vision_cfg"]["timm_model_name"])


def build() -> CLIP:
    """Both towers with random weights."""
    return CLIP(**config()["model_cfg"])


def text_parameters(model: CLIP) -> list[nn.Parameter]:
    """The text tower's parameters."""
    return [value for name, value in model.named_parameters() if is_text(name)]


def is_text(name: str) -> bool:
    """Whether a parameter of the model belongs to the text tower."""
    return not name.startswith(("visual.", "logit_"))
