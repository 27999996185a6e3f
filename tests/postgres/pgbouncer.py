"""A real PgBouncer in front of a test run's PostgreSQL, on a unix socket. It is Debian's package."""

import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import psycopg
from tests.debian import program
from tests.postgres.cluster import as_somebody

PORT = 6432
"""Only a part of the socket's name."""


class PgBouncer:
    """One pooler with its own folder, in one of its modes. It has few connections, so that clients share them."""

    def __init__(self, server: Path, mode: str, *, size: int = 2, **more: object) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="hp-pgb-"))
        settings = {
            "listen_addr": "",
            "listen_port": PORT,
            "unix_socket_dir": self.folder,
            "auth_type": "any",
            "pool_mode": mode,
            "default_pool_size": size,
            "server_login_retry": 0.2,
            **more,
        }
        file = self.folder / "pgbouncer.ini"
        lines = [f"{name} = {value}" for name, value in settings.items()]
        file.write_text(f"[databases]\n* = host={server} user=postgres\n[pgbouncer]\n" + "\n".join(lines) + "\n")
        with (self.folder / "log").open("wb") as log:
            command = [*as_somebody(), program("pgbouncer"), "-q", str(file)]
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        self._wait()

    def _wait(self) -> None:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            try:
                psycopg.connect(self.url("postgres")).close()
            except psycopg.OperationalError:
                time.sleep(0.02)
            else:
                return
        raise RuntimeError(f"PgBouncer does not answer: {(self.folder / 'log').read_text()}")

    def url(self, database: str) -> str:
        """A URL of a database, through it."""
        return f"postgresql://postgres@/{database}?host={self.folder}&port={PORT}"

    def stop(self) -> None:
        self.process.kill()
        self.process.wait(10)
        shutil.rmtree(self.folder, ignore_errors=True)
