"""A real Prometheus that runs deploy/monitoring, with its time shortened.

Nobody can wait for minutes in a test. So every duration of the configuration and the rules (how often Prometheus asks,
how long it looks back, for how long an alert must hold) is divided by FASTER. Everything else is what we ship. Numbers
that expressions compare with stay as they are.
"""

import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Self

import httpx2
import pytest
import yaml
from tests.conftest import free_port
from tests.debian import program

SHIPPED = Path(__file__).parents[2] / "deploy" / "monitoring"
FASTER = 75
"""15 seconds become 200 milliseconds, and 5 minutes become 4 seconds."""

NODES = 24
"""How many nodes the tests of one process may start."""

MILLISECONDS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
DURATION = re.compile(r"\b(\d+)(ms|s|m|h|d)\b")


def faster(text: str) -> str:
    """The text with each duration divided by FASTER."""

    def divided(found: re.Match[str]) -> str:
        return f"{max(1, int(found[1]) * MILLISECONDS[found[2]] // FASTER)}ms"

    return DURATION.sub(divided, text)


def faster_expression(expression: str) -> str:
    """The expression with each range and each offset divided."""
    return re.sub(r"\[[^\]]*\]|offset \w+", lambda found: faster(found[0]), expression)


def faster_rules(text: str) -> str:
    """A file of rules, with how long each looks back and must hold divided."""
    rules = yaml.safe_load(text)
    for group in rules["groups"]:
        for rule in group["rules"]:
            rule["expr"] = faster_expression(rule["expr"])
            if "for" in rule:
                rule["for"] = faster(rule["for"])
    return yaml.safe_dump(rules)


def faster_configuration(text: str, targets: Collection[str]) -> str:
    """The shipped configuration, with the intervals divided and our own targets."""
    configuration = yaml.safe_load(text)
    configuration["global"] = {name: faster(value) for name, value in configuration["global"].items()}
    for job in configuration["scrape_configs"]:
        job["static_configs"] = [{"targets": [*targets]}]
    return yaml.safe_dump(configuration)


class Prometheus:
    """Scrapes nodes that start later. It knows their addresses before, because it takes 5 s until it knows new ones."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._targets = Targets(NODES)
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self._http = httpx2.Client(base_url=self.url, verify=False, timeout=5, trust_env=False)

    def start(self) -> Self:
        for path in SHIPPED.glob("*.yml"):
            text = path.read_text("utf-8")
            whole = path.name == "prometheus.yml"
            done = faster_configuration(text, self._targets.all) if whole else faster_rules(text)
            (self._folder / path.name).write_text(done)
        command = [
            program("prometheus"),
            f"--config.file={self._folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={self._folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{self._port}",
            "--log.level=warn",
        ]
        self._log = self._folder / "log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self._folder)
        return self

    @contextmanager
    def running(self) -> Iterator[Self]:
        """It stands still before and after: asking and judging five times a second takes a tenth of a core."""
        self._process.send_signal(signal.SIGCONT)
        try:
            yield self
        finally:
            self._process.send_signal(signal.SIGSTOP)

    def end(self) -> None:
        self._http.close()
        self._process.kill()
        self._process.wait(10)

    def target(self) -> str:
        """The address at which the next node must have its admin listener."""
        return self._targets.take()

    def ask(self, path: str, **query: str) -> Any:
        """What the API answers as `data`."""
        answer = self._http.get(f"/api/v1/{path}", params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The series of an instant query, each with `metric` and `value`."""
        result: list[dict[str, Any]] = self.ask("query", query=expression)["result"]
        return result

    def firing(self, target: str) -> set[str]:
        """The names of the alerts that fire for a node."""
        alerts = [each for each in self.ask("alerts")["alerts"] if each["labels"].get("instance") == target]
        return {each["labels"]["alertname"] for each in alerts if each["state"] == "firing"}

    def fired(self, target: str) -> set[str]:
        """The names of the alerts that fire for a node, or did before."""
        series = f'ALERTS{{instance="{target}", alertstate="firing"}}'
        return {each["metric"]["alertname"] for each in self.query(f"count_over_time({series}[1h])")}

    def await_scraped(self, target: str) -> None:
        """Wait until a node was asked twice: a rate needs two values."""
        seen = f'count_over_time(up{{instance="{target}"}}[1h]) > 1 and up{{instance="{target}"}} == 1'
        self.wait(lambda: bool(self.query(seen)), f"{target} was not scraped", 30)

    def await_fired(self, target: str, *alerts: str, within: float = 45) -> None:
        """Wait until each of these alerts has fired for a node."""
        self.wait(lambda: set(alerts) <= self.fired(target), f"{alerts} do not fire", within)

    def wait(self, condition: Callable[[], bool], complaint: object, within: float) -> None:
        deadline = time.monotonic() + within
        while not self._answers(condition):
            assert self._process.poll() is None, self._log.read_text()
            assert time.monotonic() < deadline, f"{complaint}: {self._log.read_text()[-1000:]}"
            time.sleep(0.1)

    def _answers(self, condition: Callable[[], bool]) -> bool:
        try:
            return condition()
        except httpx2.ConnectError:
            return False  # it starts


class Targets:
    """Addresses on loopback that nobody else gets until a node takes them."""

    def __init__(self, number: int) -> None:
        self._held = [socket.socket() for _ in range(number)]
        for each in self._held:
            each.bind(("127.0.0.1", 0))
        self.all = [_address(each) for each in self._held]

    def take(self) -> str:
        held = self._held.pop()
        address = _address(held)
        held.close()
        return address


def _address(bound: socket.socket) -> str:
    host, port = bound.getsockname()
    return f"{host}:{port}"


_PROMETHEUS = pytest.StashKey[Prometheus]()


def prometheus_of(config: pytest.Config) -> AbstractContextManager[Prometheus]:
    """The Prometheus of this test run, which runs during the context and ends with the test run."""
    if _PROMETHEUS not in config.stash:
        folder = Path(tempfile.mkdtemp(prefix="hp-prometheus-"))
        config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
        config.stash[_PROMETHEUS] = Prometheus(folder).start()
        config.add_cleanup(config.stash[_PROMETHEUS].end)
    return config.stash[_PROMETHEUS].running()
