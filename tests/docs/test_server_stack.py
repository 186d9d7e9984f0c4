"""What `deploy/server.compose.yml` and the manifests of Kubernetes start does what they are for."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator

import httpx
import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from segsearch.cli.demo.run import PICTURES
from segsearch.core.settings import Settings
from tests.support.deployments import BASE, Document, arguments, containers, manifests, settings_of
from tests.support.server_stack import ServerStack, answers, until

pytestmark = [pytest.mark.engines, pytest.mark.process, pytest.mark.server, pytest.mark.slow]

COFFEE, CAT = "photo-coffee.jpg", "photo-cat.jpg"
SEARCH = {"text": "a cup of coffee", "limit": 1}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerStack]:
    """All of it, filled by a worker with one picture; nodes are up and a key is made."""
    pictures = tmp_path_factory.mktemp("pictures")
    shutil.copy(PICTURES / COFFEE, pictures)
    with ServerStack(tmp_path_factory.mktemp("stack"), pictures) as running:
        running.start("worker")
        made = running.call("worker", "keys", "create", "laptop", "--scope", "admin")
        running.key = made.strip()
        running.start("api-1")
        running.start("api-2")
        running.start_nginx()
        for name in ("api-1", "api-2", "nginx"):
            until(lambda name=name: answers(f"{running.url(name)}/readyz"), name)  # type: ignore[misc]  # a default
        until(lambda: asked(running, "nginx").get("hits") != [], "indexing")
        yield running


def client(stack: ServerStack, name: str) -> httpx.Client:
    headers = {"Authorization": f"Bearer {stack.key}"}
    return httpx.Client(base_url=stack.url(name), headers=headers, timeout=60, trust_env=False)


def asked(stack: ServerStack, name: str) -> Document:
    with client(stack, name) as caller:
        answer = caller.post("/v1/search", json=SEARCH)
        assert answer.status_code == 200, answer.text
        found: Document = answer.json()
        return found


def test_each_node_and_nginx_find_what_the_worker_indexed(stack: ServerStack) -> None:
    paths = [asked(stack, name)["hits"][0]["path"] for name in ("api-1", "api-2", "nginx")]
    assert paths == [str(stack.pictures / COFFEE)] * 3


def test_nobody_comes_in_without_a_key_or_by_another_name(stack: ServerStack) -> None:
    url = f"{stack.url('nginx')}/v1/search"
    assert httpx.post(url, json=SEARCH, timeout=60, trust_env=False).status_code == 401
    with client(stack, "nginx") as caller:
        foreign = caller.get("/v1/images", headers={"Host": "elsewhere.example"})
    assert foreign.status_code == 421


def test_healthchecks_of_the_file_hold(stack: ServerStack) -> None:
    for name in ("api-1", "api-2"):
        program, *words = stack.services[name]["healthcheck"]["test"][1:]
        words = [word.replace(":8000", f":{stack.ports[name]}") for word in words]
        assert program == "python"
        subprocess.run([sys.executable, *words], check=True, timeout=60)
    url = stack.services["nginx"]["healthcheck"]["test"][-1]
    assert answers(url.replace(":80/", f":{stack.ports['nginx']}/"))
    program, *words = stack.services["postgres"]["healthcheck"]["test"][1:]
    at = ["--host", "127.0.0.1", "--port", str(stack.ports["postgres"])]
    found = stack.postgres.programs / "bin" / program
    subprocess.run([str(found), *words, *at], check=True, timeout=60, capture_output=True)


def test_postgresql_takes_the_settings_of_the_file(stack: ServerStack) -> None:
    program, *words = stack.services["postgres"]["command"]
    settings = [word for word in words if word != "-c"]
    assert len(settings) == 3
    for setting in settings:
        name = setting.partition("=")[0]
        said = stack.postgres._run(program, "-D", str(stack.postgres.data), *words, "-C", name)
        assert said.strip()


def test_an_upload_to_one_node_is_indexed_and_shown_by_the_other(stack: ServerStack) -> None:
    with client(stack, "api-1") as first, client(stack, "api-2") as second:
        sent = first.post("/v1/images", files={"file": (CAT, (PICTURES / CAT).read_bytes())})
        assert sent.status_code < 300, sent.text

        def uploaded() -> list[Document]:
            listed = second.get("/v1/images", params={"state": "done"}).json()["images"]
            return [one for one in listed if one["paths"][0].endswith(CAT)]

        until(lambda: bool(uploaded()), "indexing an upload")
        place = f"/v1/images/{uploaded()[0]['image_id']}"
        assert second.get(f"{place}/file").content == (PICTURES / CAT).read_bytes()
        assert second.get(f"{place}/thumbnail").status_code == 200


def test_objects_are_kept_for_who_has_the_key(stack: ServerStack) -> None:
    code = (
        "import fsspec\n"
        "s3 = fsspec.filesystem('s3', skip_instance_cache=True)\n"
        "s3.makedirs('segsearch', exist_ok=True)\n"
        "s3.pipe('segsearch/a.txt', b'kept')\n"
        "print(s3.cat('segsearch/a.txt').decode())\n"
    )
    given = stack.environment(stack.services["api-1"]["environment"])
    words = [sys.executable, "-W", "ignore", "-c", code]
    kept = subprocess.run(words, env=given, check=True, capture_output=True, text=True, timeout=120)
    assert kept.stdout == "kept\n"
    without = {"AWS_SECRET_ACCESS_KEY": "wrong", "AWS_ACCESS_KEY_ID": "wrong"}
    refused = subprocess.run(
        words, env={**given, **without}, check=False, capture_output=True, text=True, timeout=120
    )
    assert refused.returncode != 0
    assert "Forbidden" in refused.stderr or "InvalidAccessKeyId" in refused.stderr


@pytest.mark.skipif("uploads" not in Settings.model_fields, reason="uploads stay in a folder yet")
def test_uploads_lie_in_s3(stack: ServerStack) -> None:
    code = (
        "import fsspec\n"
        "print(*fsspec.filesystem('s3', skip_instance_cache=True).find('segsearch/uploads'))\n"
    )
    given = stack.environment(stack.services["api-1"]["environment"])
    words = [sys.executable, "-W", "ignore", "-c", code]
    kept = subprocess.run(words, env=given, check=True, capture_output=True, text=True, timeout=120)
    assert kept.stdout.strip().endswith(CAT)


@pytest.mark.skipif("index" not in Settings.model_fields, reason="vectors lie in FAISS yet")
def test_vectors_lie_in_postgresql(stack: ServerStack) -> None:
    with psycopg.connect(stack.postgres.address("segsearch")) as db:
        (table,) = db.execute(
            "SELECT relname FROM pg_class WHERE relkind = 'r' AND relname LIKE 'segment_row%'"
        ).fetchall()
        counts = [
            db.execute(SQL("SELECT count(*) FROM {}").format(Identifier(name))).fetchone()
            for name in (table[0], "segment")
        ]
    assert counts[0] == counts[1] != (0,)


def test_a_pod_answers_its_probes_by_the_name_that_they_send(stack: ServerStack) -> None:
    objects = manifests(BASE)
    (served,) = (
        one for each in objects if each["metadata"]["name"] == "api" for one in containers(each)
    )
    environment = settings_of(served, objects)
    password = (stack.secrets / "database_password").read_text()
    given = {**environment, "SEGSEARCH_PRESET": "demo-fast", "PGPASSWORD": password}
    words = stack.at_port("pod", arguments(served, environment))
    pod = stack.run("pod", ["segsearch", *words], given)
    for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
        probe = served[kind]["httpGet"]
        headers = {one["name"]: one["value"] for one in probe["httpHeaders"]}
        url = f"{stack.url('pod')}{probe['path']}"
        until(lambda url=url, headers=headers: answers(url, headers=headers), kind)  # type: ignore[misc]  # defaults
    by_address = httpx.get(f"{stack.url('pod')}/readyz", timeout=60, trust_env=False)
    assert by_address.status_code == 421
    pod.terminate()
    assert pod.wait(timeout=60) == 0


def test_searches_go_on_while_a_node_is_killed_and_comes_back(stack: ServerStack) -> None:
    stack.running["api-1"].send_signal(signal.SIGKILL)
    stack.running["api-1"].wait(timeout=60)
    assert {asked(stack, "nginx")["hits"][0]["path"] for _ in range(10)} == {
        str(stack.pictures / COFFEE)
    }
    stack.start("api-1")
    while not answers(f"{stack.url('api-1')}/readyz"):  # refused at first, then 503
        assert asked(stack, "nginx")["hits"]
    stack.running["api-2"].terminate()
    assert stack.running["api-2"].wait(timeout=60) == 0
    assert asked(stack, "nginx")["hits"]


def test_a_worker_that_is_told_to_end_ends_well(stack: ServerStack) -> None:
    stack.running["worker"].terminate()
    assert stack.running["worker"].wait(timeout=120) == 0
