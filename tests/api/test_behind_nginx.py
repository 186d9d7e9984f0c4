"""Behind the documented nginx: TLS, a name and a path prefix; redirects, uploads and refusals."""

from __future__ import annotations

import json
import os
import re
import shutil
import ssl
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from fastapi.testclient import TestClient

from segsearch.core.settings import Settings
from segsearch_api.app import create_app
from tests.api.test_server import serving
from tests.support.documents import ROOT
from tests.support.small_models import Shape, open_small_service, paint
from tools.postgres_server import free_port

pytestmark = pytest.mark.server

NAME, PREFIX = "photos.example", "/pictures"
ORIGIN = "https://app.example"


@dataclass(frozen=True)
class Site:
    """nginx with the server behind it: a client of its own name, its port."""

    client: httpx.Client
    port: int

    @property
    def host(self) -> str:
        return f"{NAME}:{self.port}"


def configuration(folder: Path, port: int, upstream: str, *, keeps_prefix: bool) -> str:
    """The block of docs/deploy.md around which a whole configuration of nginx is put."""
    found = re.search(r"```nginx\n(.*?)```", (ROOT / "docs" / "deploy.md").read_text(), re.DOTALL)
    assert found is not None
    block = found[1].replace("listen 443 ssl", f"listen 127.0.0.1:{port} ssl")
    block = block.replace("/etc/ssl/photos.example", str(folder / NAME))
    block = block.replace("http://127.0.0.1:8000", upstream)
    if not keeps_prefix:
        block = block.replace(f"location {PREFIX} ", f"location {PREFIX}/ ")
        block = block.replace(f"proxy_pass {upstream};", f"proxy_pass {upstream}/;")
    temporary = "".join(
        f"{kind}_temp_path {folder / kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return (
        f"daemon off;\nerror_log {folder / 'error.log'};\npid {folder / 'nginx.pid'};\n"
        f"events {{}}\nhttp {{\naccess_log off;\n{temporary}{block}}}\n"
    )


@pytest.fixture(scope="module", params=["prefix kept", "prefix taken off"])
def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    nginx = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if nginx is None:
        assert os.environ.get("CI") != "true", "nginx is missing: .ci/run installs it by apt"
        pytest.skip("nginx is not here: apt installs it")
    folder = tmp_path_factory.mktemp("nginx")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
         "-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}",
         "-keyout", f"{folder / NAME}.key", "-out", f"{folder / NAME}.pem"],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    port = free_port()
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("SEGSEARCH_ROOT_PATH", PREFIX)
        environment.setenv("SEGSEARCH_HOST_NAMES", NAME)
        environment.setenv("SEGSEARCH_CORS_ORIGINS", ORIGIN)
        environment.setenv("SEGSEARCH_MAX_BYTES", "300000")
        with serving(folder / "library", "--no-worker") as (_, upstream):
            keeps = request.param == "prefix kept"
            text = configuration(folder, port, upstream, keeps_prefix=keeps)
            (folder / "nginx.conf").write_text(text)
            command = [nginx, "-p", str(folder), "-c", str(folder / "nginx.conf")]
            with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
                try:
                    yield from _sites(folder, port)
                finally:
                    process.terminate()


def _sites(folder: Path, port: int) -> Iterator[Site]:
    trust = ssl.create_default_context(cafile=f"{folder / NAME}.pem")
    base = f"https://127.0.0.1:{port}{PREFIX}"
    headers = {"Host": f"{NAME}:{port}"}
    with httpx.Client(
        base_url=base, headers=headers, verify=trust, timeout=60, trust_env=False,
        event_hooks={"request": [_named]},
    ) as client:  # fmt: skip
        for _ in range(200):
            try:
                client.get("/healthz")
                break
            except httpx.ConnectError:
                time.sleep(0.05)
        yield Site(client, port)


def _named(request: httpx.Request) -> None:
    """Ask for the certificate of the name, though the address is called."""
    request.extensions["sni_hostname"] = NAME


def test_the_page_and_what_it_loads_are_there(site: Site) -> None:
    page = site.client.get("/")
    assert page.status_code == 200
    linked = re.findall(r'(?:href|src)="([^"#]+)"', page.text)
    assert len(linked) > 3
    for link in linked:
        at = httpx.URL(f"https://{site.host}{PREFIX}/").join(link)
        assert at.path.startswith(f"{PREFIX}/"), link
        assert site.client.get(at.path.removeprefix(PREFIX)).status_code == 200, link
    document = site.client.get("/openapi.json").json()
    assert [server["url"] for server in document["servers"]] == [PREFIX]


@pytest.mark.parametrize(
    ("path", "leads_to"),
    [
        ("", f"{PREFIX}/"),
        ("/v1/images/?limit=3", f"{PREFIX}/v1/images?limit=3"),
        ("/docs/", f"{PREFIX}/docs"),
        ("/static", f"{PREFIX}/static/"),
    ],
)
def test_redirects_keep_scheme_name_port_and_prefix(site: Site, path: str, leads_to: str) -> None:
    address = f"https://127.0.0.1:{site.port}{PREFIX}{path}"
    answer = site.client.get(address)
    assert answer.is_redirect, answer.status_code
    asked = httpx.URL(f"https://{site.host}{PREFIX}{path}")
    assert asked.join(answer.headers["location"]) == f"https://{site.host}{leads_to}"


def test_the_page_may_change_things_and_pages_of_others_may_not(site: Site) -> None:
    made = {"name": f"from the page {time.time_ns()}"}
    own = site.client.post("/v1/collections", json=made, headers={"Origin": f"https://{site.host}"})
    assert own.status_code == 201, own.text
    named = f"/v1/collections/{made['name'].replace(' ', '%20')}"
    assert site.client.get(named).json()["name"] == made["name"]
    foreign = {"Origin": "https://elsewhere.example"}
    assert site.client.post("/v1/collections", json=made, headers=foreign).status_code == 403
    other = site.client.get("/v1/images", headers={"Host": "elsewhere.example"})
    assert other.status_code == 421


def test_a_session_is_of_the_prefix_and_of_https_alone(site: Site) -> None:
    made = site.client.post("/v1/keys", json={"name": f"laptop {time.time_ns()}"}).json()
    own = {"Origin": f"https://{site.host}"}
    answer = site.client.post("/v1/session", json={"key": made["key"]}, headers=own)
    kept = answer.headers["set-cookie"]
    assert kept.startswith(f"segsearch_{site.port}={made['key']}; ")
    assert {"HttpOnly", f"Path={PREFIX}", "Secure"} <= set(kept.split("; "))
    assert site.client.get("/v1/session").json()["scope"] == "read"
    assert site.client.delete("/v1/session", headers=own).status_code == 204
    assert not site.client.cookies
    assert site.client.get("/v1/session").json()["scope"] == "admin"


def test_a_refused_upload_says_why_to_the_page_that_sent_it(site: Site) -> None:
    large = {"file": ("large.png", b"x" * 2_000_000, "image/png")}
    refused = site.client.post("/v1/images", files=large, headers={"Origin": ORIGIN})
    assert (refused.status_code, refused.json()["code"]) == (413, "picture_too_large_error")
    assert refused.headers["access-control-allow-origin"] == ORIGIN


def test_events_come_through_at_once(site: Site) -> None:
    with site.client.stream("GET", "/v1/jobs/events", timeout=10) as stream:
        lines = stream.iter_lines()
        assert next(lines) == "event: jobs"
        assert json.loads(next(lines).removeprefix("data: "))["jobs"] == []


def test_refusals_carry_cors_headers(tmp_path: Path) -> None:
    """All of them: those before a route, and what nobody foresaw."""
    picture = paint(tmp_path / "a.png", [Shape("red", (10, 10, 50, 40))])
    with open_small_service(tmp_path / "library", cors_origins=ORIGIN) as service:
        service.index([picture])
        app = create_app(service, need_key=True)
        app.add_api_route("/healthz/broken", lambda: 1 / 0)
        open_app = create_app(service, need_key=False)
        open_app.add_api_route("/broken", lambda: 1 / 0)
        asked = TestClient(app, base_url="http://localhost", headers={"Origin": ORIGIN})
        everyone = TestClient(open_app, base_url="http://localhost", headers={"Origin": ORIGIN})
        body = {"content": b" " * 100_000, "headers": {"Content-Type": "application/json"}}
        answers = [
            everyone.post("/v1/search", **body),  # type: ignore[arg-type]  # one dict for two kinds
            asked.get("/v1/images"),
            everyone.get("/nowhere"),
            everyone.get("/v1/images", headers={"Host": "elsewhere.example"}),
            everyone.put("/v1/images"),
            everyone.get("/broken"),
        ]
    assert [answer.status_code for answer in answers] == [413, 401, 404, 421, 405, 500]
    for answer in answers:
        assert answer.headers["access-control-allow-origin"] == ORIGIN
        assert answer.headers["x-request-id"]


@pytest.mark.parametrize("given", [f"{PREFIX}/v1/keys", "/v1/keys"])
def test_the_prefix_changes_no_scope(tmp_path: Path, given: str) -> None:
    with open_small_service(tmp_path / "library", root_path=PREFIX) as service:
        from segsearch.storage.api_keys import KeyRing, Scope

        _, text = KeyRing(tmp_path / "library").create("reader", Scope.READ)
        client = TestClient(create_app(service, need_key=True), base_url="http://localhost")
        bearer = {"Authorization": f"Bearer {text}"}
        assert client.get(given, headers=bearer).status_code == 403
        assert client.get(given.replace("keys", "images"), headers=bearer).status_code == 200
        assert client.head(given.replace("keys", "images"), headers=bearer).status_code == 200


@pytest.mark.parametrize("wrong", ["pictures", "/pictures/", "/a b", "/v1", "/static/x", "//x"])
def test_a_prefix_that_cannot_be_one_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="root_path"):
        Settings(root_path=wrong)
