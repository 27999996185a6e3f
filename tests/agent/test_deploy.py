"""The files in deploy/ that run the agent: systemd accepts its unit, and every flag in them is one of ours."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.conftest import HOURPASS

from hourpass.cli.client.agent import agent

DEPLOY = Path(__file__).parents[2] / "deploy"
UNIT = DEPLOY / "systemd" / "hourpass-agent.service"
FILES = [UNIT, DEPLOY / "kubernetes" / "sidecar.yaml", DEPLOY / "compose" / "agent.yaml"]


def flags_of(text):
    """The flags in a file, without comments and other programs' flags."""
    return re.findall(r"(?:^|[\s\"])(--[a-z-]+)", re.sub(r"^\s*#.*$", "", text, flags=re.MULTILINE))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.parent.name)
def test_every_flag_is_one_of_the_agents(path):
    known = {flag for parameter in agent.params for flag in parameter.opts}

    flags = flags_of(path.read_text())

    assert len(flags) >= 2
    assert set(flags) <= known


def test_systemd_accepts_the_unit(tmp_path):
    """Without systemd-analyze, the unit is read as sections of assignments."""
    text = UNIT.read_text()
    assert "ExecStart=/usr/local/bin/hourpass agent" in text
    if not shutil.which("systemd-analyze"):
        lines = [line for line in text.splitlines() if line and not line.startswith("#")]
        assert all(re.fullmatch(r"\[(Unit|Service|Install)\]|[A-Z][A-Za-z]+=.*", line) for line in lines)
        return
    unit = tmp_path / UNIT.name
    unit.write_text(text.replace("/usr/local/bin/hourpass", str(HOURPASS)))

    verified = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)

    ours = [line for line in verified.stderr.splitlines() if UNIT.name in line]
    assert (verified.returncode, ours) == (0, [])


def test_the_units_time_to_stop_is_longer_than_a_refresh():
    from hourpass.client.agent.agent import HOOKS_WITHIN
    from hourpass.client.refresh.fetcher import LOCK_TIMEOUT

    seconds = int(re.search(r"^TimeoutStopSec=(\d+)$", UNIT.read_text(), re.MULTILINE)[1])

    assert seconds > LOCK_TIMEOUT + HOOKS_WITHIN


def test_the_pod_mounts_the_key_into_the_agent_alone():
    before, _, after = FILES[1].read_text().partition("\n  containers:\n")

    assert before.count("name: api-key") == 1
    assert "api-key" not in after.partition("\n  volumes:\n")[0]
