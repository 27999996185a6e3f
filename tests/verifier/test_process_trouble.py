"""Troubles of a process: no descriptors, no threads, a frozen process, a blocked loop, a cut network, a wrong clock.

Each gives a clear answer in bounded time, and is over within two seconds of the trouble's end.
"""

import inspect
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest
from tests.conftest import clean_environment, free_port
from tests.verifier.conftest import AUDIENCE, until, wall
from tests.verifier.test_asgi import Application, ask

from hourpass.clocks import AgeClock, age_clock, boot_clock
from hourpass.core.errors import Unavailable
from hourpass.core.policy import HOUR
from hourpass.verifier import Verifier, fail_closed
from hourpass.verifier.asgi import HourpassMiddleware

HEALED = 2.0
"""Seconds after the end of any trouble."""


class Process:
    """Speaks with `starved_process.py`."""

    def __init__(self, issuer: str, budget: float) -> None:
        command = [sys.executable, "-W", "error", "-m", "tests.verifier.starved_process", issuer, str(budget)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=clean_environment(),
        )  # fmt: skip

    def __call__(self, *command: str):
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def send(self, number: signal.Signals) -> None:
        os.kill(self._process.pid, number)

    def freeze(self, seconds: float) -> None:
        self.send(signal.SIGSTOP)
        time.sleep(seconds)
        self.send(signal.SIGCONT)

    def end(self) -> str:
        """Its standard error."""
        return self._process.communicate(timeout=10)[1]


@pytest.fixture
def start(issuer):
    processes: list[Process] = []

    def start(budget: float = 10) -> Process:
        processes.append(Process(issuer.url, budget))
        return processes[-1]

    yield start
    for process in processes:
        assert "Traceback" not in process.end()


# --- What a process may lack.


@pytest.mark.parametrize("way", ["verify", "verify_async"])
@pytest.mark.parametrize(
    ("take", "said"), [("take_descriptors", "Too many open files"), ("take_threads", "can't start new thread")]
)
def test_without_descriptors_or_threads_it_says_so_soon_and_recovers_by_itself(issuer, start, way, take, said):
    process, token = start(), issuer.token()
    process(take)

    for _ in range(3):
        answer, seconds = process(way, token)
        assert answer.startswith("Unavailable: keys are out of reach: ")
        assert said in answer
        assert seconds < 1
    assert said in process("status")["keys_problem"]

    process("give_back")
    until(lambda: process(way, token)[0] == "alice", HEALED)


@pytest.mark.parametrize("take", ["take_descriptors", "take_threads"])
def test_the_known_keys_and_revocations_serve_while_descriptors_or_threads_are_missing(issuer, start, take):
    process, token = start(), issuer.token()
    assert process("verify", token)[0] == "alice"

    process(take)

    assert process("verify", issuer.token(jti="another"))[0] == "alice"


# --- Time that is missing.


def test_processes_that_were_frozen_answer_their_first_request_at_every_budget(issuer, start):
    """One for each budget, frozen side by side for longer than the budget."""
    budgets, token = [2, 5, 10], issuer.token()
    processes = [start(budget) for budget in budgets]
    for process in processes:
        assert process("verify", token)[0] == "alice"

    began = time.monotonic()
    for process in processes:
        process.send(signal.SIGSTOP)
    answers = []
    for budget, process in zip(budgets, processes, strict=True):
        time.sleep(began + budget + 1 - time.monotonic())
        process.send(signal.SIGCONT)
        answers.append(process("verify", token))

    assert [answer for answer, _ in answers] == ["alice"] * 3
    assert max(seconds for _, seconds in answers) < HEALED


def test_a_process_that_runs_only_while_it_is_asked_answers_every_time(issuer, start):
    """As between the invocations of a function in a cloud: no poll in the background ever ends."""
    process, token = start(2), issuer.token()

    for _ in range(3):
        assert process("verify", token)[0] == "alice"
        process.freeze(2.2)


def test_a_process_that_was_frozen_recovers_though_nobody_asks(issuer, start):
    process = start(2)
    assert process("verify", issuer.token())[0] == "alice"

    process.freeze(3)

    until(lambda: process("status")["revocations"] == "fresh", HEALED)


@pytest.mark.anyio
async def test_an_event_loop_that_was_blocked_answers_its_first_request(issuer):
    async with Verifier(issuer=issuer.url, audience=AUDIENCE, staleness=fail_closed(budget=2)) as verifier:
        await verifier.verify_async(issuer.token())

        time.sleep(3)

        began = time.monotonic()
        assert (await verifier.verify_async(issuer.token())).sub == "alice"
        assert time.monotonic() - began < HEALED


# --- A network that is cut.


class Relay:
    """Carries bytes to the issuer until it is cut: `refused`, or `silent`, when what was open says nothing for ever."""

    def __init__(self, port: int) -> None:
        self._to = port
        self.port = free_port()
        self.open: list[socket.socket] = []
        self.silent = False
        self._listen()

    def _listen(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            self.open.append(near)
            if not self.silent:
                far = socket.create_connection(("127.0.0.1", self._to))
                self.open.append(far)
                for pair in ((near, far), (far, near)):
                    threading.Thread(target=self._carry, args=pair, daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket) -> None:
        dead = False
        try:
            while data := source.recv(65_536):
                dead = dead or self.silent
                if not dead:
                    target.sendall(data)
            if not (dead or self.silent):
                target.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def cut(self, how: str) -> None:
        if how == "silent":
            self.silent = True
            return
        # Closing alone would leave the thread in `accept`, and the port with it.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.close()

    def mend(self, how: str) -> None:
        if how == "silent":
            self.silent = False
        else:
            self._listen()

    def close(self) -> None:
        for each in self.open:
            each.close()


@pytest.fixture
def relay(issuer):
    relay = Relay(issuer.port)
    yield relay
    relay.cut("refused")


@pytest.mark.parametrize("how", ["silent", "refused"])
@pytest.mark.parametrize("asked", [False, True], ids=["nobody asks", "somebody asks"])
def test_a_network_that_was_cut_is_forgotten_two_seconds_after_it_is_mended(issuer, relay, how, asked):
    url, token = f"http://127.0.0.1:{relay.port}", issuer.token()
    with Verifier(issuer=issuer.url, audience=AUDIENCE, url=url, staleness=fail_closed(budget=2)) as verifier:
        verifier.verify(token)

        relay.cut(how)
        until(lambda: verifier.status().revocations == "fail-closed")
        began = time.monotonic()
        with pytest.raises(Unavailable, match="revocations are out of reach"):
            verifier.verify(token)
        assert time.monotonic() - began < 2.5
        time.sleep(1.5)
        relay.mend(how)

        until(lambda: answers(verifier, token) if asked else verifier.status().revocations == "fresh", HEALED)
        assert verifier.verify(token).sub == "alice"


@pytest.mark.parametrize("how", ["silent", "refused"])
def test_an_issuer_that_is_cut_off_from_the_start_is_found_two_seconds_after_it_is_there(issuer, relay, how):
    relay.cut(how)
    url, token = f"http://127.0.0.1:{relay.port}", issuer.token()
    with Verifier(issuer=issuer.url, audience=AUDIENCE, url=url) as verifier:
        with pytest.raises(Unavailable, match="keys are out of reach"):
            verifier.verify(token)
        time.sleep(2.5)
        relay.mend(how)

        until(lambda: verifier.status().revocations == "fresh", HEALED)


def answers(verifier: Verifier, token: str) -> bool:
    try:
        return verifier.verify(token).sub == "alice"
    except Unavailable:
        return False


# --- A clock that is wrong.


@pytest.mark.parametrize("hours", [1, -1])
def test_a_clock_that_is_an_hour_off_is_said_to_be_and_forgotten_when_it_is_set_right(issuer, hours):
    off = 0
    with Verifier(
        issuer=issuer.url, audience=AUDIENCE, staleness=fail_closed(budget=2), clock=lambda: wall() + off
    ) as verifier:
        verifier.verify(issuer.token())

        off = hours * HOUR
        until(lambda: verifier.status().revocations == "fail-closed")
        until(lambda: "clocks that differ" in verifier.status().revocations_problem)

        off = 0
        until(lambda: verifier.status().revocations == "fresh", HEALED)


def test_a_machine_that_was_paused_hears_of_revocations_made_meanwhile(issuer):
    """The boot clock of a virtual machine stands still while it is paused. Its wall clock is set right afterwards."""
    missed = 0
    timer = AgeClock(boot_clock, lambda: wall() + missed)
    with Verifier(issuer=issuer.url, audience=AUDIENCE, timer=timer) as verifier:
        token = issuer.token()
        verifier.verify(token)
        issuer.feed_down = True
        until(lambda: verifier.status().revocations_failures or issuer.loop.call_soon_threadsafe(issuer.feed.close))
        assert verifier.verify(token).sub == "alice"

        missed = 2 * HOUR

        with pytest.raises(Unavailable, match="revocations"):
            verifier.verify(token)
        issuer.feed_down = False
        until(lambda: answers(verifier, token), HEALED)


def test_by_default_a_pause_of_the_machine_is_noticed():
    assert inspect.signature(Verifier).parameters["timer"].default is age_clock


# --- What the environment names.


@pytest.fixture
def told(caplog):
    """The lines of the log about the issuer."""
    caplog.set_level(logging.INFO, "hourpass.verifier")
    return lambda: [record.getMessage() for record in caplog.records if record.name == "hourpass.verifier"]


@pytest.mark.parametrize(
    ("variable", "value", "issuer_url", "why"),
    [
        ("SSL_CERT_FILE", "/no/such/file", "https://127.0.0.1:1", "No such file or directory"),
        ("ALL_PROXY", "socks5://user:secret@127.0.0.1:1", "https://auth.test", "socksio"),
        ("HTTPS_PROXY", "http://user:secret@127.0.0.1:1", "https://auth.test", "through a proxy: Connection refused"),
    ],
    ids=["no certificates", "a package is missing", "no proxy there"],
)
def test_trouble_that_the_environment_makes_is_named_at_once_and_told_once(
    monkeypatch, told, variable, value, issuer_url, why
):
    for name in ("NO_PROXY", "no_proxy", "all_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, value)

    with Verifier(issuer=issuer_url, audience=AUDIENCE) as verifier:
        for _ in range(5):
            began = time.monotonic()
            with pytest.raises(Unavailable, match=why):
                verifier.verify("eyJ0eXAiOiJhdCtqd3QifQ.e30.x")
            assert time.monotonic() - began < 1.5
        problem = verifier.status().keys_problem

    host = issuer_url.removeprefix("https://")
    assert problem.startswith(host)
    assert why in problem
    assert len(told()) == 1
    assert host in told()[0]
    assert "secret" not in problem + told()[0]


def test_trouble_that_the_environment_makes_is_forgotten_when_it_is_mended(monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", "/no/such/file")
    with Verifier(issuer="https://127.0.0.1:1", audience=AUDIENCE) as verifier:
        until(lambda: "No such file" in verifier.status().keys_problem)

        monkeypatch.delenv("SSL_CERT_FILE")

        until(lambda: verifier.status().keys_problem == "127.0.0.1:1: Connection refused", HEALED)


def test_without_a_home_it_works(issuer):
    script = (
        "import sys; from hourpass.verifier import Verifier\n"
        f"with Verifier(issuer={issuer.url!r}, audience={AUDIENCE!r}) as verifier:\n"
        f"    print(verifier.verify({issuer.token()!r}).sub)\n"
    )
    environment = {name: value for name, value in clean_environment().items() if name != "HOME"}

    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True)

    assert (done.stdout, done.stderr) == ("alice\n", "")


@pytest.mark.anyio
async def test_an_issuer_out_of_reach_is_one_line_in_the_log_with_host_and_reason(issuer, told):
    port = free_port()
    with Verifier(issuer=issuer.url, audience=AUDIENCE, url=f"http://127.0.0.1:{port}") as verifier:
        app = HourpassMiddleware(Application(), verifier=verifier)
        for _ in range(3):
            answer = await ask(app, f"Bearer {issuer.token()}")
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")

    assert told() == [f"the keys of {issuer.url} cannot be fetched: 127.0.0.1:{port}: Connection refused"]


def test_the_end_of_trouble_is_told_too(issuer, relay, told):
    relay.cut("refused")
    with Verifier(issuer=issuer.url, audience=AUDIENCE, url=f"http://127.0.0.1:{relay.port}") as verifier:
        until(lambda: told())
        relay.mend("refused")
        until(lambda: verifier.status().revocations == "fresh")
        until(lambda: len(told()) == 2)

    assert told()[1] == f"the keys and revocations of {issuer.url} are fetched again"
