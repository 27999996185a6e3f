"""Each extra, installed alone from the built wheel, does what it is for. Without any, a command says which it needs."""

import json
import re
import subprocess
from functools import cache

import bcrypt
import httpx2
import pytest
from filelock import FileLock
from tests.conftest import ServerProcess, clean_environment
from tests.docs.test_operating_pages import commands
from tests.e2e.conftest import PLAIN, exchange, verify
from tests.packaging.conftest import ROOT, shared_folder
from tests.packaging.environments import Environment, furnish
from tests.postgres.cluster import clusters_of
from tests.tracing.collector import Collector

from hourpass import __version__
from hourpass.cli import SECTIONS

CALL = """
import sys
from hourpass.client import TokenSource
url, key = sys.argv[1:]
source = TokenSource(url, api_key=key)
"""
LIBRARIES = {
    "requests": f"""{CALL}
import requests
from hourpass.client.auth.requests import HourpassAuth
print(requests.get(url + "/auth/verify", auth=HourpassAuth(source)).status_code)
""",
    "httpx": f"""{CALL}
import httpx
from hourpass.client.auth.httpx import HourpassAuth
print(httpx.Client(auth=HourpassAuth(source)).get(url + "/auth/verify").status_code)
""",
    "client": f"""{CALL}
import httpx2
from hourpass.client.auth.httpx2 import HourpassAuth
print(httpx2.Client(auth=HourpassAuth(source)).get(url + "/auth/verify").status_code)
""",
    "aiohttp": f"""{CALL}
import asyncio, aiohttp
from hourpass.client.auth.aiohttp import HourpassAuth
async def call():
    async with aiohttp.ClientSession(middlewares=[HourpassAuth(source)]) as session:
        async with session.get(url + "/auth/verify") as response:
            print(response.status)
asyncio.run(call())
""",
}

API = """
import asyncio, sys, httpx2
from hourpass.verifier import Verifier
from hourpass.verifier.asgi import HourpassMiddleware
issuer, *tokens = sys.argv[1:]
async def answer(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"for " + scope["hourpass"].sub.encode()})
async def call():
    with Verifier(issuer=issuer, audience=issuer) as verifier:
        api = httpx2.ASGITransport(app=HourpassMiddleware(answer, verifier=verifier))
        async with httpx2.AsyncClient(transport=api, base_url="http://api.test") as client:
            for token in tokens:
                response = await client.get("/", headers={"authorization": f"Bearer {token}"})
                print(response.status_code, response.text if response.status_code == 200 else "refused")
asyncio.run(call())
"""

KEYRING = '''
"""A keyring for the tests: it knows one password."""
import os
from keyring.backend import KeyringBackend
class Keyring(KeyringBackend):
    priority = 1
    def get_password(self, service, username):
        return os.environ["IN_THE_KEYRING"] if (service, username) == ("hourpass", "api-key") else None
    def set_password(self, service, username, password):
        raise NotImplementedError
'''


@pytest.fixture(scope="session")
def installed(release, tmp_path_factory):
    """A factory of environments: `installed("client")` has this extra. All test processes of a run share them."""
    shared = shared_folder(tmp_path_factory)
    house = shared / "house"

    @cache
    def make(extra: str = "") -> Environment:
        folder = shared / f"environment-{extra or 'none'}"
        with FileLock(f"{house}.lock"):
            if not house.exists():
                furnish(house, release.wheel, ROOT / "requirements" / "test.txt")
        environment = Environment(folder, house)
        with FileLock(f"{folder}.lock"):
            if not folder.exists():
                wanted = f"hourpass[{extra}]" if extra else "hourpass"
                environment.make(f"{wanted} @ {release.wheel.as_uri()}")
        return environment

    return make


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server whose clients run in the environments."""
    folder = tmp_path_factory.mktemp("server")
    running = ServerProcess(folder / "data", folder / "server.log", {}, {}).start()
    yield running
    running.stop()


@pytest.fixture
def key_file(tmp_path):
    def write(api_key: str) -> str:
        path = tmp_path / "api-key"
        path.write_text(api_key)
        path.chmod(0o600)
        return str(path)

    return write


ARGUMENTS = {
    "agent": ("--sink", "token"),
    "completion": ("bash",),
    "run": ("--", "true"),
    "credential git": ("get",),
    "credential docker": ("get",),
}
"""What a command needs before it comes to its work."""

TYPED = {"credential git": "protocol=http\nhost=127.0.0.1:9\n\n", "credential docker": "http://127.0.0.1:9"}

NEED_NOTHING = {"completion", "install crontab", "install systemd"}
"""They only print."""


@pytest.mark.parametrize("name", sorted(name.removeprefix("hourpass ") for name in commands()))
def test_without_any_extra_a_command_says_in_one_line_which_one_it_needs(name, installed, key_file):
    variables = {"HOURPASS_URL": "http://127.0.0.1:9", "HOURPASS_API_KEY_FILE": key_file("x" * 20)}
    done = installed().command(*name.split(), *ARGUMENTS.get(name, ()), typed=TYPED.get(name, ""), **variables)

    if name in NEED_NOTHING:
        assert (done.returncode, done.stderr) == (0, "")
    else:
        extra = "client" if name.split()[0] in SECTIONS["Client"] else "server"
        said = rf"hourpass: [a-z -]+ needs an extra \(\w+ is missing\): pip install 'hourpass\[{extra}\]'\n"
        assert (done.returncode, done.stdout) == (2, "")
        assert re.fullmatch(said, done.stderr)


def test_without_any_extra_the_command_itself_starts(installed):
    assert installed().command("--version").stdout == f"hourpass {__version__}\n"
    assert "Everyday commands:" in installed().command("--help").stdout


def test_the_advice_is_right_even_if_no_index_has_hourpass(installed, release, server, tmp_path, key_file):
    """pip takes the extra from the metadata of what is installed, and fetches only what it lacks."""
    installed()  # the house is furnished
    new = Environment(tmp_path / "environment", installed().house).make(f"hourpass @ {release.wheel.as_uri()}")
    ask = ("token", "--url", server.url, "--api-key-file", key_file(server.create_key()["api_key"]))
    advised = re.search(r"pip install '(.+)'", new.command(*ask).stderr)[1]
    new.install(advised)
    done = new.command(*ask)

    assert done.returncode == 0, done.stderr
    assert verify(server, done.stdout.strip()) == 204


@pytest.mark.parametrize("extra", LIBRARIES)
def test_a_client_library_gets_a_token_and_calls_with_it(extra, installed, server):
    key = server.create_key()["api_key"]

    assert installed(extra).program(LIBRARIES[extra], server.url, key) == "204"


def test_the_keyring_holds_the_api_key(installed, server, tmp_path):
    """As `docs/how-to/agent.md` says: `--api-key-command "keyring get hourpass api-key"`."""
    (tmp_path / "desk.py").write_text(KEYRING)
    done = installed("keyring").command(
        *("token", "--url", server.url, "--api-key-command", "keyring get hourpass api-key"),
        PYTHON_KEYRING_BACKEND="desk.Keyring",
        PYTHONPATH=str(tmp_path),
        IN_THE_KEYRING=server.create_key()["api_key"],
    )

    assert done.returncode == 0, done.stderr
    assert verify(server, done.stdout.strip()) == 204


def test_the_verifier_verifies_a_token_in_an_asgi_application(installed, server):
    token = exchange(server, server.create_key("--subject", "account-7")["api_key"]).json()["access_token"]
    forged = token[:-4] + ("AAAA" if token[-4:] != "AAAA" else "BBBB")

    said = installed("verifier").program(API, server.url, token, forged)

    assert said.splitlines() == ["200 for account-7", "401 refused"]


def run_by(environment: Environment) -> dict:
    """A server that is the environment's own command, and not the one of `.venv`."""
    return {"command": (environment.hourpass, "serve")}


def key_made_by(environment: Environment, server, *where: str) -> str:
    made = environment.command("keys", "create", "--name", "x", "--json", "--data", str(server.data), *where)
    assert made.returncode == 0, made.stderr
    return json.loads(made.stdout)["api_key"]


def test_the_server_serves_and_its_commands_work(installed, serve):
    environment = installed("server")
    server = serve(program=run_by(environment))
    token = exchange(server, key_made_by(environment, server)).json()["access_token"]

    assert verify(server, token) == 204


def test_the_demo_runs_with_the_servers_extra(installed, tmp_path):
    process = subprocess.Popen(
        [installed("server").hourpass, "demo", "--json", "--port", "0"],
        env=clean_environment(HOME=str(tmp_path)),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        told = json.loads(process.stdout.readline())
        assert httpx2.get(f"{told['url']}/videos", **PLAIN).status_code == 401
    finally:
        process.terminate()
        process.communicate(timeout=30)


def test_the_server_serves_on_postgresql(installed, serve, request):
    cluster = clusters_of(request.config).shared(18)
    url = cluster.url(cluster.create_database())
    environment = installed("postgres")
    server = serve(program=run_by(environment), database=url)
    token = exchange(server, key_made_by(environment, server, "--database", url)).json()["access_token"]

    assert verify(server, token) == 204


def test_the_server_without_that_extra_says_which_one_postgresql_needs(installed, tmp_path):
    done = installed("server").command(
        "keys", "list", "--data", str(tmp_path), "--database", "postgresql://127.0.0.1/x"
    )

    assert done.returncode == 2
    assert done.stderr == "hourpass: database_url: PostgreSQL needs an extra: pip install 'hourpass[postgres]'\n"


def test_hashed_keys_are_imported_and_accepted(installed, serve):
    environment = installed("import")
    server = serve(program=run_by(environment))
    key = "sk_live_Zk3vQ8rT5wXy2bN7cD4f"
    hashed = bcrypt.hashpw(key.encode(), bcrypt.gensalt(4)).decode()
    rows = f"hash,algorithm,lookup,name\n{hashed},bcrypt,{key[:12]},a\n"
    done = environment.command("keys", "import", "-", "--data", str(server.data), typed=rows)

    assert done.returncode == 0, done.stderr
    assert verify(server, exchange(server, key).json()["access_token"]) == 204


def test_the_server_sends_traces(installed, serve):
    """`tests/tracing` has what is in them."""
    environment, collector = installed("server,otel"), Collector()
    try:
        server = serve(program=run_by(environment), tracing="otlp", environment=collector.environment)
        exchange(server, key_made_by(environment, server))
        collector.wait(lambda span: "/auth/api-key" in span.name)
    finally:
        collector.close()


def test_the_server_without_that_extra_says_which_one_tracing_needs(installed, tmp_path):
    done = installed("server").command("serve", "--port", "0", "--data", str(tmp_path), "--tracing", "otlp")

    assert done.returncode == 2
    assert re.fullmatch(r"hourpass: [^\n]+: pip install 'hourpass\[otel\]'\n", done.stderr), done.stderr


def test_all_of_them_together_do_both(installed, serve, key_file):
    environment = installed("all")
    server = serve(program=run_by(environment))
    key = key_made_by(environment, server)
    done = environment.command("token", "--url", server.url, "--api-key-file", key_file(key))

    assert verify(server, done.stdout.strip()) == 204
    adapters = ", ".join(f"hourpass.client.auth.{name}" for name in ("aiohttp", "httpx", "httpx2", "requests"))
    assert environment.program(f"import {adapters}; print('all')") == "all"
