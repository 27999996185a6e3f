"""`hourpass demo`: what a newcomer sees, pastes and ends."""

import itertools
import json
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest
from tests.conftest import HOURPASS

LAST_LINE = "# Ctrl-C stops it."


class Demo:
    """A running `hourpass demo`, its output so far, and its end."""

    def __init__(self, environment: dict[str, str], folder: Path, *flags: str) -> None:
        self._log = folder / "demo.log"
        with self._log.open("w") as log:
            self.process = subprocess.Popen(
                [HOURPASS, "demo", *flags], env=environment, stdout=subprocess.PIPE, stderr=log, text=True
            )
        self.shown = ""
        if "--json" in flags:
            self.shown = self.process.stdout.readline()
        while "--json" not in flags and LAST_LINE not in self.shown:
            line = self.process.stdout.readline()
            assert line, self.log()
            self.shown += line

    def commands(self) -> list[str]:
        """The commands as a person selects them: from `curl` to the end of the paragraph."""
        return re.findall(r"^curl .*?(?=\n\n)", self.shown, re.MULTILINE | re.DOTALL)

    def interrupt(self) -> int:
        """Ctrl-C, and the exit code."""
        self.process.send_signal(signal.SIGINT)
        rest, _ = self.process.communicate(timeout=30)
        self.shown += rest
        return self.process.returncode

    def log(self) -> str:
        return self._log.read_text()


@pytest.fixture
def demo(hourpass, tmp_path):
    """A factory of demos with a home and a temporary folder of their own, on a free port unless told otherwise."""
    running: list[Demo] = []
    (tmp_path / "tmp").mkdir()

    def start(*flags: str, port: str | None = "0") -> Demo:
        environment = {**hourpass.environment, "TMPDIR": str(tmp_path / "tmp")}
        demo = Demo(environment, tmp_path, *flags, *(["--port", port] if port else []))
        running.append(demo)
        return demo

    yield start
    for demo in running:
        if demo.process.poll() is None:
            demo.process.kill()
        demo.process.communicate()


def test_the_three_commands_work_when_pasted_in_any_order(demo, shell):
    started = demo()
    exchange, call, refresh = started.commands()

    for order in itertools.permutations([exchange, call, refresh]):
        answers = {command: json.loads(shell(command)) for command in order}
        assert answers[exchange].keys() == {"token_type", "expires_in", "access_token", "refresh_token"}
        assert len(answers[call]["data"]) == 12
        assert answers[refresh].keys() == answers[exchange].keys()


def test_the_commands_are_those_of_the_readme(demo):
    """README.md, "Try it"."""
    started = demo()
    url = re.search(r"http://127\.0\.0\.1:\d+", started.shown)[0]
    shortened = re.sub(r"(hp_production_|eyJ0eXAiO)[\w.-]+", r"\1…", "\n".join(started.commands()))

    readme = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
    shown = re.findall(r"^curl .*$", readme, re.MULTILINE)
    assert len(shown) == 3
    assert shortened.replace(url, "http://127.0.0.1:3600").splitlines() == shown


def test_the_whole_output_can_be_pasted_at_once_and_its_link_leads_to_the_console(demo, shell):
    """Every line that is not a command is a comment."""
    printed = shell(demo().shown)

    assert printed.count('"token_type":"Bearer"') == 2
    page = httpx2.get(re.search(r"http://\S+/console/sign-in/\S+", printed)[0])
    assert (page.status_code, "Sign in" in page.text) == (200, True)


def test_the_output_is_short_and_nothing_is_coloured_for_a_pipe(demo):
    lines = demo().shown.splitlines()

    assert len(lines) <= 25
    assert "\x1b" not in "".join(lines)
    assert all(len(line) <= 80 for line in lines if not re.search("eyJ|hp_|--data", line))


def test_ctrl_c_ends_it_cleanly_and_nothing_is_left(demo, tmp_path):
    started = demo()
    assert list((tmp_path / "tmp").iterdir())

    assert started.interrupt() == 0
    assert "Traceback" not in started.log()
    assert started.log().endswith("Stopped.\n")
    assert list((tmp_path / "tmp").iterdir()) == []


def test_json_is_one_line_with_what_a_script_needs_and_nothing_else(demo):
    started = demo("--json")
    facts = json.loads(started.shown)

    assert facts.keys() == {"url", "api_key", "key_id"}
    assert facts["api_key"].split("_")[2] == facts["key_id"]
    assert httpx2.get(f"{facts['url']}/videos", auth=(facts["api_key"], "")).status_code == 200
    assert started.interrupt() == 0
    assert started.shown.count("\n") == 1


def test_a_folder_that_was_asked_for_is_kept_and_found_again(demo, hourpass, tmp_path):
    flags = ("--json", "--data", str(tmp_path / "kept"))
    first = demo(*flags)
    key = json.loads(first.shown)["api_key"]
    first.interrupt()

    url = json.loads(demo(*flags).shown)["url"]

    assert httpx2.get(f"{url}/videos", auth=(key, "")).status_code == 200
    assert len(hourpass.json("keys", "list", *flags[1:])) == 2


def test_if_the_usual_port_is_taken_it_takes_another_and_says_so(demo):
    with port_3600_is_taken():
        started = demo("--json", port=None)

        url = json.loads(started.shown)["url"]
        assert not url.endswith(":3600")
        assert httpx2.get(f"{url}/health/ready").status_code == 200
        assert "Port 3600 is taken" in started.log()


def test_if_a_port_that_was_asked_for_is_taken_it_fails(hourpass):
    with port_3600_is_taken():
        for asked in ({"env": {"HOURPASS_PORT": "3600"}}, {}):
            flags = () if asked else ("--port", "3600")
            result = hourpass("demo", *flags, code=1, **asked)
            assert result.stdout == ""
            assert "cannot listen on 127.0.0.1:3600" in result.stderr


def port_3600_is_taken() -> socket.socket:
    """Taken by us, or by another program already."""
    try:
        return socket.create_server(("127.0.0.1", 3600))
    except OSError:
        return socket.socket()


def test_on_a_terminal_the_log_is_silent_and_ctrl_c_is_answered(hourpass, tmp_path):
    """A second Python makes the terminal, so that the key press goes through it and becomes the signal."""
    terminal = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))"
    process = subprocess.Popen(
        [sys.executable, "-c", terminal, HOURPASS, "demo", "--port", "0"],
        env={**hourpass.environment, "TMPDIR": str(tmp_path), "TERM": "xterm"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        shown = b""
        while LAST_LINE.encode() not in shown and (some := process.stdout.read1()):
            shown += some
        rest, _ = process.communicate(b"\x03", timeout=30)
    finally:
        process.kill()
        process.communicate()
    text = (shown + rest).decode()

    assert process.returncode == 0, text
    assert text.startswith("\x1b[1m# hourpass demo on http://127.0.0.1:")
    assert text.endswith("Stopped.\r\n")
    assert not re.search("listening|draining|Traceback", text)
