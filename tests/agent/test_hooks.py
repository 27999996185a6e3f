"""Hooks: an argument list, no shell, no token, a limit, and no way to stop the agent."""

import os
import sys
import time
from pathlib import Path

import pytest
from tests.agent.conftest import eventually

from hourpass.client.agent.hooks import Hooks


@pytest.fixture
def log():
    return []


@pytest.fixture
def make(log):
    """A factory of hooks that wait for nothing. All are closed with the test."""
    made = []

    def make(*hooks, **more):
        made.append(Hooks(hooks, environment={"PATH": os.defpath}, log=log.append, **{"debounce": 0.05, **more}))
        return made[-1]

    yield make
    for hooks in made:
        hooks.close(0)


def recorder(path):
    """A hook that adds its arguments and environment to a file."""
    script = "import os, sys; open(sys.argv[1], 'a').write(repr((sys.argv[2:], dict(os.environ))) + chr(10))"
    return [sys.executable, "-I", "-c", script, str(path)]


def test_arguments_reach_the_program_untouched_by_any_shell(make, tmp_path):
    out = tmp_path / "out"
    hooks = make([*recorder(out), "a b", "$HOME", ";", "*", ""])

    hooks.trigger()
    eventually(lambda: hooks.counts["done"])

    arguments, environment = eval(out.read_text())
    assert arguments == ["a b", "$HOME", ";", "*", ""]
    assert environment.keys() <= {"PATH", "LC_CTYPE"}


def test_many_tokens_at_once_are_one_run(make, tmp_path):
    out = tmp_path / "out"
    hooks = make(recorder(out))

    for _ in range(50):
        hooks.trigger()
    hooks.close(10)

    assert hooks.counts["done"] == 1


def test_a_token_during_a_run_makes_one_more_run(make, tmp_path):
    started = tmp_path / "started"
    hooks = make(["sh", "-c", 'echo x >> "$0"; sleep 0.3', str(started)])

    hooks.trigger()
    eventually(started.exists)
    hooks.trigger()
    hooks.trigger()
    hooks.close(10)

    assert hooks.counts["done"] == 2


def test_a_failing_hook_is_logged_and_counted_and_the_next_one_runs(make, log, tmp_path):
    out = tmp_path / "out"
    hooks = make(["sh", "-c", "echo secret; exit 3"], ["no-such-program"], recorder(out))

    hooks.trigger()
    hooks.close(10)

    assert hooks.counts == {"failed": 2, "done": 1}
    assert log == ["hook sh ended with 3", "hook no-such-program cannot be started (FileNotFoundError)"]
    assert out.exists()


def test_a_hook_that_takes_too_long_is_ended_with_all_that_it_started(make, log, tmp_path):
    pid = tmp_path / "pid"
    hooks = make(["sh", "-c", 'sleep 60 & echo $! > "$0"; wait', str(pid)], limit=0.5)

    hooks.trigger()
    eventually(lambda: hooks.counts["timed_out"])

    assert log == ["hook sh was ended after 0.5 s"]
    eventually(lambda: is_gone(int(pid.read_text())))


def is_gone(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_closing_ends_a_hook_that_does_not_end(make):
    hooks = make(["sleep", "60"], debounce=0)
    hooks.trigger()
    eventually(lambda: hooks._running)
    process = hooks._running

    began = time.monotonic()
    hooks.close(0.1)

    assert process.wait(5) != 0
    assert time.monotonic() - began < 5


def test_without_hooks_nothing_is_started(make):
    hooks = make()

    hooks.trigger()

    assert hooks._thread is None
