"""`hourpass demo` as what the foreign clients talk to, and the curl that the machine has."""

import json
import os
import shutil
import subprocess
from typing import NamedTuple

import pytest
from tests.conftest import HOURPASS, clean_environment


class Demo(NamedTuple):
    """The URL of a running demo, and its first key."""

    url: str
    api_key: str
    key_id: str


@pytest.fixture(scope="module")
def start_demo(tmp_path_factory):
    """A factory of running demos, with flags as keyword arguments. All are ended with the module, cleanly."""
    running: list[subprocess.Popen[str]] = []

    def start(**flags: object) -> Demo:
        named = [part for name, value in flags.items() for part in (f"--{name.replace('_', '-')}", str(value))]
        with (tmp_path_factory.mktemp("demo") / "log").open("w") as log:
            process = subprocess.Popen(
                [HOURPASS, "demo", "--json", "--port", "0", *named],
                env=clean_environment(),
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        running.append(process)
        return Demo(**json.loads(process.stdout.readline()))

    yield start
    for process in running:
        process.terminate()
    for process in running:
        process.communicate(timeout=30)
    assert [process.returncode for process in running] == [0] * len(running)


@pytest.fixture(scope="module")
def demo(start_demo):
    """A demo with the default settings."""
    return start_demo()


@pytest.fixture
def curl():
    """The real curl: what it printed. A machine without one skips, and CI may not be such a machine."""
    if shutil.which("curl") is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)("needs curl")

    def run(*arguments: str) -> str:
        return subprocess.run(["curl", "--silent", *arguments], capture_output=True, check=True, timeout=30).stdout

    return run
