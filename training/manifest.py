"""Writes the list of embedded models with the sha256 of every file; run after packing.

python -m training.manifest
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from segsearch.core.atomic import sha256_of

FOLDER = Path(__file__).parents[1] / "segsearch" / "models" / "embedded"
MODELS: dict[str, dict[str, Any]] = {
    "sam-lite": {
        "kind": "segmenter",
        "licence": "Apache-2.0",
        "source": "made by training/ from an ImageNet backbone, drawn scenes and annotated "
        "photographs; see sam-lite.md",
        "files": {"weights": "sam-lite.safetensors"},
    },
    "clip-lite": {
        "kind": "embedder",
        "licence": "Apache-2.0",
        "source": "made by training/ from an ImageNet backbone, a sentence encoder, drawings and "
        "photographs; see clip-lite.md",
        "files": {
            "weights": "clip-lite.safetensors",
            "config": "clip-lite.json",
            "merges": "clip-lite-bpe.txt.gz",
        },
    },
}


def main() -> None:
    manifest: dict[str, dict[str, Any]] = {}
    for name, row in MODELS.items():
        files = {
            role: {
                "name": file,
                "sha256": sha256_of(FOLDER / file),
                "bytes": (FOLDER / file).stat().st_size,
            }
            for role, file in row["files"].items()
        }
        manifest[name] = {**row, "files": files}
    (FOLDER / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")
    total = sum(file["bytes"] for row in manifest.values() for file in row["files"].values())
    print(f"{total / 1e6:.1f} MB in {len(manifest)} models")


if __name__ == "__main__":
    main()
