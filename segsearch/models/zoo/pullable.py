"""The models that can be pulled or imported, one row each: a table to read, nothing else.

A sha256 of None was not known when the row was written: `pull` then compares with the one the hub
announces for the file, records what it got, and every later use is held to that record. Known ones
are those of Meta's own files, published by several projects that verify them (micro_sam, Slicer).
A revision of None is pinned the same way: the commit that answered first is recorded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from segsearch.core.errors import ModelError

SAM_URL = "https://dl.fbaipublicfiles.com/segment_anything"
SAM2_URL = "https://dl.fbaipublicfiles.com/segment_anything_2"
SAM2_RELEASED = {"2": "072824", "2.1": "092824"}
APPLE = "Apple research licence (apple-amlr)"
OPEN_CLIP = "open_clip:"  # `open_clip:ARCHITECTURE/TAG` names any other model of that library
TOKENIZER = ("tokenizer.json", "tokenizer_config.json")


@dataclass(frozen=True, slots=True)
class ModelSource:
    """One file to fetch: from a hub `repository`, or with none, from the URL in `file`."""

    file: str
    repository: str | None = None
    revision: str | None = None
    sha256: str | None = None
    megabytes: int = 0

    def url(self, hub: str) -> str:
        """Where the file is, given the hub's address."""
        if self.repository is None:
            return self.file
        return f"{hub.rstrip('/')}/{self.repository}/resolve/{self.revision or 'main'}/{self.file}"

    @property
    def name(self) -> str:
        """The file's own name."""
        return self.file.rpartition("/")[2]

    @property
    def format(self) -> str:
        """`safetensors`, `pth` or `pt`: the end of its name."""
        return self.file.rpartition(".")[2]


@dataclass(frozen=True, slots=True)
class PullableModel:
    """One model of the table.

    `weights` are interchangeable files in order of preference, `companions` what must come with
    them by role, `commercial` whether the licence allows commercial use, `parameters` in millions,
    `input_px` the side of the square the model sees.
    """

    name: str
    kind: Literal["segmenter", "embedder"]
    architecture: str
    weights: tuple[ModelSource, ...]
    licence: str
    commercial: bool
    parameters: float
    input_px: int
    companions: tuple[tuple[str, ModelSource], ...] = ()

    def source(self, format: str | None = None) -> ModelSource:  # noqa: A002 - the command's own word
        """The preferred weights, or those of a format; ModelError when there are none."""
        for weights in self.weights:
            if format in (None, weights.format):
                return weights
        known = ", ".join(weights.format for weights in self.weights)
        raise ModelError(f"{self.name} has no weights of format {format!r}; there are {known}.")


def _sam(size: str, stem: str, sha256: str, megabytes: int, parameters: float) -> PullableModel:
    official = ModelSource(f"{SAM_URL}/sam_vit_{stem}.pth", sha256=sha256, megabytes=megabytes)
    twin = ModelSource("model.safetensors", f"facebook/sam-vit-{size}", megabytes=megabytes)
    return PullableModel(
        f"sam-vit-{size[0]}", "segmenter", f"vit_{size[0]}", (official, twin), "Apache-2.0",
        commercial=True, parameters=parameters, input_px=1024,
    )  # fmt: skip


def _sam2(version: str, size: str, sha256: str, megabytes: int, parameters: float) -> PullableModel:
    file = f"{SAM2_RELEASED[version]}/sam{version}_hiera_{size.replace('-', '_')}.pt"
    official = ModelSource(f"{SAM2_URL}/{file}", sha256=sha256, megabytes=megabytes)
    hub = f"facebook/sam{version}-hiera-{size}"
    twin = ModelSource("model.safetensors", hub, megabytes=megabytes)
    return PullableModel(
        f"sam{version}-{size}", "segmenter", f"hiera-{size}", (official, twin), "Apache-2.0",
        commercial=True, parameters=parameters, input_px=1024,
    )  # fmt: skip


def _edgetam() -> PullableModel:
    """The only mobile-size SAM that a maintained library carries; its hub twin has no .pt names."""
    weights = ModelSource("model.safetensors", "yonigozlan/EdgeTAM-hf", megabytes=56)
    return PullableModel(
        "edgetam", "segmenter", "edgetam", (weights,), "Apache-2.0",
        commercial=True, parameters=14.1, input_px=1024,
    )  # fmt: skip


def _clip(
    name: str, architecture: str, repository: str, sizes: tuple[int, float, int], licence: str
) -> PullableModel:
    megabytes, parameters, input_px = sizes
    tokenizer = TOKENIZER if name.startswith("siglip") else ()
    weights = ModelSource("open_clip_model.safetensors", repository, megabytes=megabytes)
    return PullableModel(
        name, "embedder", architecture, (weights,), licence,
        commercial=licence != APPLE, parameters=parameters, input_px=input_px,
        companions=tuple((file, ModelSource(file, repository)) for file in tokenizer),
    )  # fmt: skip


# Embedders' architectures are open_clip's `model/tag`.
TABLE: tuple[PullableModel, ...] = (
    _sam("base", "b_01ec64", "ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912", 375, 93.7),
    _sam("large", "l_0b3195", "3adcc4315b642a4d2101128f611684e8734c41232a17c648ed1693702a49a622", 1250, 312.3),
    _sam("huge", "h_4b8939", "a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e", 2565, 641.1),
    _sam2("2", "tiny", "65b50056e05bcb13694174f51bb6da89c894b57b75ccdf0ba6352c597c5d1125", 156, 38.9),
    _sam2("2", "small", "95949964d4e548409021d47b22712d5f1abf2564cc0c3c765ba599a24ac7dce3", 184, 46.0),
    _sam2("2", "base-plus", "d0bb7f236400a49669ffdd1be617959a8b1d1065081789d7bbff88eded3a8071", 324, 80.8),
    _sam2("2", "large", "7442e4e9b732a508f80e141e7c2913437a3610ee0c77381a66658c3a445df87b", 898, 224.4),
    _sam2("2.1", "tiny", "7402e0d864fa82708a20fbd15bc84245c2f26dff0eb43a4b5b93452deb34be69", 156, 38.9),
    _sam2("2.1", "small", "6d1aa6f30de5c92224f8172114de081d104bbd23dd9dc5c58996f0cad5dc4d38", 184, 46.0),
    _sam2("2.1", "base-plus", "a2345aede8715ab1d5d31b4a509fb160c5a4af1970f199d9054ccfb746c004c5", 324, 80.8),
    _sam2("2.1", "large", "2647878d5dfa5098f2f8649825738a9345572bae2d4350a2468587ece47dd318", 898, 224.4),
    _edgetam(),
    _clip("clip-vit-b-32-256", "ViT-B-32-256/datacomp_s34b_b86k", "laion/CLIP-ViT-B-32-256x256-DataComp-s34B-b86K", (605, 151.3, 256), "MIT"),
    _clip("siglip2-b-16-256", "ViT-B-16-SigLIP2-256/webli", "timm/ViT-B-16-SigLIP2-256", (1502, 375.2, 256), "Apache-2.0"),
    _clip("siglip2-l-16-256", "ViT-L-16-SigLIP2-256/webli", "timm/ViT-L-16-SigLIP2-256", (3526, 881.5, 256), "Apache-2.0"),
    _clip("pe-core-l-14-336", "PE-Core-L-14-336/meta", "timm/PE-Core-L-14-336", (2684, 671.1, 336), "Apache-2.0"),
    _clip("mobileclip2-s0", "MobileCLIP2-S0/dfndr2b", "timm/MobileCLIP2-S0-OpenCLIP", (299, 74.8, 256), APPLE),
    _clip("mobileclip2-s2", "MobileCLIP2-S2/dfndr2b", "timm/MobileCLIP2-S2-OpenCLIP", (397, 99.3, 256), APPLE),
)  # fmt: skip


def find_pullable(name: str) -> PullableModel:
    """The row of a name; ModelError with the known names otherwise."""
    for row in TABLE:
        if row.name == name:
            return row
    known = ", ".join(row.name for row in TABLE)
    raise ModelError(
        f"There is no model {name!r}; known are {known}, and {OPEN_CLIP}ARCHITECTURE/TAG for any "
        "other model of open_clip."
    )
