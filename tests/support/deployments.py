"""What the files of `deploy/` and `docker-compose.yml` say, read as Compose and Kubernetes do."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.support.documents import ROOT

Document = dict[str, Any]
DEPLOY = ROOT / "deploy"
COMPOSE = ROOT / "docker-compose.yml"
SERVER = DEPLOY / "server.compose.yml"
GPU = DEPLOY / "gpu.compose.yml"
BASE, GPU_OVERLAY = DEPLOY / "kubernetes" / "base", DEPLOY / "kubernetes" / "gpu"
OURS = re.compile(r"(^|/)segsearch(-gpu)?(:|$)")  # an image that the Dockerfile makes
VARIABLE = re.compile(r"\$(?:\$|\{(\w+)(?::-([^}]*))?\})")


def compose(*paths: Path, environment: Mapping[str, str] | None = None) -> Document:
    """Compose files laid over each other, their variables filled in."""
    merged: Document = {}
    for path in paths:
        document = _filled(yaml.safe_load(path.read_text("utf-8")), environment or {})
        merged = overlaid(merged, _long_builds(document))
    return {key: value for key, value in merged.items() if not key.startswith("x-")}


def _filled(value: Any, environment: Mapping[str, str]) -> Any:
    """A document with ${NAME}, ${NAME:-default} and $$ in its texts replaced."""
    if isinstance(value, dict):
        return {key: _filled(one, environment) for key, one in value.items()}
    if isinstance(value, list):
        return [_filled(one, environment) for one in value]
    if not isinstance(value, str):
        return value
    return VARIABLE.sub(
        lambda name: (environment.get(name[1]) or name[2] or "") if name[1] else "$", value
    )


def _long_builds(document: Document) -> Document:
    """`build: .` as it reads when more is laid over it."""
    for service in document["services"].values():
        if isinstance(service.get("build"), str):
            service["build"] = {"context": service["build"]}
    return document


def manifests(overlay: Path) -> list[Document]:
    """The objects of a folder with a kustomization.yaml: patched, and with its images' names.

    Raises KeyError when a patch has no object, or a container an image that nobody names.
    """
    rules = yaml.safe_load((overlay / "kustomization.yaml").read_text("utf-8"))
    objects: dict[tuple[str, str], Document] = {}
    for name in rules["resources"]:
        path = (overlay / name).resolve()
        parts = manifests(path) if path.is_dir() else documents(path)
        objects.update({identity(one): one for one in parts})
    for patch in rules.get("patches", ()):
        for part in documents(overlay / patch["path"]):
            objects[identity(part)] = overlaid(objects[identity(part)], part)
    images = {rule["name"]: f"{rule['newName']}:{rule['newTag']}" for rule in rules["images"]}
    for one in objects.values():
        for container in containers(one):
            container["image"] = images.get(container["image"], container["image"])
    return list(objects.values())


def documents(path: Path) -> list[Document]:
    """The YAML documents of one file."""
    return [one for one in yaml.safe_load_all(path.read_text("utf-8")) if one]


def identity(one: Document) -> tuple[str, str]:
    return one["kind"], one["metadata"]["name"]


def overlaid(below: Any, above: Any) -> Any:
    """One document over another: mappings by key, lists of named things by name, others replace."""
    if isinstance(below, dict) and isinstance(above, dict):
        return {
            key: overlaid(below[key], above[key]) if key in below and key in above
            else above.get(key, below.get(key))
            for key in [*below, *(key for key in above if key not in below)]
        }  # fmt: skip
    if _are_named(below) and _are_named(above):
        named = {one["name"]: one for one in below}
        for one in above:
            named[one["name"]] = overlaid(named.get(one["name"], {}), one)
        return list(named.values())
    return above


def _are_named(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, dict) and "name" in one for one in value)


def containers(one: Document) -> Iterator[Document]:
    """Those of a Deployment's pods, what comes before the others included."""
    pod = one.get("spec", {}).get("template", {}).get("spec", {})
    yield from (*pod.get("initContainers", ()), *pod.get("containers", ()))


def settings_of(container: Document, objects: list[Document]) -> dict[str, str]:
    """The environment of a container, without what is secret."""
    named = {identity(one): one for one in objects}
    found: dict[str, str] = {}
    for source in container.get("envFrom", ()):
        found |= named["ConfigMap", source["configMapRef"]["name"]]["data"]
    return found | {one["name"]: one["value"] for one in container["env"] if "value" in one}


def arguments(container: Document, environment: Mapping[str, str]) -> list[str]:
    """What a container's command gets: Kubernetes fills in $(NAME)."""
    return [
        re.sub(r"\$\((\w+)\)", lambda name: environment[name[1]], word)
        for word in container["args"]
    ]
