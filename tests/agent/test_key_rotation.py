"""The agent rotates its API key on a schedule, and recovers wherever it is killed."""

import json
import os
import stat
import subprocess
import sys
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx2
import pytest
from tests.agent.conftest import AgentProcess, eventually
from tests.conftest import HOURPASS, ServerProcess, clean_environment
from tests.e2e.conftest import PLAIN

from hourpass.client.agent.key_rotation import EARLY, FIRST, LOOK_EVERY, REFUSED, KeyRotation
from hourpass.client.agent.mailbox import Mailbox
from hourpass.client.refresh.token_endpoint import Rotated, classify_rotation
from hourpass.client.refresh.transaction import NotAccepted, Transient, Unknown
from hourpass.core.errors import ConfigurationError
from hourpass.core.policy import DAY, HOUR, SECOND

NOW = 1_800_000_000_000
EVERY = 30 * DAY
OLD, NEW = "hp_production_old_key", "hp_production_new_key"


# One turn, with every answer that a server may give.


class Schedule:
    """A rotation whose clock and answers the test sets. The file is as old as the interval."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "api-key"
        self.now = NOW
        self.answers: list[object] = []
        self.asked: list[str] = []
        self.said: list[str] = []
        self.mailbox = Mailbox()
        self.put(OLD, NOW - EVERY)
        self.rotation = KeyRotation(
            self.path, self.read, self.ask, self.mailbox, EVERY, wall=lambda: self.now, chance=lambda: 0.0,
            log=self.said.append,
        )  # fmt: skip

    def put(self, key: str, at: int) -> None:
        self.path.write_text(key)
        self.path.chmod(0o640)
        os.utime(self.path, (at / SECOND, at / SECOND))

    def read(self) -> str:
        return self.path.read_text().strip()

    def ask(self, key: str):
        self.asked.append(key)
        answer = self.answers.pop(0)
        return answer() if callable(answer) else answer


@pytest.fixture
def schedule(tmp_path):
    schedule = Schedule(tmp_path)
    yield schedule
    schedule.mailbox.close()


def test_a_key_is_due_when_its_file_is_as_old_as_the_interval(schedule):
    schedule.now -= 1

    assert schedule.rotation.turn() == 1
    schedule.now -= LOOK_EVERY * 2
    assert schedule.rotation.turn() == LOOK_EVERY
    assert schedule.asked == []


def test_many_hosts_do_not_ask_together(schedule):
    early = KeyRotation(
        schedule.path, schedule.read, schedule.ask, schedule.mailbox, EVERY, wall=lambda: schedule.now,
        chance=lambda: 0.999, log=schedule.said.append,
    )  # fmt: skip
    schedule.answers = [Rotated(NEW)]
    schedule.now -= int(EVERY * EARLY * 0.99)

    early.turn()

    assert schedule.read() == NEW


def test_the_new_key_replaces_the_file_with_its_mode_and_the_agent_is_told(schedule):
    schedule.answers = [Rotated(NEW)]

    assert schedule.rotation.turn() == 0

    assert (schedule.asked, schedule.path.read_text()) == ([OLD], f"{NEW}\n")
    assert stat.S_IMODE(schedule.path.stat().st_mode) == 0o640
    assert schedule.mailbox.get(0) == "key"
    assert schedule.said == ["the API key was rotated"]


def test_a_key_that_somebody_put_there_meanwhile_is_not_overwritten(schedule):
    def answer():
        schedule.put("hp_production_another", NOW)
        return Rotated(NEW)

    schedule.answers = [answer]

    assert schedule.rotation.turn() == 0
    assert schedule.read() == "hp_production_another"
    assert schedule.mailbox.is_empty()


@pytest.mark.parametrize("answer", [Transient("away"), Unknown("no answer")], ids=["not sent", "no answer"])
def test_a_lost_answer_is_asked_for_again_with_the_same_key_and_said_once(schedule, answer):
    schedule.answers = [answer, answer, Rotated(NEW)]

    for wait in (FIRST, FIRST):
        assert schedule.rotation.turn() >= wait
        assert schedule.rotation.turn() > 0
        schedule.now += HOUR
    schedule.rotation.turn()

    assert schedule.asked == [OLD] * 3
    assert schedule.read() == NEW
    assert len(schedule.said) == 2


def test_it_waits_as_long_as_the_server_says(schedule):
    schedule.answers = [Transient("two secrets of the API key are alive", HOUR), Rotated(NEW)]

    assert schedule.rotation.turn() == LOOK_EVERY
    schedule.now += HOUR - 1
    assert schedule.rotation.turn() == 1
    schedule.now += 1
    assert schedule.rotation.turn() == 0


def test_a_refusal_is_said_once_and_asked_about_again_in_an_hour_or_when_the_file_changes(schedule):
    schedule.answers = [NotAccepted("self_rotation_off")] * 3

    schedule.rotation.turn()
    schedule.now += REFUSED - 1
    schedule.rotation.turn()
    assert len(schedule.asked) == 1
    schedule.now += 1
    schedule.rotation.turn()
    assert schedule.said == ["the API key is not rotated: self_rotation_off"]
    schedule.put("hp_production_another", NOW - EVERY)
    schedule.put("hp_production_another", NOW - EVERY - SECOND)
    schedule.rotation.turn()
    assert len(schedule.asked) == 3


def test_a_file_that_cannot_be_read_or_replaced_is_trouble_and_not_the_end(schedule, tmp_path):
    schedule.answers = [Rotated(NEW)] * 2
    target = tmp_path / "target"
    schedule.path.rename(target)
    assert schedule.rotation.turn() >= FIRST
    schedule.path.symlink_to(target)
    schedule.now += HOUR
    schedule.rotation.turn()

    assert "cannot be read" in schedule.said[0]
    assert "not a plain file" in schedule.said[1]
    assert target.read_text() == OLD


def test_a_key_that_cannot_be_read_is_not_asked_for(schedule):
    def unreadable():
        raise ConfigurationError("there is no API key: the file is empty")

    schedule.rotation._read = unreadable

    assert schedule.rotation.turn() >= FIRST
    assert schedule.said == ["there is no API key: the file is empty"]


PROBLEM = {"type": "about:blank", "title": "…", "name": "", "status": 403, "reason": "self_rotation_off"}
ANSWERS = {
    "the next secret": (200, {"apiKey": NEW}, Rotated(NEW)),
    "off": (403, PROBLEM, NotAccepted("self_rotation_off")),
    "rotated": (400, {**PROBLEM, "status": 400, "reason": "rotated"}, NotAccepted("rotated")),
    "two alive": (409, {}, Transient("two secrets of the API key are alive", 7_000)),
    "somebody's login page": (403, {}, Transient("the server answered 403 to a rotation of the API key", 7_000)),
    "another server": (404, {}, Transient("the server answered 404 to a rotation of the API key", 7_000)),
    "no key": (200, {"apiKey": "a b"}, Transient("the answer to a rotation is not an API key")),
    "nothing": (200, {}, Transient("the answer to a rotation is not an API key")),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_to_a_rotation_is_read_for_what_it_is(name):
    status, body, outcome = ANSWERS[name]

    assert classify_rotation(status, json.dumps(body).encode(), 7_000) == outcome
    assert NEW not in repr(outcome)


# The process, with a real server behind a relay.


class Relay(ThreadingHTTPServer):
    """Passes requests on to a server. `before` and `after` are called with each request's path and key."""

    daemon_threads = True

    def __init__(self, url: str) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.to = url
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.before = self.after = lambda path, key: True
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Handler(BaseHTTPRequestHandler):
    server: Relay

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        key = json.loads(body).get("apiKey")
        if not self.server.before(self.path, key):
            return
        answer = httpx2.post(self.server.to + self.path, content=body, **PLAIN)
        if not self.server.after(self.path, key):
            return
        with suppress(OSError):
            self.send_response(answer.status_code)
            for name in ("content-type", "retry-after"):
                if name in answer.headers:
                    self.send_header(name, answer.headers[name])
            self.send_header("content-length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

    def log_message(self, *_: object) -> None:
        """Not on the terminal."""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rotating")
    flags = {"exchange-limit": 0, "rotation-overlap": 3600}
    server = ServerProcess(folder / "data", folder / "log", flags, {}).start()
    yield server
    server.kill()


@pytest.fixture
def relay(server):
    relay = Relay(server.url)
    yield relay
    relay.shutdown()
    relay.server_close()


@pytest.fixture
def run(folder, relay):
    """Starts agents on one key file. All are ended with the test."""
    agents: list[AgentProcess] = []

    def run(every: str, *command: object, url: str = relay.url) -> AgentProcess:
        agent = AgentProcess.__new__(AgentProcess)
        agent.log, agent.sink = folder / f"{len(agents)}.log", folder / "token"
        agent.socket = folder / "s" / "agent"
        agent.arguments = [
            str(part)
            for part in (
                *(command or (HOURPASS,)), "agent", "--url", url, "--api-key-file",
                folder / "api-key", "--cache", folder / "cache", "--socket", agent.socket, "--sink", agent.sink,
                "--rotate-key-every", every,
            )
        ]  # fmt: skip
        with agent.log.open("ab") as log:
            agent.process = subprocess.Popen(agent.arguments, stdout=log, stderr=log, env=clean_environment())
        agents.append(agent)
        return agent

    yield run
    for agent in agents:
        if agent.process.poll() is None:
            agent.kill()
        assert "Traceback" not in agent.log.read_text()


def key_file(folder: Path, key: str, *, hours_old: float) -> Path:
    path = folder / "api-key"
    path.write_text(key)
    path.chmod(0o600)
    at = time.time() - hours_old * 3_600
    os.utime(path, (at, at))
    return path


def exchange(server, key: str) -> int:
    return httpx2.post(f"{server.url}/auth/api-key", json={"apiKey": key}, **PLAIN).status_code


def facts(server, made: dict) -> dict:
    return json.loads(server.command("keys", "show", made["key_id"], "--json").stdout)


IN_THE_FILE = [
    "the new key is about to be written",
    "the new key is written beside the file",
    "the new key is in the file",
]
ON_THE_WIRE = {
    "the question is on its way": ("before", "/auth/rotate", False),
    "the answer is on its way": ("after", "/auth/rotate", False),
    "the new key is about to be used": ("before", "/auth/api-key", True),
    "the new key was used": ("after", "/auth/api-key", True),
}


@pytest.mark.parametrize("step", [*IN_THE_FILE, *ON_THE_WIRE])
def test_an_agent_that_is_killed_at_any_step_recovers(step, server, relay, run, folder):
    made = server.create_key("--self-rotation")
    path = key_file(folder, made["api_key"], hours_old=2)
    killed: list[AgentProcess] = []
    started = threading.Event()
    if step in ON_THE_WIRE:
        when, where, with_new_key = ON_THE_WIRE[step]

        def kill(asked: str, key: str | None) -> bool:
            if asked != where or with_new_key != (key != made["api_key"]) or not started.wait(10):
                return True
            killed[0].process.kill()
            return False

        setattr(relay, when, kill)
        killed.append(run("1h"))
        started.set()
    else:
        killed.append(run("1h", sys.executable, Path(__file__).with_name("killed.py"), step, path))
    assert killed[0].process.wait(20) == -9, killed[0].log.read_text()
    relay.before = relay.after = lambda path, key: True

    run("1h").ready()

    eventually(lambda: path.read_text().strip() != made["api_key"])
    eventually(lambda: facts(server, made)["old_secret_until"] is not None)
    assert exchange(server, path.read_text().strip()) == exchange(server, made["api_key"]) == 200
    assert facts(server, made)["next_secret_at"] is None
    trail = json.loads(server.command("audit", "--json").stdout)
    own = [each for each in trail if each.get("key_id") == made["key_id"] and each["event"] == "key.rotated"]
    assert [each["secret_number"] for each in own] == [1]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_key_that_may_not_rotate_goes_on(server, relay, run, folder):
    made = server.create_key()
    path = key_file(folder, made["api_key"], hours_old=2)

    agent = run("1h").ready()

    agent.wait_for("the API key is not rotated: self_rotation_off")
    assert path.read_text() == made["api_key"]
    assert agent.stop() == 0


def test_a_key_that_rotates_every_second_is_never_lost(tmp_path, run, folder):
    server = ServerProcess(
        tmp_path / "data", tmp_path / "log", {"exchange-limit": 0, "rotation-overlap": 1}, {}
    ).start()
    try:
        made = server.create_key("--self-rotation")
        path = key_file(folder, made["api_key"], hours_old=1)
        agent = run("1s", url=server.url).ready()

        for _ in range(60):
            assert exchange(server, path.read_text().strip()) == 200
            time.sleep(0.1)

        agent.wait_for("the API key was rotated", times=3)
        assert agent.stop() == 0
        assert exchange(server, path.read_text().strip()) == 200
        assert exchange(server, made["api_key"]) == 400
    finally:
        server.kill()


@pytest.mark.parametrize(
    ("flags", "environment"),
    [
        (["--rotate-key-every", "30d"], {"HOURPASS_API_KEY": OLD}),
        (["--rotate-key-every", "30d", "--api-key-command", "cat /dev/null"], {}),
        (["--rotate-key-every", "30d", "--api-key-env", "KEY"], {"KEY": OLD}),
        (["--rotate-key-every", "30d"], {"CREDENTIALS_DIRECTORY": "FOLDER"}),
        (["--rotate-key-every", "0", "--api-key-file", "FOLDER/api-key"], {}),
        (["--rotate-key-every", "soon", "--api-key-file", "FOLDER/api-key"], {}),
        (["--rotate-key-every", "3661d", "--api-key-file", "FOLDER/api-key"], {}),
        (["--rotate-key-every", "30d", "--api-key-file", "/proc/self/api-key"], {}),
    ],
    ids=["a variable", "a program", "another variable", "systemd", "zero", "a word", "too long", "not its folder"],
)
def test_a_rotation_needs_an_interval_and_a_key_file_that_can_be_replaced(flags, environment, folder):
    key_file(folder, OLD, hours_old=1)
    flags = [flag.replace("FOLDER", str(folder)) for flag in flags]
    environment = {name: value.replace("FOLDER", str(folder)) for name, value in environment.items()}
    words = [HOURPASS, "agent", "--url", "http://127.0.0.1:1", "--cache", str(folder / "cache"), *flags]

    done = subprocess.run(words, env=clean_environment(**environment), capture_output=True, text=True, timeout=20)

    assert done.returncode == 2
    assert "--rotate-key-every" in done.stderr
    assert "Traceback" not in done.stderr
