"""The release workflow, as far as it can be known without running it: its form, its pins, its permissions."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from tests.packaging.conftest import ROOT

WORKFLOW = ROOT / ".github" / "workflows" / "release.yml"
TOOLS = Path(sys.executable).parent


@pytest.mark.parametrize(
    "check",
    [
        ["check-jsonschema", "--builtin-schema", "vendor.github-workflows"],
        ["zizmor", "--offline", "--no-progress", "--persona", "pedantic"],
    ],
    ids=lambda words: words[0],
)
def test_what_checks_workflows_finds_nothing(check):
    done = subprocess.run([TOOLS / check[0], *check[1:], WORKFLOW], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


def test_every_action_is_pinned_to_a_commit_and_says_which_version_that_is():
    uses = re.findall(r"uses: (.+)", WORKFLOW.read_text("utf-8"))

    assert len(uses) >= 6
    for used in uses:
        assert re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", used)


def test_only_the_job_that_publishes_may_and_somebody_approves_it():
    workflow = yaml.safe_load(WORKFLOW.read_text("utf-8"))
    jobs = workflow["jobs"]

    assert workflow["permissions"] == {}
    assert [name for name, job in jobs.items() if "environment" in job] == ["publish"]
    assert jobs["publish"]["permissions"] == {"id-token": "write"}
    assert jobs["build"]["permissions"] == jobs["test"]["permissions"] == {"contents": "read"}
    assert set(jobs["attest"]["needs"]) == {"test", "build"}
    assert jobs["publish"]["needs"] == "attest"
