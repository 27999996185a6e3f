"""deploy/compose: docker compose reads the files, and the cluster's processes do what its file says, on loopback."""

import json
import os
import subprocess
import sys
import time
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest
from tests.conftest import LOOKS_SECRET, clean_environment, free_port, run_command
from tests.deploy.files import DEPLOY, IMAGE, composed, seconds
from tests.proxies.conftest import api  # noqa: F401 - a fixture
from tests.proxies.proxies import in_bin

from hourpass.server.settings.settings import Settings

FILES = ["agent.yaml", "cluster.yaml", "server.yaml"]
each_file = pytest.mark.parametrize("name", FILES)
CHECK = Path(sys.executable).with_name("check-jsonschema")


def ours(composition: dict) -> dict[str, dict]:
    return {name: service for name, service in composition["services"].items() if service["image"] == IMAGE}


def test_no_file_is_forgotten():
    assert sorted(path.name for path in (DEPLOY / "compose").iterdir() if path.is_file()) == FILES


@each_file
def test_docker_compose_reads_the_file_and_it_follows_the_specification(name):
    composed(name)
    command = [CHECK, "--builtin-schema", "vendor.compose-spec", DEPLOY / "compose" / name]

    checked = subprocess.run(command, capture_output=True, text=True, check=False)

    assert checked.returncode == 0, checked.stdout


@each_file
def test_our_containers_may_do_nothing_that_they_need_not(name):
    services = ours(composed(name))

    assert services
    for service in services.values():
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["restart"] == "unless-stopped"
        assert not service.get("privileged")


@each_file
def test_an_image_of_ours_is_built_from_the_checkout(name):
    for service in ours(composed(name)).values():
        build = service["build"]
        assert (Path(build["context"]) / build["dockerfile"]).samefile(DEPLOY / "container" / "Containerfile")


@each_file
def test_who_waits_for_a_healthy_service_waits_for_one_with_a_health_check(name):
    services = composed(name)["services"]
    awaited = [
        other
        for service in services.values()
        for other, how in service.get("depends_on", {}).items()
        if how["condition"] == "service_healthy"
    ]

    assert all("test" in services[other]["healthcheck"] for other in awaited)


@pytest.mark.parametrize("name", ["cluster.yaml", "server.yaml"])
def test_a_node_has_time_to_drain_and_holds_its_secrets_in_files(name):
    for service in ours(composed(name)).values():
        assert seconds(service["stop_grace_period"]) > Settings().drain_timeout
        assert service["healthcheck"]["test"] == ["CMD", "hourpass", "health"]
        assert int(service["mem_limit"]) > 0
        mounted = {f"/run/secrets/{secret['source']}" for secret in service["secrets"]}
        assert {v for k, v in service["environment"].items() if k.endswith("_FILE")} == mounted


def test_a_node_believes_the_proxy_in_its_own_network():
    for name in ("cluster.yaml", "server.yaml"):
        composition = composed(name)
        (network,) = composition["networks"]["front"]["ipam"]["config"]
        for service in ours(composition).values():
            assert service["environment"]["HOURPASS_TRUSTED_PROXIES"] == network["subnet"]


def test_the_reader_finds_the_token_where_the_agent_writes_it():
    services = composed("agent.yaml")["services"]
    agent, reader = services["hourpass-agent"], services["reader"]
    path = reader["environment"]["HOURPASS_TOKEN_FILE"]

    assert f"--sink={path}" in agent["command"]
    assert agent["healthcheck"]["test"] == ["CMD", "test", "-s", path]
    mounts = {name: {mount["source"]: mount["target"] for mount in services[name]["volumes"]} for name in services}
    assert mounts["reader"]["token"] == mounts["hourpass-agent"]["token"] == str(Path(path).parent)


class Process:
    """A service of a compose file as a process: its command and environment, with names and paths of this machine."""

    def __init__(self, command: list[object], environment: dict[str, str], log: Path) -> None:
        self.command, self.environment, self.log = command, environment, log

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*map(str, self.command)], stdout=log, stderr=log, env=clean_environment(**self.environment)
            )

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(30)


@pytest.fixture
def cluster(tmp_path, database, api):  # noqa: F811
    """The nodes and the proxy of cluster.yaml, not started yet. Only names, ports and paths are exchanged."""
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "database-url").write_text(database)
    (secrets / "master-key").write_bytes(b64encode(os.urandom(32)))
    for secret in secrets.iterdir():
        secret.chmod(0o440)
    services = composed("cluster.yaml")["services"]
    ports = {name: free_port() for name in ("node-1", "node-2", "proxy")}
    processes: dict[str, Process] = {}
    for name in ("node-1", "node-2"):
        variables = {k: v.replace("/run/secrets", str(secrets)) for k, v in services[name]["environment"].items()}
        here = {"DATA": str(tmp_path / name), "PORT": str(ports[name]), "ADMIN_LISTEN": f"127.0.0.1:{free_port()}"}
        variables |= {f"HOURPASS_{setting}": value for setting, value in here.items()}
        variables["HOURPASS_TRUSTED_PROXIES"] = "127.0.0.1/32"
        processes[name] = Process([in_bin("hourpass"), "serve"], variables, tmp_path / f"{name}.log")
    variables = dict(services["proxy"]["environment"])
    assert variables["API"].endswith(":8000")
    for name in ("node-1", "node-2"):
        assert f"{name}:3600" in variables["HOURPASS"]
        variables["HOURPASS"] = variables["HOURPASS"].replace(f"{name}:3600", f"127.0.0.1:{ports[name]}")
    (mounted,) = [mount for mount in services["proxy"]["volumes"] if mount["target"] == "/etc/caddy/Caddyfile"]
    caddyfile = tmp_path / "Caddyfile"
    caddyfile.write_text("{\n\tdefault_bind 127.0.0.1\n}\n" + Path(mounted["source"]).read_text("utf-8"), "utf-8")
    folder = {"HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}
    variables |= {"API": f"127.0.0.1:{api}", "ADDRESS": f"http://127.0.0.1:{ports['proxy']}"}
    variables |= {**folder, "CADDY_ADMIN": f"unix/{tmp_path}/admin.sock"}
    caddy = [in_bin("caddy"), "run", "--adapter", "caddyfile", "--config", caddyfile]
    processes["proxy"] = Process(caddy, variables, tmp_path / "proxy.log")
    yield processes
    for process in processes.values():
        if hasattr(process, "process") and process.process.poll() is None:
            process.stop()
        assert not LOOKS_SECRET.search(process.log.read_bytes())


def becomes_healthy(node: Process) -> None:
    """As the health check of the service tells."""
    deadline = time.monotonic() + 30
    while run_command("health", check=False, env=clean_environment(**node.environment)).returncode:
        assert node.process.poll() is None, node.log.read_text()
        assert time.monotonic() < deadline, node.log.read_text()
        time.sleep(0.1)


def test_the_cluster_goes_on_while_each_node_in_turn_is_restarted(cluster):
    nodes = [cluster["node-1"], cluster["node-2"]]
    for node in nodes:
        node.start()
    for node in nodes:
        becomes_healthy(node)
    cluster["proxy"].start()
    url = cluster["proxy"].environment["ADDRESS"]
    made = run_command(
        "keys",
        "create",
        "--name",
        "t",
        "--scope",
        "videos.read",
        "--json",
        env=clean_environment(**nodes[0].environment),
    )
    key = json.loads(made.stdout)["api_key"]
    client = httpx2.Client(base_url=url, timeout=20, trust_env=False)
    deadline = time.monotonic() + 20
    while (pair := exchanged(client, key)) is None:
        assert time.monotonic() < deadline, cluster["proxy"].log.read_text()
        time.sleep(0.05)

    with ThreadPoolExecutor(1) as thread:
        restarting = thread.submit(restart_each, nodes)
        calls = 0
        while not restarting.done() or calls < 20:
            bearer = {"Authorization": f"Bearer {pair['access_token']}"}
            assert client.get("/videos", headers=bearer).status_code == 200
            answer = client.post("/auth/refresh", json={"refreshToken": pair["refresh_token"]})
            assert answer.status_code == 200, answer.text
            pair = answer.json()
            calls += 1
        restarting.result()
    assert client.get("/videos").status_code == 401
    client.close()


def exchanged(client, key: str) -> dict | None:
    """The first pair. None as long as nobody answers."""
    try:
        answer = client.post("/auth/api-key", json={"apiKey": key})
    except httpx2.TransportError:
        return None
    return answer.raise_for_status().json()


def restart_each(nodes: list[Process]) -> None:
    for node in nodes:
        assert node.stop() == 0
        node.start()
        becomes_healthy(node)
