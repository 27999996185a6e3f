"""deploy/container: the image is built step by step, and serves as anybody with a root that nobody can write."""

import json
import os
import re
import time
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest
from tests.conftest import LOOKS_SECRET
from tests.deploy.engine import Container, Engine
from tests.deploy.files import IMAGE, ROOT, composed

from hourpass import __version__

URL = "http://127.0.0.1:3600"
SOMEBODY = "1000660000:0"
"""A user that no image knows, with the group 0: what OpenShift gives to a container."""

EXTRAS = ("psycopg", "argon2", "bcrypt", "httpx2", "opentelemetry.sdk")


@pytest.fixture
def engine():
    engine = Engine()
    yield engine
    engine.close()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_image_is_built_and_serves_as_anybody_with_a_read_only_root(engine):
    engine.make_base()
    engine.build(IMAGE)
    described = json.loads(engine.podman("inspect", IMAGE).stdout)[0]

    assert described["Config"]["User"] == "10001:0"
    assert described["Config"]["StopSignal"] == "SIGTERM"
    assert described["Config"]["Volumes"] == {"/var/lib/hourpass": {}}
    assert described["Size"] < 260_000_000, "MB: " + str(described["Size"] // 1_000_000)
    server = started(engine, SOMEBODY)
    becomes_healthy(server)
    has_every_extra(server)
    has_a_bill_of_its_materials(server, described["Config"]["Labels"]["hourpass.sbom"])
    pair = exchanges_verifies_and_refreshes(server)
    drains(server)
    server.start()
    becomes_healthy(server)
    refreshed = server.inside(lambda: httpx2.post(f"{URL}/auth/refresh", json={"refreshToken": pair["refresh_token"]}))
    assert refreshed.status_code == 200
    assert server.inside(lambda: verify(refreshed.json()["access_token"])) == 204
    assert not LOOKS_SECRET.search(server.log().encode())
    runs_as_its_own_user_too(engine)


def started(engine, user) -> Container:
    """A container with the environment, the volume and the secret of deploy/compose/server.yaml."""
    service = composed("server.yaml")["services"]["hourpass"]
    (data,) = service["volumes"]
    (secret,) = service["secrets"]
    key = engine.folder / "master-key"
    key.write_bytes(b64encode(os.urandom(32)))
    key.chmod(0o440)
    volumes = {
        f"{data['source']}-{user.partition(':')[0]}": data["target"],
        f"{key}": f"/run/secrets/{secret['source']}:ro",
    }
    return Container(engine, IMAGE, user, volumes, service["environment"])


def becomes_healthy(server):
    deadline = time.monotonic() + 30
    while not server.healthy():
        assert server.state()["Running"], server.log()
        assert time.monotonic() < deadline, server.log()
        time.sleep(0.1)


def has_every_extra(server):
    for module in EXTRAS:
        server.exec("python", "-c", f"import {module}")
    assert server.exec("hourpass", "--version").stdout == f"hourpass {__version__}\n"


def has_a_bill_of_its_materials(server, path):
    listed = json.loads(server.exec("cat", path).stdout)["components"]
    pins = dict(
        re.findall(r"^([a-z][\w.-]*)==([^\s;]+)", (ROOT / "requirements/container.txt").read_text(), re.MULTILINE)
    )

    versions = {component["name"].lower().replace("_", "-"): component["version"] for component in listed}
    assert versions.pop("hourpass") == __version__
    assert len(versions) > 20
    assert versions.items() <= pins.items()


def exchanges_verifies_and_refreshes(server) -> dict:
    """The last pair."""
    key = json.loads(server.exec("hourpass", "keys", "create", "--name", "test", "--json").stdout)["api_key"]

    def life() -> dict:
        first = httpx2.post(f"{URL}/auth/api-key", json={"apiKey": key}).raise_for_status().json()
        assert verify(first["access_token"]) == 204
        return (
            httpx2.post(f"{URL}/auth/refresh", json={"refreshToken": first["refresh_token"]}).raise_for_status().json()
        )

    pair = server.inside(life)
    client = ("token", "--url", URL, "--api-key-file", "-", "--cache", "/var/lib/hourpass/client")
    token = server.exec("hourpass", *client, input=key).stdout.strip()
    assert server.inside(lambda: verify(token)) == 204
    return pair


def verify(token) -> int:
    return httpx2.get(f"{URL}/auth/verify", headers={"Authorization": f"Bearer {token}"}).status_code


def drains(server):
    """A poll that waits when the stop signal comes gets its answer, and the server ends by itself."""

    def poll():
        return httpx2.get(f"{URL}/auth/revocations", params={"after": 0, "wait": 30}, timeout=40)

    with ThreadPoolExecutor(1) as thread:
        polled = thread.submit(server.inside, poll)
        deadline = time.monotonic() + 10
        while not polled.done() and server.inside(open_connections) < 2:
            assert time.monotonic() < deadline
        assert server.stop() == 0
        assert polled.result().status_code == 200
    events = [json.loads(line)["event"] for line in server.log().splitlines() if line.startswith("{")]
    assert events[-2:] == ["draining", "stopped"]


def open_connections() -> int:
    """Connections that are open in this network, seen from both ends."""
    table = Path("/proc/thread-self/net/tcp").read_text().splitlines()
    return sum(line.split()[3] == "01" for line in table[1:])


def runs_as_its_own_user_too(engine):
    server = started(engine, "10001")
    becomes_healthy(server)
    assert server.exec("id", "-u").stdout.strip() == "10001"
    assert server.stop() == 0
