"""Three PostgreSQL servers under Patroni, synchronous, on loopback. They are killed, started again and ended by pid.

Patroni keeps its own state (Raft) here, so nothing else is needed. In production that is etcd. This module knows
nothing of hourpass.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import httpx2
import psycopg
from tests.conftest import free_port
from tests.postgres.cluster import NEWEST, as_somebody, binaries

PACKAGES = Path(sys.prefix, "drill")
"""The folder into which `make drill` installs Patroni."""

TIMES = {"ttl": 20, "loop_wait": 5, "retry_timeout": 5}
"""Seconds. A dead leader's lease ends after `ttl`. Patroni accepts no less than 20."""

PARAMETERS = {"shared_buffers": "32MB", "max_connections": 50, "max_wal_size": "256MB", "log_min_messages": "warning"}

TRUST = ["local all all trust", "host all all 127.0.0.1/32 trust", "host replication all 127.0.0.1/32 trust"]


class Member:
    """One server and the Patroni that runs it."""

    def __init__(self, folder: Path, name: str) -> None:
        self.name = name
        self.folder = folder / name
        self.folder.mkdir()
        self.port, self._api_port, raft_port = free_port(), free_port(), free_port()
        self.raft = f"127.0.0.1:{raft_port}"
        self._api = f"http://127.0.0.1:{self._api_port}"
        self.process: subprocess.Popen[bytes] | None = None
        self._frozen = False

    def configure(self, partners: list[str], *, synchronous: bool) -> None:
        """Write Patroni's file. JSON is YAML."""
        dcs = {
            **TIMES,
            "synchronous_mode": synchronous,
            "postgresql": {"use_pg_rewind": True, "parameters": PARAMETERS},
        }
        configuration = {
            "scope": "drill",
            "name": self.name,
            "restapi": {"listen": f"127.0.0.1:{self._api_port}", "connect_address": f"127.0.0.1:{self._api_port}"},
            "raft": {"self_addr": self.raft, "partner_addrs": partners, "data_dir": str(self.folder / "raft")},
            "bootstrap": {"dcs": dcs, "initdb": [{"encoding": "UTF8"}, {"locale": "C.UTF-8"}]},
            "postgresql": {
                "listen": f"127.0.0.1:{self.port}",
                "connect_address": f"127.0.0.1:{self.port}",
                "data_dir": str(self.folder / "data"),
                "bin_dir": str(binaries(NEWEST)),
                "pgpass": str(self.folder / "pgpass"),
                "pg_hba": TRUST,
                "parameters": {"unix_socket_directories": str(self.folder)},
                "authentication": {"superuser": {"username": "postgres"}, "replication": {"username": "replicator"}},
            },
        }
        (self.folder / "patroni.yml").write_text(json.dumps(configuration))

    def start(self) -> None:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PATRONI", "PG"))}
        environment = {**kept, "PYTHONPATH": str(PACKAGES), "HOME": str(self.folder)}
        command = [*as_somebody(), sys.executable, "-m", "patroni", str(self.folder / "patroni.yml")]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, env=environment, cwd=self.folder, start_new_session=True
            )

    def kill(self) -> None:
        """Kill (-9) Patroni, the server and every process of it."""
        self._signal_all(signal.SIGKILL)
        if self.process is not None:
            self.process.wait(10)
            self.process = None

    def freeze(self) -> None:
        """Stop all its processes, like a machine that hangs: connections stay open but silent. `thaw` goes on."""
        self._signal_all(signal.SIGSTOP)
        self._frozen = True

    def thaw(self) -> None:
        self._frozen = False
        self._signal_all(signal.SIGCONT)

    def stop_sending(self) -> None:
        """Cut the standbys off, before a kill: what is written from now on stays here."""
        for (pid,) in self.run("select pid from pg_stat_replication"):
            os.kill(pid, signal.SIGSTOP)

    def _signal_all(self, number: signal.Signals) -> None:
        for pid in self._pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def _pids(self) -> list[int]:
        """Patroni's process group first, so that it starts nothing again."""
        own = [-self.process.pid] if self.process is not None else []
        try:
            postmaster = int((self.folder / "data" / "postmaster.pid").read_text().split()[0])
            if str(self.folder) not in Path(f"/proc/{postmaster}/cmdline").read_text():
                return own  # the file is older than the process that has its number now
            children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
        except (OSError, IndexError, ValueError):
            return own
        return [*own, postmaster, *map(int, children)]

    def status(self) -> list[dict[str, object]]:
        """All members as this one sees them, none if it does not answer."""
        if self._frozen:
            return []
        try:
            members: list[dict[str, object]] = httpx2.get(f"{self._api}/cluster", timeout=3, verify=False).json()[
                "members"
            ]
        except (httpx2.TransportError, KeyError, ValueError):
            return []
        return members

    def ask_switchover(self, candidate: str) -> None:
        """Hand over to another member. Returns when it is done."""
        answer = httpx2.post(
            f"{self._api}/switchover", json={"leader": self.name, "candidate": candidate}, timeout=60, verify=False
        )
        if answer.status_code != 200:
            raise RuntimeError(f"Patroni: {answer.text}")

    def run(self, sql: str, database: str = "postgres") -> list[tuple]:
        url = f"postgresql://postgres@127.0.0.1:{self.port}/{database}"
        with psycopg.connect(url, autocommit=True, connect_timeout=5) as db:
            cursor = db.execute(sql)
            return cursor.fetchall() if cursor.description else []


class Cluster:
    """Three members."""

    def __init__(self, folder: Path, *, synchronous: bool = True) -> None:
        self.synchronous = synchronous
        self.members = [Member(folder, f"pg{number}") for number in (1, 2, 3)]
        for member in self.members:
            partners = [other.raft for other in self.members if other is not member]
            member.configure(partners, synchronous=synchronous)

    def url(self, database: str) -> str:
        """The URL with all hosts. libpq finds the one that takes writes."""
        hosts = ",".join(f"127.0.0.1:{member.port}" for member in self.members)
        return f"postgresql://postgres@{hosts}/{database}?target_session_attrs=read-write"

    def start(self) -> None:
        for member in self.members:
            member.start()
        self.wait(self.is_whole, "the cluster to be whole", seconds=60)

    def end(self) -> None:
        for member in self.members:
            member.kill()

    def views(self) -> list[list[dict[str, object]]]:
        """What each member that answers reports about all of them. One that has just woken up may be wrong."""
        return [view for member in self.members if (view := member.status())]

    def member_in(self, role: str) -> Member | None:
        """The member that at least two members see in this role."""
        seen = Counter(str(each["name"]) for view in self.views() for each in view if each["role"] == role)
        return next((member for member in self.members if seen[member.name] >= 2), None)

    def leader(self) -> Member:
        return _known(self.member_in("leader"), "leader")

    def next_leader(self) -> Member:
        """The standby that a switchover goes to."""
        return _known(self.member_in("sync_standby" if self.synchronous else "replica"), "standby")

    def is_whole(self) -> bool:
        """Whether all agree that one leads and two stream from it, in synchronous mode one of them synchronously."""
        views = self.views()
        leaders = {each["name"] for view in views for each in view if each["role"] == "leader"}
        return len(views) == 3 and len(leaders) == 1 and all(map(self._is_whole, views))

    def _is_whole(self, view: list[dict[str, object]]) -> bool:
        wanted = ["leader", "replica", "sync_standby" if self.synchronous else "replica"]
        streaming = all(seen["state"] == "streaming" for seen in view if seen["role"] != "leader")
        timelines = {seen.get("timeline") for seen in view}
        return sorted(str(seen["role"]) for seen in view) == wanted and streaming and len(timelines) == 1

    def is_level(self) -> bool:
        """Whether both standbys have applied all that the leader has written."""
        waiting = "select count(*) from pg_stat_replication where replay_lsn = pg_current_wal_lsn()"
        return self.leader().run(waiting) == [(2,)]

    def wait(self, condition: Callable[[], bool], what: str, *, seconds: float) -> float:
        """Wait for something. Returns how many seconds it took."""
        began = time.monotonic()
        while not condition():
            if time.monotonic() - began > seconds:
                raise TimeoutError(f"waited {seconds:.0f} s for {what}: {self.views()}\n{self.logs()}")
            time.sleep(0.2)
        return time.monotonic() - began

    def logs(self) -> str:
        return "\n".join((m.folder / "log").read_text()[-1500:] for m in self.members if (m.folder / "log").exists())


def _known(member: Member | None, role: str) -> Member:
    if member is None:
        raise RuntimeError(f"the cluster has no {role}")
    return member


def require_tools() -> None:
    """Raises RuntimeError if something is missing, with what to do about it."""
    if not (PACKAGES / "patroni").is_dir():
        raise RuntimeError("Patroni is not installed: make drill")
    if as_somebody() and (
        not shutil.which("unshare") or subprocess.run([*as_somebody(), "true"], check=False).returncode
    ):
        raise RuntimeError(
            "PostgreSQL refuses to run as root, and there is no user namespace here: run as another user"
        )
