"""The units in deploy/ as systemd itself judges them, without running them."""

import re
import subprocess
from pathlib import Path

import pytest
from tests.conftest import HOURPASS
from tests.debian import program

from hourpass.server.settings.settings import described

DEPLOY = Path(__file__).parents[2] / "deploy" / "systemd"
UNITS = sorted(path.name for path in DEPLOY.glob("*.service"))


def analyze(*arguments):
    return subprocess.run(
        [program("systemd-analyze", "systemd"), *arguments], capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("name", UNITS)
def test_a_unit_is_exposed_at_most_by_two_points_of_ten(name):
    told = analyze("security", "--offline=true", "--no-pager", DEPLOY / name).stdout

    figure = float(re.search(r"exposure level for \S+: ([0-9.]+)", told)[1])
    assert figure <= 2.0, "\n".join(line for line in told.splitlines() if line.startswith("✗"))


def test_systemd_accepts_the_servers_units(tmp_path):
    for path in (DEPLOY / "hourpass.service", DEPLOY / "hourpass.socket"):
        (tmp_path / path.name).write_text(path.read_text().replace("/usr/local/bin/hourpass", str(HOURPASS)))

    verified = analyze("verify", "--man=no", *sorted(tmp_path.glob("hourpass.*")))

    ours = [line for line in verified.stderr.splitlines() if "hourpass" in line]
    assert (verified.returncode, ours) == (0, [])


def test_the_server_has_time_to_drain():
    text = (DEPLOY / "hourpass.service").read_text()
    seconds = int(re.search(r"^TimeoutStopSec=(\d+)$", text, re.MULTILINE)[1])

    assert seconds >= described()["drain_timeout"].default + 5
