"""A user with a home, an API key in a file and a cache folder, who types commands against a real server."""

import json
import re
import stat
import subprocess
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from tests.conftest import HOURPASS, LOOKS_SECRET, ServerProcess, clean_environment, free_port, run_command

from hourpass.core.api_key import new_api_key


class User:
    """Runs `hourpass`. Every call says which exit code it expects. Nothing said on stderr may look like a secret."""

    def __init__(self, home: Path, url: str, api_key: str, key_id: str = "") -> None:
        self.home = home
        self.key_id = key_id
        self.url = url
        self.api_key = api_key
        self.key_file = home / "api-key"
        self.key_file.write_text(api_key + "\n")
        self.key_file.chmod(0o600)
        self.folder = home / "cache" / "hourpass"
        kept = clean_environment(HOME=str(home), XDG_CACHE_HOME=str(home / "cache"))
        dropped = ("CREDENTIALS_DIRECTORY", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME")
        self.bare = {name: value for name, value in kept.items() if name not in dropped}
        self.environment = {**self.bare, "HOURPASS_URL": url, "HOURPASS_API_KEY_FILE": str(self.key_file)}

    def __call__(self, *arguments: str, code: int = 0, env=None, **options) -> subprocess.CompletedProcess[str]:
        environment = self.environment if env is None else env
        result = run_command(*arguments, check=False, env=environment, **options)
        assert "Traceback" not in result.stderr, result.stderr
        assert not LOOKS_SECRET.search(result.stderr.encode()), "a secret stands on stderr"
        assert result.returncode == code, f"{result.returncode}: {result.stderr}"
        return result

    def start(self, *arguments: str, **options) -> subprocess.Popen:
        return subprocess.Popen([HOURPASS, *arguments], env=self.environment, **options)

    @property
    def cache_file(self) -> Path:
        """The one credential in the cache folder."""
        (path,) = (path for path in self.folder.iterdir() if path.suffix != ".lock" and path.suffix != ".tmp")
        return path

    @property
    def cached(self) -> dict:
        return json.loads(self.cache_file.read_text())

    def age(self, seconds: int) -> None:
        """Let what is cached be so much older."""
        record = self.cached
        record["issued_at"] -= seconds * 1000
        record["exchanged_at"] -= seconds * 1000
        self.cache_file.write_text(json.dumps(record))

    def token(self, *arguments: str, **options) -> str:
        return self("token", *arguments, **options).stdout.strip()


@pytest.fixture(scope="session")
def shared(tmp_path_factory):
    """A server that no test changes, and one key: starting both is most of what a test would take."""
    folder = tmp_path_factory.mktemp("shared")
    server = ServerProcess(folder / "data", folder / "log", {"exchange-limit": 0}, {}).start()
    yield server, server.create_key("--scope", "videos.read")
    server.kill()
    assert not LOOKS_SECRET.search(server.log.read_bytes()), "a key or a token stands in the log"


@pytest.fixture
def server(serve):
    """A server of this test's own, to be killed, or to have its keys revoked. Its user has a key of it."""
    return serve(exchange_limit=0)


@pytest.fixture
def user(request, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    if "server" in request.fixturenames:
        server = request.getfixturevalue("server")
        made = server.create_key("--scope", "videos.read")
    else:
        server, made = request.getfixturevalue("shared")
    return User(home, server.url, made["api_key"], made["key_id"])


@pytest.fixture
def stranger(tmp_path):
    """A user whose server does not exist: for tests that send nothing."""
    home = tmp_path / "stranger"
    home.mkdir()
    return User(home, f"http://127.0.0.1:{free_port()}", new_api_key("production", bytes(32))[1])


@pytest.fixture
def holder(user):
    """A user whose cache holds a token."""
    user.token()
    return user


@pytest.fixture
def answering():
    """`with answering(status, headers, body) as url`: a loopback server that answers everything so."""

    @contextmanager
    def serve_answer(status: int, headers: dict[str, str], body: bytes = b"{}"):
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response_only(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments):
                pass

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
            thread = threading.Thread(target=http.serve_forever, args=(0.01,))
            thread.start()
            yield f"http://127.0.0.1:{http.server_address[1]}"
            http.shutdown()
            thread.join()

    return serve_answer


@pytest.fixture
def crontab_of(tmp_path):
    """`crontab_of(user)`: gives a user a `crontab` command that keeps its one table in a file, which is returned."""

    def give(user: User) -> Path:
        folder, table = tmp_path / "bin", tmp_path / "table"
        folder.mkdir()
        program = folder / "crontab"
        program.write_text(
            "#!/bin/sh\n"
            f'if [ "$1" = - ]; then cat > {table}; elif [ -f {table} ]; then cat {table}\n'
            "else echo no crontab for you >&2; exit 1; fi\n"
        )
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        user.environment["PATH"] = f"{folder}:{user.environment['PATH']}"
        return table

    return give


@pytest.fixture
def secrets_of():
    """Everything that looks like a key or a token in the arguments and the environment of a process."""

    def read(pid: int) -> list[str]:
        texts = {name: Path(f"/proc/{pid}/{name}").read_bytes() for name in ("cmdline", "environ")}
        return [f"{name}: {found[0]!r}" for name, text in texts.items() if (found := re.search(LOOKS_SECRET, text))]

    return read
