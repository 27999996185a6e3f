"""Servers under test: pinned to the first core, driven from the second, their CPU read from /proc."""

import atexit
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SERVER_CORE, LOAD_CORE = 0, min(1, (os.cpu_count() or 1) - 1)
HOURPASS = Path(sys.executable).with_name("hourpass")
TICK = os.sysconf("SC_CLK_TCK")


def pinned(command, core, **options):
    """Start a command on one core, or on any core if that is None."""
    cores = os.sched_getaffinity(0) if core is None else {core}
    return subprocess.Popen(command, preexec_fn=lambda: os.sched_setaffinity(0, cores), **options)  # noqa: PLW1509


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def descendants(pid):
    """A process and all its descendants."""
    yield pid
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        # A thread may end meanwhile.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            for child in children.read_text().split():
                yield from descendants(int(child))


def cpu_ticks(pid):
    """The CPU time of a process, and of its descendants that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15]))


class Server:
    """A process that listens on a loopback port. `options` are those of `subprocess.Popen`."""

    def __init__(self, name, command, port, *, core=SERVER_CORE, **options):
        self.name, self.port = name, port
        self.process = pinned(command, core, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options)
        atexit.register(self.process.terminate)  # in case something fails before it is stopped
        deadline = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 0.2).close()
                return
            except OSError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"{name} does not listen") from None
                time.sleep(0.05)

    def cpu_seconds(self):
        """The CPU time of all its processes."""
        ticks = 0
        for pid in descendants(self.process.pid):
            # If a process ends meanwhile, its time is included in that of its parent.
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                ticks += cpu_ticks(pid)
        return ticks / TICK

    def memory_mb(self):
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1024

    def load(
        self, seconds, connections, *, method="POST", path, headers=None, body="", tokens=None, core=LOAD_CORE, **more
    ):
        """Put load on it for a while. Returns the load generator's figures, with `cpu_us` per request.

        `more` goes to the load generator: `template`, `field`, `keep_tokens`, `expected`, `access_tokens`.
        """
        spec = {
            "port": self.port,
            "seconds": seconds,
            "connections": connections,
            "method": method,
            "path": path,
            "headers": headers or {},
            "body": body,
            "tokens": str(tokens) if tokens else None,
            **more,
        }
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump(spec, file)
            file.flush()
            before = self.cpu_seconds()
            load = pinned([sys.executable, "-m", "bench.load", file.name], core, stdout=subprocess.PIPE)
            output = load.communicate(timeout=seconds + 60)[0]
        figures = json.loads(output)
        figures["cpu_us"] = (self.cpu_seconds() - before) / max(1, figures["requests"]) * 1e6
        if figures["refused"]:
            what = "{refused} of {requests} refused, first {refusal!r}".format(**figures)
            raise RuntimeError(f"{self.name}{path}: {what}")
        return figures

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Hourpass(Server):
    """`hourpass serve` with one API key, throttles off."""

    def __init__(self, name, folder, *, core=SERVER_CORE, **flags):
        self.folder = folder
        port = free_port()
        flags = {
            "data": folder,
            "port": port,
            "admin-listen": "off",
            "exchange-limit": 0,
            "grants-per-key": 10_000_000,
            **flags,
        }
        arguments = [part for flag, value in flags.items() for part in (f"--{flag.replace('_', '-')}", str(value))]
        super().__init__(name, [HOURPASS, "serve", *arguments], port, core=core)
        where = [f"--{flag}={flags[flag]}" for flag in ("data", "database") if flag in flags]
        key = ["--name", "bench", "--scope", "introspect videos.read", "--json"]
        made = subprocess.run([HOURPASS, "keys", "create", *where, *key], capture_output=True, check=True)
        self.api_key = json.loads(made.stdout)["api_key"]
        self.key_id = json.loads(made.stdout)["key_id"]

    def exchange_once(self):
        import httpx2

        answer = httpx2.post(f"http://127.0.0.1:{self.port}/auth/api-key", json={"apiKey": self.api_key})
        return answer.raise_for_status().json()

    def exchange(self, seconds, connections):
        return self.load(seconds, connections, path="/auth/api-key", body=json.dumps({"apiKey": self.api_key}))

    def refresh(self, seconds, connections, tokens):
        return self.load(seconds, connections, path="/auth/refresh", tokens=tokens)

    def verify(self, seconds, connections, access_token):
        return self.load(
            seconds, connections, method="GET", path="/auth/verify", headers={"authorization": f"Bearer {access_token}"}
        )


class Trivial(Server):
    """The trivial endpoint on the same HTTP server."""

    def __init__(self):
        port = free_port()
        super().__init__("trivial", [sys.executable, "-m", "bench.trivial", str(port)], port)

    def post(self, seconds, connections):
        return self.load(seconds, connections, path="/", body=json.dumps({"apiKey": "x" * 60}))

    def get(self, seconds, connections):
        return self.load(seconds, connections, method="GET", path="/", headers={"authorization": "Bearer " + "a" * 500})
