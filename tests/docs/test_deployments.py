"""The files of `deploy/`: what their schemas allow, with commands, settings, paths and ports that
exist. `test_server_stack.py` runs them."""

from __future__ import annotations

import json
import re
import shlex
import stat
import subprocess
from pathlib import Path
from typing import Any

import compose_spec
import pytest
import yaml
from kubernetes_validate.utils import ValidationError, validate

from segsearch.core.settings import Settings
from segsearch_api.routers import ROUTERS
from segsearch_api.server import SHUTDOWN_SECONDS
from tests.docs.test_documents import assert_is_understood
from tests.support.deployments import (
    BASE,
    COMPOSE,
    DEPLOY,
    GPU,
    GPU_OVERLAY,
    OURS,
    SERVER,
    Document,
    arguments,
    compose,
    containers,
    documents,
    identity,
    manifests,
    settings_of,
)
from tests.support.documents import ROOT, blocks

STACKS = [(COMPOSE,), (SERVER,), (COMPOSE, GPU), (SERVER, GPU)]
SETTINGS = {f"SEGSEARCH_{name.upper()}" for name in Settings.model_fields}
PATHS = {route.path for router in ROUTERS for route in router.routes if hasattr(route, "path")}
KUBERNETES = ("1.32", "1.37")  # the oldest with `preStop.sleep` by default, and the newest known
# What libraries below us read; DSN words of libpq, credentials and places of botocore.
FOREIGN = {
    "PGPASSWORD", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL",
    "AWS_SHARED_CREDENTIALS_FILE", "AWS_DEFAULT_REGION", "HOME", "PICTURES",
}  # fmt: skip

every_stack = pytest.mark.parametrize(
    "paths", STACKS, ids=lambda paths: "+".join(path.name.split(".")[0] for path in paths)
)
every_overlay = pytest.mark.parametrize("overlay", [BASE, GPU_OVERLAY], ids=lambda path: path.name)


def our_services(paths: tuple[Path, ...]) -> dict[str, Any]:
    services = compose(*paths)["services"]
    return {name: one for name, one in services.items() if OURS.search(one["image"])}


def our_containers(overlay: Path) -> list[tuple[Document, dict[str, str]]]:
    objects = manifests(overlay)
    found = [(one, settings_of(one, objects)) for each in objects for one in containers(each)]
    assert len(found) >= 2
    return found


@every_stack
def test_compose_files_are_what_the_specification_allows(paths: tuple[Path, ...]) -> None:
    compose_spec.PyCompose.from_yaml(yaml.safe_dump(compose(*paths)))


def test_a_key_that_compose_does_not_know_is_noticed() -> None:
    wrong = compose(SERVER)
    wrong["services"]["api-1"]["healthchek"] = wrong["services"]["api-1"].pop("healthcheck")
    with pytest.raises(ValueError, match="healthchek"):
        compose_spec.PyCompose.from_yaml(yaml.safe_dump(wrong))


@every_overlay
@pytest.mark.parametrize("version", KUBERNETES)
def test_manifests_are_what_the_schemas_allow(overlay: Path, version: str) -> None:
    for one in manifests(overlay):
        validate(one, version, strict=True)


def test_a_field_that_kubernetes_does_not_know_is_noticed() -> None:
    (wrong,) = (one for one in manifests(BASE) if identity(one) == ("Deployment", "api"))
    next(containers(wrong))["readinesProbe"] = {}
    with pytest.raises(ValidationError, match="readinesProbe"):
        validate(wrong, KUBERNETES[0], strict=True)


def test_every_manifest_is_named_by_a_kustomization() -> None:
    for overlay in (BASE, GPU_OVERLAY):
        rules = yaml.safe_load((overlay / "kustomization.yaml").read_text("utf-8"))
        named = {*rules["resources"], *(patch["path"] for patch in rules.get("patches", ()))}
        files = {path.name for path in overlay.glob("*.yaml")}
        assert files - named == {"kustomization.yaml"} | (files & {"secret.example.yaml"})


@every_stack
def test_commands_of_services_exist(paths: tuple[Path, ...]) -> None:
    services = our_services(paths)
    assert services
    for one in services.values():
        assert_is_understood(list(one["command"]))


@every_overlay
def test_commands_of_containers_exist(overlay: Path) -> None:
    for container, environment in our_containers(overlay):
        assert_is_understood(arguments(container, environment))


def test_settings_exist_and_their_values_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    environments = [
        *(one.get("environment", {}) for paths in STACKS for one in our_services(paths).values()),
        *(found for overlay in (BASE, GPU_OVERLAY) for _, found in our_containers(overlay)),
    ]
    assert len(environments) > 10
    for environment in environments:
        assert set(environment) - FOREIGN <= SETTINGS
        with monkeypatch.context() as patch:
            for name, value in environment.items():
                patch.setenv(name, value)
            Settings()


@every_overlay
def test_secrets_are_named_and_nowhere_written(overlay: Path) -> None:
    (example,) = documents(BASE / "secret.example.yaml")
    assert set(example["stringData"].values()) == {""}
    named = {
        (one["valueFrom"]["secretKeyRef"]["name"], one["valueFrom"]["secretKeyRef"]["key"])
        for container, _ in our_containers(overlay)
        for one in container["env"]
        if "valueFrom" in one
    }
    assert named == {("segsearch", key) for key in example["stringData"]}
    assert not any(one["kind"] == "Secret" for one in manifests(overlay))


def test_no_password_stands_in_a_compose_file() -> None:
    services = compose(SERVER)["services"]
    for one in services.values():
        for name, value in one.get("environment", {}).items():
            assert not re.search("PASSWORD|SECRET|KEY", name) or value.startswith("/run/secrets/")
            assert "@" not in value or ":" not in value.partition("//")[2].partition("@")[0]


@every_overlay
def test_probes_ask_for_paths_that_exist_by_a_name_that_is_answered(overlay: Path) -> None:
    (api,) = (one for one in manifests(overlay) if identity(one) == ("Deployment", "api"))
    served = next(one for one in containers(api) if one["name"] == "segsearch")
    names = settings_of(served, manifests(overlay))["SEGSEARCH_HOST_NAMES"].split(",")
    ports = {port["name"]: port["containerPort"] for port in served["ports"]}
    for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
        probe = served[kind]["httpGet"]
        assert probe["path"] in PATHS
        assert [header["value"] in names for header in probe["httpHeaders"]] == [True]
        assert str(ports[probe["port"]]) == served["args"][served["args"].index("--port") + 1]
    assert served["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert served["livenessProbe"]["httpGet"]["path"] == "/healthz"


@every_overlay
def test_pods_may_do_no_more_than_they_need(overlay: Path) -> None:
    for one in manifests(overlay):
        if one["kind"] != "Deployment":
            continue
        pod = one["spec"]["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"]
        assert f"--uid {pod['securityContext']['runAsUser']} " in (ROOT / "Dockerfile").read_text()
        volumes = {volume["name"] for volume in pod["volumes"]}
        for container in containers(one):
            allowed = container["securityContext"]
            assert allowed["readOnlyRootFilesystem"]
            assert not allowed["allowPrivilegeEscalation"]
            assert allowed["capabilities"] == {"drop": ["ALL"]}
            assert {"requests", "limits"} <= set(container["resources"])
            assert {mount["name"] for mount in container["volumeMounts"]} <= volumes
            assert container["image"].startswith("registry.example/segsearch:")


@every_overlay
def test_labels_and_names_lead_to_pods(overlay: Path) -> None:
    objects = {identity(one): one for one in manifests(overlay)}
    pods = {
        name: one["spec"]["template"]["metadata"]["labels"]
        for (kind, name), one in objects.items()
        if kind == "Deployment"
    }
    assert objects["Service", "api"]["spec"]["selector"] == pods["api"]
    for name in ("api", "worker"):
        deployment, budget = objects["Deployment", name], objects["PodDisruptionBudget", name]
        assert deployment["spec"]["selector"]["matchLabels"] == pods[name]
        assert budget["spec"]["selector"]["matchLabels"] == pods[name]
    policy = objects["NetworkPolicy", "api"]["spec"]
    assert policy["podSelector"]["matchLabels"] == pods["api"]
    scaled = objects["HorizontalPodAutoscaler", "api"]["spec"]
    assert scaled["scaleTargetRef"]["name"] == "api"
    assert "replicas" not in objects["Deployment", "api"]["spec"]
    assert scaled["minReplicas"] > objects["PodDisruptionBudget", "api"]["spec"]["minAvailable"]
    rule = objects["Ingress", "api"]["spec"]["rules"][0]
    backend = rule["http"]["paths"][0]["backend"]["service"]
    port = backend["port"]["name"]
    assert backend["name"] == "api"
    assert port in {one["name"] for one in objects["Service", "api"]["spec"]["ports"]}
    assert rule["host"] in objects["ConfigMap", "segsearch"]["data"]["SEGSEARCH_HOST_NAMES"]


def seconds(text: str) -> int:
    found = re.fullmatch(r"(\d+)(s|m)", text)
    assert found, text
    return int(found[1]) * (60 if found[2] == "m" else 1)


def test_processes_get_the_time_that_they_take_to_end() -> None:
    drain = Settings.model_fields["drain_seconds"].default
    for paths in STACKS:
        for one in our_services(paths).values():
            ends = seconds(one.get("stop_grace_period", "10s"))
            wanted = one.get("environment", {}).get("SEGSEARCH_DRAIN_SECONDS", drain)
            is_worker = "worker" in one["command"]
            assert ends > float(wanted) if is_worker else ends >= SHUTDOWN_SECONDS
    for overlay in (BASE, GPU_OVERLAY):
        for one in manifests(overlay):
            if one["kind"] != "Deployment":
                continue
            pod = one["spec"]["template"]["spec"]
            served = pod["containers"][0]
            sleep = served.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds")
            wanted = settings_of(served, manifests(overlay)).get("SEGSEARCH_DRAIN_SECONDS")
            least = float(wanted) if wanted else (sleep or 0) + SHUTDOWN_SECONDS
            assert pod["terminationGracePeriodSeconds"] > least


@every_stack
def test_volumes_ports_and_services_are_there(paths: tuple[Path, ...]) -> None:
    document = compose(*paths)
    for name, service in document["services"].items():
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            is_path = source.startswith((".", "/"))
            there = (
                (paths[0].parent / source).exists() if is_path else source in document["volumes"]
            )
            assert there, f"{name}: {volume}"
        assert set(service.get("secrets", ())) <= set(document.get("secrets", {})), name
        assert set(service.get("depends_on", ())) <= set(document["services"]), name
        for port in service.get("ports", ()):  # on this machine alone
            assert port.startswith("127.0.0.1:")
        build = service.get("build")
        assert not build or (paths[0].parent / build["context"] / "Dockerfile").is_file()


def test_nginx_and_nodes_agree_on_names_and_ports() -> None:
    services = compose(SERVER)["services"]
    for number in ("1", "2"):
        name, port = services["nginx"]["environment"][f"NODE_{number}"].split()[0].split(":")
        command = services[name]["command"]
        assert command[command.index("--port") + 1] == port
    template = (DEPLOY / "nginx.conf.template").read_text("utf-8")
    assert set(re.findall(r"\$\{(\w+)\}", template)) <= set(services["nginx"]["environment"])


def test_only_workers_get_a_gpu_and_the_image_for_it() -> None:
    for paths in STACKS:
        for name, one in our_services(paths).items():
            is_gpu = GPU in paths and name == "worker"
            assert one["image"] == ("segsearch:gpu" if is_gpu else "segsearch:local")
            assert one["build"].get("args", {}) == ({"PROCESSOR": "gpu"} if is_gpu else {})
            assert ("devices" in str(one.get("deploy", {}))) == is_gpu
    extras = set(re.findall(r"--extra (\S+)", (ROOT / "Dockerfile").read_text("utf-8")))
    assert {"${PROCESSOR}", "server", "s3", "milvus"} <= extras


def test_secrets_are_made_once_and_are_their_owners_alone(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    command = ["/bin/sh", str(DEPLOY / "make-secrets.sh"), str(folder)]
    subprocess.run(command, check=True)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    named = compose(SERVER)["secrets"].values()
    assert {Path(one["file"]).name for one in named} == {path.name for path in folder.iterdir()}
    before = {path.name: path.read_text() for path in folder.iterdir()}
    again = subprocess.run(command, check=False, capture_output=True, text=True)
    assert (again.returncode, {path.name: path.read_text() for path in folder.iterdir()}) == (
        1, before,
    )  # fmt: skip
    identity_of = json.loads(before["s3_identities"])["identities"][0]["credentials"][0]
    assert identity_of["secretKey"] in before["s3_credentials"]
    assert len(before["database_password"]) == 48
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    assert "deploy/secrets/" in ignored


def test_documented_compose_commands_name_files_and_services_that_exist() -> None:
    text = (ROOT / "docs" / "deploy.md").read_text("utf-8")
    lines = [line for block in blocks(text, "sh") for line in block.splitlines()]
    calls = [
        shlex.split(line.split("docker compose")[1], comments=True)
        for line in lines
        if "docker compose" in line
    ]
    assert len(calls) > 4
    for words in calls:
        files = [ROOT / words[at + 1] for at, word in enumerate(words) if word == "-f"] or [COMPOSE]
        services = compose(*files)["services"]
        action = next(at for at, word in enumerate(words) if word in {"up", "run", "exec"})
        rest = words[action + 1 :]
        while rest and rest[0].startswith("-"):
            rest = rest[2:] if rest[0] == "--scale" else rest[1:]
        assert not rest or rest[0] in services, words
        if words[action] == "run":
            assert_is_understood(rest[1:])
